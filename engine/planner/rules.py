"""Rules beside a question that hold for whole queries: how texts are matched, which tables are joined."""

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

from engine.planner.definitions import content_of
from engine.planner.formulas import Value
from engine.planner.intent import Condition, Intent
from engine.planner.linking import LONGEST, Linker
from engine.planner.schema import Column, Schema, Table
from engine.planner.sqltext import read_conditions
from engine.planner.words import ngrams, tokens_of

STRONG = 0.85
Mode = Literal["exact", "nocase", "partial"]
_PARTIAL = re.compile(
    r"\bwild\s?-?cards?\b|\bpercent(?:age)? signs?\b|\bpartial(?:ly)?\b|\bfuzzy\b|\bsubstrings?\b|\bflexibl[ey]\b"
    r"|like\s*'%|\bcontain(?:s|ing)?\b",
    re.I,
)
_NOCASE = re.compile(
    r"\bilike\b|\bcase[- ]?insensitiv|\bignor\w* (?:the )?case\b|\blower\s*\(|\bregardless of case\b", re.I
)
_EXACT = re.compile(r"\bexact(?:ly)?\b", re.I)
_MATCHING = re.compile(
    r"\b(?:filter|match|search|compar|look|us)(?:e|es|ed|ing|er)?\b|\bmatched\b|\blike\b|\bilike\b", re.I
)
_ALL_TEXTS = frozenset(["text", "string", "value", "attribute", "everything", "filter", "varchar", "character"])
_NAMES = frozenset(["name", "title", "label"])
_JOIN = re.compile(r"\b(?:join(?:s|ed|ing)?|link(?:s|ed|ing)?|merge[sd]?|combine[sd]?|connect(?:s|ed|ing)?)\b", re.I)
_ALWAYS_JOIN = re.compile(
    r"\balways join (?P<a>[\w. ]{2,60}?) (?:with|to|and) (?P<b>[\w. ]{2,60}?)(?: (?:before|when|whenever|if) .*)?$",
    re.I,
)
_ON = re.compile(r"\b(?:on|using|by|via)\s+(?:the\s+)?(?:column\s+)?(?P<column>[A-Za-z_][\w.]*)", re.I)
_SETTLED = ("no column is known to hold", "is looked for in")
LOOKED_FOR = 0.9
"""Of a text that no column is known to hold, where texts are to be matched in part."""
_OUT = re.compile(
    r"\b(?P<verb>exclud(?:e|es|ing)|ignor(?:e|es|ing)|leav(?:e|ing) out|do(?:es)? not (?:count|include|consider)"
    r"|don't (?:count|include|consider)|omit(?:s|ting)?|without counting|are not counted"
    r"|should be excluded|are excluded)\b",
    re.I,
)
_ONLY = re.compile(
    r"\b(?:only (?:count|include|consider|use|take|look at|filter)|(?:count|include|consider|use|take) only"
    r"|filter(?:ed|ing)?(?: (?:on|for|by|where|to))?|should only include|restrict(?:ed)? to|limit(?:ed)? to|where)\b",
    re.I,
)
_TOPIC = re.compile(
    r"\b(?:for|when (?:asked|asking|counting|calculating|getting)(?: (?:about|for))?)\s+(?P<topic>[^,.;]{2,80})$", re.I
)
_FLIPPED = {"eq": "ne", "ne": "eq", "in": "not_in", "not_in": "in", "gt": "le", "le": "gt", "lt": "ge", "ge": "lt"}
_FLIPPED |= {"is_null": "not_null", "not_null": "is_null"}


@dataclass(frozen=True, slots=True)
class Matching:
    """How texts of some columns are compared; of no column: of all."""

    mode: Mode
    columns: frozenset[Column]
    names_only: bool
    text: str

    def holds(self, column: Value, schema: Schema) -> bool:
        if not isinstance(column, Column) or column.family != "text":
            return False
        if self.columns:
            return column in self.columns
        return not self.names_only or bool(_NAMES & set(column.words)) or column in schema.table_of(column).labels


