"""Lineage by column: what queries that ran have read and made, kept in batches, shown to who may see all of it."""

import asyncio
import hashlib
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any

from sqlalchemy import Connection, delete, insert, select, text, update

from core.context import Principal
from core.errors import NotFound, PlatformError
from engine.catalog.views import View
from engine.lake.names import split_name
from engine.store.db import Store
from engine.store.lineage_tables import lineage_columns, lineage_queries

if TYPE_CHECKING:
    from engine.sql.bind import Prepared

FLUSH_S = 2.0
MAX_WAITING = 2_000  # shapes that wait to be written; more of them are dropped, not the queries held up
MAX_EDGES = 1_000
MAX_SHOWN = 100
KEPT_S = 90 * 86_400
Q, C = lineage_queries.c, lineage_columns.c

_ADD_QUERY = text(
    "INSERT INTO lineage_query"
    " (tenant_id, connection_id, shape_hash, reader, sql_shape, target, run_count, last_run_at)"
    " VALUES (:tenant, :connection, :shape, :reader, :text, :target, 0, 0) ON CONFLICT DO NOTHING"
)

Edge = tuple[str, str, str, bool]
"""Table, column, output (empty when it is only read), and whether the output is computed from it."""


@dataclass(slots=True)
class _Waiting:
    prepared: "Prepared"
    count: int
    last_at: float


@dataclass(frozen=True, slots=True)
class DerivedOutput:
    """A column that a query made from the one asked for, or from one it decided on."""

    name: str
    is_direct: bool


@dataclass(slots=True)
class Reader:
    """A query that read the table; statements that differ only in literals are one."""

    shape_hash: str
    sql_shape: str
    reader: str
    target: str
    run_count: int
    last_run_at: float
    columns: list[str] = field(default_factory=list)
    outputs: list[DerivedOutput] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Link:
    """A column that another comes from, or goes to."""

    table: str
    column: str
    is_direct: bool


@dataclass(slots=True)
class Lineage:
    """What is known of a table, or of one column of it."""

    table: str
    column: str
    upstream: list[Link] = field(default_factory=list)
    downstream: list[Link] = field(default_factory=list)
    readers: list[Reader] = field(default_factory=list)
    is_truncated: bool = False


