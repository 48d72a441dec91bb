"""The semantic layer behind `ctx.engine.semantic`: its parts, and what they do together."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Protocol

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, QueryUnauthorized
from engine.catalog.words import split_words
from engine.connectors.stream import in_thread
from engine.dates.calendar import Calendar
from engine.planner.questions import Asked as PlannedAnswer
from engine.semantic.asking import Asked, Asking, Compiled
from engine.semantic.definitions import Definitions, FoundMetric, ShownMetric, status_of
from engine.semantic.importing import Exchange
from engine.semantic.knowledge import Knowledge
from engine.semantic.layers import Seen
from engine.semantic.store import Change, Stored
from engine.semantic.verified import Verified, VerifiedQueries
from engine.sql.builder import QueryBuilder, quote
from engine.sql.facts import Statement
from engine.sql.run import Catalog, SqlService
from engine.store.db import Store

if TYPE_CHECKING:
    from engine.planner.schema import Schema
    from engine.semantic.layer import Layer
    from engine.semantic.readings import MetricReading
    from engine.semantic.values import FindValue

LAKEHOUSE = "lakehouse"
LEAST_READ = 0.53  # below it a question is declined: one noun that nothing stands for is enough
LEAST_SURE = 0.75  # below it the tables themselves are asked
MAX_PROPOSED = 60
PROFILE_TIMEOUT_S = 3.0
MAX_PROFILED_ROWS = 20_000_000


class Schemas(Protocol):
    """Shows tables, keys and values of a connection as a caller sees them."""

    async def schema(self, by: Principal, connection_id: str, question: str = "") -> "Schema": ...


@dataclass(frozen=True, slots=True)
class Proposed:
    """A proposal as it was kept, and as text."""

    items: list[Stored] = field(default_factory=list)
    yaml: str = ""
    notes: list[str] = field(default_factory=list)


class Semantic:
    """Models, metrics, verified queries and knowledge of every tenant."""

    def __init__(
        self,
        store: Store,
        *,
        catalog: Catalog,
        builder: QueryBuilder,
        sql: SqlService,
        schemas: Schemas,
        clock: Callable[[], float] = time.time,
    ):
        self._clock = clock
        self._catalog = catalog
        self._builder = builder
        self._sql = sql
        self._schemas = schemas
        self.definitions = Definitions(store, catalog=catalog, clock=clock)
        self.items = self.definitions.items
        self.exchange = Exchange(self.definitions, builder, sql)
        self.asking = Asking(catalog, builder, sql)
        self.knowledge = Knowledge(self.items, catalog)
        self.verified = VerifiedQueries(self.items, reader=builder, schemas=schemas.schema, clock=clock)

    async def layer(self, by: Principal, connection_id: str = LAKEHOUSE) -> "Layer | None":
        """What the caller can ask of a connection, or None when nothing is defined for it."""
        return await self.definitions.layer(by, connection_id)

    async def match(
        self, by: Principal, question: str, connection_id: str, *, today: date | None = None
    ) -> Verified | None:
        """The verified query that a question is, word for word or with other values where they are declared."""
        return await self.verified.match(by, question, connection_id, today=today)

    async def search(self, by: Principal, text: str, limit: int = 10, subject_path: str = "") -> list[ShownMetric]:
        """Metrics by words of their names, labels, synonyms and descriptions, the best first."""
        found = await self.definitions.metrics(by, subject_path=subject_path)
        wanted = split_words(text)
        scored = [(score, each) for each in found if (score := _score(each, wanted)) > 0]
        scored.sort(key=lambda item: (-item[0], item[1].metric.name))
        return await self.definitions.show([each for _, each in scored[:limit]])

    async def compile(
        self, by: Principal, asked: Asked, connection_id: str = "", *, today: date | None = None
    ) -> Compiled:
        """The SQL of a question for metrics; without a connection, of the one that the first metric is of.

        Raises NotFound, Conflict, QueryUnauthorized."""
        if not connection_id:
            connection_id = await self._connection(by, asked.metrics)
        seen = await self.definitions.layers.seen(by, connection_id)
        return await self.asking.compile(by, seen, asked, self.now(today))

    async def read_question(
        self,
        by: Principal,
        question: str,
        connection_id: str = LAKEHOUSE,
        *,
        today: date | None = None,
        calendar: Calendar | None = None,
    ) -> "MetricReading":
        """A question in words as a question for metrics, without a model; with what it leaves open.

        Raises NotFound, Unavailable."""
        from engine.semantic.reading import read_question
        from engine.semantic.readings import MetricReading, checked

        seen = await self.definitions.layers.seen(by, connection_id)
        if not seen.layer.metrics:
            return MetricReading(None, 0.0)
        schema = await self._schemas.schema(by, connection_id, question)
        now, counted = self.now(today), calendar or Calendar()

        def read() -> MetricReading:
            reading = read_question(question, seen.layer, _values(seen, schema), now, counted)
            return checked(reading, seen.layer)

        return await in_thread(read)

    async def compile_reading(self, by: Principal, connection_id: str, reading: "MetricReading") -> Compiled:
        """The SQL of what was read. Raises Conflict where that is too little, and as `compile` does."""
        if reading.query is None or reading.confidence < LEAST_READ:
            words = ", ".join(repr(word[:40]) for word in reading.uncovered[:5]) or "the question"
            near = f"Near to it: {', '.join(reading.nearest)}." if reading.nearest else "list_metrics shows all."
            raise Conflict(f"No metric covers {words}.", hint=near)
        seen = await self.definitions.layers.seen(by, connection_id)
        if reading.formed:
            seen = replace(seen, layer=seen.layer.plus(*reading.formed))
        connector = await self._catalog.connectors.get(seen.view.spec)
        query = replace(reading.query, dialect=connector.dialect)
        return await self.asking.finish(by, seen, query, reading.range, reading.versus)

    async def answer(
        self, by: Principal, connection_id: str, question: str, *, today: date | None = None
    ) -> PlannedAnswer | None:
        """The SQL of a question that metrics cover, as the planner says it; None where they leave something open."""
        if not by.may("semantic.read"):
            return None
        reading = await self.read_question(by, question, connection_id, today=today)
        if reading.query is None or reading.confidence < LEAST_SURE:
            return None
        try:
            compiled = await self.compile_reading(by, connection_id, reading)
        except (Conflict, QueryUnauthorized):
            return None
        names = ", ".join(reading.query.metrics)
        doubts = (f"Metrics of the semantic layer: {names}", *reading.assumed)
        return PlannedAnswer(compiled.built, round(reading.confidence, 2), doubts, reading.conventions)

    def now(self, today: date | None = None) -> datetime:
        """The local time that phrases such as `last week` are seen from."""
        moment = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return moment if today is None else datetime(today.year, today.month, today.day, 23, 59, 59)

    async def propose(self, by: Principal, connection_id: str, tables: Sequence[str]) -> Proposed:
        """Drafts of models and metrics for tables, or for all that the caller sees. They answer nothing.

        Raises NotFound, Conflict."""
        schema = await self._schemas.schema(by, connection_id, " ".join(tables))
        names = await in_thread(lambda: _tables(schema, tables))
        facts = await self._profile(by, connection_id, schema, names)
        whole, _ = await self.definitions.layers.whole(by.tenant, connection_id, drafts=True)
        taken = {item.name for item in await self.items.all(by.tenant, "model", "metric")} | set(whole.measures)
        made = await in_thread(lambda: _propose(schema, names, facts, taken))
        status_of(by, "draft")
        kinds = [("model", each) for each in made.models] + [("metric", each) for each in made.metrics]
        changes = [Change(kind, each["name"], each, connection_id, "draft", version=0) for kind, each in kinds]  # type: ignore[arg-type]
        items = await self.definitions.put(by, changes)
        document = {"semantic_models": made.models, "metrics": made.metrics}
        return Proposed(items, await in_thread(lambda: _yaml(document)), made.notes)

    async def _profile(
        self, by: Principal, connection_id: str, schema: "Schema", names: Sequence[str]
    ) -> dict[tuple[str, str], bool]:
        """Whether the likely keys are another in each row, as far as that is quickly found out."""
        facts: dict[tuple[str, str], bool] = {}
        for name in names:
            table = schema.tables[name]
            if len(table.key) != 1 or (table.row_count or 0) > MAX_PROFILED_ROWS:
                continue
            column = {"column": quote(table.key[0].name)}
            measures = [
                {"aggregate": "count", "alias": "rows"},
                {"aggregate": "count", "expression": column, "distinct": True, "alias": "different"},
            ]
            try:
                built = await self._builder.build(by, connection_id, {"table": name, "measures": measures})
                answer = await self._sql.execute(by, connection_id, Statement(built.sql, timeout_s=PROFILE_TIMEOUT_S))
            except PlatformError:
                continue  # what cannot be looked at stays a guess
            for row in answer.rows.records():
                facts[name, table.key[0].name] = row["rows"] == row["different"]
        return facts

    async def _connection(self, by: Principal, metrics: Sequence[str]) -> str:
        if not metrics:
            raise Conflict("The query names no metric.", hint="list_metrics shows them.")
        return (await self.definitions.metric(by, metrics[0])).stored.connection_id


def _values(seen: Seen, schema: "Schema") -> "FindValue":
    """The values of the models' tables, as far as the caller sees them."""
    from engine.planner.schema import values_of
    from engine.semantic.sight import governed_of

    models: dict[str, list[str]] = {}
    for model in seen.layer.models.values():
        governed = governed_of(model.table, seen.view)
        if governed is not None:
            models.setdefault(governed.relation.name, []).append(model.name)

    def find(text: str) -> list[tuple[str, str, str]]:
        held = values_of(schema, text)
        return [(model, column.name, value) for column, value in held for model in models.get(column.table, ())]

    return find


