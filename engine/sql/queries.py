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

    async def start(self, by: Principal, connection_id: str, shape: str, stop: Cancellation) -> str:
        """Note a query that begins now; `stop` is set when its owner cancels it. Returns its id."""
        query_id = self._new_id()
        row = {
            "tenant_id": by.tenant,
            "query_id": query_id,
            "owner": by.subject,
            "connection_id": connection_id,
            "sql_shape": shape,
            "status": RUNNING,
            "cancel_requested": 0,
            "started_at": self._clock(),
        }
        await self._store.write(lambda connection: connection.execute(insert(tables.queries).values(row)))
        self._running[by.tenant, query_id] = stop
        if self._poller is None or self._poller.done():
            self._poller = asyncio.create_task(self._poll())
        return query_id

    async def finish(
        self, by: Principal, query_id: str, *, row_count: int, execution_time_ms: int, error: PlatformError | None
    ) -> None:
        """Note how the query ended."""
        self._running.pop((by.tenant, query_id), None)
        status = "succeeded" if error is None else "cancelled" if error.code == "CANCELLED" else "failed"
        values = {
            "status": status,
            "row_count": row_count,
            "execution_time_ms": execution_time_ms,
            "error_code": error.code if error else None,
            "ended_at": self._clock(),
        }
        where = (T.tenant_id == by.tenant, T.query_id == query_id)
        await self._store.write(
            lambda connection: connection.execute(update(tables.queries).where(*where).values(values))
        )

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
