"""Tables that keep what was: `always take the latest status from the snapshots`. The last row of each thing counts."""

import re
from collections.abc import Sequence
from dataclasses import dataclass

from engine.planner.intent import Intent
from engine.planner.linking import Linker
from engine.planner.rules import tables_in
from engine.planner.schema import Column, Schema, Table

_LATEST = re.compile(r"\b(?:latest|most recent|newest|last known)\b", re.I)
_TAKE = re.compile(
    r"\b(?:tak\w+|us(?:e|es|ing)|select\w*|get(?:ting)?|consider\w*|keep\w*|pick\w*|only|look\w* at|filter\w*)\b", re.I
)
_SOURCE = re.compile(r"\b(?:from|of|in)\s+(?:the\s+)?[`\"']?(?P<table>[A-Za-z_][\w.]*)", re.I)
_FOR_EACH = re.compile(r"\b(?:for|of|per)\s+(?:each|every|a|any|one)?\s*(?P<thing>[a-z_]\w*)\s*$", re.I)
_CHORES = frozenset(["updated", "modified", "expires", "end", "birth"])


@dataclass(frozen=True, slots=True)
class Latest:
    """Of a table, only the row of each thing with the last moment."""

    table: Table
    thing: Column
    moment: Column
    text: str = ""


def read_latest(sentences: Sequence[str], linker: Linker) -> list[Latest]:
    """The sentences that say to take the last rows of a table alone."""
    found = (_read(sentence, linker) for sentence in sentences if _LATEST.search(sentence) and _TAKE.search(sentence))
    return [item for item in found if item is not None]


def _read(sentence: str, linker: Linker) -> Latest | None:
    after = sentence[_LATEST.search(sentence).start() :]  # type: ignore[union-attr]
    schema = linker.schema
    named = [table for match in _SOURCE.finditer(after) for table in tables_in(match["table"], linker, plain=True)]
    for table in named or tables_in(after, linker):
        moment, thing = _moment(table), _thing(table, schema, after, linker)
        if moment is not None and thing is not None:
            return Latest(table, thing, moment, sentence)
    return None


def _moment(table: Table) -> Column | None:
    times = [column for column in table.columns if column.family in ("date", "time") and column.is_readable]
    plain = [column for column in times if not _CHORES & set(column.words)]
    return (plain or times)[0] if times else None


def _thing(table: Table, schema: Schema, text: str, linker: Linker) -> Column | None:
    """What there are several rows of: what `for each` names, else the only thing that its rows refer to."""
    links = [link for link in schema.links if link.child.table == table.name and link.child not in table.key]
    each = _FOR_EACH.search(text.rstrip(". "))
    if each is not None:
        wanted = {item.name for item in tables_in(each["thing"], linker)}
        links = [link for link in links if link.parent.table in wanted] or links
    return links[0].child if len(links) == 1 else None


def settle_latest(intent: Intent, rules: Sequence[Latest]) -> list[str]:
    """Narrow tables that are used to their last rows."""
    used = []
    for rule in rules:
        is_moment = any(item.column == rule.moment for item in intent.dimensions)
        if rule.table.name in intent.tables() and rule not in intent.latest and not is_moment:
            intent.latest.append(rule)
            used.append(rule.text)
    return used
