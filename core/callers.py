"""Callers over HTTP, in ASGI's own terms: their token, their body, and whether they are still there."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, MutableMapping
from contextlib import asynccontextmanager
from typing import Any

from core.dispatch import Call
from core.errors import Cancelled, InvalidArgument, Timeout

PATIENCE_S = 30.0  # for a body; a caller who never sends it would hold its connection
WATCH_AFTER_S = 0.05
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]


class CallerLeft(Cancelled):
    """The caller went away before it was answered."""


def bearer(authorization: str) -> str | None:
    """The token of an `Authorization` header."""
    scheme, _, token = authorization.partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


async def read_body(
    receive: Receive,
    *,
    limit_bytes: int | None = None,
    patience_s: float = PATIENCE_S,
    too_late: type[Timeout] = Timeout,
) -> bytes | None:
    """The whole body, or None when the caller left. Raises InvalidArgument beyond the limit, `too_late` when slow."""
    parts, size = [], 0
    try:
        async with asyncio.timeout(patience_s):
            while (message := await receive())["type"] == "http.request":
                parts.append(message.get("body", b""))
                size += len(parts[-1])
                if limit_bytes is not None and size > limit_bytes:
                    told = f"The request is larger than {limit_bytes} bytes."
                    raise InvalidArgument(told, hint="Send less at a time.")
                if not message.get("more_body"):
                    return b"".join(parts)
    except TimeoutError:
        raise too_late(f"The body did not arrive within {patience_s:g} s.", hint="Send it again.") from None
    return None


def replayed(body: bytes, receive: Receive) -> Receive:
    """A `receive` that gives a body again, and then what really comes."""
    pending: list[Message] = [{"type": "http.request", "body": body, "more_body": False}]

    async def next_message() -> Message:
        return pending.pop() if pending else await receive()

    return next_message


@asynccontextmanager
async def watched(receive: Receive, call: Call) -> AsyncIterator[None]:
    """Cancels what runs inside when the caller goes away. Short calls never pay for the watching. Raises CallerLeft."""
    task, loop = asyncio.current_task(), asyncio.get_running_loop()
    watcher: asyncio.Task[None] | None = None
    has_left = False
    assert task is not None

    async def watch() -> None:
        nonlocal has_left
        while (await receive())["type"] != "http.disconnect":
            pass
        has_left = True
        call.cancelled.set()
        task.cancel()

    def start() -> None:
        nonlocal watcher
        watcher = loop.create_task(watch())

    timer = loop.call_later(WATCH_AFTER_S, start)
    try:
        yield
    except asyncio.CancelledError:
        if not has_left:
            raise
        task.uncancel()
        raise CallerLeft from None
    finally:
        timer.cancel()
        if watcher is not None:
            watcher.cancel()
