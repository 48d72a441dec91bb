"""How much a client may send: the body limit, enforced while the body streams in."""

import asyncio

from starlette.types import ASGIApp, Message, Receive, Scope, Send

from api.errors import BodyTooLarge, request_id_of, send_error

DRAIN_BYTES, DRAIN_S = 4 * 2**20, 1.0


async def drain(receive: Receive) -> None:
    """Read on for a moment: a connection closed over unread bytes is reset, and the answer lost with it."""
    left = DRAIN_BYTES
    try:
        async with asyncio.timeout(DRAIN_S):
            while left > 0:
                message = await receive()
                if message["type"] == "http.disconnect" or not message.get("more_body"):
                    return
                left -= len(message.get("body", b""))
    except TimeoutError:
        return


class BodyLimit:
    """ASGI middleware: answers 413 as soon as a body passes the limit, whatever the app would do.

    The app inside sees a disconnect, so it stops as for any client that went away."""

    def __init__(self, app: ASGIApp, *, max_bytes: int):
        self._app = app
        self._max_bytes = max_bytes

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        headers = dict(scope["headers"])
        declared = headers.get(b"content-length", b"0")
        if not declared.isdigit() or int(declared[:20]) > self._max_bytes:
            await self._refuse(scope, receive, send)
        elif b"transfer-encoding" in headers:
            await self._count(scope, receive, send)
        else:  # the server stops reading at the declared length, so there is nothing to count
            await self._app(scope, receive, send)

    async def _count(self, scope: Scope, receive: Receive, send: Send) -> None:
        received, is_refused, has_answered = 0, False, False

        async def receive_counted() -> Message:
            nonlocal received, is_refused
            if is_refused:
                return {"type": "http.disconnect"}
            message = await receive()
            received += len(message.get("body", b""))
            if received <= self._max_bytes:
                return message
            is_refused = True
            if not has_answered:
                await self._refuse(scope, receive, send)
            return {"type": "http.disconnect"}

        async def send_unless_refused(message: Message) -> None:
            nonlocal has_answered
            if not is_refused:
                has_answered = True
                await send(message)

        await self._app(scope, receive_counted, send_unless_refused)

    async def _refuse(self, scope: Scope, receive: Receive, send: Send) -> None:
        await drain(receive)
        megabytes = self._max_bytes // 2**20
        error = BodyTooLarge(f"The body is larger than {megabytes} MB.", hint="Send less, or in parts.")
        extra = [(b"connection", b"close"), (b"x-request-id", request_id_of(scope).encode())]
        await send_error(scope, send, error, extra)
