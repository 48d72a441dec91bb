"""Where one tenant's lakehouse lies: the place of its files, and the catalog that says what they are."""

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from engine.lake.bucket import BucketStorage
from engine.lake.buckets import read_bucket
from engine.lake.storage import LocalStorage, Storage, is_remote

SQL, REST, HIVE, GLUE = "sql", "rest", "hive", "glue"
DISTANT = (REST, HIVE, GLUE)


class Gate(Protocol):
    """Which hosts may be called. Raises PlatformError for others."""

    def check_host(self, host: str, port: int) -> str:
        """The address of a host, resolved now."""
        ...

    def check_url(self, url: str) -> str:
        """The address behind an http or https URL, resolved now."""
        ...

    def check_address(self, host: str, port: int) -> str:
        """The address of a host of such a URL, resolved now."""
        ...


@dataclass(frozen=True, slots=True)
class Site:
    """One place. `root` is a folder or a prefix of a bucket, `home` where an embedded catalog's file lies."""

    root: str
    home: Path
    kind: str = SQL
    uri: str = ""
    properties: tuple[tuple[str, str], ...] = field(default=(), repr=False)

    @classmethod
    def local(cls, folder: Path, *, uri: str = "") -> "Site":
        return cls(str(folder), folder, uri=uri)

    @property
    def is_embedded(self) -> bool:
        """Whether the catalog is a file of this server's own."""
        return self.kind == SQL and not self.uri

    @property
    def is_remote(self) -> bool:
        """Whether the files lie in a bucket."""
        return is_remote(self.root)

    @property
    def is_far(self) -> bool:
        """Whether a look at the catalog goes over a network."""
        return not self.is_embedded

    @property
    def database(self) -> Path:
        """The file of an embedded catalog; each bucket has one of its own."""
        if not self.is_remote:
            return self.home / "catalog.db"
        return self.home / f"catalog-{hashlib.blake2b(self.root.encode(), digest_size=8).hexdigest()}.db"

    @property
    def given(self) -> Mapping[str, str]:
        return dict(self.properties)

    def open_storage(self) -> Storage:
        """Raises Conflict when the properties do not reach a bucket."""
        if self.is_remote:
            return BucketStorage(read_bucket(self.root, self.given))
        return LocalStorage(None if self.is_embedded else Path(self.root))
