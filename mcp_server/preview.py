"""Rows as a model reads them: typed columns, as many rows as the budget allows, and what is in the rest."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from core.portable import RowsColumn, RowsPreview
from mcp_server.text import MAX_CELL_CHARS, MAX_VALUE_CHARS, Page, cost, json_text, quoted

BLOCK_ROWS, BLOCK_CELLS = 50, 20_000
HEADING_CHARS = 60
CUT_CHARS = 30  # what says that a value was cut
PROFILE_SHARE = 0.3
MAX_NAME_CHARS = 120


@dataclass(slots=True)
class Shown:
    """The text of a result with rows, and what of them it shows."""

    page: Page
    row_count: int
    column_count: int
    rows: int = 0
    columns: int = 0

    @property
    def is_whole(self) -> bool:
        return self.page.is_whole and self.rows == self.row_count and self.columns == self.column_count


def show(name: str, rest: Mapping[str, Any], preview: RowsPreview, budget: int, *, profiled: bool = True) -> Shown:
    """The other fields of a result, then its rows as a table with typed columns; what is cut is profiled."""
    page = Page(room=budget)
    for key, value in rest.items():
        if not page.add(f"{key}: {page.clip(_line(value), min(MAX_VALUE_CHARS, page.room // 2))}"):
            page.cut_values += 1
    columns = _fitting(preview.columns, page.room // 2)
    shown = Shown(page, preview.row_count, len(preview.columns), columns=len(columns))
    room = page.room - sum(cost(_heading(column)) + 1 for column in columns) - HEADING_CHARS
    table = _rows(preview, columns, room)
    told: list[str] = []
    if profiled and (table.rows < shown.row_count or shown.columns < shown.column_count):
        told = _profile(preview, int(page.room * PROFILE_SHARE))
        table = _rows(preview, columns, room - sum(cost(line) + 1 for line in told))
    long_names = sum(max(len(column.name), len(column.type)) > MAX_NAME_CHARS for column in columns)
    shown.rows, page.cut_values = table.rows, page.cut_values + table.cut_values + long_names
    total = str(shown.row_count) if shown.rows == shown.row_count else f"{shown.rows} of {shown.row_count}"
    heading = ",".join(_heading(column) for column in columns)
    for line in (f"{name} ({total}):", *([heading] if columns else []), *table.lines, *told):
        page.add(line)
    return shown


def structured(preview: RowsPreview, room: int) -> tuple[list[dict[str, Any]], bool]:
    """Rows for `structuredContent` within some characters, and whether these are all."""
    columns = len(preview.columns)
    if columns * 6 > room:  # not one row fits: no row is better than a part of one under its own name
        return [], preview.row_count == 0
    kept: list[dict[str, Any]] = []
    while len(kept) < preview.row_count:
        for row in preview.slice(len(kept), max(1, min(BLOCK_ROWS, BLOCK_CELLS // max(1, columns)))):
            room -= len(json_text(row)) + 1
            if room < 0:
                return kept, False
            kept.append(row)
    return kept, True


def _rows(preview: RowsPreview, columns: Sequence[RowsColumn], room: int) -> Page:
    """Rows that fit; where not even one does, its cells are cut further."""
    table = _table(preview, columns, room, MAX_CELL_CHARS)
    if not table.rows and preview.row_count and columns:
        table = _table(preview, columns, room, max(room // len(columns) - CUT_CHARS, 0))
    return table


def _table(preview: RowsPreview, columns: Sequence[RowsColumn], room: int, cell_chars: int) -> Page:
    page = Page(room=room)
    block = max(1, min(BLOCK_ROWS, BLOCK_CELLS // max(1, len(preview.columns))))
    while page.rows < preview.row_count:
        for row in preview.slice(page.rows, block):
            cut_values = page.cut_values
            if not page.add(",".join(_cell(page, row.get(column.name), cell_chars) for column in columns)):
                page.cut_values = cut_values
                return page
            page.rows += 1
    return page


def _profile(preview: RowsPreview, room: int) -> list[str]:
    """Lines about the columns, of all rows of the result."""
    page = Page(room=room)
    page.add("profile of all rows (column: nulls, distinct, least .. greatest):")
    for entry in preview.profile():
        told = [f"{entry['nulls']} nulls"]
        if entry["distinct"] is not None:
            told.append(f"{entry['distinct']} distinct")
        if entry["min"] is not None:
            told.append(f"{_cell(page, entry['min'], MAX_NAME_CHARS)} .. {_cell(page, entry['max'], MAX_NAME_CHARS)}")
        if not page.add(f"{quoted(entry['column'][:MAX_NAME_CHARS])}: {', '.join(told)}"):
            break
    return page.lines if len(page.lines) > 1 else []


def _fitting(columns: Sequence[RowsColumn], room: int) -> list[RowsColumn]:
    """The first columns whose headings leave room for values."""
    kept = []
    for column in columns:
        room -= cost(_heading(column)) + 1
        if room < 0:
            break
        kept.append(column)
    return kept


def _heading(column: RowsColumn) -> str:
    name = column.name if len(column.name) <= MAX_NAME_CHARS else f"{column.name[:MAX_NAME_CHARS]}..."
    kind = column.type if len(column.type) <= MAX_NAME_CHARS else f"{column.type[:MAX_NAME_CHARS]}..."
    private = "" if column.privacy == "public" else f" [{column.privacy}]"
    return quoted(f"{name} {kind}{private}")


def _cell(page: Page, value: Any, limit: int) -> str:
    if value is None:
        return ""
    if isinstance(value, str) and len(value) > limit:
        return quoted(page.clip(value, limit))
    text = quoted(value if isinstance(value, str) else json_text(value))
    return page.clip(text, limit) if isinstance(value, (dict, list)) else text


def _line(value: Any) -> str:
    """A field beside the rows; of what is in the table's head already there is no need here."""
    if isinstance(value, dict):
        value = {key: item for key, item in value.items() if key not in ("columns", "column_privacy")}
    return value if isinstance(value, str) and value else json_text(value)
