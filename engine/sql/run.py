"""Runs governed queries: prepare, bind, execute under limits; every end is listed and paid for."""

import asyncio
import time
from collections.abc import AsyncIterator, Awaitable, Callable, Hashable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any, Protocol

from core.context import Cancellation, Principal
from core.errors import Cancelled, Conflict, PlatformError
from core.settings import QuerySettings
from engine.catalog.views import View
from engine.connectors.connector import ArrowStream, ConnectionSpec, Connector, QueryLimits, RunStats
from engine.connectors.shared import SHARE
from engine.projects.shares import still_shared
from engine.results.kept import KeptResults, KeptTable, TableFacts
from engine.sql.cache import SNAPSHOT_KINDS, Answers, KeptAnswer, is_steady
from engine.sql.facts import Answer, Facts, Statement
from engine.sql.plans import Plans
from engine.sql.queries import End, Listed, Queries
from engine.sql.rows import make_rows, type_name, unique_names
from engine.store.db import Store
from engine.usage.prices import Prices, to_usd
from engine.usage.usage import QueryCost, Usage, Work

if TYPE_CHECKING:
    import pyarrow as pa
    from sqlalchemy import Connection

    from engine.sql.bind import Prepared

__all__ = ["Answer", "Catalog", "Facts", "SqlService", "Statement", "snapshots_of"]


class Opens(Protocol):
    async def get(self, spec: ConnectionSpec) -> Connector: ...


class Catalog(Protocol):
    """Knows connections and what each caller may see of them."""

    @property
    def connectors(self) -> Opens: ...

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View: ...


Charge = Callable[[Principal, str, Mapping[str, int]], Awaitable[None]]
"""Takes groupings of aggregate-only columns, by table of a connection, off a caller's budget. Raises QuotaExceeded."""


class Record(Protocol):
    """Notes what a query read, for lineage, and what ran it; at once, the writing comes later."""

    def __call__(self, by: Principal, connection_id: str, prepared: "Prepared", /, *, reader: str) -> None: ...


@dataclass(slots=True)
class _Run:
    """One query on its way: who asks, through which view, what runs, and what is known of it so far."""

    by: Principal
    view: View
    connector: Connector
    prepared: "Prepared"
    sources: Mapping[str, str]
    sql: str
    statement: Statement
    limits: QueryLimits
    facts: Facts = field(default_factory=Facts)

    @property
    def listed(self) -> Listed:
        return Listed(self.view.spec.connection_id, self.prepared.shape)

    @property
    def key(self) -> Hashable:
        """What an equal answer depends on, or None where answers are not kept."""
        spec, limits = self.view.spec, self.limits
        if not self.statement.may_reuse or spec.kind not in SNAPSHOT_KINDS or not self.facts.tables:
            return None
        values = tuple(sorted(self.statement.parameters.items()))
        return spec.connection_id, spec.version, self.view.key, self.sql, values, limits.max_rows, limits.max_bytes

    @property
    def likely(self) -> Work:
        """What a full scan of each relation would read, as far as its source says."""
        relations = [governed.source for governed in self.prepared.markers.values()]
        return Work(sum(item.row_count or 0 for item in relations), sum(item.size_bytes or 0 for item in relations))

    def work(self, stats: RunStats, elapsed_ms: int) -> Work:
        """What was read: the engine's word for it, else the size of the tables, at least what came out."""
        likely = self.likely
        rows = likely.rows_scanned if stats.rows_scanned is None else stats.rows_scanned
        size = likely.bytes_scanned if stats.bytes_scanned is None else stats.bytes_scanned
        cpu_ms = elapsed_ms if stats.cpu_ms is None else stats.cpu_ms
        floor = stats.size_bytes if not likely.bytes_scanned and stats.bytes_scanned is None else 0
        return Work(max(rows, stats.row_count if not rows else 0), max(size, floor), cpu_ms)


