"""The lakehouse: per tenant one folder with the tables, and an Iceberg catalog: SQLite there, or shared PostgreSQL.

Readers go to the catalog's database and the metadata files directly; writers go through pyiceberg."""

import asyncio
import re
import sqlite3
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, TypeVar

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unavailable
from engine.lake.metadata import TableMetadata, read_metadata
from engine.lake.names import CATALOG, MAX_PART, TRASH, TableName, checked_parts, join_name, parse_table_name
from engine.lake.past import PastTable, read_past
from engine.lake.shared import CheckHost, SharedCatalog, is_within
from engine.lake.watch import CommitWatch

if TYPE_CHECKING:  # 66 MB and half a second: only writers load it
    from pyiceberg.catalog.sql import SqlCatalog

T = TypeVar("T")

TABLE_DEFAULTS = {
    "format-version": "2",
    "write.metadata.delete-after-commit.enabled": "true",
    "write.metadata.previous-versions-max": "20",
    "write.parquet.compression-codec": "zstd",
    "commit.manifest-merge.enabled": "true",
    "commit.retry.num-retries": "12",
}
BUSY_S = 15.0


@dataclass(frozen=True, slots=True)
class LakeTable:
    """A table as it is now: its name and its current metadata."""

    name: TableName
    metadata: TableMetadata


@dataclass(frozen=True, slots=True)
class Home:
    """Where a lakehouse lies; `url` is that of a shared catalog, empty for the folder's own."""

    folder: Path
    url: str = ""


class Lake:
    """All tenants' lakehouses: each where `locate` says, else below one folder.

    `shared` gives folder and URL of those whose catalog is in PostgreSQL. What it remembers belongs to a place, not
    to a tenant, so it follows a tenant that is moved."""

    def __init__(
        self,
        folder: Path,
        *,
        locate: Callable[[str], Path] | None = None,
        shared: Callable[[str], tuple[Path, str] | None] = lambda tenant: None,
        check_host: CheckHost | None = None,
    ):
        self.folder = folder
        self._locate = locate or folder.joinpath
        self._shared_of = shared
        self._check_host = check_host
        self._shared: dict[Home, SharedCatalog] = {}
        self._catalogs: dict[Home, SqlCatalog] = {}
        self._opening = threading.Lock()
        self._read: dict[str, TableMetadata] = {}
        self._watch = CommitWatch()
        self._listed: dict[Home, tuple[str, list[tuple[TableName, str]]]] = {}

    def tenant_folder(self, tenant: str) -> Path:
        """Where the tenant's catalog and tables are now."""
        if not re.fullmatch(r"[A-Za-z0-9_-]{1,64}", tenant):
            raise InvalidArgument("That is not a tenant id.")
        return self._locate(tenant)

    def is_shared(self, tenant: str) -> bool:
        """Whether a look at the tenant's catalog goes over a network: then it wants a thread."""
        return bool(self._home(tenant).url)

    async def open(self, table: str, *, by: Principal) -> LakeTable:
        """The table by that name. Raises NotFound, InvalidArgument."""
        name = parse_table_name(table)
        return await asyncio.to_thread(self.open_now, by.tenant, name)

    def open_now(self, tenant: str, name: TableName) -> LakeTable:
        for found, location in self._locations(self._home(tenant)):
            if tuple(part.lower() for part in found.parts) == tuple(part.lower() for part in name.parts):
                return LakeTable(found, self._metadata(location))
        raise NotFound(f"No table {str(name)!r}.", hint="list_tables shows the names you can use.")

    def tables(self, tenant: str) -> list[LakeTable]:
        """Every table of the tenant, with its metadata."""
        found = self._locations(self._home(tenant))
        return [LakeTable(name, self._metadata(location)) for name, location in found]

    def locations(self, tenant: str) -> dict[str, str]:
        """Name of each table and its current metadata file."""
        return {str(name): location for name, location in self._locations(self._home(tenant))}

    def past(self, tenant: str, table: str, as_of: str) -> tuple[LakeTable, PastTable]:
        """The table of exactly that name, now and as it was. Blocking. Raises NotFound, Conflict, Unavailable."""
        for name, location in self._locations(self._home(tenant)):
            if str(name) == table:
                return LakeTable(name, self._metadata(location)), read_past(location, as_of, table=table)
        raise NotFound(f"No table {table!r}.", hint="list_tables shows the names you can use.")

    def version(self, tenant: str) -> str:
        """Changes with every commit to the tenant's catalog."""
        return self._version(self._home(tenant))

    def namespaces(self, tenant: str) -> list[str]:
        query = "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?"
        home = self._home(tenant)
        shared = self._open_shared(home)
        found = {row[0] for row in _select(home.folder, query)} if shared is None else shared.namespaces()
        named = found - {TRASH}
        used = {name.namespace for name, _ in self._locations(home)}
        return sorted({join_name(tuple(text.split("."))) for text in named} | {join_name(parts) for parts in used})

    async def commit(self, tenant: str, work: Callable[["SqlCatalog"], T]) -> T:
        """Run `work` on the tenant's writable catalog, in a thread."""
        return await asyncio.to_thread(self.commit_now, tenant, work)

    def commit_now(self, tenant: str, work: Callable[["SqlCatalog"], T]) -> T:
        """`commit` for code that is already in a thread of its own."""
        catalog = self._catalog(tenant)
        with _translated(catalog):
            return work(catalog)

    def create_namespace(self, tenant: str, namespace: str) -> None:
        """Make a namespace if it is not there yet."""
        parts = checked_parts(namespace)
        if any(len(part) > MAX_PART for part in parts):
            raise InvalidArgument(f"A name has at most {MAX_PART} characters.", hint="Choose a shorter one.")
        self.commit_now(tenant, lambda catalog: catalog.create_namespace_if_not_exists(parts))

    def close(self) -> None:
        self._watch.close()
        for catalog in self._catalogs.values():
            catalog.engine.dispose()
        self._catalogs.clear()
        while self._shared:
            self._shared.popitem()[1].close()

    def _home(self, tenant: str) -> Home:
        folder = self.tenant_folder(tenant)
        shared = self._shared_of(tenant)
        return Home(folder) if shared is None else Home(*shared)

    def _open_shared(self, home: Home) -> SharedCatalog | None:
        if not home.url:
            return None
        with self._opening:
            if home not in self._shared:
                if self._check_host is None:
                    raise _silent()
                self._shared[home] = SharedCatalog(home.url, home.folder, self._check_host)
            return self._shared[home]

    def _version(self, home: Home) -> str:
        shared = self._open_shared(home)
        if shared is not None:
            return shared.version()
        try:
            return self._watch.token(home.folder / "catalog.db")
        except (OSError, sqlite3.Error) as error:
            raise _silent() from error

    def _locations(self, home: Home) -> list[tuple[TableName, str]]:
        version = self._version(home)  # taken first: a change while reading is seen the next time
        known = self._listed.get(home)
        if known is None or known[0] != version:
            shared = self._open_shared(home)
            found = list(_read_locations(home.folder)) if shared is None else self._fenced(home, shared)
            known = self._listed[home] = (version, found)
        return known[1]

    def _fenced(self, home: Home, shared: SharedCatalog) -> list[tuple[TableName, str]]:
        """Its tables, but for those that others had put, as a whole or in part, elsewhere."""
        folder = home.folder.resolve()
        found = list(shared.locations())
        return [(name, location) for name, location in found if is_within(self._metadata(location).location, folder)]

    def _metadata(self, location: str) -> TableMetadata:
        """Metadata files never change, so each is read once."""
        found = self._read.get(location)
        if found is None:
            if len(self._read) > 20_000:
                self._read.clear()
            found = self._read[location] = read_metadata(location)
        return found

    def _catalog(self, tenant: str) -> "SqlCatalog":
        home = self._home(tenant)
        shared = self._open_shared(home)
        with self._opening:
            if home not in self._catalogs:
                made = _open_catalog(home.folder) if shared is None else shared.writable()
                self._catalogs[home] = made
            return self._catalogs[home]