@dataclass(frozen=True, slots=True)
class Joining:
    """Tables that belong together; `always` says that one is used with the other only."""

    tables: tuple[Table, ...]
    always: tuple[Table, Table] | None
    column: str
    text: str


@dataclass(frozen=True, slots=True)
class Filtering:
    """Conditions that rows of a table always have to meet; with a topic, where that is asked about."""

    conditions: tuple[Condition, ...]
    topic: frozenset[str]
    text: str


@dataclass(frozen=True, slots=True)
class Rules:
    """What the sentences of some texts ask for that define no term."""

    matching: tuple[Matching, ...] = ()
    joining: tuple[Joining, ...] = ()
    filtering: tuple[Filtering, ...] = ()
    rest: tuple[str, ...] = ()


def read_rules(sentences: Sequence[str], linker: Linker) -> Rules:
    """The rules among some sentences, and those that are none of a known kind."""
    matching: list[Matching] = []
    joining: list[Joining] = []
    filtering: list[Filtering] = []
    rest: list[str] = []
    for sentence in sentences:
        if (match := _read_matching(sentence, linker)) is not None:
            matching.append(match)
        elif (join := _read_joining(sentence, linker)) is not None:
            joining.append(join)
        elif (only := _read_filtering(sentence, linker)) is not None:
            filtering.append(only)
        else:
            rest.append(sentence)
    return Rules(tuple(matching), tuple(joining), tuple(filtering), tuple(rest))


def _read_filtering(sentence: str, linker: Linker) -> Filtering | None:
    """`Filter type = 1 in payments for refunds`, `exclude orders with status = 'test'`"""
    is_out, is_only = bool(_OUT.search(sentence)), bool(_ONLY.search(sentence))
    if not (is_out or is_only):
        return None
    named = {table.name: 1.0 for table in tables_in(sentence, linker)}
    conditions, rest = read_conditions(sentence.rstrip("."), linker.schema, named)
    if not conditions or (is_out and len(conditions) > 1):
        return None
    if is_out:
        flipped = _FLIPPED.get(conditions[0].operator)
        if flipped is None:
            return None
        conditions = [replace(conditions[0], operator=flipped)]
    topic = _TOPIC.search(rest)
    return Filtering(tuple(conditions), content_of(topic["topic"]) if topic else frozenset(), sentence)


def _read_matching(sentence: str, linker: Linker) -> Matching | None:
    plain = re.sub(r",?\s*\b(?:e\.g\.?|eg|for example)[,:]?\s.*$", "", sentence, flags=re.I)
    is_nocase, is_partial = bool(_NOCASE.search(plain)), bool(_PARTIAL.search(plain))
    is_like = bool(re.search(r"\blike\b", plain, re.I)) and is_partial
    if not _MATCHING.search(plain) or not (is_nocase or is_partial or _EXACT.search(plain)):
        return None
    if re.search(r"\bwithout (?:\w+ )?wild\s?-?cards?\b", plain, re.I):
        is_partial, is_like = False, False
    mode: Mode = "partial" if is_partial or is_like else "nocase" if is_nocase else "exact"
    content = content_of(plain)
    columns: set[Column] = set()
    if not content & _ALL_TEXTS:
        for found in _candidates(plain, linker):
            columns |= found
    names_only = not columns and bool(content & _NAMES)
    return Matching(mode, frozenset(columns), names_only, sentence)


def _candidates(text: str, linker: Linker) -> list[set[Column]]:
    """The text columns that the phrases of a text name, of each phrase the best; not where one is any name."""
    words = tokens_of(text)
    found: list[set[Column]] = []
    at = 0
    while at < len(words):
        step = 1
        for end, _, stems in ngrams(words, at, LONGEST):
            if stems in (("name",), ("title",), ("text",)):
                break
            items = [item for item in linker.find(stems) if item.score >= STRONG]
            if not items:
                continue
            columns = {
                item.column for item in items if isinstance(item.column, Column) and item.column.family == "text"
            }
            if columns:
                found.append(columns)
            step = end - at
            break
        at += step
    return found


