"""The list of queries: who runs what, how it ended, and the wish to cancel, which any process may leave."""

import asyncio
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass

from sqlalchemy import Connection, insert, select, update

from core.context import Cancellation, Principal
from core.errors import NotFound, PlatformError
from engine.store import tables
from engine.store.db import Store

POLL_S = 0.5
RUNNING = "running"
T = tables.queries.c

InStore = Callable[[Connection], None]
"""A further part of the transaction that writes a query's start or end."""


@dataclass(frozen=True, slots=True)
class QueryState:
    """One query as its owner may see it. Times are UTC seconds since the epoch."""

    query_id: str
    connection_id: str
    status: str  # running, succeeded, failed or cancelled
    row_count: int | None
    execution_time_ms: int | None
    error_code: str
    started_at: float
    ended_at: float | None


@dataclass(frozen=True, slots=True)
class Listed:
    """What the list shows of a query from its start."""

    connection_id: str
    shape: str


@dataclass(frozen=True, slots=True)
class End:
    """How a query ended."""

    at: float
    row_count: int
    execution_time_ms: int
    error: PlatformError | None = None

    @property
    def status(self) -> str:
        if self.error is None:
            return "succeeded"
        return "cancelled" if self.error.code == "CANCELLED" else "failed"

    def values(self) -> dict[str, str | int | float | None]:
        return {
            "status": self.status,
            "row_count": self.row_count,
            "execution_time_ms": self.execution_time_ms,
            "error_code": self.error.code if self.error else None,
            "ended_at": self.at,
        }


def new_query_id() -> str:
    return f"qry_{secrets.token_hex(10)}"


class Queries:
    """Writes the list, and cancels what runs in this process when the list says so."""

    def __init__(
        self, store: Store, *, clock: Callable[[], float] = time.time, new_id: Callable[[], str] = new_query_id
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id
        self._running: dict[tuple[str, str], Cancellation] = {}
        self._poller: asyncio.Task[None] | None = None

    def new_id(self) -> str:
        return self._new_id()

    async def start(
        self, by: Principal, query_id: str, listed: Listed, stop: Cancellation, *, reserve: InStore | None = None
    ) -> None:
        """Note a query that begins now, unless `reserve` raises; `stop` is set when its owner cancels it."""
        row = {**self._row(by, query_id, listed), "status": RUNNING}

        def note(connection: Connection) -> None:
            if reserve is not None:
                reserve(connection)
            connection.execute(insert(tables.queries).values(row))

        await self._store.write(note)
        self._running[by.tenant, query_id] = stop
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())

    async def finish(self, by: Principal, query_id: str, end: End, *, settle: InStore) -> None:
        """Note how the query ended, and with it what `settle` writes."""
        self._running.pop((by.tenant, query_id), None)
        change = update(tables.queries).where(T.tenant_id == by.tenant, T.query_id == query_id).values(end.values())

        def note(connection: Connection) -> None:
            connection.execute(change)
            settle(connection)

        await self._store.write(note)

    async def record(self, by: Principal, query_id: str, listed: Listed, end: End, *, settle: InStore) -> None:
        """Note a query that was answered at once."""
        row = {**self._row(by, query_id, listed), **end.values()}

        def note(connection: Connection) -> None:
            connection.execute(insert(tables.queries).values(row))
            settle(connection)

        await self._store.write(note)

    def _row(self, by: Principal, query_id: str, listed: Listed) -> dict[str, str | int | float]:
        return {
            "tenant_id": by.tenant,
            "query_id": query_id,
            "owner": by.subject,
            "connection_id": listed.connection_id,
            "sql_shape": listed.shape,
            "cancel_requested": 0,
            "started_at": self._clock(),
        }

    async def cancel(self, by: Principal, query_id: str) -> QueryState:
        """Ask for a query of the caller's own to stop; here at once, in another process within half a second."""
        where = (T.tenant_id == by.tenant, T.query_id == query_id, T.owner == by.subject)

        def ask(connection: Connection) -> None:
            change = update(tables.queries).where(*where, T.status == RUNNING).values(cancel_requested=1)
            connection.execute(change)

        await self._store.write(ask)
        state = await self.get(by, query_id)
        stop = self._running.get((by.tenant, query_id))
        if stop is not None:
            stop.set()
        return state

    async def get(self, by: Principal, query_id: str) -> QueryState:
        """A query of the caller's own. Raises NotFound."""
        columns = (
            *(T.query_id, T.connection_id, T.status, T.row_count, T.execution_time_ms),
            *(T.error_code, T.started_at, T.ended_at),
        )
        wanted = select(*columns).where(T.tenant_id == by.tenant, T.query_id == query_id, T.owner == by.subject)
        row = await self._store.read(lambda connection: connection.execute(wanted).one_or_none())
        if row is None:
            raise NotFound(f"No query {query_id[:64]!r}.", hint="Query ids come with results; you see your own.")
        return QueryState(
            row.query_id,
            row.connection_id,
            row.status,
            row.row_count,
            row.execution_time_ms,
            row.error_code or "",
            row.started_at,
            row.ended_at,
        )

    async def close(self) -> None:
        if self._poller is not None:
            self._poller.cancel()
            await asyncio.gather(self._poller, return_exceptions=True)

    async def _poll(self) -> None:
        """Look for wishes to cancel while anything runs here."""
        while self._running:
            await asyncio.sleep(POLL_S)
            known = list(self._running)
            ids = [query_id for _, query_id in known]
            asked = select(T.tenant_id, T.query_id).where(T.query_id.in_(ids), T.cancel_requested == 1)
            try:
                rows = await self._store.read(lambda connection, asked=asked: connection.execute(asked).all())  # type: ignore[misc]
            except PlatformError:
                continue  # the store is away for a moment; the wish stays in it
            for row in rows:
                stop = self._running.get((row.tenant_id, row.query_id))
                if stop is not None:  # a flag is false until it is set
                    stop.set()
