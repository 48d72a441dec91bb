"""Our outbound client in the place of another library's: its requests go where ours may go, and nowhere else."""

from collections.abc import AsyncIterator
from contextlib import AsyncExitStack

import httpx

from engine.egress.client import OWN_HEADERS, EgressClient


class EgressTransport(httpx.AsyncBaseTransport):
    """Sends every request of an `httpx` client through the gate; an answer has at most `max_bytes`.

    The gate's refusals and failures come through the library as they are, or as what its own errors are made from."""

    def __init__(self, egress: EgressClient, *, lane: str, max_bytes: int):
        self._egress = egress
        self._lane = lane
        self._max_bytes = max_bytes

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        body = await request.aread()
        headers = {name: value for name, value in request.headers.items() if name.lower() not in OWN_HEADERS}
        stack = AsyncExitStack()
        try:
            answer = await stack.enter_async_context(
                self._egress.open(
                    request.method,
                    str(request.url),
                    body=body,
                    headers=headers,
                    max_bytes=self._max_bytes,
                    lane=self._lane,
                )
            )
        except BaseException:  # cancelled ones too: whatever ends it, the connection is closed, and it goes on
            await stack.aclose()
            raise
        kept = {name: value for name, value in answer.headers.items() if name not in _ABOUT_THE_WIRE}
        return httpx.Response(answer.status, headers=kept, stream=_Body(answer.chunks, stack))


_ABOUT_THE_WIRE = frozenset({"content-encoding", "content-length", "transfer-encoding", "connection"})


class _Body(httpx.AsyncByteStream):
    def __init__(self, chunks: AsyncIterator[bytes], stack: AsyncExitStack):
        self._chunks = chunks
        self._stack = stack

    async def __aiter__(self) -> AsyncIterator[bytes]:
        async for chunk in self._chunks:
            yield chunk

    async def aclose(self) -> None:
        await self._stack.aclose()


class NoTransport(httpx.AsyncBaseTransport):
    """For clients that a library makes for itself: they send nothing."""

    async def handle_async_request(self, request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("this library was to use the client that it was given")


def new_client(transport: EgressTransport, *, timeout_s: float) -> httpx.AsyncClient:
    """For libraries that want a whole client."""
    return httpx.AsyncClient(transport=transport, trust_env=False, timeout=timeout_s)


def dead_client() -> httpx.AsyncClient:
    """A client that sends nothing."""
    return httpx.AsyncClient(transport=NoTransport(), trust_env=False)
