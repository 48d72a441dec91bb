"""One HTTP request as one call of the gate: reads it, runs it, answers with JSON or a stream."""

import re
from dataclasses import replace
from typing import Any
from urllib.parse import quote

from pydantic import BaseModel
from pydantic_core import to_json
from starlette.types import Receive, Scope, Send

from api.errors import BodyTooLate, request_id_of, send_body, send_error
from api.preconditions import expected_of, tag_of
from api.rest_arguments import Arguments, Sent, read_query
from api.rest_streams import stream
from api.streams import ARROW, ARROW_FIELD, SSE
from core.callers import CallerLeft, bearer, read_body, watched
from core.dispatch import Call, Dispatcher
from core.errors import Conflict, InvalidArgument, PlatformError
from core.jobs import Job
from core.portable import pictures
from core.tool import ANYONE, Tool

MAX_WAIT_S = 300.0
CURSOR = "after_seq"  # where a reconnecting EventSource goes on, by Last-Event-ID
_EVENT_ID = re.compile(r"[0-9]{1,18}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")
_NUMBER = re.compile(r"-?[0-9]{1,20}(\.[0-9]{1,400})?([eE][-+]?[0-9]{1,3})?")
_WAIT = frozenset({"wait_s"})


OPERATE = "platform.operate"


class ToolCalls:
    """Serves tools over HTTP; `serve` is called with the tool and path values that a route found."""

    def __init__(self, dispatcher: Dispatcher[Any]):
        self._dispatcher = dispatcher

    async def serve(self, tool: Tool, path: dict[str, str], scope: Scope, receive: Receive, send: Send) -> None:
        headers = {name: value.decode("latin-1") for name, value in scope["headers"]}
        token = bearer(headers.get(b"authorization", "")) or _internal(tool, headers)
        try:
            if token is None and tool.needs != ANYONE:
                await self._refuse_stranger(tool, scope)  # before the body is read
            body = await read_all(receive)
            if body is None:
                return
            sent = Sent(path, scope["query_string"], body, headers.get(b"content-type", ""))
            call, preferences = _read_call(tool, headers, sent, request_id=request_id_of(scope), token=token)
            media_type = stream_type(tool, headers.get(b"accept", ""))
            if media_type:
                await stream(self._dispatcher, call, media_type, watched(receive, call), send)
            else:
                async with watched(receive, call):
                    result = await self._dispatcher.call(call)
                picture = _picture(tool, headers.get(b"accept", ""))
                if picture is not None and isinstance(result, tool.result):
                    await send_body(
                        send, tool.status, getattr(result, picture[0]), preferences, media_type=picture[1].encode()
                    )
                else:
                    await _answer(send, tool, result, preferences)
        except CallerLeft:
            return
        except PlatformError as error:
            await send_error(scope, send, error)

    async def _refuse_stranger(self, tool: Tool, scope: Scope) -> None:
        try:
            await self._dispatcher.authenticate(None)
        except PlatformError:
            await self._dispatcher.call(Call(tool.name, {}, "rest", request_id_of(scope)))  # refuses, and audits
            raise


def _read_call(
    tool: Tool, headers: dict[bytes, str], sent: Sent, *, request_id: str, token: str | None
) -> tuple[Call, list[tuple[bytes, bytes]]]:
    """The call, and the headers that say which preference was followed."""
    wait_s, applied, key = None, "", headers.get(b"idempotency-key", "")
    problem: PlatformError | None = None
    taken = _WAIT if tool.job else frozenset[str]()
    last_event = headers.get(b"last-event-id", "")
    if CURSOR in tool.request.model_fields and _EVENT_ID.fullmatch(last_event):
        sent, taken = replace(sent, path={**sent.path, CURSOR: last_event}), taken | {CURSOR}
    try:
        expected = expected_of(tool, headers.get(b"if-match"))
        sent = replace(sent, path={**sent.path, **expected}) if expected else sent
        if b"idempotency-key" in headers and not _KEY.fullmatch(key):
            raise InvalidArgument("Idempotency-Key is not 1 to 255 visible ASCII characters.", hint="Send a UUID.")
        if tool.job:
            wait_s, applied = _wait(sent.query, headers.get(b"prefer", ""))
    except (InvalidArgument, Conflict) as error:
        problem = error
    arguments = Arguments(tool.request, sent, taken=taken, problem=problem)
    call = Call(
        tool.name,
        arguments,
        "rest",
        request_id,
        token=token,
        wait_s=wait_s,
        idempotency_key=key,
        form="text",
        traceparent=headers.get(b"traceparent", ""),
    )
    return call, [(b"preference-applied", applied.encode())] if applied else []


