"""Random typed expressions over the columns in scope."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from tests.differential.choices import Choices
from tests.differential.worlds import TEXTS, TYPES, Column, quote

Subquery = Callable[[list[str]], str]


@dataclass(frozen=True, slots=True)
class Field:
    column: Column


@dataclass(slots=True)
class Relation:
    """One item of FROM under its name. `is_merged`: USING joined it, so bare names mean a merged column.
    `has_more`: it has columns beside its fields."""

    alias: str
    fields: tuple[Field, ...]
    is_merged: bool = False
    has_more: bool = False

    def qualified(self, item: Field) -> str:
        return f"{quote(self.alias)}.{quote(item.column.name)}"


@dataclass(slots=True)
class Expressions:
    choices: Choices
    dialect: str
    relations: Sequence[Relation]
    subquery: Subquery | None = None

    def any_value(self, depth: int) -> tuple[str, str]:
        """An expression of any family that is in scope, and which."""
        pool = [item.column.family for relation in self.relations[:3] for item in relation.fields] or ["int"]
        family = self.choices.pick([*pool, "int", "text"])
        return family, self.value(family, depth)

    def value(self, family: str, depth: int) -> str:
        choices = self.choices
        if family == "bool":
            return self._truth(depth)
        found = self._column(family) if depth == 0 or choices.chance(55) else None
        if found is not None:
            return found
        makers = {"int": self._int, "text": self._text, "date": self._date, "dec": self._dec}
        if depth and family in makers and choices.chance(80):
            return makers[family](depth - 1)
        return self._column(family) or self._literal(family)

    def _column(self, family: str) -> str | None:
        pairs = [
            (relation, item) for relation in self.relations for item in relation.fields if item.column.family == family
        ]
        if not pairs:
            return None
        relation, item = self.choices.pick(pairs)
        return self._reference(relation, item)

    def _reference(self, relation: Relation, item: Field) -> str:
        name = item.column.name
        alike = [other for peer in self.relations for other in peer.fields if other.column.name.lower() == name.lower()]
        is_clear = len(alike) == 1 and not any(peer.has_more for peer in self.relations)
        if relation.is_merged or (is_clear and self.choices.chance(60)) or self.choices.chance(1):
            return self._cased(name)
        return f"{quote(relation.alias)}.{self._cased(name)}"

    def _cased(self, name: str) -> str:
        """Quoted, or as people write it where the engine folds case anyway."""
        is_plain = name.isascii() and name.isidentifier() and name.lower() not in ("select", "order", "group", "from")
        if not is_plain or self.dialect == "postgres" or self.choices.chance(50):
            return quote(name)
        return self.choices.pick([name, name.upper(), name.lower()])

    def _literal(self, family: str) -> str:
        choices = self.choices
        kind = TYPES[self.dialect].get(family, "INTEGER")
        if choices.chance(10) or family in ("list", "struct"):
            return f"CAST(NULL AS {kind})"
        if family == "int":
            return str(choices.number(0, 9))
        if family == "text":
            return "'" + choices.pick(TEXTS).replace("'", "''") + "'"
        if family == "date":
            return f"DATE '2024-{choices.number(1, 12):02}-01'"
        if family == "ts":
            return f"TIMESTAMP '2024-{choices.number(1, 12):02}-28 23:30:00'"
        return f"CAST({choices.number(0, 400)} / 4 AS {kind})"

    def _int(self, depth: int) -> str:
        kind = self.choices.number(0, 7)
        if kind == 0:
            return f"({self.value('int', depth)} {self.choices.pick(['+', '-', '*'])} {self.value('int', depth)})"
        if kind == 1:
            return f"length({self.value('text', depth)})"
        if kind == 2:
            return f"CASE WHEN {self._truth(depth)} THEN {self.value('int', depth)} ELSE {self.value('int', depth)} END"
        if kind == 3:
            return f"coalesce({self.value('int', depth)}, {self._literal('int')})"
        if kind == 4 and self.dialect != "sqlite":
            return f"CAST(EXTRACT(month FROM {self.value('date', depth)}) AS INTEGER)"
        if kind == 5:
            return f"CAST({self._truth(depth)} AS INTEGER)"
        if kind == 6 and self.subquery:
            return (
                f"(SELECT {self.choices.pick(['count(*)', 'max(u)', 'min(u)'])} FROM ({self.subquery(['int'])}) q(u))"
                if self.dialect != "sqlite"
                else f"(SELECT count(*) FROM ({self.subquery(['int'])}))"
            )
        return f"abs({self.value('int', depth)})"

    def _text(self, depth: int) -> str:
        kind = self.choices.number(0, 6)
        if kind == 0:
            return f"({self.value('text', depth)} || {self.value('text', depth)})"
        if kind == 1:
            return f"{self.choices.pick(['upper', 'lower'])}({self.value('text', depth)})"
        if kind == 2:
            return f"substr({self.value('text', depth)}, {self.choices.number(1, 3)}, {self.choices.number(0, 3)})"
        if kind == 3:
            return f"CAST({self.value('int', depth)} AS {TYPES[self.dialect]['text']})"
        if kind == 4:
            yes, no = self.value("text", depth), self.value("text", depth)
            return f"CASE WHEN {self._truth(depth)} THEN {yes} ELSE {no} END"
        if kind == 5 and self.dialect == "duckdb":
            return f"CAST({self.any_value(0)[1]} AS VARCHAR)"
        return f"nullif({self.value('text', depth)}, {self._literal('text')})"

    def _date(self, depth: int) -> str:
        kind = self.choices.number(0, 2)
        if kind == 0:
            return f"CAST(date_trunc('month', {self.value('date', depth)}) AS DATE)"
        if kind == 1:
            return f"CAST({self.value('date', depth)} + INTERVAL '1 day' AS DATE)"
        return f"coalesce({self.value('date', depth)}, {self._literal('date')})"

    def _dec(self, depth: int) -> str:
        kind = TYPES[self.dialect]["dec"]
        if self.choices.chance(50):
            return f"coalesce({self.value('dec', depth)}, {self._literal('dec')})"
        return f"CAST({self.value('int', depth)} AS {kind})"

    def _truth(self, depth: int) -> str:
        choices = self.choices
        kind = choices.number(0, 11)
        if depth and kind == 0:
            return f"({self._truth(depth - 1)} {choices.pick(['AND', 'OR'])} {self._truth(depth - 1)})"
        if depth and kind == 1:
            return f"NOT ({self._truth(depth - 1)})"
        below = max(depth - 1, 0)
        if kind == 2:
            return f"{self.any_value(below)[1]} IS {choices.pick(['', 'NOT '])}NULL"
        if kind == 3 and self.subquery:
            return f"{choices.pick(['', 'NOT '])}EXISTS ({self.subquery(['int'])})"
        if kind == 4 and self.subquery:
            family = choices.pick(["int", "text"])
            return f"{self.value(family, 0)} {choices.pick(['', 'NOT '])}IN ({self.subquery([family])})"
        if kind == 5:
            return f"{self.value('int', below)} BETWEEN {self._literal('int')} AND {self._literal('int')}"
        if kind == 6:
            return f"{self.value('text', below)} LIKE {choices.pick(['$%$', '$E%$', '$%a_%$']).replace('$', chr(39))}"
        if kind == 7:
            return f"{self.value('int', below)} IN ({self._literal('int')}, {self._literal('int')})"
        if kind == 8 and (found := self._column("bool")):
            return found
        return self._comparison(below)

    def _comparison(self, depth: int) -> str:
        families = ["int", "text", *(["date", "dec"] if self.dialect != "sqlite" else [])]
        family = self.choices.pick(families)
        word = self.choices.pick(["=", "<>", "<", ">="])
        return f"{self.value(family, depth)} {word} {self.value(family, depth)}"

    def window(self) -> str:
        """A window function with one answer: ties get one value."""
        family, key = self.any_value(0)
        order = "" if family in ("list", "struct") else f" ORDER BY {key}"
        part = f"PARTITION BY {self.any_value(0)[1]}" if self.choices.chance(50) else ""
        call = self.choices.pick(["count(*)", "sum(1)", "rank()", "dense_rank()"])
        if call.endswith("rank()") and not order:
            call = "count(*)"
        return f"CAST({call} OVER ({part}{order}) AS INTEGER)"


def aggregate(make: Expressions, family: str | None = None) -> tuple[str, str]:
    """An aggregate whose value does not depend on the order of rows, and its family."""
    choices = make.choices
    kinds = (
        ["count", "sum", "star", "distinct"]
        if family == "int"
        else ["count", "sum", "star", "distinct", "text", "extreme"]
    )
    kind = choices.pick(kinds)
    family, call = "int", "count(*)"
    if kind == "count":
        call = f"count({make.any_value(1)[1]})"
    elif kind == "distinct":
        call = f"count(DISTINCT {make.any_value(0)[1]})"
    elif kind == "sum":
        call = f"sum({make.value('int', 1)})"
    elif kind == "text" and make.dialect != "sqlite":
        value = make.value("text", 0)
        if not value.startswith(("'", "CAST")):  # DuckDB refuses to order by a literal
            family, call = "text", f"string_agg({value}, ',' ORDER BY {value})"
    elif kind == "extreme":
        family, argument = _comparable(make)
        call = f"{choices.pick(['min', 'max'])}({argument})"
    if choices.chance(15):
        call = f"{call} FILTER (WHERE {make.value('bool', 1)})"
    return family, f"CAST({call} AS BIGINT)" if family == "int" and make.dialect != "sqlite" else call


def _comparable(make: Expressions) -> tuple[str, str]:
    family = make.choices.pick(["int", "text", *(["date"] if make.dialect != "sqlite" else [])])
    return family, make.value(family, 1)
