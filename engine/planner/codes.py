"""Lists of codes: `Status codes: A = active, R = retired`, as what words of a question stand for."""

import re
from collections.abc import Sequence

from engine.planner.definitions import Definition, stems_of
from engine.planner.linking import LONGEST, Linker
from engine.planner.schema import Column
from engine.planner.words import ngrams, tokens_of

_ONE = re.compile(
    r"['\"]?(?P<code>[\w-]{1,12})['\"]? ?(?:=|:|means|stands for|is for|is|for|-|\u2013) ?"
    r"['\"]?(?P<word>[A-Za-z][\w /-]{1,40}?)['\"]?(?=\s*(?:[,;.)]|\band\b|\bor\b|$))"
)
_LIST = re.compile(
    r"(?P<head>[A-Za-z][\w' ]{1,60}?)\s*(?::|\bare\b|\()\s*"
    r"(?P<pairs>['\"]?[\w-]{1,12}['\"]? ?(?:=|means|stands for|is for) ?[^.\n]{2,400})"
)
MAX_TEXT, MAX_PAIRS, LEAST_PAIRS = 4000, 30, 2
_NOT = re.compile(r"\b(?:not|never|no|except|excluding|\w+n't)\s+$", re.I)


def read_codes(question: str, knowledge: Sequence[str], linker: Linker) -> tuple[list[Definition], list[str]]:
    """What a question says by words that codes stand for, as definitions; and the texts without such lists."""
    found: list[Definition] = []
    rest: list[str] = []
    for text in knowledge:
        plain = text[:MAX_TEXT]
        for match in list(_LIST.finditer(plain)):
            pairs = [(item["code"], item["word"].strip()) for item in _ONE.finditer(match["pairs"])][:MAX_PAIRS]
            column = _column(match["head"], [code for code, _ in pairs], linker) if len(pairs) >= LEAST_PAIRS else None
            if column is not None:
                found += _said(question, column, pairs, match.group(), linker)
                plain = plain.replace(match.group(), " ")
        rest.append(plain + text[MAX_TEXT:])
    return found, [text for text in rest if text.strip(" .;\n")]


def _column(head: str, codes: Sequence[str], linker: Linker) -> Column | None:
    """The column that holds all codes, of several the one that the list is headed by."""
    schema = linker.schema
    holders: dict[Column, set[str]] = {}
    for code in codes:
        for column, value in schema.values.get(code.lower(), ()):
            if value.lower() == code.lower():
                holders.setdefault(column, set()).add(code)
    full = [column for column, held in holders.items() if len(held) >= max(LEAST_PAIRS, len(codes) - 1)]
    named = _named(head, linker)
    if all(code.lstrip("-").isdigit() for code in codes):
        full = [column for column in named if column.family == "number" and not column.is_id]
    best = [column for column in full if column in named]
    if best:
        return max(best, key=lambda column: named[column])
    return full[0] if len(full) == 1 and full[0].family == "text" else None


def _named(head: str, linker: Linker) -> dict[Column, float]:
    tokens, named = tokens_of(head), dict[Column, float]()
    for at in range(len(tokens)):
        for _, _, stems in ngrams(tokens, at, LONGEST):
            for item in linker.find(stems):
                if item.column is not None:
                    named[item.column] = max(named.get(item.column, 0.0), item.score * len(stems))
    return named


def _said(
    question: str, column: Column, pairs: Sequence[tuple[str, str]], text: str, linker: Linker
) -> list[Definition]:
    """The words of a question for codes; those that are joined by `or` are one choice."""
    words = {" ".join(stems_of(word)): code for code, word in pairs}
    forms = "|".join(sorted((re.escape(word) + "(?:s|es)?" for _, word in pairs), key=len, reverse=True))
    choice = re.compile(rf"\b(?:{forms})\b(?:(?:,| or| and|, or|, and)\s+(?:{forms})\b)*", re.I)
    found = []
    for match in choice.finditer(question):
        keys = [" ".join(stems_of(part)) for part in re.findall(forms, match.group(), re.I)]
        said = [words[key] for key in keys if key in words]
        if not said:
            continue
        is_number = column.family == "number"
        values = ", ".join(code if is_number else f"'{code}'" for code in dict.fromkeys(said))
        denied = _NOT.search(question[: match.start()])
        is_not, start = denied is not None, denied.start() if denied is not None else match.start()
        body = f"{column.name} {'not in' if is_not else 'in'} ({values})"
        if len(set(said)) == 1:
            body = f"{column.name} {'<>' if is_not else '='} {values}"
        found.append(Definition((question[start : match.end()],), (_with_thing(question, column, body, linker),), text))
    return found


def _with_thing(question: str, column: Column, body: str, linker: Linker) -> str:
    """The condition, with the thing that it is said of where no other word names that."""
    table = linker.schema.table_of(column)
    stems = set(stems_of(question))
    return body if set(table.words[-1:]) & stems else f"{' '.join(table.words)} with {body}"
