"""Questions in words, asked by somebody: their schema and values as they see them, and the SQL that answers."""

import time
from collections import OrderedDict
from collections.abc import Callable, Hashable
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Protocol

from core.context import Principal
from core.errors import Conflict, PlatformError
from engine.catalog.views import View
from engine.connectors.stream import in_thread
from engine.retrieval.retrieval import Retrieval
from engine.sql.builder import QueryBuilder, quote
from engine.sql.facts import Statement
from engine.sql.run import Catalog, SqlService

if TYPE_CHECKING:
    from engine.planner.context import Linked, Samples
    from engine.planner.planner import Planned
    from engine.planner.schema import Column, Schema
    from engine.sql.build import Built

FRESH_S = 300.0
MAX_SCHEMAS = 32
MAX_TABLES = 200  # beyond it only those that retrieval finds for the question are read
CANDIDATES, HITS = 40, 120
MAX_COLUMNS, CANDIDATE_COLUMNS = 120, 40  # whose values are read
MAX_VALUES = 5000
VALUES_TIMEOUT_S = 5.0
MAX_SAMPLED_ROWS = 50_000_000
MAX_KNOWLEDGE = 8
MAX_ABOUT = 2_000  # characters of a question and its knowledge that tables are looked for by


@dataclass(frozen=True, slots=True)
class Asked:
    """The SQL of a question, how sure it is that this was meant, and what was assumed on the way."""

    built: "Built"
    confidence: float
    doubts: tuple[str, ...]
    conventions: tuple[str, ...]


class MetricAnswers(Protocol):
    """Answers questions that defined metrics cover."""

    async def answer(
        self, by: Principal, connection_id: str, question: str, *, today: date | None = None
    ) -> Asked | None:
        """None where metrics leave something of the question open. Raises NotFound, Unavailable."""
        ...


