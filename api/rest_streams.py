"""The parts of a running call as they come, over one HTTP response."""

import asyncio
from contextlib import AbstractAsyncContextManager, suppress
from dataclasses import replace
from typing import Any

from pydantic import BaseModel
from starlette.types import Send

from api.errors import error_body, send_body
from api.streams import ARROW, ARROW_FIELD, KEEP_ALIVE, SSE, ArrowJoin, event_data, event_name, sse_event
from core.dispatch import Call, Dispatcher
from core.errors import PlatformError
from core.jobs import Job

KEEP_ALIVE_S = 15.0
PARTS_AHEAD = 4
Parts = asyncio.Queue[tuple[str, BaseModel | PlatformError]]


async def stream(
    dispatcher: Dispatcher[Any],
    call: Call,
    media_type: str,
    watched: AbstractAsyncContextManager[None],
    send: Send,
    *,
    keep_alive_s: float = KEEP_ALIVE_S,
) -> None:
    """Run a call and send its parts. An error before the first part is raised, so it has its real status."""
    parts: Parts = asyncio.Queue(PARTS_AHEAD)

    async def emit(part: BaseModel) -> None:
        await parts.put(("part", part))

    runner = asyncio.create_task(_run(dispatcher, replace(call, emit=emit), parts))
    try:
        async with watched:
            if media_type == ARROW:
                await _send_arrow(parts, send)
            else:
                await _send_events(parts, send, request_id=call.request_id, keep_alive_s=keep_alive_s)
    finally:
        runner.cancel()
        with suppress(asyncio.CancelledError):
            await runner


async def _run(dispatcher: Dispatcher[Any], call: Call, parts: Parts) -> None:
    try:
        await parts.put(("result", await dispatcher.call(call)))
    except PlatformError as error:
        await parts.put(("error", error))


class _Response:
    """Starts the response with the first bytes, so that an early error can still have a status of its own."""

    def __init__(self, send: Send, media_type: str):
        self._send = send
        self._media_type = media_type
        self.has_started = False

    async def write(self, data: bytes) -> None:
        if not self.has_started:
            headers = [
                (b"content-type", self._media_type.encode()),
                (b"cache-control", b"no-store"),
                (b"x-accel-buffering", b"no"),
            ]
            self.has_started = True
            await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        await self._send({"type": "http.response.body", "body": data, "more_body": True})

    async def end(self) -> None:
        await self._send({"type": "http.response.body", "body": b""})


async def _send_events(parts: Parts, send: Send, *, request_id: str, keep_alive_s: float) -> None:
    response, number = _Response(send, f"{SSE}; charset=utf-8"), 0
    has_ended = False
    while True:
        try:
            async with asyncio.timeout(keep_alive_s):
                kind, part = await parts.get()
        except TimeoutError:
            await response.write(KEEP_ALIVE)
            continue
        number = max(number + 1, getattr(part, "seq", 0))
        if isinstance(part, PlatformError):
            if not response.has_started:
                raise part
            if not has_ended:
                await response.write(sse_event("error", error_body(part, request_id).decode(), number))
            break
        is_result = kind == "result" and not isinstance(part, Job)
        if not (is_result and has_ended):  # a stream whose parts tell of its end, as of an error, has no further event
            await response.write(sse_event("result" if is_result else event_name(part), event_data(part), number))
        has_ended = bool(getattr(part, "is_last", False))
        if kind == "result":
            break
    await response.end()


async def _send_arrow(parts: Parts, send: Send) -> None:
    response, join = _Response(send, ARROW), ArrowJoin()
    while True:
        kind, part = await parts.get()
        if isinstance(part, PlatformError):
            if not response.has_started:
                raise part
            return  # without the last piece: the server cuts the connection, so the client sees a broken stream
        if kind == "result":
            break
        chunk = getattr(part, ARROW_FIELD, b"")
        if chunk:
            await response.write(join.add(chunk))
    if response.has_started:
        await response.write(join.end())
        await response.end()
    else:
        await send_body(send, 200, part.model_dump_json().encode())
