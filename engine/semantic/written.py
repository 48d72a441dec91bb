"""What people write beside models and metrics: kept with its versions, seen by those who see what it names."""

import secrets
from collections.abc import Callable, Mapping
from typing import Any, ClassVar, Generic, Protocol, TypeVar

from core.context import Principal
from core.errors import NotFound, Unavailable
from engine.semantic.definitions import is_below, status_of
from engine.semantic.store import Change, Kind, SemanticStore, Status, Stored, missing, stale


class Written(Protocol):
    """Something to write."""

    @property
    def connection_id(self) -> str: ...
    @property
    def subject_path(self) -> str: ...
    @property
    def status(self) -> Status | None: ...
    def definition(self) -> dict[str, Any]: ...


W = TypeVar("W", bound=Written)


class Writings(Generic[W]):
    """A tenant's items of one kind. Which caller sees one, and what may be written, each kind says itself."""

    kind: ClassVar[Kind]
    prefix: ClassVar[str]  # of ids that nobody chose

    def __init__(self, items: SemanticStore, *, new_id: Callable[[], str] = lambda: secrets.token_hex(8)):
        self._items = items
        self._new_id = new_id

    async def sees(self, by: Principal, connection_id: str, definition: Mapping[str, Any]) -> bool:
        """Whether a caller sees all that a definition names. Raises NotFound, Unavailable as the connection does."""
        raise NotImplementedError

    async def check(self, by: Principal, draft: W) -> None:
        """Raises Conflict for what means nothing, QueryUnauthorized for what the writer does not see."""
        raise NotImplementedError

    async def create(self, by: Principal, draft: W, name: str | None = None) -> Stored:
        """Raises Conflict when the name is taken, and as `check` does."""
        name = name or f"{self.prefix}_{self._new_id()}"
        return await self._put(by, name, draft, status_of(by, draft.status), 0)

    async def update(self, by: Principal, name: str, draft: W, version: int | None = None) -> Stored:
        """Raises NotFound, Unauthorized, Conflict when `version` is no longer the present one, and as `check` does."""
        stored = await self._present(by, name, version)
        return await self._put(by, name, draft, status_of(by, draft.status, stored.status), stored.version)

    async def delete(self, by: Principal, name: str, version: int | None = None) -> None:
        """Raises NotFound, Unauthorized, Conflict when `version` is no longer the present one."""
        stored = await self._present(by, name, version)
        status_of(by, None, stored.status)
        await self._items.delete(by, stored)

    async def get(self, by: Principal, name: str) -> Stored:
        """Raises NotFound, the same for one that is hidden and for none."""
        stored = await self._items.get(by.tenant, self.kind, name)
        if not await self.is_seen(by, stored):
            raise missing(self.kind, name)
        return stored

    async def all(self, by: Principal, connection_id: str = "", subject_path: str = "") -> list[Stored]:
        """Those that the caller sees, by name; of a connection those of none as well."""
        return [
            stored
            for stored in await self._items.all(by.tenant, self.kind)
            if (not connection_id or stored.connection_id in ("", connection_id))
            and is_below(stored.subject_path, subject_path)
            and await self.is_seen(by, stored)
        ]

    async def versions(self, by: Principal, name: str) -> list[Stored]:
        """What it has been, as far as that names only what the caller sees, the newest first. Raises NotFound."""
        await self.get(by, name)
        past = await self._items.versions(by.tenant, self.kind, name)
        return [each for each in past if not each.is_deleted and await self.is_seen(by, each)]

    async def restore(self, by: Principal, name: str, number: int) -> Stored:
        """Write an earlier version again, as the newest one. Raises NotFound, Unauthorized."""
        past = next((each for each in await self.versions(by, name) if each.version == number), None)
        if past is None:
            raise NotFound(f"{name[:80]!r} has no version {number}.", hint="Its versions that you may see are listed.")
        status = status_of(by, past.status, (await self.get(by, name)).status)
        change = Change(self.kind, name, past.definition, past.connection_id, status, past.subject_path, version=None)
        return (await self._items.put(by, [change]))[0]

    async def is_seen(self, by: Principal, stored: Stored) -> bool:
        if stored.status == "draft" and not by.may("semantic.edit"):
            return False
        try:
            return await self.sees(by, stored.connection_id, stored.definition)
        except (NotFound, Unavailable):  # no connection, or nobody can say what it holds
            return False

    async def _present(self, by: Principal, name: str, version: int | None) -> Stored:
        stored = await self.get(by, name)
        if version is not None and version != stored.version:
            raise stale(name)
        return stored

    async def _put(self, by: Principal, name: str, draft: W, status: Status, version: int) -> Stored:
        await self.check(by, draft)
        definition = draft.definition()
        change = Change(self.kind, name, definition, draft.connection_id, status, draft.subject_path, version=version)
        return (await self._items.put(by, [change]))[0]