class LineageLog:
    """Takes note of queries as they run, and tells who reads what."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock
        self._waiting: OrderedDict[tuple[str, str, str, str, str], _Waiting] = OrderedDict()
        self._writer: asyncio.Task[None] | None = None
        self._swept_at = 0.0

    def record(
        self, by: Principal, connection_id: str, prepared: "Prepared", *, reader: str = "", target: str = ""
    ) -> None:
        """Note that a query ran; written within seconds. `reader` is what ran it, `target` the table it filled."""
        if not prepared.markers:
            return
        key = (by.tenant, connection_id, prepared.shape, reader, target)
        known = self._waiting.get(key)
        if known is not None:
            known.count += 1
            known.last_at = self._clock()
        elif len(self._waiting) < MAX_WAITING:
            self._waiting[key] = _Waiting(prepared, 1, self._clock())
        if self._writer is None or self._writer.done():
            self._writer = asyncio.get_running_loop().create_task(self._write_later())

    async def flush(self) -> None:
        """Write what waits."""
        taken, self._waiting = self._waiting, OrderedDict()
        if taken:
            await self._store.write(lambda connection: self._write(connection, taken))

    async def close(self) -> None:
        if self._writer is not None:
            self._writer.cancel()
            await asyncio.gather(self._writer, return_exceptions=True)
        await self.flush()

    async def _write_later(self) -> None:
        while self._waiting:
            await asyncio.sleep(FLUSH_S)
            try:
                await self.flush()
            except PlatformError:
                return  # lineage of a moment in which the store is away is not worth a query

    def _write(self, connection: Connection, taken: "OrderedDict[tuple[str, str, str, str, str], _Waiting]") -> None:
        for (tenant, connection_id, shape, reader, target), item in taken.items():
            edges = _edges(item.prepared)
            digest = _digest(shape, target, edges)
            where = (Q.tenant_id == tenant, Q.connection_id == connection_id, Q.shape_hash == digest)
            is_known = connection.execute(select(Q.reader).where(*where).limit(1)).first() is not None
            row = {"tenant": tenant, "connection": connection_id, "shape": digest, "reader": reader[:128]}
            connection.execute(_ADD_QUERY, {**row, "text": shape, "target": target[:512]})
            if not is_known:
                _write_edges(connection, tenant, connection_id, digest, edges)
            change = update(lineage_queries).where(*where, Q.reader == reader[:128])
            connection.execute(change.values(run_count=Q.run_count + item.count, last_run_at=item.last_at))
        if self._clock() - self._swept_at > 3600:
            self._swept_at = self._clock()
            self._sweep(connection)

    def _sweep(self, connection: Connection) -> None:
        """Forget what has not run for a season."""
        old = select(Q.tenant_id, Q.connection_id, Q.shape_hash).where(Q.last_run_at < self._clock() - KEPT_S)
        for tenant, connection_id, digest in connection.execute(old.limit(1000)).all():
            for table in (lineage_queries, lineage_columns):
                key = (table.c.tenant_id == tenant, table.c.connection_id == connection_id)
                connection.execute(delete(table).where(*key, table.c.shape_hash == digest))

    async def find(self, view: View, table: str, column: str = "") -> Lineage:
        """Who reads a table or column, and what becomes of it. Raises NotFound.

        A query is shown only to those who may see every table and column that it reads."""
        governed = view.find(split_name(table))
        if governed is None:
            raise NotFound(f"No table {table[:120]!r}.", hint="list_tables shows the tables you can use.")
        name = governed.relation.name
        exact = next((item.name for item in governed.relation.columns if item.name.lower() == column.lower()), "")
        if column and not exact:
            raise NotFound(f"No column {column[:120]!r} in {name!r}.", hint="list_columns shows a table's columns.")
        tenant, connection_id = view.principal.tenant, view.spec.connection_id
        found = await self._store.read(lambda connection: _read(connection, tenant, connection_id, name, exact))
        return _shown(view, name, exact, *found)


def _edges(prepared: "Prepared") -> list[Edge]:
    """In a fixed order; outputs have the names that the query gives them."""
    edges: list[Edge] = []
    placed: set[tuple[str, str]] = set()
    for output in prepared.outputs:
        name = output.name or "?"
        for origins, is_direct in ((output.direct, True), (output.indirect - output.direct, False)):
            edges += [(table, column, name, is_direct) for table, column in sorted(origins)]
            placed |= origins
    edges += [(table, column, "", False) for table, column in sorted(prepared.origins - placed)]
    seen = {table for table, *_ in edges}
    edges += [(table, "", "", False) for table in prepared.tables if table not in seen]
    return edges[:MAX_EDGES]


def _digest(shape: str, target: str, edges: Sequence[Edge]) -> str:
    return hashlib.sha256(repr((shape, target, edges)).encode()).hexdigest()[:40]


def _write_edges(connection: Connection, tenant: str, connection_id: str, digest: str, edges: Sequence[Edge]) -> None:
    rows = [
        {
            "tenant_id": tenant,
            "connection_id": connection_id,
            "shape_hash": digest,
            "position": position,
            "table_name": table[:512],
            "column_name": column[:512],
            "output": output[:512],
            "is_direct": int(is_direct),
        }
        for position, (table, column, output, is_direct) in enumerate(edges)
    ]
    if rows:
        connection.execute(insert(lineage_columns), rows)


def _read(
    connection: Connection, tenant: str, connection_id: str, table: str, column: str
) -> tuple[Sequence[Any], Sequence[Any]]:
    """The latest queries that read a table or filled it, and all that each of them reads."""
    here = (C.tenant_id == tenant, C.connection_id == connection_id)
    reads = select(C.shape_hash).where(*here, C.table_name == table)
    if column:
        reads = reads.where(C.column_name == column)
    wanted = (Q.tenant_id == tenant, Q.connection_id == connection_id)
    chosen = (
        select(lineage_queries)
        .where(*wanted, Q.shape_hash.in_(reads) | (Q.target == table))
        .order_by(Q.last_run_at.desc())
        .limit(MAX_SHOWN * 5)
    )
    queries = connection.execute(chosen).all()
    hashes = {row.shape_hash for row in queries}
    edges = connection.execute(select(lineage_columns).where(*here, C.shape_hash.in_(hashes)).order_by(C.position))
    return queries, edges.all()


def _shown(view: View, table: str, column: str, queries: Iterable[Any], edges: Iterable[Any]) -> Lineage:
    """What of it the caller may see."""
    by_hash: dict[str, list[Any]] = {}
    for edge in edges:
        by_hash.setdefault(edge.shape_hash, []).append(edge)
    visible: dict[tuple[str, str], bool] = {}
    found = Lineage(table, column)
    links: tuple[dict[Link, None], dict[Link, None]] = ({}, {})
    for query in queries:
        own = by_hash.get(query.shape_hash, [])
        if not all(_sees(view, edge.table_name, edge.column_name, visible) for edge in own):
            continue
        if query.target and not _sees(view, query.target, "", visible):
            continue
        if query.target == table:
            made = [edge for edge in own if edge.output and (not column or edge.output.lower() == column.lower())]
            links[0].update({Link(edge.table_name, edge.column_name, bool(edge.is_direct)): None for edge in made})
        used = [edge for edge in own if edge.table_name == table and (not column or edge.column_name == column)]
        if not used:
            continue
        if query.target:
            goes = [edge for edge in used if edge.output]
            links[1].update({Link(query.target, edge.output, bool(edge.is_direct)): None for edge in goes})
        if len(found.readers) == MAX_SHOWN:
            found.is_truncated = True
            break
        found.readers.append(_reader(query, used))
    found.upstream, found.downstream = list(links[0]), list(links[1])
    return found


def _reader(query: Any, used: Sequence[Any]) -> Reader:
    outputs: dict[str, bool] = {}
    for edge in used:
        if edge.output:
            outputs[edge.output] = outputs.get(edge.output, False) or bool(edge.is_direct)
    return Reader(
        shape_hash=query.shape_hash,
        sql_shape=query.sql_shape,
        reader=query.reader,
        target=query.target,
        run_count=query.run_count,
        last_run_at=query.last_run_at,
        columns=sorted({edge.column_name for edge in used if edge.column_name}),
        outputs=[DerivedOutput(name, is_direct) for name, is_direct in outputs.items()],
    )


def _sees(view: View, table: str, column: str, known: dict[tuple[str, str], bool]) -> bool:
    key = (table, column)
    if key not in known:
        governed = view.find(split_name(table))
        names = () if governed is None else [item.name for item in governed.relation.columns]
        known[key] = governed is not None and (not column or column in names)
    return known[key]
