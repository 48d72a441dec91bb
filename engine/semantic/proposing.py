"""A first semantic model out of a schema: keys, joins, what to group by, what to count, by names and profiles."""

import re
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, field
from typing import Any

from engine.planner.schema import Column, Schema, Table

# fmt: off
MONEY = frozenset([
    "amount", "price", "revenue", "cost", "fee", "total", "balance", "salary", "budget", "spend", "payment", "tax",
    "discount", "income",
])
COUNTED = frozenset([
    "quantity", "count", "number", "qty", "units", "clicks", "views", "seats", "stock", "duration", "minutes",
    "hours",
])
AVERAGED = frozenset([
    "rate", "ratio", "percent", "percentage", "score", "rating", "temperature", "age", "delay", "latency",
    "weight",
])
NOT_ADDED = frozenset([
    "year", "month", "day", "hour", "week", "latitude", "longitude", "lat", "lon", "lng", "zip", "code", "phone",
])
TIMES = ("created", "ordered", "date", "time", "started", "opened")
CHORES = frozenset([
    "updated", "modified", "deleted", "loaded", "inserted", "synced",
])
# fmt: on
Part = dict[str, Any]
IsUnique = Callable[[str, str], bool | None]
"""Whether a column of a table has another value in each row; None when nobody knows."""


@dataclass(slots=True)
class Proposal:
    """Definitions to be reviewed, and what was assumed on the way."""

    models: list[Part] = field(default_factory=list)
    metrics: list[Part] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def propose(schema: Schema, tables: Sequence[str], is_unique: IsUnique, taken: Iterable[str] = ()) -> Proposal:
    """A model for each of these tables. Names in `taken` are not given again."""
    return _Proposer(schema, is_unique, set(taken)).propose(tables)


class _Proposer:
    def __init__(self, schema: Schema, is_unique: IsUnique, taken: set[str]):
        self._schema = schema
        self._is_unique = is_unique
        self._taken = taken
        self._made = Proposal()
        self._names: dict[str, str] = {}

    def propose(self, tables: Sequence[str]) -> Proposal:
        known = [self._schema.tables[name] for name in tables if name in self._schema.tables]
        for table in known:
            self._names[table.name] = self._free(_name(table.words) or "thing")
        for table in known:
            self._model(table)
        return self._made

    def _model(self, table: Table) -> None:
        name = self._names[table.name]
        entities, keys = self._entities(table)
        model: Part = {"name": name, "table": table.name}
        if not any(entity["type"] == "primary" for entity in entities):
            model["primary_entity"] = f"{name}_row"
        columns = [column for column in table.columns if column.is_readable and column.name not in keys]
        times = sorted((c for c in columns if c.family in ("date", "time")), key=_time_rank)
        if times:
            model["defaults"] = {"agg_time_dimension": _column_name(times[0])}
        model["entities"] = entities
        model["dimensions"] = [_dimension(c) for c in columns if c.family != "number" or _is_label(c)]
        model["measures"] = self._measures(table, name, columns)
        if len(times) > 1:
            self._made.notes.append(f"{name}: time is counted by {_column_name(times[0])}, one of {len(times)} times.")
        self._made.models.append(model)

    def _entities(self, table: Table) -> tuple[list[Part], set[str]]:
        found: list[Part] = []
        used: set[str] = set()
        key = table.key[0] if len(table.key) == 1 else None
        if key is not None and self._is_unique(table.name, key.name) is False:
            self._made.notes.append(f"{self._names[table.name]}: {key.name} looks like its key, but repeats.")
            key = None
        if key is not None:
            found.append({"name": self._names[table.name], "type": "primary", "expr": _quoted(key.name)})
            used.add(key.name)
        for link in self._schema.links:
            parent = link.parent.table
            if link.child.table != table.name or parent not in self._names or link.child.name in used:
                continue
            other = self._schema.tables[parent]
            if other.key[:1] != (link.parent,) or self._is_unique(parent, link.parent.name) is False:
                continue
            if any(entity["name"] == self._names[parent] for entity in found):
                self._made.notes.append(
                    f"{self._names[table.name]}: {link.child.name} joins {self._names[parent]} too; name its role."
                )
                continue
            found.append({"name": self._names[parent], "type": "foreign", "expr": _quoted(link.child.name)})
            used.add(link.child.name)
        return found, used

    def _measures(self, table: Table, name: str, columns: Sequence[Column]) -> list[Part]:
        counted = self._measure(f"{name}_count", "sum", "1")
        self._metric(counted["name"], f"Number of {_plural(table.words)}.", [_plural(table.words)])
        made = [counted]
        for column in columns:
            words = set(column.words)
            if column.family != "number" or column.is_id or words & NOT_ADDED or _is_label(column):
                continue
            if words & AVERAGED:
                agg, said = "average", "Average"
            elif words & (MONEY | COUNTED):
                agg, said = "sum", "Total"
            else:
                continue
            wanted = f"{'average' if agg == 'average' else 'total'}_{_column_name(column)}"
            measure = self._measure(
                wanted if wanted not in self._taken else f"{name}_{wanted}", agg, _quoted(column.name)
            )
            self._metric(measure["name"], f"{said} {' '.join(column.words)} of {_plural(table.words)}.", [])
            made.append(measure)
        return made

    def _measure(self, wanted: str, agg: str, expr: str) -> Part:
        return {"name": self._free(wanted), "agg": agg, "expr": expr}

    def _metric(self, name: str, description: str, synonyms: Sequence[str]) -> None:
        made: Part = {"name": name, "type": "simple", "description": description, "type_params": {"measure": name}}
        self._made.metrics.append(made | ({"synonyms": list(synonyms)} if synonyms else {}))

    def _free(self, wanted: str) -> str:
        name, number = wanted, 2
        while name in self._taken:
            name, number = f"{wanted}_{number}", number + 1
        self._taken.add(name)
        return name


def _dimension(column: Column) -> Part:
    made: Part = {"name": _column_name(column), "type": "categorical", "expr": _quoted(column.name)}
    if column.family in ("date", "time"):
        grain = "day" if column.family == "date" else "second"
        made |= {"type": "time", "type_params": {"time_granularity": grain}}
    return made


def _is_label(column: Column) -> bool:
    """A number that tells things apart rather than being added up."""
    return column.family == "number" and bool(set(column.words) & {"year", "code"}) and not column.is_id


def _time_rank(column: Column) -> tuple[int, int]:
    is_chore = bool(set(column.words) & CHORES)
    named = next((n for n, word in enumerate(TIMES) if word in column.words), len(TIMES))
    return int(is_chore), named


def _column_name(column: Column) -> str:
    return _name(column.words) or "value"


def _name(words: Iterable[str]) -> str:
    text = re.sub(r"[^A-Za-z0-9]+", "_", "_".join(words)).strip("_").lower()
    text = re.sub(r"_+", "_", text)[:80]
    return f"n_{text}" if text[:1].isdigit() else text


def _plural(words: Sequence[str]) -> str:
    text = " ".join(words)
    return text if text.endswith("s") else f"{text}s"


def _quoted(name: str) -> str:
    escaped = name.replace('"', '""')
    return name if re.fullmatch(r"[a-z_][a-z0-9_]*", name) else f'"{escaped}"'