def _read_joining(sentence: str, linker: Linker) -> Joining | None:
    if not _JOIN.search(sentence):
        return None
    always = _ALWAYS_JOIN.search(sentence.rstrip(". "))
    pair = None
    if always is not None:
        both = [tables_in(always[side], linker)[:1] for side in ("a", "b")]
        pair = (both[0][0], both[1][0]) if both[0] and both[1] and both[0] != both[1] else None
    tables = tables_in(sentence, linker)
    if len(tables) < 2:
        return None
    on = _ON.search(sentence[_JOIN.search(sentence).start() :])  # type: ignore[union-attr]
    return Joining(tuple(tables), pair, on["column"].rpartition(".")[2] if on else "", sentence)


def tables_in(text: str, linker: Linker, *, plain: bool = False) -> list[Table]:
    """The tables that a text names, in its order; their bare names go before words that may mean them."""
    found: list[Table] = []
    by_name = {name.rpartition(".")[2].strip('"').lower(): table for name, table in linker.schema.tables.items()}
    for word in re.findall(r"[\w.]+", text):
        table = by_name.get(word.rpartition(".")[2].lower())
        if table is not None and table not in found:
            found.append(table)
    if len(found) > 1 or plain:
        return found
    words = tokens_of(text)
    for at in range(len(words)):
        for _, _, stems in ngrams(words, at, LONGEST):
            items = [item for item in linker.find(stems) if item.table is not None and item.score >= 0.7]
            if items and items[0].table is not None and items[0].table not in found:
                found.append(items[0].table)
            if items:
                break
    return found


def settle_matching(intent: Intent, rules: Rules, schema: Schema) -> list[str]:
    """Compare texts as the rules say; the rules that were used."""
    used: list[str] = []

    def changed(item: Condition) -> Condition:
        rule = next((rule for rule in rules.matching if rule.holds(item.column, schema)), None)
        if rule is None:
            return item
        made = _matched(item, rule.mode)
        if made != item or rule.mode == "exact":
            used.append(rule.text)
        return made

    intent.conditions = [changed(item) for item in intent.conditions]
    intent.measures = [
        replace(item, conditions=tuple(changed(each) for each in item.conditions)) if item.conditions else item
        for item in intent.measures
    ]
    if any(rule.mode == "partial" for rule in rules.matching):
        intent.doubts = [
            (why, max(factor, LOOKED_FOR) if any(part in why for part in _SETTLED) else factor)
            for why, factor in intent.doubts
        ]
    return list(dict.fromkeys(used))


def _matched(item: Condition, mode: Mode) -> Condition:
    if mode == "exact":
        return item
    if item.operator == "in" and isinstance(item.value, (list, tuple)):
        options = tuple(_matched(Condition(item.column, "eq", value), mode) for value in item.value)
        return Condition(item.column, "or", options=options)
    if item.operator == "ilike" and mode == "partial" and "%" not in item.value:
        return replace(item, value=f"%{item.value}%")
    if item.operator != "eq" or not isinstance(item.value, str):
        return item
    text = item.value.replace("\\", "\\\\").replace("%", "\\%").replace("_", "\\_")
    return replace(item, operator="ilike", value=f"%{text}%" if mode == "partial" else text)


def settle_joins(intent: Intent, rules: Rules) -> list[str]:
    """Join what is always to be joined with a table that is used."""
    used = []
    for rule in rules.joining:
        if rule.always is None:
            continue
        names = intent.tables()
        one, other = rule.always
        if one.name in names and other.name not in names:
            intent.joined.append(other)
            used.append(rule.text)
    return used


def settle_filters(intent: Intent, rules: Rules, asked: frozenset[str]) -> list[str]:
    """Conditions on tables that are used, where the question is about their topic and says nothing of the column."""
    used = []
    for rule in rules.filtering:
        names = intent.tables()
        held = {item.column for item in intent.conditions}
        is_near = all(isinstance(item.column, Column) and item.column.table in names for item in rule.conditions)
        if not is_near or not rule.topic <= asked or any(item.column in held for item in rule.conditions):
            continue
        intent.conditions += rule.conditions
        used.append(rule.text)
    return used
