"""Writing to PostgreSQL by psycopg, as the role that writes."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from typing import TYPE_CHECKING, Any, TypeVar

from core.errors import Cancelled, PlatformError, Timeout, Unavailable
from engine.connectors.kinds import PostgresqlOptions
from engine.connectors.write_failures import broken_rule, unknown_end

if TYPE_CHECKING:
    import psycopg

T = TypeVar("T")
CONNECT_TIMEOUT_S = 5
LOCK_TIMEOUT_MS = 10_000
# The first letters of an SQLSTATE, the longest first, and the rule that it means.
_STATES = (
    *(("23505", "unique"), ("23P01", "unique"), ("23503", "foreign"), ("23502", "null"), ("23514", "check")),
    *(("42P10", "target"), ("21000", "unique"), ("42501", "denied"), ("428C9", "generated"), ("44000", "check")),
    *(("40", "busy"), ("55P03", "busy"), ("22", "value"), ("42804", "value"), ("42883", "value"), ("23", "check")),
)


class PostgresSession:
    def __init__(self, connection: "psycopg.Connection[Any]"):
        self._connection = connection

    def rows(self, sql: str, values: Sequence[Any] = ()) -> list[tuple[Any, ...]]:
        return self._connection.execute(sql.encode(), values or None).fetchall()

    def change(self, sql: str, values: Sequence[Any] = ()) -> int:
        return self._connection.execute(sql.encode(), values or None).rowcount


class PostgresWriter:
    """Opens a connection for each transaction: writing is rare, and none lies open with the right to write."""

    def __init__(self, options: PostgresqlOptions, address: str):
        self._options = options
        self._address = address

    def transact(
        self,
        work: Callable[[Any], T],
        *,
        timeout_s: float,
        dry_run: bool = False,
        on_start: Callable[[Callable[[], None]], None] = lambda interrupt: None,
    ) -> T:
        import psycopg

        stop = _Stop()
        on_start(stop)
        with _translated(stop, connecting=True):
            connection = psycopg.connect(cursor_factory=psycopg.RawCursor, **self._login(timeout_s))
        try:
            with _translated(stop):
                stop.connection = connection
                connection.read_only = dry_run
                found = work(PostgresSession(connection))
            if stop.is_set:
                raise Cancelled("The call was cancelled; nothing was written.")
            with _translated(stop, committing=True):
                connection.commit()
            return found
        finally:
            stop.connection = None
            connection.close()

    def _login(self, timeout_s: float) -> dict[str, Any]:
        options = self._options
        limits = f"-c statement_timeout={int(timeout_s * 1000)} -c lock_timeout={LOCK_TIMEOUT_MS} -c TimeZone=UTC"
        where = {"host": self._address} if self._address.startswith("/") else {"hostaddr": self._address}
        return {
            "host": options.host,
            **where,
            "port": options.port,
            "dbname": options.database,
            "user": options.write_user,
            "password": options.write_password.get_secret_value(),
            "sslmode": options.sslmode,
            "connect_timeout": CONNECT_TIMEOUT_S,
            "application_name": "headwater-writer",
            "options": f"{limits} -c default_transaction_read_only=off",
        }


class _Stop:
    """Cancels what runs; called from another thread."""

    def __init__(self) -> None:
        self.connection: psycopg.Connection[Any] | None = None
        self.is_set = False

    def __call__(self) -> None:
        import psycopg

        self.is_set = True
        connection = self.connection
        if connection is not None:
            with suppress(psycopg.Error):
                connection.cancel()


@contextmanager
def _translated(stop: _Stop, *, connecting: bool = False, committing: bool = False) -> Iterator[None]:
    import psycopg

    try:
        yield
    except psycopg.Error as error:
        # The driver's text holds values of rows, the statement and the address: none of it goes further.
        raise _failure(error, stop, connecting=connecting, committing=committing) from None


def _failure(error: "psycopg.Error", stop: _Stop, *, connecting: bool, committing: bool) -> PlatformError:
    state = error.sqlstate or ""
    if connecting:
        if state.startswith("28") or "authentication failed" in str(error) or "password" in str(error):
            return Unavailable("The database refused the writing role or its password.", hint="Correct the connection.")
        return Unavailable("The database does not answer.", hint="Check host, port and whether it runs.")
    if state == "57014":
        if stop.is_set:
            return Cancelled("The call was cancelled; nothing was written.")
        return Timeout("Writing took too long; nothing was written.", hint="Write fewer records at a time.")
    if not state or state.startswith(("08", "57P", "53")):
        if committing:
            return unknown_end()
        return Unavailable("The database went away; nothing was written.", hint="Retry in a moment.")
    return broken_rule(next((rule for start, rule in _STATES if state.startswith(start)), "other"))
