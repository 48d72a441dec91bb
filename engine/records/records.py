"""Records written for callers: through their view of a table, once for each key, and all or nothing."""

import asyncio
import hashlib
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import TypeVar

from core.context import Cancellation, Principal
from core.errors import Conflict
from engine.catalog.catalog import Catalog, TableView
from engine.connectors.stream import in_thread
from engine.connectors.writers import Writers
from engine.lake.buckets import read_bucket
from engine.lake.names import parse_table_name
from engine.lake.warehouse import Lake
from engine.records.turns import Turns
from engine.records.wishes import Insertion, Outcome, Wish
from engine.sql.builder import known_key

T = TypeVar("T")
LOOKS = 4  # at a table that others change in the meantime
MAX_S = 3600.0


@dataclass(frozen=True, slots=True)
class Asked:
    """How a call is to be carried out."""

    dry_run: bool = False
    idempotency_key: str = ""
    cancelled: Cancellation = field(default_factory=Cancellation)
    deadline: float | None = None  # of time.monotonic()

    @property
    def left_s(self) -> float:
        return MAX_S if self.deadline is None else max(0.1, self.deadline - time.monotonic())


@dataclass(frozen=True, slots=True)
class Means:
    """What a write into the lakehouse may use."""

    memory_mb: int
    threads: int
    temp_directory: Path | None = None


class Records:
    """Writes in this process: the data plane cannot."""

    def __init__(self, *, catalog: Catalog, lake: Lake, writers: Writers, means: Means):
        self._catalog = catalog
        self._lake = lake
        self._writers = writers
        self._means = means
        self._turns = Turns()

    async def write(self, by: Principal, connection_id: str, table: str, wish: Wish, asked: Asked) -> Outcome:
        """Raises NotFound, QueryUnauthorized, Conflict, Unavailable, Timeout, Cancelled; then nothing was written.

        Only an Unavailable that says so leaves open whether something was."""
        view = await self._catalog.table(by, connection_id, table)
        wish = _with_key(wish, view)
        kind = (await self._catalog.connections.get(by.tenant, connection_id)).kind
        async with self._turns.take(by.tenant, f"{connection_id}/{view.key}"):
            if kind == "lakehouse":
                return await self._write_lake(by, view, wish, asked)
            return await self._write_database(by, view, wish, asked)

    async def _write_lake(self, by: Principal, view: TableView, wish: Wish, asked: Asked) -> Outcome:
        from engine.records.bench import Run, Workshop  # pyiceberg and DuckDB come with the first write
        from engine.records.commits import Mark
        from engine.records.reach import Reach
        from engine.records.tables import Stale, write_table

        site = await in_thread(lambda: self._lake.site(by.tenant))
        bucket = read_bucket(site.root, site.given) if site.is_remote else None
        shop = Workshop(self._means.memory_mb, self._means.threads, self._means.temp_directory, bucket)
        mark = Mark(*_mark(by, view, wish, asked)) if asked.idempotency_key else Mark()

        async def once(view: TableView) -> Outcome:
            reach = Reach(view.governed, "duckdb")
            name = parse_table_name(view.relation.name)

            def work(stop: _Stop) -> Outcome:
                run = Run(secrets.token_hex(8), mark, asked.dry_run, is_cancelled=stop.is_set, on_start=stop.on_set)
                reach.check()
                return self._lake.commit_now(
                    by.tenant, lambda catalog: write_table(catalog, name.parts, wish, reach, run, shop)
                )

            return await _carried_out(work, asked.cancelled)

        for _ in range(LOOKS):
            try:
                return await once(view)
            except Stale:  # what may be seen is decided afresh, on the table as it is now
                view = await self._catalog.table(by, view.connection_id, view.relation.name)
        raise Conflict("The table's columns change all the time.", hint="Retry when nobody changes them.")

    async def _write_database(self, by: Principal, view: TableView, wish: Wish, asked: Asked) -> Outcome:
        from engine.records.databases import write_database
        from engine.records.reach import Reach

        spec = await self._catalog.connections.spec(by.tenant, view.connection_id)
        writer = await in_thread(lambda: self._writers.open(spec))
        connector = await self._catalog.connectors.get(spec)
        sources = await connector.sources([view.governed.source.name])
        reach = Reach(view.governed, connector.dialect)
        source = sources[view.governed.source.name]

        def work(stop: _Stop) -> Outcome:
            reach.check()
            return writer.transact(
                lambda session: write_database(session, reach, wish, source, dry_run=asked.dry_run),
                timeout_s=asked.left_s,
                dry_run=asked.dry_run,
                on_start=stop.on_set,
            )

        return await _carried_out(work, asked.cancelled)


class _Stop:
    """Tells a thread to stop, and what runs in it."""

    def __init__(self) -> None:
        self._is_set = False
        self._interrupt: Callable[[], None] = lambda: None

    def is_set(self) -> bool:
        return self._is_set

    def on_set(self, interrupt: Callable[[], None]) -> None:
        self._interrupt = interrupt

    def set(self) -> None:
        self._is_set = True
        self._interrupt()


async def _carried_out(work: Callable[[_Stop], T], cancelled: Cancellation) -> T:
    """Run it in a thread. A caller who goes away stops it, and then waits for how it ended: it may be committed."""
    stop = _Stop()
    cancelled.on_set(stop.set)
    running = asyncio.ensure_future(in_thread(lambda: work(stop)))
    try:
        return await asyncio.shield(running)
    except asyncio.CancelledError:
        stop.set()
        await asyncio.wait([running])
        if running.cancelled() or running.exception() is not None:
            raise
        return running.result()


def _with_key(wish: Wish, view: TableView) -> Wish:
    """The table's own key where a wish needs one and names none. Raises Conflict."""
    if not isinstance(wish, Insertion) or wish.on_conflict == "error" or wish.key_columns:
        return wish
    key = known_key(view.governed)
    if not key:
        raise Conflict("The table declares no key that can be used.", hint="Name its columns under key_columns.")
    return replace(wish, key_columns=key)


def _mark(by: Principal, view: TableView, wish: Wish, asked: Asked) -> tuple[str, str]:
    """What a repeated call is known by in the table's own history; it tells nobody who made it."""
    scope = [by.tenant, by.subject, type(wish).__name__, view.connection_id, asked.idempotency_key]
    arguments = json.dumps(asdict(wish), sort_keys=True, default=str)
    return _digest(json.dumps(scope)), _digest(arguments)


def _digest(text: str) -> str:
    return hashlib.sha256(text.encode("utf-8", "surrogatepass")).hexdigest()[:40]
