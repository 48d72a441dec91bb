"""A small database with secrets in it, and the SQL service over it as a caller who may not see them."""

import dataclasses
from collections.abc import Callable
from pathlib import Path

import duckdb

from core.context import Principal
from core.settings import QuerySettings
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec, RelationInfo
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from engine.policy.rules import open_to_all
from engine.sql.run import SqlService
from engine.store.db import Store
from tests.fixtures_store import new_sqlite

ANN = Principal("ann", "default")
BEN = Principal("ben", "default")
SECRETS = ("TAX-SECRET", "WAGE-SECRET", "FILE-SECRET", "OTHER-SECRET")
Filter = Callable[[RelationInfo], RelationInfo | None]

SCHEMA = """
CREATE TABLE sales (sale_id INTEGER, person_id INTEGER, region VARCHAR, amount DECIMAL(10,2), sold_on DATE, sold_at
    TIMESTAMP, tags VARCHAR[], extra STRUCT(channel VARCHAR, rank INTEGER), doc JSON);
INSERT INTO sales SELECT i, i % 7, CASE i % 3 WHEN 0 THEN 'north' WHEN 1 THEN 'south' ELSE NULL END,
    (i * 37 % 1000) / 10, DATE '2024-01-01' + (i * 11 % 400)::INTEGER, TIMESTAMP '2024-01-01' +
    INTERVAL (i * 97) MINUTE, CASE WHEN i % 4 = 0 THEN ['a', 'b'] WHEN i % 4 = 1 THEN ['c'] ELSE [] END,
    {'channel': CASE WHEN i % 2 = 0 THEN 'web' ELSE 'shop' END, 'rank': i % 5}, '{"k": ' || i || ', "l": [1, 2]}'
    FROM range(60) t(i);
CREATE TABLE people (person_id INTEGER, name VARCHAR, tax_id VARCHAR);
INSERT INTO people SELECT i, 'person ' || i, 'TAX-SECRET-' || i FROM range(7) t(i);
CREATE VIEW north AS SELECT * FROM sales WHERE region = 'north';
CREATE SCHEMA pay;
CREATE TABLE pay.wages (person_id INTEGER, remark VARCHAR);
INSERT INTO pay.wages VALUES (1, 'WAGE-SECRET-1');
CREATE VIEW all_wages AS SELECT * FROM pay.wages;
CREATE TABLE "Odd Name" ("Mixed Case" INTEGER, "select" INTEGER);
INSERT INTO "Odd Name" VALUES (1, 2);
"""


class FixedCatalog:
    """Connections that are always there, seen through a filter."""

    def __init__(self, connectors: Connectors, specs: list[ConnectionSpec], visible: Filter):
        self.connectors = connectors
        self._specs = {spec.connection_id: spec for spec in specs}
        self._visible = visible
        self._kept: dict[str, Snapshot] = {}

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        snapshot = await self._snapshot(connection_id)
        return View(principal, snapshot, "fixed", lambda key: open_to_all(snapshot.relations[key]))

    async def _snapshot(self, connection_id: str) -> Snapshot:
        if connection_id not in self._kept:
            spec = self._specs[connection_id]
            connector = await self.connectors.get(spec)
            seen = [relation for item in await connector.schema() if (relation := self._visible(item))]
            catalog_name = "headwater" if spec.kind == "lakehouse" else ""
            self._kept[connection_id] = make_snapshot(spec, seen, 0.0, catalog_name=catalog_name)
        return self._kept[connection_id]


@dataclasses.dataclass(slots=True)
class World:
    """The folder, and the service over what is in it."""

    folder: Path
    sql: SqlService
    connectors: Connectors
    store: Store

    async def close(self) -> None:
        await self.sql.close()
        await self.connectors.close()
        self.store.close()


def restricted(relation: RelationInfo) -> RelationInfo | None:
    """Wages do not exist for this caller, and neither do tax ids."""
    if relation.name in ("pay.wages", "all_wages"):
        return None
    columns = tuple(column for column in relation.columns if column.name != "tax_id")
    return dataclasses.replace(relation, columns=columns)


def make_world(
    home: Path, specs: list[ConnectionSpec], *, data: Path, visible: Filter = lambda relation: relation, **settings: int
) -> World:
    """A service with an empty home over `specs`; everything below `data` may be read."""
    home.mkdir(parents=True)
    query = QuerySettings(**{"memory_mb": 512, "threads": 2, **settings})
    connectors = Connectors(
        lake=Lake(home / "warehouse"),
        places=Places(home=home, roots=[data]),
        settings=query,
        temp_directory=home / "tmp",
    )
    store = Store(new_sqlite(home))
    catalog = FixedCatalog(connectors, specs, visible)
    return World(data, SqlService(catalog=catalog, store=store, settings=query), connectors, store)


def make_database(folder: Path) -> Path:
    """The database file, and beside it files that hold secrets."""
    folder.mkdir(exist_ok=True)
    path = folder / "shop.duckdb"
    with duckdb.connect(str(path)) as connection:
        connection.execute(SCHEMA)
    with duckdb.connect(str(folder / "other.duckdb")) as connection:
        connection.execute("CREATE TABLE private AS SELECT 'OTHER-SECRET' AS x")
    for name in ("secret.txt", "secret.csv", "secret.json"):
        (folder / name).write_text("FILE-SECRET\n")
    return path


def duckdb_spec(path: Path) -> ConnectionSpec:
    return ConnectionSpec("default", "shop", "shop", "duckdb", {"path": str(path)})
