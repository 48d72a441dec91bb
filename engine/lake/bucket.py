"""A prefix of a bucket as the place of a lakehouse's files, by obstore."""

import re
import tempfile
from collections.abc import Callable, Collection, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from datetime import timedelta
from pathlib import Path
from typing import Any, TypeVar
from urllib.parse import unquote

from engine.lake.buckets import Bucket, obstore_options, spelled
from engine.lake.storage import Desk, StoredFile, outside

T = TypeVar("T")
TRIES = 3
PATIENCE_S, TIMEOUT_S, CONNECT_S = 20.0, 60.0, 5.0
AT_ONCE = 8
PART_BYTES = 8 * 2**20
# A query or fragment is cut off by one reader and kept by another, and wildcards are taken for patterns.
_UNSAFE = re.compile(r"[\x00-\x1f\x7f\\?#*\[\]{}]")


class BucketStorage:
    """Files below one prefix. Each operation first makes sure that it stays there."""

    def __init__(self, bucket: Bucket):
        self.bucket = bucket
        self._opened: Any = None

    @property
    def root(self) -> str:
        return self.bucket.root

    def holds(self, location: str) -> bool:
        text = spelled(location)
        inside = text[len(self.root) + 1 :]
        if not text.startswith(f"{self.root}/") or _UNSAFE.search(inside):
            return False
        return not any(
            part in ("", ".", "..") for form in (inside, unquote(inside)) for part in form.rstrip("/").split("/")
        )

    def spelled(self, location: str) -> str:
        return spelled(location)

    def read(self, location: str) -> bytes:
        import obstore

        return self._run(lambda: bytes(obstore.get(self._store, self._path(location)).bytes()))

    def size(self, location: str) -> int | None:
        import obstore

        try:
            return self._run(lambda: int(obstore.head(self._store, self._path(location))["size"]))
        except FileNotFoundError:
            return None

    def delete(self, location: str) -> int | None:
        import obstore

        size = self.size(location)
        if size is not None:
            self._run(lambda: obstore.delete(self._store, self._path(location)))
        return size

    def walk(self, location: str) -> Iterator[StoredFile]:
        import obstore

        prefix = self._path(f"{location.rstrip('/')}/")
        pages = self._run(lambda: iter(obstore.list(self._store, prefix)))
        while (page := self._run(lambda: next(pages, None))) is not None:
            for meta in page:
                at = meta["last_modified"].timestamp()
                yield StoredFile(f"{self.root}/{meta['path']}", int(meta["size"]), at)

    def folders(self, location: str) -> list[str]:
        import obstore

        prefix = self._path(f"{location.rstrip('/')}/")
        found = self._run(lambda: obstore.list_with_delimiter(self._store, prefix))
        return [str(path).rstrip("/").rpartition("/")[2] for path in found["common_prefixes"]]

    def remove_tree(self, location: str, *, keep: Collection[str] = ()) -> None:
        for found in list(self.walk(location)):
            if found.location not in keep:
                self.delete(found.location)

    @contextmanager
    def desk(self, location: str) -> Iterator[Desk]:
        with tempfile.TemporaryDirectory(prefix="headwater-desk-", ignore_cleanup_errors=True) as folder:
            yield _BucketDesk(self, Path(folder))

    def fetch(self, location: str, path: Path) -> None:
        """Copy a file to this machine."""
        import obstore

        def work() -> None:
            found = obstore.get(self._store, self._path(location))
            with path.open("wb") as file:
                for chunk in found.stream(min_chunk_size=PART_BYTES):
                    file.write(chunk)

        self._run(work)

    def store(self, path: Path, location: str) -> None:
        """Copy a file from this machine."""
        import obstore

        self._run(lambda: obstore.put(self._store, self._path(location), path, chunk_size=PART_BYTES))

    def _path(self, location: str) -> str:
        if not self.holds(location):
            raise outside()
        return spelled(location)[len(self.root) + 1 :]

    @property
    def _store(self) -> Any:
        if self._opened is None:
            from obstore.store import from_url  # brings a TLS stack: 20 MB that a local folder does not need

            url, options = obstore_options(self.bucket)
            client: Any = {"timeout": timedelta(seconds=TIMEOUT_S), "connect_timeout": timedelta(seconds=CONNECT_S)}
            if self.bucket.endpoint.startswith("http://"):
                client["allow_http"] = True
            retry: Any = {"max_retries": TRIES, "retry_timeout": timedelta(seconds=PATIENCE_S)}
            self._opened = from_url(url, client_options=client, retry_config=retry, **options)
        return self._opened

    def _run(self, work: Callable[[], T]) -> T:
        from obstore.exceptions import BaseError

        try:
            return work()
        except BaseError:  # its words hold the address, and sometimes the key's name
            raise OSError("The store of the warehouse does not answer.") from None


class _BucketDesk:
    """Copies: of files that are read, and of files until they are published."""

    def __init__(self, storage: BucketStorage, folder: Path):
        self._storage = storage
        self.folder = folder
        self._copies: dict[str, Path] = {}
        self._drafts: dict[str, Path] = {}

    def file(self, location: str) -> Path:
        key = spelled(location)
        for target, place in self._drafts.items():
            if key.startswith(f"{target}/"):
                return place / key[len(target) + 1 :]
        if key not in self._copies:
            path = self._place(len(self._copies), key)
            self._copies[key] = path
            self._storage.fetch(location, path)
        return self._copies[key]

    def files(self, locations: Iterable[str]) -> list[Path]:
        wanted = [spelled(location) for location in locations]
        drafted = tuple(f"{target}/" for target in self._drafts)
        missing = [key for key in dict.fromkeys(wanted) if key not in self._copies and not key.startswith(drafted)]
        paths = {
            key: self.folder / f"{len(self._copies) + n}-{key.rpartition('/')[2][-80:]}"
            for n, key in enumerate(missing)
        }
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(lambda key: self._try(key, paths[key]), missing))
        self._copies |= paths
        return [self.file(key) for key in wanted]

    def draft(self, location: str) -> Path:
        key = spelled(location)
        if key not in self._drafts:
            self._drafts[key] = self.folder / f"draft-{len(self._drafts)}"
            self._drafts[key].mkdir()
        return self._drafts[key]

    def publish(self, location: str) -> None:
        place = self._drafts.get(spelled(location))
        if place is None:
            return
        files = sorted(path for path in place.rglob("*") if path.is_file())
        targets = [f"{location}/{path.relative_to(place).as_posix()}" for path in files]
        with ThreadPoolExecutor(AT_ONCE) as pool:
            list(pool.map(self._storage.store, files, targets))

    def _try(self, location: str, path: Path) -> None:
        with suppress(FileNotFoundError):  # whoever opens the copy is told
            self._storage.fetch(location, path)

    def _place(self, number: int, key: str) -> Path:
        return self.folder / f"{number}-{key.rpartition('/')[2][-80:]}"
