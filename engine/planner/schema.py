"""What a planner knows of a schema: things, their properties in words, the values they take, how they join."""

import re
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Literal

from engine.catalog.words import split_words
from engine.planner.keys import guess_key, labels_of
from engine.planner.names import shared_lead, spelled, without_initial
from engine.planner.words import Cues

Family = Literal["number", "text", "date", "time", "boolean", "other"]
_WORD = re.compile(r"[^\W_]+")
MAX_VALUE_WORDS = 6
BY_LABEL, GUESSED = 3.0, 2.0
LEAST_BEGIN = 4
"""Cost of a join by what things are called, where they have no key."""


@dataclass(frozen=True, slots=True)
class Column:
    """A column and the words it goes by, without prefixes that all of its table's columns share."""

    table: str
    name: str
    words: tuple[str, ...]
    family: Family
    is_readable: bool = True

    @property
    def path(self) -> tuple[str, str]:
        return self.table, self.name

    @property
    def is_id(self) -> bool:
        is_by = self.family == "number" and len(self.words) > 1 and self.words[-1] in ("by", "to")
        return (
            is_by
            or self.words[-1:] in (("id",), ("key",), ("uuid",))
            or (self.family == "number" and len(self.words) == 2 and self._is_numbered)
            or (len(self.words) == 1 and len(self.words[0]) == 3 and self.words[0].endswith("id"))
        )

    @property
    def _is_numbered(self) -> bool:
        """`store_no`, `InvoiceNumber`, but not `citation_num`, which may count."""
        return self.words[-1] == "number" and self.name.lower().rstrip('"').endswith(("no", "nr", "number"))


@dataclass(frozen=True, slots=True)
class Table:
    """A relation: the words for its rows, its key and the columns that name a row to people."""

    name: str
    words: tuple[str, ...]
    columns: tuple[Column, ...]
    key: tuple[Column, ...] = ()
    labels: tuple[Column, ...] = ()
    row_count: int | None = None

    def column(self, name: str) -> Column:
        return next(column for column in self.columns if column.name == name)


@dataclass(frozen=True, slots=True)
class Link:
    """A column whose values are another's: where two tables join. A lower cost is surer."""

    child: Column
    parent: Column
    cost: float = 1.0


class Tables(dict[str, Table]):
    """Tables by name. Those in a role are found by name too, but are none of a listing."""

    def __init__(self, tables: Mapping[str, Table]):
        super().__init__(tables)
        self.roles: dict[str, Table] = {}

    def __missing__(self, name: str) -> Table:
        return self.roles[name]


@dataclass(slots=True)
class Schema:
    """Everything that questions are read against. `values` maps a text in plain words to the columns that
    hold it, `value_stems` its words in the singular, `value_words` each word of what things are called."""

    tables: Tables
    links: list[Link] = field(default_factory=list)
    values: dict[str, list[tuple[Column, str]]] = field(default_factory=dict)
    value_words: dict[str, list[tuple[Column, str]]] = field(default_factory=dict)
    value_stems: dict[str, list[tuple[Column, str]]] = field(default_factory=dict)
    dialect: str = ""
    roles: dict[str, tuple[str, tuple[str, ...], Column]] = field(default_factory=dict)  # the table, words, reference
    raw_words: frozenset[str] = frozenset()  # of all names, as they are spelled

    def base(self, name: str) -> str:
        """The relation that a table is, in whichever role."""
        return self.roles[name][0] if name in self.roles else name

    def table_of(self, column: Column) -> Table:
        return self.tables[column.table]

    def reachable(self, name: str) -> frozenset[str]:
        """The tables that joins lead to from one, itself included."""
        found, grown = {name}, True
        while grown:
            ends = [(link.child.table, link.parent.table) for link in self.links]
            new = {other for one, other in [*ends, *(end[::-1] for end in ends)] if one in found} - found
            found |= new
            grown = bool(new)
        return frozenset(found)


@dataclass(frozen=True, slots=True)
class Relation:
    """A relation as its source describes it: columns with their types, and its declared key."""

    name: str
    columns: Sequence[tuple[str, str]]
    key: Sequence[str] = ()
    row_count: int | None = None
    unreadable: frozenset[str] = frozenset()
    foreign_keys: Sequence[tuple[str, str, str]] = ()  # column, relation and its column


