"""Metrics asked for by somebody: from names, words about time and filters to SQL, and to rows."""

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, Literal, cast

from core.context import Cancellation, Principal
from core.errors import Conflict, NotFound
from engine.connectors.stream import in_thread
from engine.dates.calendar import Calendar, Unit
from engine.dates.find import find_dates
from engine.dates.ranges import Range
from engine.semantic.layers import Seen
from engine.sql.builder import QueryBuilder
from engine.sql.facts import Answer, Statement
from engine.sql.run import Catalog, SqlService

if TYPE_CHECKING:
    from engine.semantic.compile import MetricQuery
    from engine.semantic.layer import Layer
    from engine.sql.build import Built
    from engine.sql.definitions import Condition

Compare = Literal[
    "none",
    "previous_period",
    "previous_day",
    "previous_week",
    "previous_month",
    "previous_quarter",
    "previous_year",
]
BOUNDS_TIMEOUT_S = 10.0
_TIME = r"(\d{4}-\d\d-\d\d(?:[T ]\d\d:\d\d(?::\d\d)?)?)?"
_ISO = re.compile(rf"\s*{_TIME}\s*(?:/|\.\.)\s*{_TIME}\s*")


@dataclass(frozen=True, slots=True)
class Asked:
    """A question for metrics as people and programs put it.

    time_range: words, or start/end in ISO form, half-open. filters: conditions on dimensions, as in a definition, or
    as MetricFlow writes them; having: conditions on figures. grain groups by time."""

    metrics: Sequence[str]
    dimensions: Sequence[str] = ()
    filters: Sequence[str | Mapping[str, Any]] = ()
    time_range: str = ""
    grain: str = ""
    compare: Compare = "none"
    order: Sequence[tuple[str, bool]] = ()
    limit: int | None = None
    calendar: Calendar = field(default_factory=Calendar)
    having: Sequence[str | Mapping[str, Any]] = ()


@dataclass(frozen=True, slots=True)
class Compiled:
    """SQL of a question for metrics, and how its times were read."""

    connection_id: str
    query: "MetricQuery"
    definition: dict[str, Any]
    built: "Built"
    range: Range | None = None
    versus: Range | None = None


class Asking:
    """Compiles and runs. Everything passes the same governance as any other SQL of the caller."""

    def __init__(self, catalog: Catalog, builder: QueryBuilder, sql: SqlService):
        self._catalog = catalog
        self._builder = builder
        self._sql = sql

    async def compile(self, by: Principal, seen: Seen, asked: Asked, now: datetime) -> Compiled:
        """Raises NotFound for metrics that are not there, Conflict for what cannot be answered, QueryUnauthorized."""
        missing = [name for name in asked.metrics if name not in seen.layer.metrics]
        if missing:
            raise NotFound(f"No metric {missing[0][:80]!r}.", hint=_nearest(missing[0], seen.layer))
        connector = await self._catalog.connectors.get(seen.view.spec)
        query, meant, versus = await in_thread(lambda: _read(asked, now, connector.dialect))
        return await self.finish(by, seen, query, meant, versus)

    async def finish(
        self, by: Principal, seen: Seen, query: "MetricQuery", meant: Range | None = None, versus: Range | None = None
    ) -> Compiled:
        """The SQL of a query whose words have been read. Raises as `compile` does."""
        from engine.semantic.compile import compile_metrics, lacks_bounds

        connection_id = seen.view.spec.connection_id
        if await in_thread(lambda: lacks_bounds(query, seen.layer)):
            query = replace(query, bounds=await self._bounds(by, connection_id, query, seen.layer))
        made = await in_thread(lambda: compile_metrics(query, seen.layer))
        definition = made.model_dump(mode="json", by_alias=True, exclude_unset=True)
        built = await self._builder.build(by, connection_id, definition)
        return Compiled(connection_id, query, definition, built, meant, versus)

    async def run(
        self, by: Principal, compiled: Compiled, *, max_rows: int | None, cancelled: Cancellation, keep_for: str = ""
    ) -> Answer:
        """The rows. Raises QueryUnauthorized, QuotaExceeded, Conflict, Timeout, Cancelled."""
        statement = Statement(compiled.built.sql, max_rows=max_rows, keep_for=keep_for)
        return await self._sql.execute(by, compiled.connection_id, statement, cancelled=cancelled)

    async def _bounds(
        self, by: Principal, connection_id: str, query: "MetricQuery", layer: "Layer"
    ) -> tuple[datetime, datetime] | None:
        """From when to when there are rows that the caller sees."""
        found: list[tuple[datetime, datetime]] = []
        for definition in await in_thread(lambda: _bound_queries(query, layer)):
            built = await self._builder.build(by, connection_id, definition)
            answer = await self._sql.execute(by, connection_id, Statement(built.sql, timeout_s=BOUNDS_TIMEOUT_S))
            for row in answer.rows.records():
                if row["first"] is not None:
                    found.append((_moment(row["first"]), _after(row["last"])))
        if not found:
            return None
        return min(first for first, _ in found), max(last for _, last in found)


