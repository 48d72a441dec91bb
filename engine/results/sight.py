"""What somebody may see of some tables, as a digest: a stored result is read only while it is the same."""

import asyncio
import hashlib
import json
from collections.abc import Awaitable, Iterable, Mapping, Sequence
from typing import Any, Protocol

from core.context import Principal
from core.errors import NotFound
from engine.lake.names import split_name


class Named(Protocol):
    """A column."""

    @property
    def name(self) -> str: ...


class Relation(Protocol):
    """A table or view."""

    @property
    def columns(self) -> Sequence[Named]: ...


class Seen(Protocol):
    """One relation as one caller may see it."""

    @property
    def relation(self) -> Relation: ...

    @property
    def source(self) -> Relation: ...

    @property
    def columns(self) -> Mapping[str, Any]:
        """The rules of columns that are not public."""
        ...

    @property
    def filters(self) -> Sequence[Any]: ...

    @property
    def min_group(self) -> int: ...


class View(Protocol):
    """A connection as one caller may see it."""

    def find(self, parts: tuple[str, ...]) -> Seen | None: ...


class Look(Protocol):
    """Gives the view of a connection, or of what it was. Raises NotFound, Conflict."""

    def __call__(self, by: Principal, connection_id: str, as_of: str = "", /) -> Awaitable[View]: ...


async def digest_sight(
    look: Look, by: Principal, connection_id: str, tables: Iterable[str], *, versions: Mapping[str, str] | None = None
) -> str | None:
    """A digest of every rule that shapes these tables for a caller; None when one of them is not visible.

    `versions` names the snapshots of tables that were read as they were: rules are about the columns of then."""
    parts: list[Any] = [sorted(by.attributes.items())]
    try:
        for table in sorted(set(tables)):
            version = (versions or {}).get(table, "")
            view = await look(by, connection_id, version)
            seen = await asyncio.to_thread(view.find, split_name(table)) if version else view.find(split_name(table))
            if seen is None:
                return None
            parts.append([table, *([version] if version else []), *_rules(seen)])
    except NotFound:
        return None
    return hashlib.blake2b(json.dumps(parts).encode(), digest_size=16).hexdigest()


def _rules(seen: Seen) -> list[Any]:
    # Rules are frozen dataclasses: their repr holds every field. New public columns change nothing.
    hidden = {column.name for column in seen.source.columns} - {column.name for column in seen.relation.columns}
    rules = sorted((name, repr(rule)) for name, rule in seen.columns.items())
    return [sorted(hidden), rules, [repr(item) for item in seen.filters], seen.min_group]
