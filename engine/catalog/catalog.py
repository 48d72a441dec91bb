"""The catalog: connections, their schemas, what people say about them, and the search over all of it."""

import asyncio
import time
from collections import OrderedDict
from collections.abc import Callable, Hashable, Mapping, Sequence
from dataclasses import dataclass

from core.context import Principal
from core.errors import Conflict, NotFound
from engine.catalog.annotations import NO_NOTES, Annotations, Notes, Place, TableNotes
from engine.catalog.config import CatalogConfig, CatalogConfigs
from engine.catalog.connections import Connections, check_reach
from engine.catalog.guests import Guests, Opened, narrowed
from engine.catalog.search import Search
from engine.catalog.snapshots import Connectors, Snapshot, Snapshots
from engine.catalog.views import Seen, View
from engine.catalog.warehouses import Warehouses
from engine.connectors.connector import ColumnInfo, ConnectionSpec, Connector, RelationInfo, Versioned
from engine.connectors.shared import OWNER, SHARE
from engine.lake.names import split_name
from engine.policy.decide import Caller, decide
from engine.policy.index import OPEN, ConnectionPolicies, caller_of
from engine.policy.policies import Policies, check_change
from engine.policy.rules import Governed, Privacy, open_to_all
from engine.store.db import Store

MAX_SEEN = 256  # kinds of callers times connections whose decisions are kept


@dataclass(frozen=True, slots=True)
class TableView:
    """A relation as one caller sees it, with its notes."""

    connection_id: str
    key: str
    governed: Governed
    notes: TableNotes

    @property
    def relation(self) -> RelationInfo:
        return self.governed.relation

    def privacy(self, column: ColumnInfo) -> Privacy:
        return self.governed.privacy(column.name)

    @property
    def description(self) -> str | None:
        return self.notes.description or self.relation.comment

    def column_tags(self, column: ColumnInfo) -> list[str]:
        return list(self.notes.column_tags.get(column.name, ()))

    def column_description(self, column: ColumnInfo) -> str | None:
        return self.notes.column_descriptions.get(column.name) or column.comment

    def column(self, name: str) -> ColumnInfo:
        """The column by its exact name, else by its only name in another case. Raises NotFound."""
        for column in self.relation.columns:
            if column.name == name:
                return column
        alike = [column for column in self.relation.columns if column.name.lower() == name.lower()]
        if len(alike) != 1:
            raise NotFound(
                f"No column {name[:80]!r} in {self.relation.name}.", hint="list_columns shows the columns of a table."
            )
        return alike[0]