def _wait(query: bytes, prefer: str) -> tuple[float | None, str]:
    """Seconds to wait for a job, and the preference that said so. Raises InvalidArgument."""
    asked = read_query(query).get("wait_s", []) if query else []
    if asked:
        if len(asked) > 1 or not _NUMBER.fullmatch(asked[0]) or not 0 <= float(asked[0]) <= MAX_WAIT_S:
            raise InvalidArgument(f"wait_s is not a number from 0 to {MAX_WAIT_S:g}.", hint="Send wait_s=0 for a job.")
        return float(asked[0]), ""
    preferences = [item.strip().lower() for item in prefer.split(",")]
    for item in preferences:
        found = re.fullmatch(r"wait=\"?(\d{1,6})\"?", item)
        if found:
            return min(float(found[1]), MAX_WAIT_S), item
    return (0.0, "respond-async") if "respond-async" in preferences else (None, "")


def stream_type(tool: Tool, accept: str) -> str:
    """The media type to stream in, or empty for one JSON answer."""
    if tool.emits is None:
        return ""
    accept = accept.lower()
    if SSE in accept:
        return SSE
    if ARROW_FIELD not in tool.emits.model_fields:
        return ""
    return ARROW if ARROW in accept or "application/json" not in accept else ""


def _picture(tool: Tool, accept: str) -> tuple[str, str] | None:
    """The result's field and media type to send bare, where a picture is asked for and not JSON."""
    accept = accept.lower()
    found = pictures(tool.result) if "image/" in accept and "application/json" not in accept else {}
    return next(((name, kind) for name, kind in found.items() if kind in accept or "image/*" in accept), None)


def _internal(tool: Tool, headers: dict[bytes, str]) -> str | None:
    """Schedulers outside send their token so; it is one like any other, and never part of a URL."""
    return headers.get(b"x-internal-token", "").strip() or None if tool.needs == OPERATE else None


async def read_all(receive: Receive) -> bytes | None:
    """The whole body, or None when the client went away while sending it. Raises BodyTooLate."""
    return await read_body(receive, too_late=BodyTooLate)


async def _answer(send: Send, tool: Tool, result: BaseModel, headers: list[tuple[bytes, bytes]]) -> None:
    if isinstance(result, Job) and tool.result is not Job:
        headers = [*headers, (b"location", f"/v1/jobs/{quote(result.job_id, safe='')}".encode())]
        await send_body(send, 202, result.model_dump_json().encode(), headers)
        return
    if tool.status == 204:
        await send_body(send, 204, b"", headers)
        return
    if sole := tool.result.sole_list:
        await send_body(send, tool.status, to_json(result.model_dump(mode="json")[sole]), headers)
        return
    headers = [*headers, *tag_of(tool, result)]
    if tool.location:
        headers = [*headers, (b"location", location_of(tool, result).encode())]
    await send_body(send, tool.status, result.model_dump_json().encode(), headers)


def location_of(tool: Tool, result: BaseModel) -> str:
    """The path of what was made, its fields filled in and percent-encoded."""
    path = re.sub(r"{(\w+)}", lambda found: quote(str(getattr(result, found[1])), safe=""), tool.location)
    return f"/v1{path}"
