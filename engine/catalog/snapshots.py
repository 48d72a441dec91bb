"""Schema snapshots: what a connection holds, read once for all, and again when it may have changed."""

import re
import time
from collections import OrderedDict
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import Protocol, runtime_checkable

from core.context import Principal
from core.errors import Unavailable
from engine.catalog.connections import Connections, StoredConnection
from engine.connectors.connector import ConnectionSpec, Connector, RelationInfo
from engine.lake.names import CATALOG, join_name
from engine.store.flights import Flights

MAX_COLUMNS_KEPT = 4_000_000  # in all snapshots together, about 1 GB; the least used go first
_LAST_PART = re.compile(r'(?:"(?:[^"]|"")*"|[^".]+)$')
DEFAULT_SCHEMAS = ("main", "public")


class Connectors(Protocol):
    """Opens connections; one connector per connection and version."""

    async def get(self, spec: ConnectionSpec) -> Connector: ...

    async def drop(self, tenant: str, connection_id: str) -> None: ...


@runtime_checkable
class Watched(Protocol):
    """A connector that says cheaply whether its schema has changed."""

    async def version(self) -> str:
        """Another text whenever the schema may be another."""
        ...


@dataclass(frozen=True, slots=True)
class Snapshot:
    """The relations of one connection at one time. Keys are the dotted names in lower case."""

    spec: ConnectionSpec
    relations: Mapping[str, RelationInfo]
    names: tuple[str, ...]  # the keys, sorted
    taken_at: float
    catalog_names: frozenset[str]
    column_count: int
    by_last_part: Mapping[str, tuple[str, ...]]

    def key(self, parts: tuple[str, ...], sees: Callable[[str], bool] = lambda key: True) -> str | None:
        """The key of the relation that `parts` name: in full, less a catalog or default schema, or its last part.

        Keys that `sees` says no to are not there: they never make another name ambiguous."""
        found = self._exact(parts, sees)
        if found is None and len(parts) > 1 and parts[0].lower() in (*self.catalog_names, *DEFAULT_SCHEMAS):
            found = self._exact(parts[1:], sees)
        if found is None and len(parts) == 1:
            return self._unqualified(parts[0], sees)
        return found

    def find(self, parts: tuple[str, ...]) -> RelationInfo | None:
        """The relation that `parts` name, or None."""
        key = self.key(parts)
        return None if key is None else self.relations[key]

    def _exact(self, parts: tuple[str, ...], sees: Callable[[str], bool]) -> str | None:
        name = join_name(parts)
        return next((key for key in (name, name.lower()) if key in self.relations and sees(key)), None)

    def _unqualified(self, part: str, sees: Callable[[str], bool]) -> str | None:
        for schema in DEFAULT_SCHEMAS:
            found = self._exact((schema, part), sees)
            if found is not None:
                return found
        candidates = [key for key in self.by_last_part.get(join_name((part,)).lower(), ()) if sees(key)]
        return candidates[0] if len(candidates) == 1 else None


@dataclass(frozen=True, slots=True)
class _Kept:
    snapshot: Snapshot
    version: int
    token: str | None
    read_at: float


class Snapshots:
    """Snapshots by tenant and connection, read by one flight however many wait."""

    def __init__(
        self,
        *,
        connections: Connections,
        connectors: Connectors,
        ttl_s: float,
        clock: Callable[[], float] = time.time,
        monotonic: Callable[[], float] = time.monotonic,
        max_columns: int = MAX_COLUMNS_KEPT,
    ):
        self._connections = connections
        self._connectors = connectors
        self._ttl_s = ttl_s
        self._clock = clock
        self._monotonic = monotonic
        self._max_columns = max_columns
        self._kept: OrderedDict[tuple[str, str], _Kept] = OrderedDict()
        self._flights: Flights[tuple[str, str, int, str | None], Snapshot] = Flights()

    async def snapshot(self, principal: Principal, connection_id: str) -> Snapshot:
        """What the connection holds, at most `ttl_s` old. Raises NotFound, Unavailable."""
        tenant = principal.tenant
        stored = await self._connections.see(principal, connection_id)
        kept = self._kept.get((tenant, connection_id))
        if kept is not None and not self._is_fresh(kept, stored):
            kept = None
        if kept is not None and kept.token is None:
            self._kept.move_to_end((tenant, connection_id))
            return kept.snapshot
        try:
            return await self._current(tenant, stored, kept)
        except Unavailable:
            if kept is None:
                raise
            return kept.snapshot

    async def refresh(self, principal: Principal, connection_id: str) -> Snapshot:
        """Read the source now, in this process, and at the next use in every other one."""
        await self._connections.see(principal, connection_id)
        await self._connections.touch(principal.tenant, connection_id)
        self._kept.pop((principal.tenant, connection_id), None)
        return await self.snapshot(principal, connection_id)

    def _is_fresh(self, kept: _Kept, stored: StoredConnection) -> bool:
        return kept.version == stored.version and self._monotonic() - kept.read_at < self._ttl_s

    async def _current(self, tenant: str, stored: StoredConnection, kept: _Kept | None) -> Snapshot:
        spec = await self._connections.spec(tenant, stored.connection_id)
        connector = await self._connectors.get(spec)
        token = await connector.version() if isinstance(connector, Watched) else None
        if kept is not None and kept.token == token:
            self._kept.move_to_end((tenant, stored.connection_id))
            return kept.snapshot
        # The token is part of the key: who sees a newer one does not join a read that began before it.
        key = (tenant, stored.connection_id, spec.version, token)
        return await self._flights.join(key, lambda: self._read(spec, stored, connector, token))

    async def _read(
        self, spec: ConnectionSpec, stored: StoredConnection, connector: Connector, token: str | None
    ) -> Snapshot:
        started, taken_at = self._monotonic(), self._clock()
        snapshot = make_snapshot(spec, await connector.schema(), taken_at, catalog_name=stored.catalog_name)
        self._keep(_Kept(snapshot, spec.version, token, started))
        return snapshot

    def _keep(self, kept: _Kept) -> None:
        key = (kept.snapshot.spec.tenant, kept.snapshot.spec.connection_id)
        earlier = self._kept.get(key)
        if earlier is not None and earlier.version == kept.version and earlier.read_at > kept.read_at:
            return
        self._kept[key] = kept
        self._kept.move_to_end(key)
        columns = sum(item.snapshot.column_count for item in self._kept.values())
        while columns > self._max_columns and len(self._kept) > 1:
            _, dropped = self._kept.popitem(last=False)
            columns -= dropped.snapshot.column_count


def make_snapshot(
    spec: ConnectionSpec, relations: Iterable[RelationInfo], taken_at: float, *, catalog_name: str = ""
) -> Snapshot:
    keyed: dict[str, RelationInfo] = {}
    for relation in sorted(relations, key=lambda item: item.name, reverse=True):
        key = relation.name.lower()
        # Where two names differ only by case, the one in lower case has the key, the other keeps its own name.
        keyed[key if key not in keyed else relation.name] = relation
    by_last_part: dict[str, list[str]] = {}
    for key in keyed:
        by_last_part.setdefault(_last_part(key), []).append(key)
    return Snapshot(
        spec=spec,
        relations=keyed,
        names=tuple(sorted(keyed)),
        taken_at=taken_at,
        catalog_names=frozenset({CATALOG, catalog_name.lower()} if catalog_name else ()),
        column_count=sum(len(relation.columns) for relation in keyed.values()),
        by_last_part={part: tuple(keys) for part, keys in by_last_part.items()},
    )


def _last_part(key: str) -> str:
    found = _LAST_PART.search(key)
    return found[0] if found else key
