"""The catalog: connections, their schemas, what people say about them, and the search over all of it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from core.context import Principal
from core.errors import NotFound
from engine.catalog.annotations import NO_NOTES, Annotations, TableNotes
from engine.catalog.config import CatalogConfig, CatalogConfigs
from engine.catalog.connections import Connections
from engine.catalog.search import Search
from engine.catalog.snapshots import Connectors, Snapshot, Snapshots
from engine.catalog.views import View
from engine.catalog.visibility import visible, visible_names
from engine.catalog.warehouses import Warehouses
from engine.connectors.connector import ColumnInfo, ConnectionSpec, Connector, RelationInfo
from engine.lake.names import split_name
from engine.policy.rules import open_to_all
from engine.store.db import Store


@dataclass(frozen=True, slots=True)
class TableView:
    """A relation as one caller sees it, with its notes."""

    connection_id: str
    key: str
    relation: RelationInfo
    notes: TableNotes

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
        clock: Callable[[], float] = time.time,
    ):
        self.connectors = connectors
        self.connections = Connections(store, seal=seal, open=open, validate=validate, clock=clock)
        self.configs = CatalogConfigs(store, warehouses=warehouses, seal=seal, open=open, clock=clock)
        self.annotations = Annotations(store, clock=clock)
        self.snapshots = Snapshots(connections=self.connections, connectors=connectors, ttl_s=schema_ttl_s, clock=clock)
        self._search = Search(connections=self.connections, snapshots=self.snapshots, annotations=self.annotations)
        self.search = self._search.search

    async def snapshot(self, principal: Principal, connection_id: str) -> Snapshot:
        """The schema of a connection. Raises NotFound, Unavailable."""
        return await self.snapshots.snapshot(principal, connection_id)

    async def view(self, principal: Principal, connection_id: str) -> View:
        """What of the connection the caller may see. Raises NotFound, Unavailable."""
        snapshot = await self.snapshot(principal, connection_id)
        return View(principal, snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))

    async def connector(self, principal: Principal, connection_id: str) -> Connector:
        """The open connection. Raises NotFound, Unavailable."""
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
        snapshot = await self.snapshot(principal, connection_id)
        notes = (await self.annotations.notes(principal.tenant)).of(connection_id)
        names = visible_names(principal, snapshot)
        if namespace:
            prefix = f"{namespace.lower()}."
            names = [name for name in names if name.startswith(prefix)]
        return Tables(snapshot, names, lambda key: notes.get(key, NO_NOTES))

    async def table(self, principal: Principal, connection_id: str, name: str) -> TableView:
        """The table by its name. Raises NotFound, InvalidArgument."""
        snapshot = await self.snapshot(principal, connection_id)
        parts = split_name(name)
        key = snapshot.key(parts)
        if key is None or not visible(principal, snapshot.relations[key]):
            raise NotFound(f"No table {name[:80]!r} in {connection_id}.", hint=_similar(principal, snapshot, parts))
        notes = (await self.annotations.notes(principal.tenant)).of(connection_id)
        return TableView(connection_id, key, snapshot.relations[key], notes.get(key, NO_NOTES))

    async def tag(
        self, principal: Principal, connection_id: str, table: str, column: str, tag: str, *, is_set: bool
    ) -> TableView:
        """Tag a column, or with `is_set` false take the tag off. Raises NotFound."""
        view = await self.table(principal, connection_id, table)
        change = self.annotations.tag if is_set else self.annotations.untag
        await change(principal.tenant, connection_id, view.key, view.column(column).name, tag)
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

    snapshot: Snapshot
    names: Sequence[str]
    notes_of: Callable[[str], TableNotes]

    def __len__(self) -> int:
        return len(self.names)

    def slice(self, offset: int, size: int) -> list[TableView]:
        connection_id = self.snapshot.spec.connection_id
        return [
            TableView(connection_id, name, self.snapshot.relations[name], self.notes_of(name))
            for name in self.names[offset : offset + size]
        ]


def _similar(principal: Principal, snapshot: Snapshot, parts: tuple[str, ...]) -> str:
    alike = [
        snapshot.relations[key].name
        for key in snapshot.by_last_part.get(parts[-1].lower(), ())
        if visible(principal, snapshot.relations[key])
    ]
    if alike:
        return f"Did you mean {', '.join(alike[:3])}? list_tables shows all tables."
    return "list_tables shows the tables of a connection; search_catalog finds them by word."
