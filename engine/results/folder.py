"""A local folder as the store of results: files that only their owner can read, made whole or not at all."""

import asyncio
import errno
import os
from collections.abc import AsyncIterator
from pathlib import Path

from core.errors import Conflict, NotFound, PlatformError, Unavailable
from engine.results.objects import Found

PARTIAL = ".partial"
FULL = frozenset({errno.ENOSPC, errno.EDQUOT, errno.EFBIG})


class FolderObjects:
    """Objects as files with mode 0600 below one folder. obstore's own local store leaves modes to the umask."""

    def __init__(self, folder: Path):
        self._folder = folder

    def uri(self, path: str) -> str:
        return f"file:///{path}"  # without the folder: callers learn nothing of this machine

    async def put(self, path: str, chunks: AsyncIterator[bytes]) -> None:
        target = self._folder / path
        partial = target.with_name(target.name + PARTIAL)
        descriptor = await asyncio.to_thread(_create, partial, self._folder)
        try:
            async for chunk in chunks:
                await asyncio.to_thread(_write_all, descriptor, chunk)
            await asyncio.to_thread(os.fsync, descriptor)
            await asyncio.to_thread(partial.replace, target)
        except OSError as error:
            raise _translated(error) from error
        finally:
            os.close(descriptor)
            partial.unlink(missing_ok=True)

    async def read(self, path: str, start: int, end: int) -> bytes:
        return await asyncio.to_thread(_read, self._folder / path, start, end)

    async def delete(self, found: Found) -> None:
        path = self._folder / (found.path + PARTIAL * found.is_partial)
        await asyncio.to_thread(_remove, path, self._folder)

    async def list(self, prefix: str) -> AsyncIterator[Found]:
        for path in await asyncio.to_thread(lambda: list((self._folder / prefix).rglob("*"))):
            name = path.relative_to(self._folder).as_posix()
            if path.is_file():
                yield Found(name.removesuffix(PARTIAL), name.endswith(PARTIAL))

    async def sign(self, path: str, lifetime_s: float) -> str | None:
        return None


def _create(path: Path, root: Path) -> int:
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)  # closes all that is below, whatever the umask
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
    except OSError as error:
        raise _translated(error) from error


def _write_all(descriptor: int, data: bytes) -> None:
    rest = memoryview(data)
    while rest:
        rest = rest[os.write(descriptor, rest) :]


def _read(path: Path, start: int, end: int) -> bytes:
    try:
        with path.open("rb") as file:
            file.seek(start)
            return file.read(end - start)
    except FileNotFoundError:
        raise NotFound("The stored result is gone.", hint="Run the query again.") from None
    except OSError as error:
        raise _translated(error) from error


def _remove(path: Path, root: Path) -> None:
    path.unlink(missing_ok=True)
    for folder in path.parents:
        if folder == root:
            break
        try:
            folder.rmdir()
        except OSError:  # others still use it
            break


def _translated(error: OSError) -> PlatformError:
    if error.errno in FULL:
        return Conflict(
            "The store of results takes no more.", hint="Ask for fewer rows, or have the operator free some space."
        )
    return Unavailable(
        "The store of results cannot be used.", hint="Retry in a moment; if it lasts, have the operator look at it."
    )