def read_schema(relations: Iterable[Relation], cues: Cues, dialect: str = "") -> Schema:
    """Relations in words, with the joins that their names suggest."""
    given = list(relations)
    lead = shared_lead([split_words(relation.name.split(".")[-1].strip('"')) for relation in given])
    tables = {relation.name: _table(relation, lead, cues, dialect) for relation in given}
    _settle_keys(tables, {item.name for item in given if item.key})
    names = [name for item in given for name in (item.name, *(column for column, _ in item.columns))]
    schema = Schema(
        Tables(tables), dialect=dialect, raw_words=frozenset(word for name in names for word in split_words(name))
    )
    declared = list(_declared(schema, given))
    known = {link.child for link in declared}
    schema.links = [*declared, *(link for link in _links(schema, cues) if link.child not in known)]
    return schema


def _settle_keys(tables: dict[str, Table], declared: set[str]) -> None:
    """One column is the key of one table: of `crew_members` rather than of `crew_training`, which has more ids."""
    by_name: dict[str, list[Table]] = {}
    for table in tables.values():
        if len(table.key) == 1 and table.key[0].words != ("id",):
            by_name.setdefault(table.key[0].name, []).append(table)
    for name, every in by_name.items():
        same = [table for table in every if table.name not in declared]
        if not same:
            continue
        best = min(
            [table for table in every if table.name in declared] or same,
            key=lambda table: (_called(table, name), sum(item.is_id for item in table.columns)),
        )
        for table in same:
            if table is not best and _called(table, name) > 0:
                tables[table.name] = replace(table, key=(), labels=tuple(x for x in table.labels if x not in table.key))


def _called(table: Table, name: str) -> int:
    """How far a table is from being called as its key is: 0 is to the letter."""
    words = table.column(name).words[:-1]
    return 0 if words == table.words else 1 if words == table.words[-1:] else 2


def add_values(schema: Schema, column: Column, values: Iterable[str]) -> None:
    """Note which texts a column holds."""
    is_label = column in schema.table_of(column).labels
    for value in values:
        words = _WORD.findall(value.lower())
        if words and len(words) <= MAX_VALUE_WORDS:
            schema.values.setdefault(" ".join(words), []).append((column, value))
            if (stems := " ".join(split_words(value))) != " ".join(words) or len(words) > 1:
                schema.value_stems.setdefault(stems, []).append((column, value))
        for word in set(words) if is_label and len(words) > 1 else ():
            schema.value_words.setdefault(word, []).append((column, value))


def _table(relation: Relation, lead: tuple[str, ...], cues: Cues, dialect: str) -> Table:
    words = split_words(relation.name.split(".")[-1].strip('"'))
    words = spelled(words[len(lead) :] if len(words) > len(lead) else words, cues)
    split = [split_words(name) for name, _ in relation.columns]
    own = shared_lead(split)
    columns = tuple(
        Column(
            relation.name,
            name,
            spelled(without_initial(parts[len(own) :] if len(parts) > len(own) else parts, words), cues),
            _time_in_text(parts, dialect) or family_of(data_type),
            name not in relation.unreadable,
        )
        for (name, data_type), parts in zip(relation.columns, split, strict=True)
    )
    table = Table(relation.name, words, columns, row_count=relation.row_count)
    key = tuple(column for column in columns if column.name in relation.key) or guess_key(table)
    return Table(relation.name, words, columns, key, labels_of(table, key), relation.row_count)


def _time_in_text(words: tuple[str, ...], dialect: str) -> Family | None:
    """SQLite has no dates: a column that is called one holds texts such as 2025-01-31."""
    if dialect != "sqlite" or not words:
        return None
    return "date" if words[-1] == "date" else "time" if words[-1] in ("at", "datetime", "timestamp") else None


def family_of(data_type: str) -> Family:
    """Which kind of values a type has, by the source's word for it."""
    word = data_type.lower()
    if word.startswith(("timestamp", "datetime")):
        return "time"
    if word.startswith("date"):
        return "date"
    if word.startswith("bool"):
        return "boolean"
    if any(
        word.startswith(kind)
        for kind in ("int", "bigint", "small", "tiny", "huge", "long", "u", "dec", "num", "dou", "float", "real")
    ) and not word.startswith("uuid"):
        return "number"
    if any(kind in word for kind in ("char", "text", "string", "uuid", "enum")):
        return "text"
    return "other"


def _declared(schema: Schema, relations: Iterable[Relation]) -> Iterable[Link]:
    """Keys of other tables as the source declares them."""
    for relation in relations:
        for name, other, parent in relation.foreign_keys:
            ends = [(relation.name, name), (other, parent)]
            found = [
                column
                for table, wanted in ends
                if table in schema.tables
                for column in schema.tables[table].columns
                if column.name == wanted and column.is_readable
            ]
            if len(found) == 2:
                yield Link(found[0], found[1], 0.9)


