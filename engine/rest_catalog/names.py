"""Namespaces and names as clients send them."""

from collections.abc import Mapping, Sequence
from typing import Any

from core.errors import InvalidArgument
from engine.lake.names import CATALOG, MAX_PART, TRASH, checked_parts, join_name

SEPARATOR = "\x1f"
MAX_LEVELS = 8
_TAKEN = (TRASH, CATALOG, "main", "information_schema")

Parts = tuple[str, ...]


def read_namespace(text: str) -> Parts:
    """The levels of a namespace in a path. Raises InvalidArgument."""
    return checked(tuple(text.split(SEPARATOR)))


def sent_namespace(value: Any) -> Parts:
    """The levels of a namespace in a body. Raises InvalidArgument."""
    if not isinstance(value, list) or not all(isinstance(part, str) for part in value):
        raise InvalidArgument("A namespace is a list of texts.")
    return checked(tuple(value))


def sent_identifier(value: Any) -> Parts:
    """Namespace and name of a table in a body. Raises InvalidArgument."""
    if not isinstance(value, Mapping) or not isinstance(value.get("name"), str):
        raise InvalidArgument("A table is given as its namespace and its name.")
    return (*sent_namespace(value.get("namespace")), *checked((value["name"],)))


def checked(parts: Sequence[str]) -> Parts:
    """Raises InvalidArgument for what could not be a name, or could leave its folder."""
    if not 0 < len(parts) <= MAX_LEVELS:
        raise InvalidArgument(f"A namespace has one to {MAX_LEVELS} levels.")
    for part in parts:
        if not 0 < len(part) <= MAX_PART or "." in part:
            raise InvalidArgument(f"A name has 1 to {MAX_PART} characters, and no dot.")
        checked_parts(join_name((part,)))
    return tuple(parts)


def check_free(parts: Parts) -> None:
    """Raises InvalidArgument for names that the platform keeps to itself."""
    if parts[0].lower() in _TAKEN:
        raise InvalidArgument(f"The namespace {parts[0]!r} is the platform's own.", hint="Choose another name.")
