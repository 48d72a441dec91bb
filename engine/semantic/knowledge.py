"""Knowledge: what a tenant's words mean, written by people for questions and models."""

import secrets
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.context import Principal
from core.errors import NotFound, QueryUnauthorized, Unavailable
from engine.connectors.stream import in_thread
from engine.semantic.definitions import is_below, status_of
from engine.semantic.store import Change, Kind, SemanticStore, Status, Stored, missing, stale
from engine.sql.run import Catalog

KIND: Kind = "knowledge"
LAKEHOUSE = "lakehouse"  # whose tables are meant where no connection is named


@dataclass(frozen=True, slots=True)
class Draft:
    """A text to write. tables: only those who see all of them see it."""

    title: str
    text: str
    connection_id: str = ""
    tables: Sequence[str] = ()
    synonyms: Sequence[str] = ()
    subject_path: str = ""
    status: Status | None = None

    def definition(self) -> dict[str, Any]:
        return {
            "title": self.title,
            "text": self.text,
            "tables": list(self.tables),
            "synonyms": list(self.synonyms),
        }


class Knowledge:
    """A tenant's texts."""

    def __init__(
        self,
        items: SemanticStore,
        catalog: Catalog,
        *,
        new_id: Callable[[], str] = lambda: f"kn_{secrets.token_hex(8)}",
    ):
        self._items = items
        self._catalog = catalog
        self._new_id = new_id

    async def create(self, by: Principal, draft: Draft, name: str | None = None) -> Stored:
        """Raises Conflict when the name is taken, QueryUnauthorized for tables that the caller does not see."""
        return await self._put(by, name or self._new_id(), draft, status_of(by, draft.status), 0)

    async def update(self, by: Principal, name: str, draft: Draft, version: int | None = None) -> Stored:
        """Raises NotFound, Conflict, Unauthorized."""
        stored = await self.get(by, name)
        if version is not None and version != stored.version:
            raise stale(name)
        return await self._put(by, name, draft, status_of(by, draft.status, stored.status), stored.version)

    async def delete(self, by: Principal, name: str, version: int | None = None) -> None:
        stored = await self.get(by, name)
        if version is not None and version != stored.version:
            raise stale(name)
        status_of(by, None, stored.status)
        await self._items.delete(by, stored)

    async def get(self, by: Principal, name: str) -> Stored:
        """Raises NotFound, the same for one that is hidden and for none."""
        stored = await self._items.get(by.tenant, KIND, name)
        if not await self.is_seen(by, stored):
            raise missing(KIND, name)
        return stored

    async def all(self, by: Principal, connection_id: str = "", subject_path: str = "") -> list[Stored]:
        """Those that the caller sees, by name; of a connection those of none as well."""
        return [
            stored
            for stored in await self._items.all(by.tenant, KIND)
            if (not connection_id or stored.connection_id in ("", connection_id))
            and is_below(stored.subject_path, subject_path)
            and await self.is_seen(by, stored)
        ]

    async def is_seen(self, by: Principal, stored: Stored) -> bool:
        if stored.status == "draft" and not by.may("semantic.edit"):
            return False
        if not stored.connection_id:
            return True
        return await self._sees(by, stored.connection_id, [str(table) for table in stored.definition["tables"]])

    async def _sees(self, by: Principal, connection_id: str, tables: Sequence[str]) -> bool:
        try:
            view = await self._catalog.view(by, connection_id, "")
        except (NotFound, Unavailable):
            return False
        return await in_thread(lambda: all(_governed(table, view) for table in tables))

    async def _put(self, by: Principal, name: str, draft: Draft, status: Status, version: int) -> Stored:
        connection_id = draft.connection_id or (LAKEHOUSE if draft.tables else "")
        if connection_id and not await self._sees(by, connection_id, draft.tables):
            raise QueryUnauthorized(hint="It names a table that you cannot query; list_tables shows those you can.")
        change = Change(KIND, name, draft.definition(), connection_id, status, draft.subject_path, version=version)
        return (await self._items.put(by, [change]))[0]


def _governed(table: str, view: Any) -> bool:
    from engine.semantic.sight import governed_of  # brings sqlglot

    return governed_of(table, view) is not None