class SqlService:
    """The only way from SQL text to data."""

    def __init__(
        self,
        *,
        catalog: Catalog,
        store: Store,
        settings: QuerySettings,
        usage: Usage | None = None,
        results: KeptResults | None = None,
        charge: Charge | None = None,
        record: Record | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._catalog = catalog
        self._settings = settings
        self._clock = clock
        self._usage = usage or Usage(store, Prices(settings.usd_per_tb, settings.usd_per_cpu_hour), clock=clock)
        self._results = results
        self._charge = charge
        self._record = record
        self._answers = Answers(settings.cache_mb * 1024 * 1024)
        self.queries = Queries(store)
        self._plans = Plans()

    async def execute(
        self, by: Principal, connection_id: str, statement: Statement, *, cancelled: Cancellation | None = None
    ) -> Answer:
        """All rows of a query, up to the limits.

        Raises QueryUnauthorized, QuotaExceeded, Conflict, Timeout, Cancelled."""
        run = await self._open(by, connection_id, statement, self._limits(statement, self._settings.max_rows))
        await self._charge_groupings(run)
        key = run.key
        kept = None if key is None else self._answers.get(by.tenant, key)
        if kept is not None:
            return await self._repeat(run, kept)
        async with self._running(run, cancelled) as stream:
            batches = [batch async for batch in stream]
            run.facts.is_truncated = stream.is_truncated
            await self._count_suppressed(run, cancelled)
        fresh = KeptAnswer(
            stream.schema,
            batches,
            run.facts.is_truncated,
            run.facts.column_privacy,
            run.facts.private_row_count,
        )
        if key is not None and is_steady(run.sql):
            self._answers.put(by.tenant, key, fresh)
        return self._answer(run, fresh)

    async def stream(
        self,
        by: Principal,
        connection_id: str,
        statement: Statement,
        *,
        send: Callable[[bytes], Awaitable[None]],
        cancelled: Cancellation | None = None,
    ) -> Facts:
        """Send a query's rows as self-contained Arrow IPC streams of a megabyte or two each, unread."""
        run = await self._open(by, connection_id, statement, self._limits(statement, self._settings.max_stream_rows))
        await self._charge_groupings(run)
        async with self._running(run, cancelled) as stream:
            async for chunk in stream.chunks():
                await send(chunk)
            run.facts.is_truncated = stream.is_truncated
            await self._count_suppressed(run, cancelled)
        return run.facts

    async def close(self) -> None:
        await self.queries.close()

    def forget(self, tenant: str) -> None:
        """Drop the answers that are kept for a tenant."""
        self._answers.forget(tenant)

    async def validate(self, by: Principal, connection_id: str, statement: Statement) -> "Prepared":
        """Check a query without running it, by our rules and by the engine's planner. Raises as `execute` does."""
        return (await self._explained(by, connection_id, statement))[0]

    async def explain(self, by: Principal, connection_id: str, statement: Statement) -> str:
        """The engine's plan for a query; under policies their effect in words, for the plan would show their text."""
        prepared, plan = await self._explained(by, connection_id, statement)
        if all(governed.is_open for governed in prepared.markers.values()):
            return plan
        from engine.sql.govern import describe

        lines = sorted({describe(governed) for governed in prepared.markers.values()})
        return "\n".join(["Governed by policies. The query reads:", *(f"- {line}" for line in lines)])

    async def _explained(self, by: Principal, connection_id: str, statement: Statement) -> "tuple[Prepared, str]":
        run = await self._open(by, connection_id, statement, self._limits(statement, self._settings.max_rows))
        return run.prepared, await run.connector.explain(run.sql, dict(statement.parameters))

    async def _open(self, by: Principal, connection_id: str, statement: Statement, limits: QueryLimits) -> _Run:
        """A query that was checked and bound to what its tables are now."""
        view = await self._catalog.view(by, connection_id, statement.as_of)
        connector = await self._catalog.connectors.get(view.spec)
        prepared = await self._plans.prepare(view, connector.dialect, statement.sql, max_rows=limits.max_rows)
        _check_parameters(prepared, statement.parameters)
        sources = _past(prepared) if statement.as_of else await connector.sources(prepared.tables)
        run = _Run(by, view, connector, prepared, sources, prepared.fill(sources), statement, limits)
        run.facts.tables, run.facts.versions = prepared.tables, snapshots_of(prepared)
        return run

    @asynccontextmanager
    async def _running(self, run: _Run, cancelled: Cancellation | None) -> AsyncIterator[ArrowStream]:
        """A started query; its end, however it comes, is written to the list of queries and to the costs."""
        stop, stats, started = _joined(cancelled), RunStats(), time.perf_counter()
        run.facts.query_id = query_id = self.queries.new_id()
        reserve = self._reservation(run, query_id)
        listing = asyncio.ensure_future(self.queries.start(run.by, query_id, run.listed, stop, reserve=reserve))
        error: PlatformError | None = None
        try:
            await _whole(listing)
            stream = await run.connector.execute(run.sql, run.statement.parameters, limits=run.limits, cancelled=stop)
            stats = stream.stats
            try:
                run.facts.columns = _columns(stream.schema)
                run.facts.column_privacy = run.prepared.column_privacy([name for name, _ in run.facts.columns])
                yield stream
            finally:
                await stream.close()
                stats = stream.stats  # what the data plane says at the end is another object
        except PlatformError as failure:
            error = failure
            raise
        except BaseException:
            error = Cancelled()
            raise
        finally:
            if listing.done() and not listing.cancelled() and listing.exception() is None:
                await _whole(asyncio.ensure_future(self._finish(run, stats, started, error)))

    def _reservation(self, run: _Run, query_id: str) -> Callable[["Connection"], None]:
        """What must hold when the start is written: the likely price is free, and what is shared still is."""
        paid = self._usage.reservation(
            run.by, query_id, run.likely, timeout_s=run.limits.timeout_s, saved_query=run.statement.reader
        )
        if run.view.spec.kind != SHARE:
            return paid
        shared = still_shared(run.by.tenant, run.view.spec.connection_id)

        def both(connection: "Connection") -> None:
            shared(connection)
            paid(connection)

        return both

    async def _charge_groupings(self, run: _Run) -> None:
        """Also for a kept answer: who asks learns from it, whoever asked first. Raises QuotaExceeded."""
        if run.prepared.aggregated and self._charge is not None:
            await self._charge(run.by, run.view.spec.connection_id, run.prepared.aggregated)

    async def _count_suppressed(self, run: _Run, cancelled: Cancellation | None) -> None:
        """How many groups were too small to be shown; a second, small statement over the same sources."""
        counting = run.prepared.suppressed
        if counting is None:
            return
        values = {name: value for name, value in run.statement.parameters.items() if name in counting.parameters}
        limits = replace(run.limits, max_rows=1)
        sql = counting.fill(run.sources)
        stream = await run.connector.execute(sql, values, limits=limits, cancelled=_joined(cancelled))
        try:
            async for batch in stream:
                run.facts.private_row_count = int(batch.column(0)[0].as_py() or 0)
        finally:
            await stream.close()

    async def _finish(self, run: _Run, stats: RunStats, started: float, error: PlatformError | None) -> None:
        facts = run.facts
        facts.execution_time_ms = round((time.perf_counter() - started) * 1000)
        facts.row_count = stats.row_count
        work = run.work(stats, facts.execution_time_ms)
        facts.rows_scanned, facts.bytes_scanned, facts.cpu_ms = work.rows_scanned, work.bytes_scanned, work.cpu_ms
        if error is None:
            self._note(run)
        end = End(self._clock(), facts.row_count, facts.execution_time_ms, error)
        await self.queries.finish(run.by, facts.query_id, end, settle=self._settlement(run, end, work))

    def _note(self, run: _Run) -> None:
        # The names of then may be those of other columns now.
        if self._record is not None and not run.statement.as_of:
            self._record(run.by, run.view.spec.connection_id, run.prepared, reader=run.statement.reader)

    async def _repeat(self, run: _Run, kept: KeptAnswer) -> Answer:
        """An answer of a moment ago: listed and in the history like any other query, at no cost."""
        facts = run.facts
        facts.query_id, facts.from_cache = self.queries.new_id(), True
        facts.row_count = sum(batch.num_rows for batch in kept.batches)
        facts.is_truncated, facts.columns = kept.is_truncated, _columns(kept.schema)
        facts.column_privacy, facts.private_row_count = kept.column_privacy, kept.private_row_count
        self._note(run)
        end = End(self._clock(), facts.row_count, 0)
        settle = self._settlement(run, end, Work())
        await self.queries.record(run.by, facts.query_id, run.listed, end, settle=settle)
        return self._answer(run, kept)

    def _answer(self, run: _Run, answer: KeptAnswer) -> Answer:
        facts, result_id = run.facts, ""
        if run.statement.keep_for and self._results is not None:
            known = TableFacts(
                tool=run.statement.keep_for,
                connection_id=run.view.spec.connection_id,
                tables=facts.tables,
                is_truncated=facts.is_truncated,
                column_privacy=dict(facts.column_privacy),
                versions=dict(facts.versions),
            )
            table = KeptTable(known, unique_names(answer.schema), answer.batches)
            result_id = facts.query_id if self._results.keep(run.by, facts.query_id, table, run.view) else ""
        rows = make_rows(answer.schema, answer.batches, privacy=facts.column_privacy, result_id=result_id)
        return Answer(rows, facts)

    def _settlement(self, run: _Run, end: End, work: Work) -> Callable[[Any], None]:
        cost = QueryCost(
            query_id=run.facts.query_id,
            owner=run.by.subject,
            connection_id=run.view.spec.connection_id,
            at=end.at,
            status=end.status,
            work=work,
            execution_time_ms=end.execution_time_ms,
            from_cache=run.facts.from_cache,
            cost_usd=to_usd(self._usage.price(work)),
        )
        return self._usage.settlement(run.by, cost, saved_query=run.statement.reader)

    def _limits(self, statement: Statement, most_rows: int) -> QueryLimits:
        settings = self._settings
        is_stream = most_rows == settings.max_stream_rows
        allowed_s = statement.allowed_s or settings.timeout_s
        return QueryLimits(
            max_rows=min(statement.max_rows or most_rows, most_rows),
            max_bytes=2**62 if is_stream else settings.max_mb * 1024 * 1024,
            timeout_s=min(statement.timeout_s or allowed_s, allowed_s),
            memory_mb=settings.memory_mb,
            threads=settings.threads,
        )


def snapshots_of(prepared: "Prepared") -> dict[str, str]:
    """The snapshots of the tables that are read as they were."""
    relations = [governed.source for governed in prepared.markers.values()]
    return {item.name: str(item.snapshot_id) for item in relations if item.snapshot_id is not None}


def _past(prepared: "Prepared") -> dict[str, str]:
    """The FROM items of tables as they were."""
    relations = [governed.source for governed in prepared.markers.values()]
    return {item.name: item.read_from for item in relations if item.read_from}


async def _whole(work: "asyncio.Future[None]") -> None:
    """Wait for what must not be left half done, also when the waiting is cancelled meanwhile."""
    try:
        await asyncio.shield(work)
    except asyncio.CancelledError:
        await asyncio.wait({work})
        if not work.cancelled():
            work.exception()  # that the caller has gone counts more
        raise


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
