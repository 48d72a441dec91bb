"""Which literals of a statement may change without its being planned again, and how they are put into the plan.

A literal is free where none of our checks looks at its value: as an operand of a comparison in WHERE, ON, HAVING or
QUALIFY. Everywhere else (LIMIT, ordinals, arguments, paths, intervals, types, names) it belongs to the plan.
Sentinels find the places: values that nobody can guess, in the statement as it is parsed, and in the text printed."""

import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import TYPE_CHECKING, Literal

from sqlglot import exp
from sqlglot.tokenizer_core import Token, TokenType

from core.errors import PlatformError
from engine.sql.parse import parse, tokens_of

if TYPE_CHECKING:
    from collections.abc import Callable

    from engine.sql.bind import Prepared

Kind = Literal["text", "integer", "decimal"]
Key = tuple[object, ...]

_INTEGER = re.compile(r"(?:0|[1-9][0-9]{0,17})")
_DECIMAL = re.compile(r"(?:0|[1-9][0-9]{0,17})\.[0-9]{1,18}")
# Engines differ in what a backslash or a control character means inside quotes: texts with them are not exchanged.
_PLAIN = re.compile(r"[^\\\x00-\x1f\x7f]{0,4000}")

_WRAPPERS = (exp.Paren, exp.Neg, exp.Add, exp.Sub, exp.Mul, exp.Div)
_COMPARISONS = (exp.EQ, exp.NEQ, exp.GT, exp.GTE, exp.LT, exp.LTE, exp.Between, exp.In, exp.Like, exp.ILike)
_CONNECTIVES = (exp.And, exp.Or, exp.Not, exp.Paren)
_FILTERS = (exp.Where,)
_OPEN_FILTERS = (exp.Where, exp.Having, exp.Qualify)  # where no column has rules of its own


@dataclass(frozen=True, slots=True)
class Candidate:
    """A literal that is written plainly enough to be exchanged, and where it stands in the text."""

    kind: Kind
    value: str
    start: int
    end: int


@dataclass(frozen=True, slots=True)
class Read:
    """A statement as tokens. `key` is equal for statements that differ only in their candidates."""

    sql: str
    key: Key
    candidates: tuple[Candidate, ...]

    def fixed(self, free: Sequence[bool]) -> tuple[str, ...]:
        """The values of the candidates that a plan depends on."""
        return tuple(item.value for item, is_free in zip(self.candidates, free, strict=True) if not is_free)

    def with_values(self, values: Sequence[str | None]) -> str:
        """The text with other literals; None leaves the one that is there."""
        parts, at = [], 0
        for item, value in zip(self.candidates, values, strict=True):
            if value is not None:
                parts += [self.sql[at : item.start], print_literal(item.kind, value)]
                at = item.end
        return "".join([*parts, self.sql[at:]])


@dataclass(frozen=True, slots=True)
class Slotted:
    """A plan with gaps: `pieces` of its text, and between them the numbers of the candidates that fill them."""

    prepared: "Prepared"
    pieces: tuple[str, ...]
    order: tuple[int, ...]

    def filled(self, read: Read) -> "Prepared":
        parts = [self.pieces[0]]
        for number, piece in zip(self.order, self.pieces[1:], strict=True):
            item = read.candidates[number]
            parts += [print_literal(item.kind, item.value), piece]
        return replace(self.prepared, template="".join(parts))


def read_tokens(sql: str, dialect: str) -> Read:
    """Raises QueryUnauthorized, as `parse` does."""
    key: list[object] = []
    candidates: list[Candidate] = []
    before = -1
    for token in tokens_of(sql, dialect):
        kind = _kind(token, sql)
        if kind == "text" and dialect == "spark" and "'" in token.text:
            kind = None  # a quote inside a text is not doubled there
        # Some rules of the grammar ask whether two tokens touch.
        key += (token.token_type, token.start == before + 1, kind or token.text)
        before = token.end
        if kind is not None:
            candidates.append(Candidate(kind, token.text, token.start, token.end + 1))
    return Read(sql, tuple(key), tuple(candidates))