def _links(schema: Schema, cues: Cues) -> Iterable[Link]:
    """Columns that name another table's key: the surest there is for each."""
    for table in schema.tables.values():
        for column in table.columns:
            costs = {
                other.name: cost
                for other in schema.tables.values()
                if other.name != table.name and (cost := _cost(column, table, other)) is not None
            }
            least = min(costs.values(), default=0.0)
            for name, cost in costs.items():
                if cost == least:
                    yield Link(column, _target(schema.tables[name], column, cost), cost)
            if not costs and len(table.key) == 1 and column not in table.key and _is_own(column, table, cues):
                yield Link(column, table.key[0], 1.0)
            elif not costs and column.is_id and column not in table.key:
                yield from _by_person(column, table, schema, cues)


def _is_person(table: Table) -> bool:
    named = {column.words for column in table.columns}
    return bool(named & {("first", "name"), ("full", "name"), ("last", "name"), ("hire", "date"), ("birth", "date")})


def _by_person(column: Column, table: Table, schema: Schema, cues: Cues) -> Iterable[Link]:
    """`sender_id` of customers, `advisor_id` of instructors: who people are, where only one table has such people.

    Where `sender_type` says which table is meant, none is."""
    role = next((word for word in column.words if word in cues.persons), None)
    if role is None or any(item.words == (role, "type") for item in table.columns):
        return
    for kinds in cues.persons[role]:
        found = [
            item.key[0]
            for item in schema.tables.values()
            if len(item.key) == 1 and item.key[0].family == column.family and _is_kind(item, kinds)
        ]
        if len(found) == 1 and found[0].table != table.name:
            yield Link(column, found[0], GUESSED)
        if found:
            return


def _is_kind(table: Table, kind: str) -> bool:
    last = table.words[-1] if table.words else ""
    return last == kind or (len(last) >= LEAST_BEGIN and kind.startswith(last))


def _is_own(column: Column, table: Table, cues: Cues) -> bool:
    """Whether a column names another row of its table: `parent_category_id`, of people `manager_id`, `reports_to`."""
    words = cues.sets["selves"] if _is_person(table) else cues.sets["rows"]
    is_like = column.family == table.key[0].family and (column.is_id or column.words[-1:] == ("to",))
    return is_like and bool(set(column.words) & words)


def _target(other: Table, column: Column, cost: float) -> Column:
    return other.key[0] if cost < BY_LABEL else next(item for item in other.labels if item.name == column.name)


def _cost(column: Column, table: Table, other: Table) -> float | None:
    """How sure it is that a column holds another table's key; None when nothing says so."""
    key = other.key[0] if len(other.key) == 1 else None
    if key is not None and column.name == key.name and _is_named_code(column) and column.family == key.family:
        return 1.0 if column not in table.key or len(table.key) > 1 else None
    if key is not None and column.is_id and column.family == key.family:
        if column.name == key.name and key.words != ("id",) and column not in table.key:
            return 1.0
        named = (column.words[:-1] or column.words) if column.words[-1] == "id" else column.words
        if named and column.words != ("id",) and named == other.words:
            return 1.0
        if named and column.words != ("id",) and _names(named, other) and named not in (table.words, table.words[-1:]):
            return 1.2
        if len(named) > len(other.words) and named[-len(other.words) :] == other.words:
            return 1.4  # in a role: `home_city_id` of cities
        if column.name == key.name and key.words != ("id",) and len(table.key) != 1:
            return 1.0
    shared = next((c for c in other.labels if c.name == column.name and len(c.words) > 1), None)
    if shared is not None and not other.key and column.family == "text" and column not in table.labels:
        return BY_LABEL
    return None


def _is_named_code(column: Column) -> bool:
    """`store_no`, `plan_cd`, `sku`: what is called so in two tables is the same."""
    return column.words[-1:] in (("code",), ("number",), ("sku",)) and (
        len(column.words) > 1 or column.words == ("sku",)
    )


def _names(words: tuple[str, ...], table: Table) -> bool:
    """Whether words stand for a table: its own, the last of them, or the beginning of its name."""
    return (
        words == table.words
        or (len(words) == 1 and len(table.words) > 1 and words[0] == table.words[-1])
        or (len(words) == 1 and len(words[0]) >= 3 and len(table.words) == 1 and table.words[0].startswith(words[0]))
    )


def values_of(schema: Schema, text: str) -> Sequence[tuple[Column, str]]:
    """The columns that hold a text, and how they spell it; `no-shows` is what they call no_show or NoShow."""
    words = _WORD.findall(text.lower())
    known = schema.values.get(" ".join(words), ())
    stems = " ".join(split_words(text))
    return known or schema.values.get(stems, ()) or schema.value_stems.get(stems, ())


Values = Mapping[str, list[tuple[Column, str]]]
