"""A second look at statements over an attached database: DuckDB lets them read its file as bytes, past every table.

Whatever the settings say, the file of an attached database may be opened by SQL. Our parser refuses what would; this
holds, by the engine's own tokens, should a statement ever come past it."""

import re
from collections.abc import Iterator, Sequence

from core.errors import Conflict

HARMLESS = frozenset({"range", "generate_series", "unnest", "repeat", "histogram", "version", "json_each", "json_tree"})

_CODES = re.compile(r"\\[xu0-9]")


def refuse_reading(sql: str, file_name: str, functions: frozenset[str]) -> None:
    """Refuse a statement that calls one of `functions`, or names the file where a table could stand.

    Raises Conflict."""
    words = list(_words(sql))
    name = file_name.casefold()
    for (word, is_name), (following, _) in zip(words, [*words[1:], ("", False)], strict=True):
        is_call = following.startswith("(") and word in functions
        is_file = is_name and (name in word or (word.startswith("e'") and _may_spell(word, name)))
        if is_call or is_file:
            raise Conflict("The engine refused the query.", hint="Read tables of the connection only.")


def _may_spell(escaped: str, name: str) -> bool:
    """Whether a text with escapes may be the name: it holds codes of letters, or the name under its backslashes."""
    is_plain = name.isprintable() and "\\" not in name
    return not is_plain or _CODES.search(escaped) is not None or name in escaped.replace("\\", "")


def _words(sql: str) -> Iterator[tuple[str, bool]]:
    """The statement's tokens, folded and without comments, and whether each may name a file; names lose their quotes.

    A token is said to reach to the next, over what lies between them."""
    import duckdb

    text = sql.encode()
    found: Sequence[tuple[int, object]] = duckdb.tokenize(sql)
    ends = [start for start, _ in found[1:]]
    for (start, kind), end in zip(found, [*ends, len(text)], strict=True):
        token = text[start:end].decode("utf-8", "replace").casefold()
        if kind == duckdb.token_type.string_const:
            yield token.replace("''", "'"), True
        elif kind == duckdb.token_type.identifier and token[0] == '"':
            yield token[1:].replace('""', "\0").partition('"')[0].replace("\0", '"'), True
        elif kind != duckdb.token_type.comment:
            yield token.partition("/*")[0].partition("--")[0].strip(), False