def print_literal(kind: Kind, value: str) -> str:
    """The literal as every dialect reads it. Raises ValueError for what is not exactly of its kind."""
    pattern = {"text": _PLAIN, "integer": _INTEGER, "decimal": _DECIMAL}[kind]
    if pattern.fullmatch(value) is None:
        raise ValueError("The literal is not plain.")
    return "'" + value.replace("'", "''") + "'" if kind == "text" else value


def find_free(read: Read, dialect: str, *, is_open: bool) -> tuple[bool, ...]:
    """For each candidate, whether its value is of no concern to any check. `is_open`: no column has rules."""
    clauses = _OPEN_FILTERS if is_open else _FILTERS
    sentinels = [_sentinel(item.kind) for item in read.candidates]
    try:
        tree = parse(read.with_values(sentinels), dialect).tree
    except PlatformError:
        return (False,) * len(sentinels)
    found: dict[str, list[exp.Expr]] = {}
    for node in tree.find_all(exp.Literal):
        found.setdefault(node.this, []).append(node)
    return tuple(len(found.get(value, ())) == 1 and _is_free(found[value][0], clauses) for value in sentinels)


def make_slots(read: Read, free: Sequence[bool], plan: "Callable[[str], Prepared]", like: "Prepared") -> Slotted | None:
    """The plan with gaps in the places of the free literals; None when it cannot be made safely.

    `like` is the plan of the statement as it stands: filled with its own literals, the new one must equal it."""
    sentinels = [_sentinel(item.kind) if is_free else None for item, is_free in zip(read.candidates, free, strict=True)]
    try:
        prepared = plan(read.with_values(sentinels))
    except PlatformError:
        return None
    others = repr([getattr(prepared, item.name) for item in fields(prepared) if item.name != "template"])
    places = []
    for number, (item, value) in enumerate(zip(read.candidates, sentinels, strict=True)):
        if value is None:
            continue
        text = print_literal(item.kind, value)
        if prepared.template.count(value) != 1 or prepared.template.count(text) != 1 or value in others:
            return None
        places.append((prepared.template.index(text), len(text), number))
    places.sort()
    pieces, at = [], 0
    for start, length, _ in places:
        pieces.append(prepared.template[at:start])
        at = start + length
    slotted = Slotted(prepared, (*pieces, prepared.template[at:]), tuple(number for _, _, number in places))
    return slotted if _unmarked(slotted.filled(read)) == _unmarked(like) else None


def _unmarked(prepared: "Prepared") -> str:
    """The text with its markers, which are random, replaced by their numbers."""
    text = prepared.template
    for number, marker in enumerate(prepared.markers):
        text = text.replace(marker, f"leaf {number}")
    return text


def _kind(token: Token, sql: str) -> Kind | None:
    if token.token_type == TokenType.STRING:
        is_plain = sql[token.start] == "'" and sql[token.end] == "'" and _PLAIN.fullmatch(token.text)
        return "text" if is_plain else None
    if token.token_type == TokenType.NUMBER and sql[token.start : token.end + 1] == token.text:
        if _INTEGER.fullmatch(token.text):
            return "integer"
        return "decimal" if _DECIMAL.fullmatch(token.text) else None
    return None


def _sentinel(kind: Kind) -> str:
    if kind == "text":
        return f"slot{secrets.token_hex(12)}"
    number = str(10**17 + secrets.randbelow(8 * 10**17))
    return number if kind == "integer" else f"{number}.{number}"


def _is_free(literal: exp.Expr, clauses: tuple[type[exp.Expr], ...]) -> bool:
    """Whether the literal is a value, in a comparison, in a condition, of a clause that filters."""
    node, parent = literal, literal.parent
    while isinstance(parent, _WRAPPERS) or (isinstance(parent, exp.Cast) and parent.this is node):
        node, parent = parent, parent.parent
    if not isinstance(parent, _COMPARISONS) or isinstance(parent.this, (exp.Star, exp.Literal)):
        return False
    node, parent = parent, parent.parent
    while isinstance(parent, _CONNECTIVES):
        node, parent = parent, parent.parent
    return isinstance(parent, clauses) or (isinstance(parent, exp.Join) and parent.args.get("on") is node)
