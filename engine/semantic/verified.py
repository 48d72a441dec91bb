"""Verified queries: questions whose SQL a person has checked, found again when somebody asks the same."""

import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from core.context import Principal
from core.errors import Conflict, QueryUnauthorized
from engine.connectors.stream import in_thread
from engine.dates.calendar import Calendar
from engine.semantic.store import Kind, SemanticStore, Status, Stored
from engine.semantic.written import Writings

if TYPE_CHECKING:
    from engine.planner.schema import Schema
    from engine.semantic.matching import Find, Parameter, Pattern

MAX_KEPT = 32
MAX_SUGGESTED = 5
LEAST_ALIKE = 0.5


class Reader(Protocol):
    """Says what a principal may see of SQL."""

    async def can_read(self, by: Principal, connection_id: str, sql: str) -> bool: ...


Schemas = Callable[[Principal, str], Awaitable["Schema"]]
"""The tables and values of a connection that a caller sees."""


@dataclass(frozen=True, slots=True)
class Draft:
    """A verified query to write."""

    question: str
    sql: str
    connection_id: str
    parameters: Sequence[Mapping[str, str]] = ()
    other_questions: Sequence[str] = ()
    description: str = ""
    subject_path: str = ""
    status: Status | None = None

    def definition(self) -> dict[str, Any]:
        return {
            "question": self.question,
            "sql": self.sql,
            "parameters": [dict(each) for each in self.parameters],
            "other_questions": list(self.other_questions),
            "description": self.description,
        }


@dataclass(frozen=True, slots=True)
class Verified:
    """A verified query that answers a question. match: exact, or near, where declared values differ."""

    name: str
    question: str
    sql: str
    connection_id: str
    match: str
    parameters: Mapping[str, str]
    conventions: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class _Known:
    stored: Stored
    patterns: "tuple[Pattern, ...]"


class VerifiedQueries(Writings[Draft]):
    """A tenant's verified queries. They are seen by those who see all that their SQL names."""

    kind: ClassVar[Kind] = "verified_query"
    prefix: ClassVar[str] = "vq"

    def __init__(
        self,
        items: SemanticStore,
        *,
        reader: Reader,
        schemas: Schemas,
        clock: Callable[[], float] = time.time,
    ):
        super().__init__(items)
        self._reader = reader
        self._schemas = schemas
        self._clock = clock
        self._kept: OrderedDict[tuple[str, int], list[_Known]] = OrderedDict()

    async def sees(self, by: Principal, connection_id: str, definition: Mapping[str, Any]) -> bool:
        return await self._reader.can_read(by, connection_id, str(definition["sql"]))

    async def check(self, by: Principal, draft: Draft) -> None:
        if not await self.sees(by, draft.connection_id, draft.definition()):
            raise QueryUnauthorized(hint="It must be one SELECT over tables and columns that you can query.")
        await in_thread(lambda: _check_examples(draft))

    async def match(
        self, by: Principal, question: str, connection_id: str, *, today: date | None = None
    ) -> Verified | None:
        """The verified query that is this question, where there is one that the caller sees."""
        known = [each for each in await self._known(by.tenant) if each.stored.connection_id == connection_id]
        if not known:
            return None
        find = await self._finder(by, connection_id, known)
        moment = self._now(today)
        found = await in_thread(lambda: _match(known, question, moment, find))
        for each in found:
            if await self.is_seen(by, each[0]):
                return each[1]
        return None

    async def suggest(self, by: Principal, question: str, connection_id: str) -> list[Stored]:
        """Verified queries that are like a question, the likest first. None of them is its answer."""
        known = [each for each in await self._known(by.tenant) if each.stored.connection_id == connection_id]
        alike = await in_thread(lambda: _alike(known, question))
        return [stored for stored in alike if await self.is_seen(by, stored)][:MAX_SUGGESTED]

    async def _known(self, tenant: str) -> list[_Known]:
        key = (tenant, await self._items.revision(tenant))
        if key not in self._kept:
            stored = [each for each in await self._items.all(tenant, self.kind) if each.status == "active"]
            self._kept[key] = await in_thread(lambda: [_known_one(each) for each in stored])
        self._kept.move_to_end(key)
        while len(self._kept) > MAX_KEPT:
            self._kept.popitem(last=False)
        return self._kept[key]

    async def _finder(self, by: Principal, connection_id: str, known: Sequence[_Known]) -> "Find":
        if not any(each.get("column") for one in known for each in one.stored.definition["parameters"]):
            return lambda column, text: None
        schema = await self._schemas(by, connection_id)
        return lambda column, text: _spelled(schema, column, text)

    def _now(self, today: date | None) -> datetime:
        now = datetime.fromtimestamp(self._clock(), UTC).replace(tzinfo=None)
        return now if today is None else datetime(today.year, today.month, today.day, 23, 59, 59)


