"""A catalog in PostgreSQL, which many hosts share. Readers ask its tables directly, writers go through pyiceberg.

Others write to that database and say in it where tables lie, so nothing outside the warehouse is ever read or written
on its word; and its host is asked for again at every connection, for names can change."""

import hashlib
import os
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from sqlalchemy import URL, Engine, create_engine, event, make_url, text
from sqlalchemy.exc import ArgumentError, DBAPIError, ProgrammingError

from core.errors import Conflict, Unavailable
from engine.lake.names import CATALOG, TRASH, TableName
from engine.lake.storage import ANYWHERE, Storage

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

CheckHost = Callable[[str, int], str]
"""The address of a host that may be called. Raises PlatformError for others."""

PORT = 5432
CONNECT_TIMEOUT_S = 5
STATEMENT_TIMEOUT_MS = 15_000
NO_FILE = f"{os.devnull}/none"  # devnull itself makes libpq complain
_OPTIONS = frozenset({"sslmode", "host"})  # others name local files, services, or another address
_LISTED = "catalog_name = :catalog AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) AND table_namespace <> :trash"
_VERSION = (
    "SELECT count(*), coalesce(sum(hashtextextended("  # noqa: S608 - ours
    f"concat_ws(chr(1), table_namespace, table_name, metadata_location), 0)), 0) FROM iceberg_tables WHERE {_LISTED}"
)
_TABLES = f"SELECT table_namespace, table_name, metadata_location FROM iceberg_tables WHERE {_LISTED} ORDER BY 1, 2"  # noqa: S608
_NAMESPACES = "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = :catalog"


def parse_url(url: str) -> URL:
    """The URL of a PostgreSQL database, taken apart. Raises Conflict for any other."""
    try:
        found = make_url(url)
    except (ArgumentError, ValueError):
        raise _wrong_url() from None
    is_plain = all(isinstance(value, str) for value in found.query.values()) and set(found.query) <= _OPTIONS
    is_postgres = found.drivername in ("postgresql", "postgres", "postgresql+psycopg")
    if not is_postgres or not is_plain or not found.database or bool(found.host) == ("host" in found.query):
        raise _wrong_url()
    return found.set(drivername="postgresql+psycopg")


def masked_url(url: str) -> str:
    """The URL without its password."""
    return parse_url(url).set(drivername="postgresql").render_as_string(hide_password=True)


class SharedCatalog:
    """The catalog behind one URL, for the tables of one storage. Blocking."""

    def __init__(self, url: str, storage: Storage, check_host: CheckHost):
        self._url = parse_url(url)
        self._storage = storage
        self._check_host = check_host
        self._mark = hashlib.blake2b(url.encode(), digest_size=8).hexdigest()
        self._engine: Engine | None = None

    def version(self) -> str:
        """Another text after every commit."""
        rows = self._rows(_VERSION)
        return f"{self._mark}.{rows[0][0]}.{rows[0][1]}" if rows else self._mark

    def locations(self) -> Iterator[tuple[TableName, str]]:
        """The tables whose metadata lies in the warehouse; others are not there."""
        for namespace, table, location in self._rows(_TABLES):
            if location and self._storage.holds(location):
                yield TableName(tuple(namespace.split(".")), table), location

    def namespaces(self) -> set[str]:
        return {row[0] for row in self._rows(_NAMESPACES)}

    def writable(self) -> "SqlCatalog":
        """A catalog of pyiceberg's whose files stay in the warehouse."""
        from engine.lake.fence import FencedSql

        url = self._url.render_as_string(hide_password=False)
        with _translated():
            return FencedSql(url, self._storage, warehouse=self._storage.root, prepare=self._listen)

    def forget(self) -> None:
        return None

    def close(self) -> None:
        if self._engine is not None:
            self._engine.dispose()

    def _rows(self, query: str) -> list[Any]:
        values = {"catalog": CATALOG, "trash": TRASH}
        names = {name: value for name, value in values.items() if f":{name}" in query}
        if self._engine is None:
            self._engine = create_engine(self._url, pool_size=2, max_overflow=2, pool_pre_ping=True)
            self._listen(self._engine)
        with _translated():
            try:
                with self._engine.connect() as connection:
                    return list(connection.execute(text(query), names).all())
            except ProgrammingError as error:
                if getattr(error.orig, "sqlstate", "") == "42P01":  # nobody has made its tables yet
                    return []
                raise

    def _listen(self, engine: Engine) -> None:
        event.listen(engine, "do_connect", self._prepare)

    def _prepare(self, dialect: Any, record: Any, arguments: Any, options: dict[str, Any]) -> None:
        """The driver must neither look the host up again nor find passwords that are this server's own."""
        host, port = str(options["host"]), int(options.get("port") or PORT)
        address = self._check_host(host, port)
        options["port"] = port
        if not host.startswith("/"):
            options["hostaddr"] = address
        options.setdefault("password", "")
        options |= {"passfile": NO_FILE, "connect_timeout": CONNECT_TIMEOUT_S}
        options["options"] = f"-c statement_timeout={STATEMENT_TIMEOUT_MS}"


def check_catalog(url: str, check_host: CheckHost) -> None:
    """Raises Conflict, Unauthorized or Unavailable when there is no database to be used behind the URL."""
    catalog = SharedCatalog(url, ANYWHERE, check_host)
    try:
        catalog.version()
    finally:
        catalog.close()


@contextmanager
def _translated() -> Iterator[None]:
    try:
        yield
    except DBAPIError as error:
        raise Unavailable(
            "The lakehouse's catalog in PostgreSQL does not answer, or refuses.",
            hint="Check its address, user and rights, then retry.",
        ) from error


def _wrong_url() -> Conflict:
    return Conflict(
        "`uri` is not the URL of a PostgreSQL database.",
        hint="Write postgresql://user:password@host:5432/database, with ?sslmode=require where it should.",
    )
