"""How the command line shows results: a table for people, JSON for programs."""

import json
import re
from collections.abc import Mapping
from math import ceil
from typing import Any

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from rich.text import Text

from core.portable import Bars

MAX_CELL = 60
MIN_FOLDED = 24
BAR, PLAIN_BAR = "█", "#"
WHICH = ("agent_name", "id", "text")  # go first where they would not fit: rows without what they are about say nothing
MIN_BAR, MAX_BAR, BESIDE_BAR = 8, 40, 16


def show(console: Console, result: dict[str, Any], bars: Mapping[str, Bars] | None = None) -> None:
    """Print a result: its list of objects as a table, its other fields one to a line, its pictures last."""
    pictures = {name: marker for name, marker in (bars or {}).items() if result.get(name)}
    rows_field = _rows_field({name: value for name, value in result.items() if name not in pictures})
    if rows_field:
        _show_rows(console, result[rows_field])
    has_list = any(isinstance(value, list) for name, value in result.items() if name != "items")
    for name, value in result.items():
        if name == rows_field or name in pictures or (name == "items" and has_list) or value is None:
            continue
        console.print(Text.assemble((name, "dim"), " ", _line(value)))
    for name, marker in pictures.items():
        _draw(console, name, result[name], marker)
    if not result:
        console.print("done")


def _draw(console: Console, name: str, items: list[dict[str, Any]], marker: Bars) -> None:
    """A line for each item: what it is, a bar as long as its share of the longest, its value."""
    values = [max(0.0, float(item.get(marker.value) or 0)) for item in items]
    labels = [_moment(_cell(item.get(marker.label))) for item in items]
    longest, widest = max(values, default=0.0), max(map(len, labels))
    room = max(MIN_BAR, min(MAX_BAR, console.width - widest - BESIDE_BAR))
    sign = BAR if console.encoding.lower().startswith("utf") else PLAIN_BAR
    console.print(f"[dim]{escape(name)}[/dim]")
    for item, label, value in zip(items, labels, values, strict=True):
        bar = sign * ceil(room * value / longest) if longest else ""
        line = f"  {label:>{widest}} {bar:<{room}} {_cell(item.get(marker.value))}"
        console.print(line, markup=False, highlight=False, soft_wrap=True)


def _moment(text: str) -> str:
    """A time as people write it, to the second; anything else as it is."""
    return re.sub(r"^(\d{4}-\d\d-\d\d)T(\d\d:\d\d:\d\d)(\.\d+)?(Z|\+00:00)$", r"\1 \2", text)


def _line(value: Any) -> str:
    """A field on one line; of an object what it has."""
    if isinstance(value, str):
        return value
    if isinstance(value, dict):
        said = {key: item for key, item in value.items() if item not in (None, {}, [])}
        if said and any(map(_is_scalar, said.values())):
            return ", ".join(f"{key} {_line(item) if _is_scalar(item) else _json(item)}" for key, item in said.items())
    if isinstance(value, list) and value and all(isinstance(item, str) for item in value):
        return ", ".join(value)
    return _json(value)


def _json(value: Any) -> str:
    return json.dumps(value, ensure_ascii=False)


def _rows_field(result: dict[str, Any]) -> str | None:
    """The field to show as a table: the first list of objects."""
    for name, value in result.items():
        if isinstance(value, list) and value and all(isinstance(item, dict) for item in value):
            return name
    return None


def _show_rows(console: Console, rows: list[dict[str, Any]]) -> None:
    columns = [name for name in dict.fromkeys(name for row in rows for name in row) if _has(rows, name)]
    shown = _fitting(rows, columns, console.width)
    if which := [name for name in WHICH if name in columns and name not in shown]:
        shown = _fitting(rows, [*which, *(name for name in columns if name not in which)], console.width)
    console.print(_table(rows, shown))
    left_out = [name for name in columns if name not in shown]
    if left_out:
        console.print(f"[dim]not shown: {', '.join(left_out)}; --json shows everything[/dim]")


def _has(rows: list[dict[str, Any]], column: str) -> bool:
    return any(_cell(row.get(column)) for row in rows)


def _fitting(rows: list[dict[str, Any]], columns: list[str], width: int) -> list[str]:
    """The first columns that are readable side by side; long text may fold."""
    used = 0
    for number, name in enumerate(columns):
        widest = max(len(name), *(len(_cell(row.get(name))) for row in rows))
        used += min(widest, max(MIN_FOLDED, len(name))) + 2
        if used - 2 > width and number:
            return columns[:number]
    return columns


def _table(rows: list[dict[str, Any]], columns: list[str]) -> Table:
    table = Table(header_style="bold", box=None, pad_edge=False)
    for name in columns:
        is_number = all(isinstance(row.get(name), (int, float, type(None))) for row in rows)
        table.add_column(escape(name), justify="right" if is_number else "left", overflow="fold")
    for row in rows:
        table.add_row(*(escape(_cell(row.get(name))) for name in columns))
    return table


def _cell(value: Any) -> str:
    if value is None or value in ({}, []):
        return ""
    if isinstance(value, list) and all(map(_is_scalar, value)):
        return _listed(value)
    text = value if isinstance(value, str) else _json(value)
    return text if len(text) <= MAX_CELL else text[: MAX_CELL - 1] + "…"


def _listed(values: list[Any]) -> str:
    """A list in a cell: as much of it as there is room for, and how many are left."""
    said = [value if isinstance(value, str) else _json(value) for value in values]
    whole = ", ".join(said)
    if len(whole) <= MAX_CELL:
        return whole
    count = max(1, sum(len(", ".join(said[:at])) <= MAX_CELL - 12 for at in range(1, len(said))))
    return f"{', '.join(said[:count])[: MAX_CELL - 12]} … {len(said) - count} more"


def _is_scalar(value: Any) -> bool:
    return not isinstance(value, (dict, list))