def _score(shown: FoundMetric, wanted: Sequence[str]) -> float:
    """How well words fit: those of a name or synonym count more than those of a description."""
    metric = shown.metric
    names = [set(split_words(text)) for text in (metric.name, metric.label, *metric.synonyms) if text]
    about = set(split_words(f"{metric.description} {metric.subject_path}"))
    score = 0.0
    for word in wanted:
        if any(word in words for words in names):
            score += 3.0
        elif any(any(known.startswith(word) for known in words) for words in names):
            score += 2.0
        elif word in about:
            score += 1.0
    best = max((len(words & set(wanted)) / len(words) for words in names if words), default=0.0)
    return score / max(len(wanted), 1) + best


def _tables(schema: "Schema", wanted: Sequence[str]) -> list[str]:
    if not wanted:
        names = list(schema.tables)
    else:
        known = {name.lower(): name for name in schema.tables}
        missing = [name for name in wanted if name.lower() not in known]
        if missing:
            raise NotFound(f"No table {missing[0][:80]!r}.", hint="list_tables shows the tables of a connection.")
        names = [known[name.lower()] for name in wanted]
    if not names or len(names) > MAX_PROPOSED:
        raise Conflict(
            f"A proposal is about 1 to {MAX_PROPOSED} tables; these are {len(names)}.", hint="Name the tables."
        )
    return names


def _propose(schema: "Schema", names: Sequence[str], facts: dict[tuple[str, str], bool], taken: set[str]) -> Any:
    from engine.semantic.proposing import propose

    return propose(schema, names, lambda table, column: facts.get((table, column)), taken)


def _yaml(document: Any) -> str:
    from engine.semantic.documents import write_document

    return write_document(document)