def _read_locations(folder: Path) -> Iterator[tuple[TableName, str]]:
    query = (
        "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables "
        "WHERE catalog_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY 1, 2"
    )
    for namespace, table, location in _select(folder, query):
        if namespace != TRASH:
            yield TableName(tuple(namespace.split(".")), table), location


def _select(folder: Path, query: str) -> list[tuple[str, ...]]:
    database = folder / "catalog.db"
    if not database.exists():
        return []
    try:
        connection = sqlite3.connect(f"{database.as_uri()}?mode=ro", uri=True, timeout=BUSY_S)
        try:
            return connection.execute(query, (CATALOG,)).fetchall()
        finally:
            connection.close()
    except sqlite3.Error as error:
        if "no such table" in str(error):
            return []
        raise _silent() from error


def _silent() -> Unavailable:
    return Unavailable("The lakehouse's catalog does not answer.", hint="Retry in a moment.")


def _open_catalog(folder: Path) -> "SqlCatalog":
    from pyiceberg.catalog.sql import SqlCatalog

    database = (folder / "catalog.db").resolve()
    try:
        folder.mkdir(parents=True, exist_ok=True)
        # In rollback-journal mode one reader makes a commit fail and wedges every later one; WAL persists in the file.
        connection = sqlite3.connect(database, timeout=BUSY_S)
        connection.execute("PRAGMA journal_mode=WAL")
        connection.close()
    except (OSError, sqlite3.Error) as error:
        raise Unavailable("The lakehouse's folder cannot be written.", hint="`headwater doctor` says more.") from error
    return SqlCatalog(CATALOG, uri=f"sqlite:///{database}", warehouse=str(folder.resolve()))


@contextmanager
def _translated(catalog: "SqlCatalog") -> Iterator[None]:
    from pyiceberg.exceptions import (
        CommitFailedException,
        NoSuchNamespaceError,
        NoSuchTableError,
        TableAlreadyExistsError,
    )
    from sqlalchemy.exc import OperationalError

    try:
        yield
    except OperationalError as error:
        # A failed commit leaves its pooled connection inside a transaction that locks everyone out.
        catalog.engine.dispose()
        raise Unavailable("The lakehouse's catalog is busy.", hint="Retry in a moment.") from error
    except StopIteration as error:  # how pyiceberg misses a schema or spec; it would hang whoever awaits the thread
        raise Conflict("The table's metadata does not hold together.", hint="Look at it again, then retry.") from error
    except (NoSuchTableError, NoSuchNamespaceError) as error:
        raise NotFound("No such table.", hint="list_tables shows the names you can use.") from error
    except (TableAlreadyExistsError, CommitFailedException) as error:
        raise Conflict("Another writer was faster.", hint="Look at the table again, then retry.") from error
