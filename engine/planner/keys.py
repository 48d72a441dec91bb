"""What tells the rows of a table apart, and what people call them, by the names of its columns."""

from typing import TYPE_CHECKING

from engine.planner.names import LABELS

if TYPE_CHECKING:
    from engine.planner.schema import Column, Table

LEAST_SHORT = 3


def guess_key(table: "Table") -> "tuple[Column, ...]":
    """`id`, `<table>_id`, or an id of a few letters that begins like the table; else its first id."""
    ids = [column for column in table.columns if column.is_id]
    if len(ids) == len(table.columns) > 1:
        return ()  # it only ties others together
    first = table.words[0] if table.words else ""
    for wanted in (("id",), (*table.words, "id"), (*table.words[-1:], "id")):
        for column in ids:
            if column.words == wanted:
                return (column,)
    for column in ids:
        if len(column.words) == 1 and column.words[0][:1] == first[:1] and column is table.columns[0]:
            return (column,)
    for column in ids:
        if len(column.words) == 1 and first and column.words[0][:1] == first[:1]:
            return (column,)
    if ids and ids[0] is table.columns[0] and ids[0].words[:-1] and all(_begins(w, table) for w in ids[0].words[:-1]):
        return (ids[0],)
    lead = table.columns[0] if table.columns else None
    is_code = lead is not None and lead.words[-1:] in (("code",), ("number",)) and len(lead.words) > 1
    return (lead,) if lead is not None and is_code and all(_begins(w, table) for w in lead.words[:-1]) else ()


def _begins(word: str, table: "Table") -> bool:
    """Whether a word is one of a table's, or short for it: tech of technicians."""
    return any(own == word or (len(word) >= LEAST_SHORT and own.startswith(word)) for own in table.words)


def labels_of(table: "Table", key: "tuple[Column, ...]") -> "tuple[Column, ...]":
    """What people call a row: its name, a first and last name, a title; else its key."""
    texts = [column for column in table.columns if column.family == "text"]
    both = [column for column in texts if column.words in (("first", "name"), ("last", "name"))]
    for label in LABELS[:1] if len(both) == 2 else LABELS:
        for wanted in ((label,), (*table.words, label), (*table.words[-1:], label)):
            for column in texts:
                if column.words == wanted:
                    return (column,)
    if len(both) == 2:
        return tuple(both)
    for column in texts:
        if column.words == table.words:
            return (column,)
    called = [column for column in texts if column.words[-1:] == ("name",)]
    if len(called) == 1 and _is_called(called[0], table, key):
        return (called[0],)
    return tuple(column for column in called if column.words == ("full", "name")) or key


def _is_called(column: "Column", table: "Table", key: "tuple[Column, ...]") -> bool:
    """Whether a name is that of a table's rows: the court name of a hearing is none."""
    named = column.words[:-1]
    own = key[0].words[:-1] if len(key) == 1 and key[0].is_id else ()
    return (
        not own or own != table.words or bool(set(named) & set(table.words)) or named[-1:] in (("full",), ("display",))
    )
