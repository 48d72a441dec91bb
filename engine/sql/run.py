"""Runs governed queries: prepare, bind, execute under limits, and keep the list of queries."""

import time
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Protocol

from core.context import Cancellation, Principal
from core.errors import Cancelled, Conflict, PlatformError
from core.portable import Rows
from core.settings import QuerySettings
from engine.catalog.views import View
from engine.connectors.connector import ArrowStream, ConnectionSpec, Connector, QueryLimits
from engine.connectors.stream import in_thread
from engine.sql.plans import Plans
from engine.sql.queries import Queries
from engine.sql.rows import chunks, ipc_stream, make_rows, type_name, unique_names
from engine.store.db import Store

if TYPE_CHECKING:
    import pyarrow as pa

    from engine.sql.bind import Prepared


class Opens(Protocol):
    async def get(self, spec: ConnectionSpec) -> Connector: ...


class Catalog(Protocol):
    """Knows connections and what each caller may see of them."""

    @property
    def connectors(self) -> Opens: ...

    async def view(self, principal: Principal, connection_id: str) -> View: ...


@dataclass(frozen=True, slots=True)
class Statement:
    """What is asked: SQL, values for its parameters, and bounds below those of the platform."""

    sql: str
    parameters: Mapping[str, str] = field(default_factory=dict)
    timeout_s: float | None = None
    max_rows: int | None = None


@dataclass(slots=True)
class Facts:
    """What is known of a query when it has ended; `columns` are pairs of name and type."""

    query_id: str = ""
    row_count: int = 0
    execution_time_ms: int = 0
    is_truncated: bool = False
    columns: list[tuple[str, str]] = field(default_factory=list)
    tables: list[str] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Answer:
    rows: Rows
    facts: Facts


class SqlService:
    """The only way from SQL text to data."""

    def __init__(self, *, catalog: Catalog, store: Store, settings: QuerySettings):
        self._catalog = catalog
        self._settings = settings
        self.queries = Queries(store)
        self._plans = Plans()

    async def execute(
        self, by: Principal, connection_id: str, statement: Statement, *, cancelled: Cancellation | None = None
    ) -> Answer:
        """All rows of a query, up to the limits. Raises QueryUnauthorized, Conflict, Timeout, Cancelled."""
        limits = self._limits(statement, self._settings.max_rows)
        facts = Facts()
        async with self._running(by, connection_id, statement, limits, facts, cancelled) as stream:
            batches = [batch async for batch in stream]
            facts.row_count = sum(batch.num_rows for batch in batches)
            facts.is_truncated = stream.is_truncated
            schema = stream.schema
        return Answer(make_rows(schema, batches), facts)

    async def stream(
        self,
        by: Principal,
        connection_id: str,
        statement: Statement,
        *,
        send: Callable[[bytes], Awaitable[None]],
        cancelled: Cancellation | None = None,
    ) -> Facts:
        """Send a query's rows as self-contained Arrow IPC streams of a megabyte or two each."""
        limits = self._limits(statement, self._settings.max_stream_rows)
        facts = Facts()
        async with self._running(by, connection_id, statement, limits, facts, cancelled) as stream:
            schema = unique_names(stream.schema)
            async for group in chunks(schema, stream.__aiter__()):
                facts.row_count += sum(batch.num_rows for batch in group)
                await send(await in_thread(lambda group=group: ipc_stream(schema, group)))  # type: ignore[misc]
            facts.is_truncated = stream.is_truncated
        return facts

    async def close(self) -> None:
        await self.queries.close()

    async def validate(self, by: Principal, connection_id: str, statement: Statement) -> "Prepared":
        """Check a query without running it, by our rules and by the engine's planner. Raises as `execute` does."""
        return (await self._explained(by, connection_id, statement))[0]

    async def explain(self, by: Principal, connection_id: str, statement: Statement) -> str:
        """The engine's plan for a query."""
        return (await self._explained(by, connection_id, statement))[1]

    async def _explained(self, by: Principal, connection_id: str, statement: Statement) -> "tuple[Prepared, str]":
        view = await self._catalog.view(by, connection_id)
        connector = await self._catalog.connectors.get(view.spec)
        prepared = await self._prepare(view, connector, statement, self._settings.max_rows)
        sources = await connector.sources(prepared.tables)
        return prepared, await connector.explain(prepared.fill(sources), dict(statement.parameters))

    @asynccontextmanager
    async def _running(
        self,
        by: Principal,
        connection_id: str,
        statement: Statement,
        limits: QueryLimits,
        facts: Facts,
        cancelled: Cancellation | None,
    ) -> AsyncIterator[ArrowStream]:
        """A started query; its end, however it comes, is written to the list of queries."""
        view = await self._catalog.view(by, connection_id)
        connector = await self._catalog.connectors.get(view.spec)
        prepared = await self._prepare(view, connector, statement, limits.max_rows)
        stop = _joined(cancelled)
        facts.tables = prepared.tables
        facts.query_id = await self.queries.start(by, view.spec.connection_id, prepared.shape, stop)
        started, error = time.perf_counter(), None
        try:
            sql = prepared.fill(await connector.sources(prepared.tables))
            stream = await connector.execute(sql, statement.parameters, limits=limits, cancelled=stop)
            try:
                facts.columns = _columns(stream.schema)
                yield stream
            finally:
                await stream.close()
        except PlatformError as failure:
            error = failure
            raise
        except BaseException:
            error = Cancelled()
            raise
        finally:
            facts.execution_time_ms = round((time.perf_counter() - started) * 1000)
            await self.queries.finish(
                by,
                facts.query_id,
                row_count=facts.row_count,
                execution_time_ms=facts.execution_time_ms,
                error=error,
            )

    async def _prepare(self, view: View, connector: Connector, statement: Statement, max_rows: int) -> "Prepared":
        prepared = await self._plans.prepare(view, connector.dialect, statement.sql, max_rows=max_rows)
        _check_parameters(prepared, statement.parameters)
        return prepared

    def _limits(self, statement: Statement, most_rows: int) -> QueryLimits:
        settings = self._settings
        is_stream = most_rows == settings.max_stream_rows
        return QueryLimits(
            max_rows=min(statement.max_rows or most_rows, most_rows),
            max_bytes=2**62 if is_stream else settings.max_mb * 1024 * 1024,
            timeout_s=min(statement.timeout_s or settings.timeout_s, settings.timeout_s),
            memory_mb=settings.memory_mb,
            threads=settings.threads,
        )


def _joined(cancelled: Cancellation | None) -> Cancellation:
    """A flag of the query's own that is also set when the call is cancelled."""
    stop = Cancellation()
    if cancelled is not None:
        cancelled.on_set(stop.set)
    return stop


def _check_parameters(prepared: "Prepared", given: Mapping[str, str]) -> None:
    missing, unknown = prepared.parameters - set(given), set(given) - prepared.parameters
    if missing or unknown:
        names = ", ".join(sorted(missing or unknown))[:200]
        raise Conflict(
            f"{'No value for' if missing else 'The query does not use'} the parameter {names}.",
            hint="Write $name or :name in the query and give each a value under `parameters`.",
        )


def _columns(schema: "pa.Schema") -> list[tuple[str, str]]:
    return [(field.name, type_name(field.type)) for field in unique_names(schema)]
