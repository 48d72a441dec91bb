"""A chat completion as it comes: Server-Sent Events of chunks, ended by `[DONE]`."""

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel
from starlette.responses import StreamingResponse

from api.openai_wire import chunk, content_of, error_document, facts_of, id_of, usage_of, waits_text
from api.streams import KEEP_ALIVE
from core.dispatch import Call, Dispatcher
from core.errors import PlatformError

KEEP_ALIVE_S = 15.0
PARTS_AHEAD = 4
Parts = asyncio.Queue[tuple[str, BaseModel | PlatformError]]


class Streamed(Protocol):
    """What is known of the request."""

    @property
    def model(self) -> str: ...

    @property
    def created(self) -> int: ...

    @property
    def has_usage(self) -> bool: ...


async def completion_stream(dispatcher: Dispatcher[Any], call: Call, asked: Streamed) -> StreamingResponse:
    """Run a call and send what it says. An error before the first part is raised, so it has its real status."""
    parts: Parts = asyncio.Queue(PARTS_AHEAD)

    async def emit(part: BaseModel) -> None:
        await parts.put(("part", part))

    runner = asyncio.create_task(_run(dispatcher, replace(call, emit=emit), parts))
    try:
        first = await parts.get()
        if isinstance(first[1], PlatformError):
            raise first[1]
    except BaseException:  # cancelled ones too: whatever ends it, the run ends with it
        await _stop(runner)
        raise
    headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
    return StreamingResponse(
        _events(first, parts, runner, asked, call.request_id), 200, headers, "text/event-stream; charset=utf-8"
    )


async def _run(dispatcher: Dispatcher[Any], call: Call, parts: Parts) -> None:
    try:
        await parts.put(("result", await dispatcher.call(call)))
    except PlatformError as error:
        await parts.put(("error", error))


async def _stop(runner: "asyncio.Task[None]") -> None:
    runner.cancel()
    with suppress(asyncio.CancelledError):
        await runner


async def _events(
    first: tuple[str, BaseModel | PlatformError],
    parts: Parts,
    runner: "asyncio.Task[None]",
    asked: Streamed,
    request_id: str,
) -> AsyncIterator[bytes]:
    """The events; whoever stops listening stops the run."""
    told = _Chunks(asked)
    try:
        kind, part = first
        while True:
            if isinstance(part, PlatformError):
                yield _event(error_document(part, request_id))
                return
            for event in told.of(part) if kind == "part" else told.end(part):
                yield event
            if kind == "result":
                yield b"data: [DONE]\n\n"
                return
            while True:
                try:
                    async with asyncio.timeout(KEEP_ALIVE_S):
                        kind, part = await parts.get()
                    break
                except TimeoutError:
                    yield KEEP_ALIVE
    finally:
        await _stop(runner)


class _Chunks:
    """Parts of a run as chunks."""

    def __init__(self, asked: Streamed):
        self._asked = asked
        self._id = ""
        self._has_spoken = False

    def of(self, part: BaseModel) -> list[bytes]:
        event, text = getattr(part, "event", ""), str(getattr(part, "text", ""))
        run_id = str(getattr(part, "run_id", "") or getattr(part, "task_id", ""))
        if run_id and not self._id:
            self._id = f"chatcmpl-{run_id}"
            return [self._delta({"role": "assistant", "content": ""})]
        if event == "approval":
            return [self._delta({"content": waits_text(str(getattr(part, "approval_id", "")))})]
        if event != "token" or not text:
            return []
        self._has_spoken = True
        return [self._delta({"content": text})]

    def end(self, result: BaseModel) -> list[bytes]:
        data = result.model_dump(mode="json")
        self._id = self._id or id_of(data)
        found = [] if self._has_spoken else [self._delta({"content": content_of(data)})]
        found.append(self._delta({}, finish="stop", headwater=facts_of(data)))
        if self._asked.has_usage:
            found.append(self._chunk(choices=[], usage=usage_of(data)))
        return found

    def _delta(self, delta: dict[str, Any], *, finish: str | None = None, **more: Any) -> bytes:
        return self._chunk(choices=[{"index": 0, "delta": delta, "finish_reason": finish}], **more)

    def _chunk(self, **parts: Any) -> bytes:
        return _event(chunk(self._asked.model, self._asked.created, self._id, **parts))


def _event(document: dict[str, Any]) -> bytes:
    return f"data: {json.dumps(document, ensure_ascii=False, default=str)}\n\n".encode()