class Catalog:
    """Everything that tools and SQL ask about data sources.

    `validate` checks a connection before it is stored: its options, and where they point."""

    def __init__(
        self,
        *,
        store: Store,
        connectors: Connectors,
        seal: Callable[[str, bytes], bytes],
        open: Callable[[str, bytes], bytes],  # noqa: A002 - the counterpart of seal
        validate: Callable[[ConnectionSpec], object],
        warehouses: Warehouses,
        schema_ttl_s: float,
        mask_key: Callable[[str], str] = lambda tenant: "",
        clock: Callable[[], float] = time.time,
    ):
        self._clock = clock
        self._mask_key = mask_key
        self._seen: OrderedDict[Hashable, tuple[Snapshot, Seen]] = OrderedDict()
        self.policies = Policies(store, clock=clock)
        self.connectors = connectors
        self.connections = Connections(store, seal=seal, open=open, validate=validate, clock=clock)
        self.configs = CatalogConfigs(store, warehouses=warehouses, seal=seal, open=open, clock=clock)
        self.annotations = Annotations(store, clock=clock)
        self.snapshots = Snapshots(connections=self.connections, connectors=connectors, ttl_s=schema_ttl_s, clock=clock)
        self._guests = Guests(self.policies, self.annotations)
        self._search = Search(connections=self.connections, view=self.view, annotations=self.annotations)
        self.search = self._search.search

    async def snapshot(self, principal: Principal, connection_id: str) -> Snapshot:
        """The schema of a connection; of a share, what its owner leaves of it. Raises NotFound, Unavailable."""
        found = await self.snapshots.snapshot(principal, connection_id)
        return found if found.spec.kind != SHARE else (await self._opened(found)).snapshot

    async def _opened(self, found: Snapshot) -> Opened:
        return await self._guests.open(found, self._clock(), self._mask_key(found.spec.options[OWNER]))

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        """What of the connection the caller may see; with `as_of`, of its relations as they were.

        Raises NotFound, Unavailable, and Conflict when the connection keeps no past."""
        snapshot = await self.snapshots.snapshot(principal, connection_id)
        if snapshot.spec.kind == SHARE:
            opened = await self._opened(snapshot)
            view = self._shared(opened, await self._present(principal, opened.snapshot, connection_id))
        else:
            view = await self._present(principal, snapshot, connection_id)
        return await self._past(view, as_of) if as_of else view

    async def _present(self, principal: Principal, snapshot: Snapshot, connection_id: str) -> View:
        policies = (await self.policies.all(principal.tenant)).of(connection_id)
        if not policies.policies:
            return self._open_view(principal, snapshot)
        notes = await self.annotations.notes(principal.tenant)
        caller, now = caller_of(principal), self._clock()
        key: Hashable = policies.key(caller, now)
        if policies.has_tags:
            key = (key, notes.stamp)
        noted = notes.at(snapshot) if policies.has_tags else {}

        def look(name: str) -> Governed | None:
            tags = noted.get(name, NO_NOTES).column_tags
            return _decide(snapshot.relations[name], tags, policies, caller, now, self._mask_key(principal.tenant))

        def judge(name: str, relation: RelationInfo) -> Governed | None:
            tags = notes.then(connection_id, name, relation).column_tags
            return _decide(relation, tags, policies, caller, now, self._mask_key(principal.tenant))

        return View(principal, snapshot, key, look, self._seen_by(snapshot, key), judge=judge)

    def _shared(self, opened: Opened, own: View) -> View:
        """What the owner leaves, narrowed by the guest's own policies, which see no more of it than the guest does."""
        key: Hashable = ("shared", opened.key, own.key)

        def look(name: str) -> Governed | None:
            return narrowed(opened.governed[name], own.decide(name)) if name in opened.governed else None

        def judge(name: str, relation: RelationInfo) -> Governed | None:
            found = opened.judge(name, relation, self._clock())
            return None if found is None else narrowed(found, own.judge(name, found.relation))

        return View(own.principal, own.snapshot, key, look, self._seen_by(own.snapshot, key), judge=judge)

    async def _past(self, view: View, as_of: str) -> View:
        """The same caller's view of what the relations were: decided afresh, on the columns that they had."""
        connector = await self.connectors.get(view.spec)
        if not isinstance(connector, Versioned):
            raise Conflict("Only the lakehouse keeps what its tables were.", hint="Leave `as_of` out.")
        key: Hashable = ("as of", as_of, view.key)

        def recall(name: str) -> Governed | None:
            return view.judge(name, connector.past(view.snapshot.relations[name].name, as_of))

        seen = self._seen_by(view.snapshot, key)
        return View(view.principal, view.snapshot, key, view.get, seen, judge=view.judge, recall=recall)

    def _open_view(self, principal: Principal, snapshot: Snapshot) -> View:
        seen = self._seen_by(snapshot, OPEN)
        seen.names = snapshot.names
        return View(principal, snapshot, OPEN, lambda name: open_to_all(snapshot.relations[name]), seen)

    def _seen_by(self, snapshot: Snapshot, key: Hashable) -> Seen:
        place = (snapshot.spec.tenant, snapshot.spec.connection_id, key)
        kept = self._seen.get(place)
        if kept is None or kept[0] is not snapshot:
            kept = self._seen[place] = (snapshot, Seen())
            while len(self._seen) > MAX_SEEN:
                self._seen.popitem(last=False)
        self._seen.move_to_end(place)
        return kept[1]

    async def connector(self, principal: Principal, connection_id: str) -> Connector:
        """The open connection. Raises NotFound, Unavailable."""
        check_reach(principal, connection_id)
        return await self.connectors.get(await self.connections.spec(principal.tenant, connection_id))

    async def delete_connection(self, principal: Principal, connection_id: str) -> None:
        """Delete a connection and close it. Raises NotFound, Conflict."""
        await self.connections.delete(principal.tenant, connection_id)
        await self.connectors.drop(principal.tenant, connection_id)

    async def set_config(self, principal: Principal, config: CatalogConfig) -> CatalogConfig:
        """Raises Unauthorized, Conflict."""
        try:
            return await self.configs.set(principal.tenant, config)
        finally:
            self.connections.forget(principal.tenant)

    async def tables(self, principal: Principal, connection_id: str, *, namespace: str = "") -> "Tables":
        """The relations that the caller sees, in order of name, below `namespace` where one is given."""
        view = await self.view(principal, connection_id)
        notes = (await self.annotations.notes(principal.tenant)).at(view.snapshot)
        names = view.names
        if namespace:
            prefix = f"{namespace.lower()}."
            names = [name for name in names if name.startswith(prefix)]
        return Tables(view, names, lambda key: notes.get(key, NO_NOTES))

    async def table(self, principal: Principal, connection_id: str, name: str, as_of: str = "") -> TableView:
        """The table by its name, with `as_of` as it was. Raises NotFound, InvalidArgument, Conflict."""
        view = await self.view(principal, connection_id, as_of)
        parts = split_name(name)
        key = view.locate(parts)
        # A look at the past reads a file.
        governed = None if key is None else await asyncio.to_thread(view.read, key) if as_of else view.read(key)
        if key is None or governed is None:
            raise NotFound(f"No table {name[:80]!r} in {connection_id}.", hint=_similar(view, parts))
        notes = await self.annotations.notes(principal.tenant)
        return TableView(connection_id, key, governed, _notes_of(notes, view, key, governed, is_past=bool(as_of)))

    async def tag(
        self, principal: Principal, connection_id: str, table: str, column: str, tag: str, *, is_set: bool
    ) -> TableView:
        """Tag a column, or with `is_set` false take the tag off. Raises NotFound, Unauthorized.

        Whoever puts a tag on or takes it off changes what policies of that tag are about."""
        view = await self.table(principal, connection_id, table)
        found = view.column(column)
        if (await self.policies.all(principal.tenant)).bears(tag):
            check_change(principal)
        relation = view.relation
        has_identity = relation.identity and found.field_id is not None
        identity = (relation.identity, found.field_id or 0) if has_identity else None
        change = self.annotations.tag if is_set else self.annotations.untag
        await change(principal.tenant, Place(connection_id, view.key, found.name, identity), tag)
        return await self.table(principal, connection_id, table)

    async def describe(
        self, principal: Principal, connection_id: str, table: str, text: str, *, column: str | None = None
    ) -> TableView:
        """Describe a table or a column of it; an empty text gives back the source's own words. Raises NotFound."""
        view = await self.table(principal, connection_id, table)
        name = "" if column is None else view.column(column).name
        await self.annotations.describe(principal.tenant, connection_id, view.key, name, text)
        return await self.table(principal, connection_id, table)