class Questions:
    """Plans questions without a model. What it makes is SQL that passes the same governance as any other."""

    def __init__(
        self,
        catalog: Catalog,
        sql: SqlService,
        builder: QueryBuilder,
        *,
        retrieval: Retrieval | None = None,
        clock: Callable[[], float] = time.time,
    ):
        self._catalog = catalog
        self._sql = sql
        self._builder = builder
        self._retrieval = retrieval
        self._clock = clock
        self._schemas: OrderedDict[Hashable, tuple[float, Schema]] = OrderedDict()
        self._samples: tuple[Schema, Samples] | None = None  # of the schema that was asked about last
        self._metrics: MetricAnswers | None = None

    def prefer(self, metrics: MetricAnswers) -> None:
        """What metrics answer goes before what is planned over tables."""
        self._metrics = metrics

    async def ask(
        self,
        by: Principal,
        connection_id: str,
        question: str,
        *,
        today: date | None = None,
        knowledge: str = "",
    ) -> Asked:
        """The SQL that answers a question, with what the asker adds to it and what the tenant's knowledge says of it.

        Raises NotFound, Unavailable, Conflict where it is declined."""
        from engine.planner.meanings import spelled_out
        from engine.planner.planner import plan  # questions are rare at a start, and words take memory

        if self._metrics is not None:
            answered = await self._metrics.answer(by, connection_id, question, today=today)
            if answered is not None:
                return answered
        known = [text for text in (knowledge, *await self._known(by, connection_id, question)) if text]
        about = await in_thread(lambda: spelled_out(question, known)) if known else question
        schema = await self.schema(by, connection_id, about[:MAX_ABOUT])
        planned = await in_thread(lambda: plan(question, schema, self._now(today), knowledge=known))
        if planned.definition is None:
            raise _declined(planned)
        built = await self._builder.build(by, connection_id, planned.definition)
        return Asked(built, round(planned.confidence, 2), planned.doubts, planned.conventions)

    async def link(
        self, by: Principal, connection_id: str, question: str, *, today: date | None = None, limit: int = 8
    ) -> "tuple[Linked, Samples]":
        """What of a connection a question is about, as the caller sees it. Raises NotFound, Unavailable."""
        from engine.planner.context import link, samples_of

        schema = await self.schema(by, connection_id, question)
        kept = self._samples
        if kept is None or kept[0] is not schema:
            kept = self._samples = (schema, await in_thread(lambda: samples_of(schema)))
        return await in_thread(lambda: link(question, schema, self._now(today), limit=limit)), kept[1]

    async def schema(self, by: Principal, connection_id: str, question: str = "") -> "Schema":
        """The tables, keys and values that the caller sees: of many tables those that a question may be about.

        Raises NotFound, Unavailable."""
        view = await self._catalog.view(by, connection_id, "")
        return await self._schema(by, connection_id, view, await self._candidates(by, view, question))

    async def _known(self, by: Principal, connection_id: str, question: str) -> list[str]:
        """The tenant's texts that are near to a question, of those that the caller may see."""
        if self._retrieval is None or not by.may("semantic.read"):
            return []
        try:
            hits = await self._retrieval.search(by, question, ("knowledge",), 2 * MAX_KNOWLEDGE)
        except PlatformError:  # an index that is away takes nothing from the schema
            return []
        near = [hit for hit in hits if hit.connection_id in ("", connection_id)]
        return [f"{hit.title}: {hit.text}" for hit in near[:MAX_KNOWLEDGE]]

    async def _candidates(self, by: Principal, view: View, question: str) -> tuple[str, ...]:
        """The keys of the tables that a question may be about, the best first; none where all are read."""
        if self._retrieval is None or not question or len(view.names) <= MAX_TABLES:
            return ()
        connection_id = view.spec.connection_id
        hits = await self._retrieval.search(by, question, ("table", "column", "value"), HITS, connection_id)
        return tuple(dict.fromkeys(hit.table_key for hit in hits))[:CANDIDATES]

    def _now(self, today: date | None) -> datetime:
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return now if today is None else datetime(today.year, today.month, today.day, 23, 59, 59)

    async def _schema(self, by: Principal, connection_id: str, view: View, names: tuple[str, ...]) -> "Schema":
        """What the caller sees of these tables, or of all, with values; kept for callers who see the same."""
        key = (view.spec.tenant, connection_id, view.spec.version, view.key, view.snapshot.taken_at, names)
        kept = self._schemas.get(key)
        if kept is not None and self._clock() - kept[0] < FRESH_S:
            self._schemas.move_to_end(key)
            return kept[1]
        connector = await self._catalog.connectors.get(view.spec)
        schema = await in_thread(lambda: _read(view, names, connector.dialect))
        await self._learn(by, connection_id, schema, CANDIDATE_COLUMNS if names else MAX_COLUMNS)
        self._schemas[key] = (self._clock(), schema)
        while len(self._schemas) > MAX_SCHEMAS:
            self._schemas.popitem(last=False)
        return schema

    async def _learn(self, by: Principal, connection_id: str, schema: "Schema", count: int) -> None:
        """The values of text columns, read as the caller, as far as that is quick."""
        from engine.planner.learning import learn_from_values
        from engine.planner.schema import add_values

        tables = [table for table in schema.tables.values() if (table.row_count or 0) <= MAX_SAMPLED_ROWS]
        columns = [column for table in tables for column in table.columns if column.is_readable]
        for column in [column for column in columns if column.family == "text"][:count]:
            add_values(schema, column, await self._values(by, connection_id, column))
        learn_from_values(schema)

    async def _values(self, by: Principal, connection_id: str, column: "Column") -> list[str]:
        """The distinct values of a column; none where there are too many, or reading them fails or takes too long."""
        definition = {
            "table": column.table,
            "select": [{"column": quote(column.name), "alias": "value"}],
            "distinct": True,
            "filters": [{"column": quote(column.name), "operator": "not_null"}],
            "limit": MAX_VALUES + 1,
        }
        try:
            built = await self._builder.build(by, connection_id, definition)
            statement = Statement(built.sql, timeout_s=VALUES_TIMEOUT_S, max_rows=MAX_VALUES + 1)
            answer = await self._sql.execute(by, connection_id, statement)
        except PlatformError:
            return []  # a question may still be read without the values of one column
        values = [str(row["value"]) for row in answer.rows.records()]
        return values if len(values) <= MAX_VALUES and not answer.facts.is_truncated else []


def _read(view: View, names: tuple[str, ...], dialect: str) -> "Schema":
    from engine.planner.schema import Relation, read_schema
    from engine.planner.words import cues

    relations = []
    for key in names or view.names[:MAX_TABLES]:
        governed = view.get(key)
        if governed is None:
            continue
        relation = governed.relation
        unreadable = {column.name for column in relation.columns if governed.privacy(column.name) != "public"}
        columns = [(column.name, column.data_type) for column in relation.columns]
        relations.append(
            Relation(
                relation.name,
                columns,
                relation.primary_key,
                relation.row_count,
                frozenset(unreadable),
                relation.foreign_keys,
            )
        )
    return read_schema(relations, cues(), dialect)


def _declined(planned: "Planned") -> Conflict:
    """Why no SQL was made, in the words of the question."""
    if planned.unexplained:
        words = ", ".join(repr(word[:40]) for word in planned.unexplained[:5])
        return Conflict(
            f"Nothing in this connection stands for {words}.",
            hint="Use names of tables, columns and values as search_catalog shows them, or describe the query.",
        )
    why = planned.doubts[0] if planned.doubts else "too much of it may mean something else"
    return Conflict(
        f"The question is not clear enough: {why}.",
        hint="Name the table and the columns that you mean, or describe the query.",
    )
