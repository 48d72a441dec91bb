"""The lakehouse: per tenant a place for the tables' files, and an Iceberg catalog: embedded, shared or distant.

Readers go to the catalog and the metadata files directly; writers go through pyiceberg."""

import asyncio
import re
import threading
import time
from collections import OrderedDict
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any, Protocol, TypeVar

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unavailable
from engine.lake.bucket import BucketStorage
from engine.lake.distant import DistantCatalog
from engine.lake.embedded import EmbeddedCatalog
from engine.lake.metadata import TableMetadata, read_metadata
from engine.lake.names import MAX_PART, TRASH, TableName, checked_parts, join_name, parse_table_name
from engine.lake.past import PastTable, read_past
from engine.lake.shared import SharedCatalog
from engine.lake.sites import DISTANT, Gate, Site
from engine.lake.storage import ANYWHERE, Storage
from engine.lake.watch import CommitWatch

if TYPE_CHECKING:  # 66 MB and half a second: only writers load it
    from pyiceberg.catalog import Catalog
    from pyiceberg.catalog.sql import SqlCatalog

T = TypeVar("T")
CHECK_AGAIN_S = 10.0
MAX_SITES = 1000

TABLE_DEFAULTS = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
    "commit.manifest-merge.enabled": "true",
    "commit.retry.num-retries": "12",
}


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table as it is now: its name and its current metadata."""

    name: TableName
    metadata: TableMetadata


class Source(Protocol):
    """A catalog as readers ask it, and the way to its writable form. Blocking."""

    def version(self) -> str: ...
    def locations(self) -> Iterator[tuple[TableName, str]]: ...
    def namespaces(self) -> set[str]: ...
    def writable(self) -> "Catalog": ...
    def forget(self) -> None: ...
    def close(self) -> None: ...


class Lake:
    """All tenants' lakehouses: each where `site_of` says, else below one folder.

    `gate` says which hosts may be called. What is remembered belongs to a place, not to a tenant, so it follows a
    tenant that is moved."""

    def __init__(
        self,
        folder: Path,
        *,
        site_of: Callable[[str], Site] | None = None,
        gate: Gate | None = None,
        clock: Callable[[], float] = time.monotonic,
    ):
        self.folder = folder
        self._site_of = site_of or (lambda tenant: Site.local(folder / tenant))
        self._gate = gate
        self._clock = clock
        self._sources: dict[Site, Source] = {}
        self._storages: dict[Site, tuple[float, Storage]] = {}
        self._catalogs: dict[Site, Catalog] = {}
        self._opening = threading.Lock()
        self._turns: OrderedDict[Site, threading.RLock] = OrderedDict()
        self._read: dict[tuple[Site | None, str], TableMetadata] = {}
        self._watch = CommitWatch()
        self._listed: dict[Site, tuple[str, list[tuple[TableName, str]]]] = {}

    def site(self, tenant: str) -> Site:
        """Where the tenant's catalog and tables are now. Raises Unavailable when that is no longer allowed."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant):
            raise InvalidArgument("That is not a tenant id.")
        return self._site_of(tenant)

    def tenant_folder(self, tenant: str) -> Path:
        """The folder of the tenant's tables, or where there is none that of its catalog."""
        site = self.site(tenant)
        return site.home if site.is_remote else Path(site.root)

    def storage(self, tenant: str) -> Storage:
        """Where the files of the tenant's tables are read and written. Raises Unavailable, Unauthorized."""
        return self._storage(self.site(tenant))

    def is_far(self, tenant: str) -> bool:
        """Whether a look at the tenant's catalog goes over a network: then it wants a thread."""
        site = self.site(tenant)
        return site.is_far or site.is_remote

    async def open(self, table: str, *, by: Principal) -> LakeTable:
        """The table by that name. Raises NotFound, InvalidArgument."""
        name = parse_table_name(table)
        return await asyncio.to_thread(self.open_now, by.tenant, name)

    def open_now(self, tenant: str, name: TableName) -> LakeTable:
        site = self.site(tenant)
        for found, location in self._locations(site):
            if tuple(part.lower() for part in found.parts) == tuple(part.lower() for part in name.parts):
                return LakeTable(found, self._metadata(site, location))
        raise NotFound(f"No table {str(name)!r}.", hint="list_tables shows the names you can use.")

    def tables(self, tenant: str) -> list[LakeTable]:
        """Every table of the tenant, with its metadata."""
        site = self.site(tenant)
        return [LakeTable(name, self._metadata(site, location)) for name, location in self._locations(site)]

    def locations(self, tenant: str) -> dict[str, str]:
        """Name of each table and its current metadata file."""
        return {str(name): location for name, location in self._locations(self.site(tenant))}

    def past(self, tenant: str, table: str, as_of: str) -> tuple[LakeTable, PastTable]:
        """The table of exactly that name, now and as it was. Blocking. Raises NotFound, Conflict, Unavailable."""
        site = self.site(tenant)
        for name, location in self._locations(site):
            if str(name) == table:
                past = read_past(location, as_of, table=table, storage=self._storage(site))
                return LakeTable(name, self._metadata(site, location)), past
        raise NotFound(f"No table {table!r}.", hint="list_tables shows the names you can use.")

    def version(self, tenant: str) -> str:
        """Changes with every commit to the tenant's catalog."""
        return self._source(self.site(tenant)).version()

    def namespaces(self, tenant: str) -> list[str]:
        site = self.site(tenant)
        named = self._source(site).namespaces() - {TRASH}
        used = {name.namespace for name, _ in self._locations(site)}
        return sorted({join_name(tuple(text.split("."))) for text in named} | {join_name(parts) for parts in used})

    async def commit(self, tenant: str, work: Callable[["SqlCatalog"], T]) -> T:
        """Run `work` on the tenant's writable catalog, in a thread."""
        return await asyncio.to_thread(self.commit_now, tenant, work)

    def commit_now(self, tenant: str, work: Callable[["SqlCatalog"], T]) -> T:
        """`commit` for code that is already in a thread of its own."""
        site = self.site(tenant)
        catalog: Any = self._catalog(site)
        try:
            with _translated(catalog, site):
                return work(catalog)
        finally:
            self._source(site).forget()

    def create_namespace(self, tenant: str, namespace: str) -> None:
        """Make a namespace if it is not there yet."""
        parts = checked_parts(namespace)
        if any(len(part) > MAX_PART for part in parts):
            raise InvalidArgument(f"A name has at most {MAX_PART} characters.", hint="Choose a shorter one.")
        self.commit_now(tenant, lambda catalog: catalog.create_namespace_if_not_exists(parts))

    def close(self) -> None:
        self._watch.close()
        for catalog in self._catalogs.values():
            _dispose(catalog)
        self._catalogs.clear()
        while self._sources:
            self._sources.popitem()[1].close()

    def _turn(self, site: Site) -> threading.RLock:
        """One opens a place at a time, and who waits for a slow one keeps nobody else waiting."""
        with self._opening:
            if site not in self._turns:
                self._turns[site] = threading.RLock()
                if len(self._turns) > MAX_SITES:
                    self._forget(next(iter(self._turns)))
            self._turns.move_to_end(site)
            return self._turns[site]

    def _forget(self, site: Site) -> None:
        """Drop what is open for a place that was not used for long."""
        self._turns.pop(site)
        self._storages.pop(site, None)
        self._listed.pop(site, None)
        catalog, source = self._catalogs.pop(site, None), self._sources.pop(site, None)
        if catalog is not None:
            _dispose(catalog)
        if source is not None:
            source.close()

    def _source(self, site: Site) -> Source:
        with self._turn(site):
            if site not in self._sources:
                self._sources[site] = self._open(site)
            return self._sources[site]

    def _open(self, site: Site) -> Source:
        storage = self._storage(site)
        if site.is_embedded:
            return EmbeddedCatalog(site, storage, self._watch)
        if self._gate is None:
            raise Unavailable("The lakehouse's catalog does not answer.", hint="Retry in a moment.")
        if site.kind in DISTANT:
            return DistantCatalog(site, storage, self._gate)
        return SharedCatalog(site.uri, storage, self._gate.check_host)

    def _storage(self, site: Site) -> Storage:
        if site.is_embedded and not site.is_remote:
            return ANYWHERE  # only this server writes that catalog
        with self._turn(site):
            checked_at, storage = self._storages.get(site, (0.0, None))
            now = self._clock()
            if storage is None or now - checked_at > CHECK_AGAIN_S:
                storage = storage or site.open_storage()
                check_endpoint(storage, self._gate)
                self._storages[site] = (now, storage)
            return storage

    def _locations(self, site: Site) -> list[tuple[TableName, str]]:
        source = self._source(site)
        version = source.version()  # taken first: a change while reading is seen the next time
        known = self._listed.get(site)
        if known is None or known[0] != version:
            found = list(source.locations())
            if not site.is_embedded:
                found = self._inside(site, found)
            known = self._listed[site] = (version, found)
        return known[1]

    def _inside(self, site: Site, found: list[tuple[TableName, str]]) -> list[tuple[TableName, str]]:
        """The tables but for those that others had put, as a whole or in part, elsewhere."""
        storage = self._storage(site)
        return [(name, location) for name, location in found if storage.holds(self._metadata(site, location).location)]

    def _metadata(self, site: Site, location: str) -> TableMetadata:
        """Metadata files never change, so each is read once; of a place that only its own configuration reaches."""
        key = (None if site.is_embedded and not site.is_remote else site, location)
        found = self._read.get(key)
        if found is None:
            if len(self._read) > 20_000:
                self._read.clear()
            found = self._read[key] = read_metadata(location, self._storage(site))
        return found

    def _catalog(self, site: Site) -> "Catalog":
        source = self._source(site)
        with self._turn(site):
            if site not in self._catalogs:
                self._catalogs[site] = source.writable()
            return self._catalogs[site]


