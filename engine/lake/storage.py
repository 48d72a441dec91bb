"""Where a lakehouse's files lie: a folder of this machine, or a prefix of a bucket (`engine.lake.bucket`).

A storage that has a root touches nothing outside of it, whatever a catalog or a table's metadata says."""

import os
import re
import shutil
from collections.abc import Collection, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol

from core.errors import Unauthorized

if TYPE_CHECKING:
    from pyiceberg.table import Table

_PLAIN_PATH = re.compile(r"/[A-Za-z0-9/._~-]*")


@dataclass(frozen=True, slots=True)
class StoredFile:
    """A file below a table's location. `modified_at` is UTC seconds."""

    location: str
    size_bytes: int
    modified_at: float


class Desk(Protocol):
    """A folder of this machine in which an engine without network reads and writes a table's files."""

    @property
    def folder(self) -> Path:
        """What the engine may open."""
        ...

    def file(self, location: str) -> Path:
        """A file of the table, to be read."""
        ...

    def files(self, locations: Iterable[str]) -> list[Path]:
        """Several at once."""
        ...

    def draft(self, location: str) -> Path:
        """A folder to write into the files that shall lie at the location."""
        ...

    def publish(self, location: str) -> None:
        """Have what was drafted for the location lie there."""
        ...


class Storage(Protocol):
    """Files by their location, as tables name them. Blocking. Everything raises OSError when it does not answer."""

    @property
    def root(self) -> str: ...

    def holds(self, location: str) -> bool:
        """Whether a location certainly means a file below the root."""
        ...

    def spelled(self, location: str) -> str:
        """The one spelling of a location that is compared."""
        ...

    def read(self, location: str) -> bytes: ...

    def size(self, location: str) -> int | None:
        """None when there is no such file."""
        ...

    def delete(self, location: str) -> int | None:
        """How large the file was; None when it was gone already."""
        ...

    def walk(self, location: str) -> Iterator[StoredFile]:
        """Every file below a location."""
        ...

    def folders(self, location: str) -> list[str]:
        """The names of the folders right below a location."""
        ...

    def remove_tree(self, location: str, *, keep: Collection[str] = ()) -> None:
        """Delete every file below a location but those of `keep`, as `spelled`, and what folders are left empty."""
        ...

    @contextmanager
    def desk(self, location: str) -> Iterator[Desk]:
        """A desk for a table at that location, cleared in the end."""
        ...


def local_path(location: str) -> Path:
    return Path(location.removeprefix("file://") if location.startswith("file://") else location.removeprefix("file:"))


def _remove_if_empty(folder: Path) -> None:
    if not any(folder.iterdir()):
        folder.rmdir()


def is_remote(location: str) -> bool:
    """Whether a location lies in an object store."""
    return "://" in location and not location.lower().startswith("file:")


def location_of(folder: Path) -> str:
    """A folder as new tables name it: readers in Rust take only URLs, pyiceberg cuts URLs at a `#` or `?`."""
    text = str(folder)
    return f"file://{text}" if _PLAIN_PATH.fullmatch(text) else text


class LocalStorage:
    """Files of this machine; without a folder, any of them: of catalogs that only this server writes."""

    def __init__(self, folder: Path | None = None):
        self._folder = None if folder is None else Path(os.path.realpath(folder))

    @property
    def root(self) -> str:
        return "" if self._folder is None else location_of(self._folder)

    def holds(self, location: str) -> bool:
        if "\0" in location or is_remote(location):
            return False
        return self._folder is None or Path(os.path.realpath(local_path(location))).is_relative_to(self._folder)

    def spelled(self, location: str) -> str:
        return os.path.realpath(local_path(location))

    def read(self, location: str) -> bytes:
        return self._path(location).read_bytes()

    def size(self, location: str) -> int | None:
        try:
            return self._path(location).stat().st_size
        except FileNotFoundError:
            return None

    def delete(self, location: str) -> int | None:
        path = self._path(location)
        try:
            size = path.lstat().st_size
            path.unlink()
        except FileNotFoundError:
            return None
        return size

    def walk(self, location: str) -> Iterator[StoredFile]:
        for folder, _, names in os.walk(self._path(location)):
            for name in names:
                path = Path(folder, name)
                try:
                    status = path.lstat()
                except FileNotFoundError:
                    continue
                yield StoredFile(str(path), status.st_size, status.st_mtime)

    def folders(self, location: str) -> list[str]:
        try:
            return [entry.name for entry in self._path(location).iterdir() if entry.is_dir()]
        except FileNotFoundError:
            return []

    def remove_tree(self, location: str, *, keep: Collection[str] = ()) -> None:
        if not keep:
            shutil.rmtree(self._path(location), ignore_errors=True)
            return
        root = self._path(location)
        for path in sorted(root.rglob("*"), reverse=True):  # what lies in a folder before the folder
            if path.is_dir():
                _remove_if_empty(path)
            elif self.spelled(str(path)) not in keep:
                path.unlink()
        _remove_if_empty(root)

    @contextmanager
    def desk(self, location: str) -> Iterator[Desk]:
        yield _LocalDesk(self, self._path(location))

    def _path(self, location: str) -> Path:
        if not self.holds(location):
            raise outside()
        return local_path(location)


class _LocalDesk:
    """The table's own folder."""

    def __init__(self, storage: LocalStorage, folder: Path):
        self._storage = storage
        self.folder = folder

    def file(self, location: str) -> Path:
        return self._storage._path(location)

    def files(self, locations: Iterable[str]) -> list[Path]:
        return [self.file(location) for location in locations]

    def draft(self, location: str) -> Path:
        place = self._storage._path(location)
        place.mkdir(parents=True, exist_ok=True)
        return place

    def publish(self, location: str) -> None:
        return None


ANYWHERE = LocalStorage()


def storage_of(table: "Table") -> Storage:
    """Where the files of a table lie that one of our catalogs has opened."""
    found: Any = getattr(table.io, "storage", ANYWHERE)
    return found  # type: ignore[no-any-return]


def outside() -> Unauthorized:
    return Unauthorized("The catalog names a file outside the warehouse.", hint="Have the table moved into it.")