def _parameters(definition: Mapping[str, Any]) -> "list[Parameter]":
    from engine.semantic.matching import Parameter

    return [
        Parameter(each["name"], each["kind"], each["example"], each.get("column", ""))
        for each in definition["parameters"]
    ]


def _check_examples(draft: Draft) -> None:
    from engine.semantic.matching import pattern_of

    definition = draft.definition()
    names = [each["name"] for each in definition["parameters"]]
    if len(set(names)) != len(names):
        raise Conflict("Two parameters have the same name.", hint="Give each a name of its own.")
    try:
        pattern_of(draft.question, _parameters(definition))
    except ValueError as error:
        raise Conflict(
            f"The example of the parameter {str(error)[:80]!r} does not stand in the question.",
            hint="An example is the very text of the question that may be another.",
        ) from None


def _known_one(stored: Stored) -> _Known:
    from engine.semantic.matching import pattern_of

    definition, parameters = stored.definition, _parameters(stored.definition)
    patterns = [pattern_of(str(definition["question"]), parameters)]
    for other in definition["other_questions"]:
        try:
            patterns.append(pattern_of(str(other), parameters))
        except ValueError:  # without the values, so it is the same question only where there are none
            if not parameters:
                patterns.append(pattern_of(str(other), ()))
    return _Known(stored, tuple(patterns))


def _match(known: Sequence[_Known], question: str, now: datetime, find: "Find") -> list[tuple[Stored, Verified]]:
    """Exact ones before near ones."""
    from engine.semantic.matching import fill, stems

    asked = stems(question)
    found: list[tuple[bool, Stored, Verified]] = []
    for each in known:
        for pattern in each.patterns:
            filled = fill(pattern, question, now, Calendar(), find) if pattern.words <= set(asked) else None
            if filled is None:
                continue
            definition = each.stored.definition
            texts = [str(definition["question"]), *map(str, definition["other_questions"])]
            is_exact = any(stems(text) == asked for text in texts)
            verified = Verified(
                each.stored.name,
                str(definition["question"]),
                str(definition["sql"]),
                each.stored.connection_id,
                "exact" if is_exact else "near",
                filled.values,
                filled.conventions,
            )
            found.append((is_exact, each.stored, verified))
            break
    found.sort(key=lambda item: not item[0])
    return [(stored, verified) for _, stored, verified in found]


def _alike(known: Sequence[_Known], question: str) -> list[Stored]:
    from engine.semantic.matching import stems

    asked = set(stems(question))
    scored = []
    for each in known:
        definition = each.stored.definition
        texts = [set(stems(str(text))) for text in (definition["question"], *definition["other_questions"])]
        score = max((2 * len(words & asked) / (len(words) + len(asked)) for words in texts if words), default=0.0)
        if asked and score >= LEAST_ALIKE:
            scored.append((score, each.stored))
    return [stored for _, stored in sorted(scored, key=lambda item: -item[0])]


def _spelled(schema: "Schema", column: str, text: str) -> str | None:
    from engine.planner.schema import values_of

    table, _, name = column.rpartition(".")
    for holder, value in values_of(schema, text):
        is_table = holder.table.lower() == table.lower() or holder.table.lower().endswith("." + table.lower())
        if is_table and holder.name.lower() == name.lower():
            return value
    return None