def check_endpoint(storage: Storage, gate: Gate | None) -> None:
    """Raises Unavailable when the address of a bucket may not be called now."""
    endpoint = storage.bucket.endpoint if isinstance(storage, BucketStorage) else ""
    if endpoint:
        if gate is None:
            raise Unavailable("The warehouse cannot be reached.", hint="Retry in a moment.")
        gate.check_url(endpoint)


def _dispose(catalog: Any) -> None:
    """Give back a catalog's connections; one that a failed commit left inside a transaction among them."""
    engine = getattr(catalog, "engine", None)
    if engine is not None:
        engine.dispose()


@contextmanager
def _translated(catalog: Any, site: Site) -> Iterator[None]:
    from pyiceberg.exceptions import (
        CommitFailedException,
        NoSuchNamespaceError,
        NoSuchTableError,
        RESTError,
        TableAlreadyExistsError,
    )
    from sqlalchemy.exc import OperationalError

    away: tuple[type[Exception], ...] = (RESTError, OSError) if site.is_far or site.is_remote else (RESTError,)
    try:
        yield
    except OperationalError as error:
        # A failed commit leaves its pooled connection inside a transaction that locks everyone out.
        _dispose(catalog)
        raise Unavailable("The lakehouse's catalog is busy.", hint="Retry in a moment.") from error
    except StopIteration as error:  # how pyiceberg misses a schema or spec; it would hang whoever awaits the thread
        raise Conflict("The table's metadata does not hold together.", hint="Look at it again, then retry.") from error
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise NotFound("No such table.", hint="list_tables shows the names you can use.") from error
    except (TableAlreadyExistsError, CommitFailedException) as error:
        raise Conflict("Another writer was faster.", hint="Look at the table again, then retry.") from error
    except away as error:  # their words may hold addresses and names of keys
        raise Unavailable(
            "The lakehouse's catalog or store does not answer, or refuses.",
            hint="Look whether the change was made, then retry; set_catalog_config holds address and credentials.",
        ) from error
