"""Writing to a SQLite database file."""

import sqlite3
from collections.abc import Callable, Iterator, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from threading import Timer
from typing import Any, TypeVar

from core.errors import Cancelled, PlatformError, Timeout, Unavailable
from engine.connectors.sqlite import MAX_VALUE_BYTES
from engine.connectors.write_failures import broken_rule

T = TypeVar("T")
BUSY_S = 5.0
# All that a statement on rows of a table and its triggers needs; no schema change, no PRAGMA, no other file.
_ALLOWED = frozenset(
    {
        *(sqlite3.SQLITE_SELECT, sqlite3.SQLITE_READ, sqlite3.SQLITE_FUNCTION, sqlite3.SQLITE_RECURSIVE),
        *(sqlite3.SQLITE_INSERT, sqlite3.SQLITE_UPDATE, sqlite3.SQLITE_DELETE, sqlite3.SQLITE_TRANSACTION),
    }
)
_RULES = (
    *(("UNIQUE", "unique"), ("PRIMARYKEY", "unique"), ("ROWID", "unique"), ("FOREIGNKEY", "foreign")),
    *(("NOTNULL", "null"), ("CHECK", "check"), ("TRIGGER", "check"), ("DATATYPE", "value"), ("VTAB", "check")),
)


class SqliteSession:
    def __init__(self, connection: sqlite3.Connection):
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql, _named(values)).fetchall()

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql, _named(values)).rowcount


class SqliteWriter:
    def __init__(self, path: Path):
        self._path = path

    def transact(
        self,
        work: Callable[[Any], T],
        *,
        timeout_s: float,
        dry_run: bool = False,
        on_start: Callable[[Callable[[], None]], None] = lambda interrupt: None,
    ) -> T:
        end = _End()
        with _translated(end), closing(_open(self._path, dry_run=dry_run)) as connection:
            timer = Timer(timeout_s, lambda: end.stop(connection, is_late=True))
            timer.daemon = True
            timer.start()
            on_start(lambda: end.stop(connection))
            try:
                connection.execute("BEGIN" if dry_run else "BEGIN IMMEDIATE")
                found = work(SqliteSession(connection))
                end.check()
                connection.execute("COMMIT")
                return found
            finally:
                end.is_over = True
                timer.cancel()
                if connection.in_transaction:
                    connection.execute("ROLLBACK")


class _End:
    """How a transaction was stopped, if it was."""

    def __init__(self) -> None:
        self.is_stopped = self.is_late = self.is_over = False

    def stop(self, connection: sqlite3.Connection, *, is_late: bool = False) -> None:
        if not self.is_over:
            self.is_stopped, self.is_late = True, self.is_late or is_late
            connection.interrupt()

    def check(self) -> None:
        """Raises Timeout, Cancelled."""
        if self.is_late:
            raise Timeout("Writing took too long; nothing was written.", hint="Write fewer records at a time.")
        if self.is_stopped:
            raise Cancelled("The call was cancelled; nothing was written.")


def _named(values: Sequence[Any]) -> dict[str, Any]:
    return {f"p{number}": value for number, value in enumerate(values, start=1)}


def _open(path: Path, *, dry_run: bool) -> sqlite3.Connection:
    connection = sqlite3.connect(
        f"{path.as_uri()}?mode=rw", uri=True, timeout=BUSY_S, check_same_thread=False, isolation_level=None
    )
    connection.execute(f"PRAGMA query_only={'ON' if dry_run else 'OFF'}")
    connection.execute("PRAGMA trusted_schema=OFF")
    connection.execute("PRAGMA foreign_keys=ON")
    connection.setlimit(sqlite3.SQLITE_LIMIT_LENGTH, MAX_VALUE_BYTES)
    connection.setlimit(sqlite3.SQLITE_LIMIT_ATTACHED, 0)
    connection.set_authorizer(_authorize)
    return connection


def _authorize(action: int, *details: str | None) -> int:
    return sqlite3.SQLITE_OK if action in _ALLOWED else sqlite3.SQLITE_DENY


@contextmanager
def _translated(end: _End) -> Iterator[None]:
    try:
        yield
    except (sqlite3.Error, OverflowError) as error:
        end.check()
        raise _failure(error) from None


def _failure(error: Exception) -> PlatformError:
    name, text = getattr(error, "sqlite_errorname", None) or "", str(error)
    if name.startswith("SQLITE_CONSTRAINT"):
        return broken_rule(next((rule for word, rule in _RULES if name.endswith(word)), "check"))
    if name.startswith(("SQLITE_BUSY", "SQLITE_LOCKED")):
        return broken_rule("busy")
    if name.startswith(("SQLITE_TOOBIG", "SQLITE_MISMATCH")) or isinstance(error, OverflowError):
        return broken_rule("value")
    if name.startswith(("SQLITE_READONLY", "SQLITE_CANTOPEN", "SQLITE_IOERR", "SQLITE_FULL", "SQLITE_NOTADB")):
        return Unavailable("The database file cannot be written.", hint="Check the path and its permissions.")
    if "ON CONFLICT clause does not match" in text:
        return broken_rule("target")
    return broken_rule("generated" if "generated column" in text else "other")
