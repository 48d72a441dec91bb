"""Vectors of every tenant below the home: one sealed file for each source, which each process opens for itself.

ChromaDB's folders are one process's own: another that has one open does not see what is written, two writers damage
it, and one that was damaged can end the process that reads it. So a folder is never shared. The file is written whole
and put in place at once, by whoever holds the lock; a process unpacks it to a folder of its own, when it is another
than the one it has open. A kill leaves the file that was there before."""

import asyncio
import fcntl
import os
import re
import secrets
import shutil
from collections import OrderedDict
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Unavailable
from engine.retrieval.chroma import Shelf
from engine.retrieval.parcels import Transform, pack, read_mark, unpack
from engine.retrieval.vectors import Broken, Changes, Mark, Place

if TYPE_CHECKING:
    import numpy as np

MAX_OPEN = 16  # sources; each takes about 6 MB
TURN_LOOKS, LOOK_S = 600, 0.05  # half a minute
_MINE = f"{os.getpid()}-{secrets.token_hex(4)}-"
_ID = re.compile(r"[A-Za-z0-9_-]{1,64}")
Stamp = tuple[int, int, int]


@dataclass(frozen=True, slots=True)
class _Open:
    stamp: Stamp
    shelf: Shelf


class SealedFolders:
    """A store of vectors in files. `folder` holds the sealed files, `work` what this process has unpacked."""

    def __init__(self, folder: Path, work: Path, *, seal: Transform, unseal: Transform):
        self._folder = folder
        self._work = work
        self._seal = seal
        self._unseal = unseal
        self._open: OrderedDict[Place, _Open] = OrderedDict()
        self._locks: dict[Place, asyncio.Lock] = {}

    async def mark(self, place: Place) -> Mark | None:
        return await asyncio.to_thread(read_mark, self._path(place))

    async def digests(self, place: Place) -> Mapping[str, Mapping[str, str]]:
        async with self._lock(place):
            shelf = await self._shelf(place)
            return {} if shelf is None else await asyncio.to_thread(shelf.digests)

    async def nearest(self, place: Place, kind: str, vector: "np.ndarray", count: int) -> list[tuple[str, float]]:
        async with self._lock(place):
            shelf = await self._shelf(place)
            return [] if shelf is None else await asyncio.to_thread(shelf.nearest, kind, vector, count)

    @asynccontextmanager
    async def turn(self, place: Place) -> AsyncIterator[bool]:
        descriptor = await asyncio.to_thread(_open_lock, self._path(place))
        try:
            is_ours = False
            for _ in range(TURN_LOOKS):
                if is_ours := _is_locked(descriptor):
                    break
                await asyncio.sleep(LOOK_S)
            yield is_ours
        finally:
            os.close(descriptor)

    async def change(self, place: Place, mark: Mark, changes: Changes, *, since: Mark | None) -> bool:
        return await asyncio.to_thread(self._change, place, mark, changes, since)

    def forget(self, tenant: str) -> None:
        for place in [place for place in self._open if place.tenant == tenant]:
            self._close(place)

    async def drop(self, tenant: str) -> None:
        self.forget(tenant)
        await asyncio.to_thread(shutil.rmtree, self._tenant_folder(tenant), ignore_errors=True)

    async def aclose(self) -> None:
        for place in list(self._open):
            await asyncio.to_thread(self._close, place)

    def _change(self, place: Place, mark: Mark, changes: Changes, since: Mark | None) -> bool:
        path = self._path(place)
        if since is not None and read_mark(path) != since:
            return False
        folder = self._new_folder(place.tenant)
        try:
            if since is not None:
                unpack(path, folder, lambda data, name: self._unseal(place.tenant, data, name))
            shelf = Shelf(folder)
            try:
                shelf.apply(changes)
            finally:
                shelf.pause()
            pack(folder, path, mark, lambda data, name: self._seal(place.tenant, data, name))
        except OSError as error:
            raise Unavailable("The index cannot be written.", hint="Is there room in the home folder?") from error
        finally:
            shutil.rmtree(folder, ignore_errors=True)
        return True

    async def _shelf(self, place: Place) -> Shelf | None:
        """The shelf as the file is now; None where there is no file. Raises Broken, and then the file is gone."""
        return await asyncio.to_thread(self._shelf_now, place)

    def _shelf_now(self, place: Place) -> Shelf | None:
        path = self._path(place)
        stamp = _stamp(path)
        kept = self._open.get(place)
        if kept is not None and kept.stamp == stamp:
            self._open.move_to_end(place)
            return kept.shelf
        self._close(place)
        if stamp is None:
            return None
        folder = self._new_folder(place.tenant)
        try:
            unpack(path, folder, lambda data, name: self._unseal(place.tenant, data, name))
            shelf = Shelf(folder)
        except Broken:
            shutil.rmtree(folder, ignore_errors=True)
            path.unlink(missing_ok=True)
            raise
        self._open[place] = _Open(stamp, shelf)
        while len(self._open) > MAX_OPEN:
            self._close(next(iter(self._open)))
        return shelf

    def _close(self, place: Place) -> None:
        kept = self._open.pop(place, None)
        if kept is not None:
            kept.shelf.close()

    def _new_folder(self, tenant: str) -> Path:
        """A folder that goes with this process: whoever comes later removes what killed ones have left."""
        root = self._work / _checked(tenant) / "index"
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        for left in root.iterdir():
            owner = left.name.partition("-")[0]
            is_left = owner == _MINE.partition("-")[0] or (owner.isdigit() and not _is_alive(int(owner)))
            if is_left and not left.name.startswith(_MINE):
                shutil.rmtree(left, ignore_errors=True)
        folder = root / f"{_MINE}{secrets.token_hex(6)}"
        folder.mkdir(mode=0o700)
        return folder

    def _path(self, place: Place) -> Path:
        return self._tenant_folder(place.tenant) / f"{_checked(place.source)}.index"

    def _tenant_folder(self, tenant: str) -> Path:
        return self._folder / _checked(tenant)

    def _lock(self, place: Place) -> asyncio.Lock:
        return self._locks.setdefault(place, asyncio.Lock())


def _open_lock(path: Path) -> int:
    try:
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        return os.open(path.with_suffix(".lock"), os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable("The index cannot be written.", hint="Is there room in the home folder?") from error


def _is_locked(descriptor: int) -> bool:
    """Whether the lock is ours now. The system gives it back when its process ends, however it does."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        return False
    return True


def _stamp(path: Path) -> Stamp | None:
    try:
        found = path.stat()
    except OSError:
        return None
    return found.st_ino, found.st_size, found.st_mtime_ns


def _checked(name: str) -> str:
    if not _ID.fullmatch(name):
        raise ValueError("not a tenant or a source")
    return name


def _is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
