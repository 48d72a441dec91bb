"""Names of lakehouse tables: `namespace.table` or `headwater.namespace.table`, namespaces may be nested."""

import re
from dataclasses import dataclass

from core.errors import InvalidArgument

CATALOG = "headwater"
TRASH = "headwater_trash"  # the namespace of deleted tables, which nobody is shown
FAR_TRASH = "trash_of_headwater"  # the same in a catalog of others: one that is a Headwater keeps TRASH to itself
MAX_PART = 128
_PART = re.compile(r'"((?:[^"]|"")*)"|([^".]+)')
_PLAIN = r'[ ]*[^". /\\\x00-\x1f\x7f][^"./\\\x00-\x1f\x7f]*'
_QUOTED = r'"[ .]*(?:[^". /\\\x00-\x1f\x7f]|"")(?:[^"/\\\x00-\x1f\x7f]|"")*"'
_NAME = f"(?:{_PLAIN}|{_QUOTED})"
TABLE_NAME = rf"^{_NAME}(?:\.{_NAME})*$"
"""Parts with dots between them; each has a sign that is neither dot nor space, and no slash or control character."""


@dataclass(frozen=True, slots=True)
class TableName:
    """A table's namespace and name, without the catalog."""

    namespace: tuple[str, ...]
    table: str

    @property
    def parts(self) -> tuple[str, ...]:
        return (*self.namespace, self.table)

    def __str__(self) -> str:
        return join_name(self.parts)


def parse_table_name(text: str) -> TableName:
    """Raises InvalidArgument when `text` is not a table's name."""
    parts = checked_parts(text)
    if len(parts) > 2 and parts[0].lower() == CATALOG:
        parts = parts[1:]
    if len(parts) < 2:
        raise InvalidArgument(
            f"{text[:80]!r} names no namespace.", hint="Write namespace.table, for example flights.airports."
        )
    return TableName(parts[:-1], parts[-1])


def checked_parts(text: str) -> tuple[str, ...]:
    """The parts of a name that somebody gave us. Raises InvalidArgument for one that could leave its folder."""
    if not re.fullmatch(TABLE_NAME, text):
        raise _wrong(text)
    return split_name(text)


def split_name(text: str) -> tuple[str, ...]:
    """The parts of a dotted name, whatever characters a source has put there; one in double quotes may hold dots."""
    parts, position = [], 0
    while True:
        match = _PART.match(text, position)
        if match is None:
            raise _wrong(text)
        quoted, plain = match.groups()
        parts.append(quoted.replace('""', '"') if quoted is not None else plain)
        position = match.end()
        if position == len(text):
            return tuple(parts)
        if text[position] != ".":
            raise _wrong(text)
        position += 1


def join_name(parts: tuple[str, ...]) -> str:
    """The parts as one dotted name; parts that would not read back are double-quoted."""
    return ".".join(f'"{part.replace(chr(34), chr(34) * 2)}"' if re.search('[."]', part) else part for part in parts)


def _wrong(text: str) -> InvalidArgument:
    return InvalidArgument(
        f"{text[:80]!r} is not a table name.",
        hint='Write namespace.table; a part with a dot goes in double quotes: sales."2013.q1".',
    )
