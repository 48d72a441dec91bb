"""A catalog in a SQLite file of this server's own: readers ask the file directly, writers go through pyiceberg."""

import sqlite3
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING

from core.errors import Unavailable
from engine.lake.names import CATALOG, TRASH, TableName
from engine.lake.sites import Site
from engine.lake.storage import Storage, location_of
from engine.lake.watch import CommitWatch

if TYPE_CHECKING:  # 66 MB and half a second: only writers load it
    from pyiceberg.catalog.sql import SqlCatalog

BUSY_S = 15.0
_TABLES = (
    "SELECT table_namespace, table_name, metadata_location FROM iceberg_tables "
    "WHERE catalog_name = ? AND (iceberg_type = 'TABLE' OR iceberg_type IS NULL) ORDER BY 1, 2"
)
_NAMESPACES = "SELECT DISTINCT namespace FROM iceberg_namespace_properties WHERE catalog_name = ?"


class EmbeddedCatalog:
    """The catalog of one site. Blocking."""

    def __init__(self, site: Site, storage: Storage, watch: CommitWatch):
        self._site = site
        self._storage = storage
        self._watch = watch

    def version(self) -> str:
        """Another text after every commit."""
        try:
            return self._watch.token(self._site.database)
        except (OSError, sqlite3.Error) as error:
            raise _silent() from error

    def locations(self) -> Iterator[tuple[TableName, str]]:
        for namespace, table, location in self._select(_TABLES):
            if namespace != TRASH:
                yield TableName(tuple(namespace.split(".")), table), location

    def namespaces(self) -> set[str]:
        return {row[0] for row in self._select(_NAMESPACES)}

    def writable(self) -> "SqlCatalog":
        from engine.lake.fence import FencedSql

        database = self._site.database.resolve()
        try:
            database.parent.mkdir(parents=True, exist_ok=True)
            # In rollback-journal mode one reader makes a commit fail and wedges every later one; WAL persists.
            connection = sqlite3.connect(database, timeout=BUSY_S)
            connection.execute("PRAGMA journal_mode=WAL")
            connection.close()
        except (OSError, sqlite3.Error) as error:
            hint = "`headwater doctor` says more."
            raise Unavailable("The lakehouse's folder cannot be written.", hint=hint) from error
        root = self._storage.root if self._site.is_remote else location_of(Path(self._site.root).resolve())
        return FencedSql(f"sqlite:///{database}", self._storage, warehouse=root)

    def forget(self) -> None:
        return None

    def close(self) -> None:
        return None

    def _select(self, query: str) -> list[tuple[str, ...]]:
        database = self._site.database
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
