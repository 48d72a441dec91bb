"""Where results and exports lie: whole objects by path, written as a stream that appears only when it is complete."""

import asyncio
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from types import TracebackType
from typing import Protocol

CHUNKS_AHEAD = 2


@dataclass(frozen=True, slots=True)
class Found:
    """An object, or what an interrupted writer has left of one."""

    path: str  # of the object
    is_partial: bool = False


class Objects(Protocol):
    """An object store. Errors of the place itself are Unavailable; a place that takes no more is a Conflict."""

    def uri(self, path: str) -> str:
        """The object's address, as an operator would write it."""
        ...

    async def put(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        """Write an object; when `chunks` raises, nothing of it stays."""
        ...

    async def read(self, path: str, start: int, end: int) -> bytes:
        """Bytes from `start` up to `end`. Raises NotFound when there is no such object."""
        ...

    async def delete(self, found: Found) -> None:
        """Remove an object or a left-over; one that is gone already is no error."""
        ...

    def list(self, prefix: str) -> AsyncIterator[Found]:
        """Everything below a prefix, also what interrupted writers have left."""
        ...

    async def sign(self, path: str, lifetime_s: float) -> str | None:
        """A URL of the store's own that reads the object for a while; None where it has none."""
        ...


class _Aborted(Exception):
    """The writer gave up."""


class Upload:
    """An object that is written piece by piece: complete when the block ends, gone when it raises."""

    def __init__(self, objects: Objects, path: str):
        self.size_bytes = 0
        self._pieces: asyncio.Queue[bytes | _Aborted | None] = asyncio.Queue(CHUNKS_AHEAD)
        self._writing = asyncio.create_task(objects.put(path, self._read()))

    async def __aenter__(self) -> "Upload":
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        if error is None:
            await self._give(None)
            await self._writing
            return
        while not self._pieces.empty():
            self._pieces.get_nowait()
        self._pieces.put_nowait(_Aborted())
        await asyncio.wait({self._writing})
        if not self._writing.cancelled():
            self._writing.exception()  # that of the block counts

    async def write(self, data: bytes) -> None:
        """Hand on a piece; waits while the store is slower. Raises what the store raises."""
        self.size_bytes += len(data)
        await self._give(data)

    async def _give(self, piece: bytes | None) -> None:
        giving = asyncio.ensure_future(self._pieces.put(piece))
        try:
            await asyncio.wait({giving, self._writing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            if not giving.done():
                giving.cancel()
                with suppress(asyncio.CancelledError):
                    await giving
        if self._writing.done():
            self._writing.result()

    async def _read(self) -> AsyncIterator[bytes]:
        while (piece := await self._pieces.get()) is not None:
            if isinstance(piece, _Aborted):
                raise piece
            yield piece