@dataclass(frozen=True, slots=True)
class Tables:
    """A caller's tables; views are made for the asked slice only."""

    view: View
    names: Sequence[str]
    notes_of: Callable[[str], TableNotes]

    def __len__(self) -> int:
        return len(self.names)

    def shows_namespace(self, namespace: str) -> bool:
        """Whether the caller may know of a namespace: it is empty, or holds something that they see."""
        prefix = f"{namespace.lower()}."
        is_empty = not any(name.startswith(prefix) for name in self.view.snapshot.names)
        return is_empty or any(name.startswith(prefix) for name in self.names)

    @property
    def column_count(self) -> int:
        return sum(len(governed.relation.columns) for name in self.names if (governed := self.view.get(name)))

    def slice(self, offset: int, size: int) -> list[TableView]:
        connection_id = self.view.spec.connection_id
        return [
            TableView(connection_id, name, governed, self.notes_of(name))
            for name in self.names[offset : offset + size]
            if (governed := self.view.get(name)) is not None
        ]


def _decide(
    relation: RelationInfo,
    tags: Mapping[str, tuple[str, ...]],
    policies: ConnectionPolicies,
    caller: Caller,
    now: float,
    mask_key: str,
) -> Governed | None:
    about = policies.about(relation, tags)
    return decide(relation, tags, about, caller, now=now, mask_key=mask_key) if about else open_to_all(relation)


def _notes_of(notes: Notes, view: View, key: str, governed: Governed, *, is_past: bool) -> TableNotes:
    if is_past:
        return notes.then(view.spec.connection_id, key, governed.source)
    return notes.at(view.snapshot).get(key, NO_NOTES)


def _similar(view: View, parts: tuple[str, ...]) -> str:
    keys = view.snapshot.by_last_part.get(parts[-1].lower(), ())
    alike = [governed.relation.name for key in keys if (governed := view.get(key)) is not None]
    if alike:
        return f"Did you mean {', '.join(alike[:3])}? list_tables shows all tables."
    return "list_tables shows the tables of a connection; search_catalog finds them by word."