def read_range(text: str, now: datetime, calendar: Calendar) -> tuple[Range | None, Range | None]:
    """The range that a text stands for, and the one it is compared with. Raises Conflict."""
    if not text.strip():
        return None, None
    iso = _ISO.fullmatch(text)
    if iso is not None and (iso[1] or iso[2]):
        try:
            start, end = (None if part is None else datetime.fromisoformat(part) for part in iso.groups())
        except ValueError:
            raise _unread(text) from None
        return Range(start, end, Unit("day"), "as given"), None
    found = find_dates(text, now, calendar)
    spans = [(mention.start, mention.end) for mention in found.mentions] + [found.compares_at]
    rest = "".join(" " if any(start <= n < end for start, end in spans) else sign for n, sign in enumerate(text))
    if len(found.mentions) != 1 or re.search(r"\w", re.sub(r"(?i)\b(in|during|for|the|from|over|on)\b", "", rest)):
        raise _unread(text)
    return found.mentions[0].range, found.mentions[0].versus


def _unread(text: str) -> Conflict:
    return Conflict(
        f"The time range {text[:80]!r} is not clear.",
        hint="Say one range, such as `last quarter`, `March 2025`, or `2025-01-01/2025-04-01` (without its end).",
    )


def _read(asked: Asked, now: datetime, dialect: str) -> "tuple[MetricQuery, Range | None, Range | None]":
    from engine.semantic.compile import MetricQuery

    meant, versus = read_range(asked.time_range, now, asked.calendar)
    groups = [*([f"metric_time__{asked.grain}"] if asked.grain else []), *asked.dimensions]
    query = MetricQuery(
        metrics=tuple(asked.metrics),
        group_by=tuple(dict.fromkeys(groups)),
        where=tuple(read_condition(each) for each in asked.filters),
        having=tuple(read_condition(each, is_figure=True) for each in asked.having),
        start=meant.start if meant else None,
        end=meant.end if meant else None,
        order=tuple(asked.order),
        limit=asked.limit,
        calendar=asked.calendar,
        dialect=dialect,
    )
    query, versus = compared(query, asked.compare, meant, versus)
    return query, meant, versus


def compared(
    query: "MetricQuery", compare: Compare, meant: Range | None, versus: Range | None
) -> "tuple[MetricQuery, Range | None]":
    """The query with what it is compared with. Raises Conflict."""
    from engine.semantic.models import Grain, Window

    if versus is None and compare == "none":
        return query, None
    if versus is None and compare != "previous_period":
        by = Window(1, cast(Grain, compare.removeprefix("previous_")))
        if meant is not None and meant.start is not None and meant.end is not None:
            versus = meant.moved(Unit(cast(Any, by.grain)), -1)
        return replace(query, versus=by), versus
    if versus is None:
        try:
            versus = meant.before() if meant is not None else None
        except ValueError:
            versus = None
    if versus is None or versus.start is None or versus.end is None:
        raise Conflict("There is no range to compare with.", hint="Give a closed time_range, such as `last quarter`.")
    return replace(query, versus=(versus.start, versus.end)), versus


def read_condition(given: str | Mapping[str, Any], *, is_figure: bool = False) -> "Condition":
    """A filter as text or as data; one on a figure names it as it is. Raises Conflict."""
    from pydantic import ValidationError

    from engine.semantic import expressions, templates
    from engine.sql.definitions import Condition

    if isinstance(given, str):
        return expressions.read_condition(given) if is_figure else templates.read_filter(given)
    try:
        return Condition.model_validate(given)
    except (ValidationError, RecursionError):
        raise Conflict(
            "A filter is not of the right form.",
            hint="Write {column: 'customer__country', operator: 'eq', value: 'FR'}, or a tree of and, or, not.",
        ) from None


def _nearest(name: str, layer: "Layer") -> str:
    from difflib import get_close_matches

    close = get_close_matches(name[:255], list(layer.metrics), n=3, cutoff=0.4)
    return (
        f"Did you mean {', '.join(close)}? list_metrics shows all." if close else "list_metrics shows those there are."
    )


def _bound_queries(query: "MetricQuery", layer: "Layer") -> list[dict[str, Any]]:
    from engine.semantic.compile import times_of

    made = []
    for table, term in times_of(query, layer):
        item = term.model_dump(mode="json", by_alias=True, exclude_unset=True)
        ends = [
            {"aggregate": kind, "expression": item, "alias": name} for kind, name in (("min", "first"), ("max", "last"))
        ]
        made.append({"table": table, "measures": ends})
    return made


def _moment(value: Any) -> datetime:
    text = str(value)
    try:
        moment = datetime.fromisoformat(text)
    except ValueError:
        raise Conflict("The time of a metric holds something that is no time.", hint="Correct its dimension.") from None
    return moment.astimezone(UTC).replace(tzinfo=None) if moment.tzinfo else moment


def _after(value: Any) -> datetime:
    """The first midnight after a time."""
    day = _moment(value)
    return datetime.combine(date.fromordinal(day.date().toordinal() + 1), datetime.min.time())
