"""The writing side of connections: a transaction under a credential that only writing uses."""

from collections.abc import Callable, Sequence
from typing import Any, Protocol, TypeVar

from core.errors import Conflict
from engine.connectors.connector import ConnectionSpec
from engine.connectors.kinds import PostgresqlOptions, SqliteOptions, read_options
from engine.connectors.places import Places
from engine.connectors.postgres_writer import PostgresWriter
from engine.connectors.sqlite_writer import SqliteWriter

T = TypeVar("T")
WRITTEN = frozenset({"postgresql", "sqlite"})


class Session(Protocol):
    """An open transaction. Values are bound by the numbers of their places, never printed into the statement."""

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        """All rows of a statement."""
        ...

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it has changed."""
        ...


class Writer(Protocol):
    """Writes to one data source."""

    def transact(
        self,
        work: Callable[[Any], T],
        *,
        timeout_s: float,
        dry_run: bool = False,
        on_start: Callable[[Callable[[], None]], None] = lambda interrupt: None,
    ) -> T:
        """Run `work` on a session in one transaction; whatever it raises, nothing is written. Blocking.

        With `dry_run` the session can only read. `on_start` is handed what stops a statement from another thread.
        Raises Conflict, Unavailable, Cancelled, Timeout."""
        ...


class Writers:
    """Opens the writing side of connections that have one."""

    def __init__(self, places: Places):
        self._places = places

    def open(self, spec: ConnectionSpec) -> Writer:
        """Blocking. Raises Conflict for a connection that only reads, Unauthorized where it may not write."""
        if spec.kind not in WRITTEN:
            raise Conflict(
                f"Connections of the kind {spec.kind} only read.",
                hint="The lakehouse, PostgreSQL and SQLite are written.",
            )
        options = read_options(spec.kind, spec.options, spec.secret)
        if isinstance(options, PostgresqlOptions):
            if not options.write_user:
                raise Conflict(
                    "The connection only reads.", hint="update_connection takes `write_user` and `write_password`."
                )
            return PostgresWriter(options, self._places.check_host(options.host, int(options.port)))
        assert isinstance(options, SqliteOptions), "no other kind is written"
        if options.allow_writes != "true":
            raise Conflict(
                "The connection only reads.", hint="update_connection takes the option `allow_writes`: true."
            )
        return SqliteWriter(self._places.check_writable(options.path))
