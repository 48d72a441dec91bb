"""The platform store: one relational database, SQLite by default, PostgreSQL by URL.

Work is a function of a connection; it runs in a thread, inside one transaction, and may be called
again after a serialisation failure, so it must have no effects outside the database."""

import asyncio
import sqlite3
import threading
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

from sqlalchemy import Connection, Engine, create_engine, event, make_url
from sqlalchemy.exc import DBAPIError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeout

from core.errors import Unavailable

T = TypeVar("T")

LOCK_WAIT_S = 15.0
CONNECT_TIMEOUT_S = 5
TRIES = 4
DAMAGED = frozenset({sqlite3.SQLITE_CORRUPT, sqlite3.SQLITE_NOTADB})
RETRYABLE_STATES = frozenset({"40001", "40P01"})  # PostgreSQL: serialization_failure, deadlock_detected


class Store:
    """Read and write transactions on the platform's database."""

    def __init__(self, url: str, *, pool_size: int = 8, lock_wait_s: float = LOCK_WAIT_S):
        self.url = make_url(url)
        self.dialect = self.url.get_backend_name()
        self.engine = open_engine(url, pool_size=pool_size, lock_wait_s=lock_wait_s)
        self._threads = ThreadPoolExecutor(pool_size, thread_name_prefix="store")
        # SQLite has one writer at a time: queueing here is fairer and cheaper than its busy loop.
        self._writer = threading.Lock() if self.dialect == "sqlite" else None

    async def read(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a thread, in a transaction that is rolled back afterwards."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.read_now, work)

    async def write(self, work: Callable[[Connection], T]) -> T:
        """Run `work` in a thread, in one transaction that commits when it returns."""
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.write_now, work)

    def read_now(self, work: Callable[[Connection], T]) -> T:
        """`read` for code that is already in a thread of its own."""
        with translated(), self.engine.connect() as connection:
            if self.dialect == "sqlite":
                connection.exec_driver_sql("BEGIN")
            return work(connection)

    def write_now(self, work: Callable[[Connection], T]) -> T:
        """`write` for code that is already in a thread of its own."""
        for left in reversed(range(TRIES)):
            try:
                with self._turn(), self.engine.connect() as connection:
                    return self._commit(connection, work)
            except (DBAPIError, PoolTimeout) as error:
                if not (left and _is_retryable(error)):
                    raise _translate(error) from error
        raise AssertionError("unreachable: the last try returns or raises")

    def compact(self) -> bool:
        """Write the database anew, so that deleted rows stand nowhere in it. Says whether all of it was done.

        On SQLite everybody else waits meanwhile. On PostgreSQL room is only freed: its pages, its log and its archives
        are the operator's."""
        with translated(), self._turn(), self.engine.connect() as connection:
            if self.dialect != "sqlite":
                connection.execution_options(isolation_level="AUTOCOMMIT").exec_driver_sql("VACUUM")
                return True
            connection.exec_driver_sql("VACUUM")
            for _ in range(TRIES):
                is_busy, _, _ = connection.exec_driver_sql("PRAGMA wal_checkpoint(TRUNCATE)").one()
                if not is_busy:
                    return True
            return False

    def close(self) -> None:
        self._threads.shutdown(wait=True, cancel_futures=True)
        self.engine.dispose()

    def _commit(self, connection: Connection, work: Callable[[Connection], T]) -> T:
        if self.dialect == "sqlite":
            connection.exec_driver_sql("BEGIN IMMEDIATE")
        try:
            result = work(connection)
            connection.commit()
            return result
        except BaseException:
            connection.rollback()
            raise

    @contextmanager
    def _turn(self) -> Iterator[None]:
        if self._writer is None:
            yield
        else:
            with self._writer:
                yield


def sqlite_url(home: Path) -> str:
    return f"sqlite:///{home / 'headwater.db'}"


def open_engine(url: str, *, pool_size: int = 1, lock_wait_s: float = LOCK_WAIT_S) -> Engine:
    """SQLAlchemy's engine for a store's URL, with the pragmas and time limits that Headwater relies on."""
    parsed = make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = create_engine(
            parsed,
            pool_size=pool_size,
            max_overflow=0,
            connect_args={"check_same_thread": False, "isolation_level": None, "timeout": lock_wait_s},
        )
        event.listen(engine, "connect", _prepare_sqlite)
        return engine
    return create_engine(
        parsed.set(drivername="postgresql+psycopg"),
        pool_size=pool_size,
        max_overflow=0,
        pool_pre_ping=True,
        connect_args={"connect_timeout": CONNECT_TIMEOUT_S},
    )


def _prepare_sqlite(connection: Any, record: Any) -> None:
    cursor = connection.cursor()
    for pragma in (
        "journal_mode=WAL",
        "synchronous=NORMAL",
        "foreign_keys=ON",
        "trusted_schema=OFF",
    ):
        cursor.execute(f"PRAGMA {pragma}")
    cursor.close()


def _is_retryable(error: DBAPIError | PoolTimeout) -> bool:
    if isinstance(error, PoolTimeout):
        return False
    state = getattr(error.orig, "sqlstate", None)
    return state in RETRYABLE_STATES or error.connection_invalidated


@contextmanager
def translated() -> Iterator[None]:
    """Turn a lost or locked database into Unavailable."""
    try:
        yield
    except (DBAPIError, PoolTimeout) as error:
        raise _translate(error) from error


def _translate(error: DBAPIError | PoolTimeout) -> Exception:
    """A lost, locked or damaged database is Unavailable; anything else is a defect and passes as it is."""
    if getattr(getattr(error, "orig", None), "sqlite_errorcode", None) in DAMAGED:
        return Unavailable("The platform's store is damaged.", hint="Stop the server and restore a backup.")
    if isinstance(error, PoolTimeout) or error.connection_invalidated or _is_outage(error):
        return Unavailable("The platform's store does not answer.", hint="Retry; if it lasts, run `headwater doctor`.")
    return error


def _is_outage(error: DBAPIError) -> bool:
    # SQLite reports a statement that it cannot read, and a missing table, as operational too.
    code = getattr(error.orig, "sqlite_errorcode", None)
    return isinstance(error, OperationalError) and code != sqlite3.SQLITE_ERROR
