"""One server with the tables, connections and clients that the documents' examples name."""

import sqlite3
from collections.abc import Iterator
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import TABLE_DEFAULTS
from headwater.build import Platform
from headwater.settings import read_settings
from tests.faces.served import Served, served
from tests.faces.world import FREE

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

WAREHOUSE = Path("/tmp/warehouse")
CLIENTS = """\
clients:
  your_client_id: your_client_secret
  another_client: another_secret

jwt:
  secret_key: {secret}
  algorithm: HS256
  expiration_hours: 2
"""


@pytest.fixture(scope="package")
def platform(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home, data = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("data")
    (home / "auth_clients.yml").write_text(CLIENTS.format(secret="a-secret-of-our-own-of-at-least-32-bytes"))
    fill_sales(data / "sales.sqlite")
    settings = read_settings(home, server=FREE, query={"allowed_roots": [data, WAREHOUSE], "writable_roots": [data]})

    async def prepare(platform: Platform) -> dict[str, str]:
        identity, connections = platform.engine.identity, platform.engine.catalog.connections
        options = {"path": str(data / "sales.sqlite"), "allow_writes": "true"}
        await connections.create("default", name="Sales", kind="sqlite", options=options, connection_id="conn_abc123")
        fill_shop(data / "shop.sqlite")
        for name in ("your_db", "your_database_namespace"):
            shop = {"path": str(data / "shop.sqlite")}
            await connections.create("default", name=name, kind="sqlite", options=shop, connection_id=name)
        await identity.directory.create_tenant("Config", tenant_id="config", tier="enterprise")
        await identity.directory.create_user("config", user_id="carla", roles=["admin"])
        await identity.directory.create_tenant("Small", tenant_id="small", tier="free")
        await identity.directory.create_user("small", user_id="sam", roles=["viewer"])
        fill_lakehouse(platform)
        tokens = {role: await identity.mint(role=role) for role in BUILT_IN}
        tokens["config"] = await identity.mint(subject="carla", tenant="config")
        tokens["small"] = await identity.mint(subject="sam", tenant="small")
        return tokens

    with served(settings, prepare) as running:
        yield running


def fill_shop(path: Path) -> None:
    """What the workflows' examples ask about."""
    with sqlite3.connect(path) as shop:
        shop.execute("CREATE TABLE users (id INTEGER PRIMARY KEY, name TEXT)")
        shop.execute("INSERT INTO users VALUES (1, 'Ada'), (2, 'Bob')")
        shop.execute(
            "CREATE TABLE orders (id INTEGER PRIMARY KEY, order_date DATE, product_category TEXT, revenue REAL)"
        )
        rows = [(1, "2023-01-02", "Electronics", 150000.0), (2, "2023-01-09", "Clothing", 85000.0)]
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?, ?)", rows)


def fill_sales(path: Path) -> None:
    with sqlite3.connect(path) as side:
        side.execute("CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, region TEXT, email TEXT)")
        side.executemany(
            "INSERT INTO customers VALUES (?, ?, ?, ?)",
            [(1, "Alice", "us-west", "alice@example.com"), (2, "Bob", "us-east", "bob@example.com")],
        )
        side.execute("CREATE TABLE sales (name TEXT, region TEXT, revenue REAL, sale_date TEXT)")
        side.executemany(
            "INSERT INTO sales VALUES (?, ?, ?, ?)",
            [("Alice", "us-west", 10.5, "2025-01-02"), ("Alice", "us-west", 4.5, "2025-02-03")],
        )


def fill_lakehouse(platform: Platform) -> None:
    import pyarrow as pa

    events = pa.schema([pa.field("id", pa.int64(), nullable=False), pa.field("ts", pa.timestamp("us"))])
    rows = pa.Table.from_pylist([{"id": 1, "ts": datetime(2026, 1, 1)}], schema=events)
    customers = pa.table(
        {"id": pa.array([1, 2], pa.int64()), "name": ["Alice", "Bob"], "region": ["us-west", "us-east"]}
    )

    def work(catalog: "SqlCatalog") -> None:
        for namespace in ("db", "analytics", "sales"):
            catalog.create_namespace_if_not_exists(namespace)
        for name, table in (
            ("db.events", rows),
            ("db.users", customers),
            ("analytics.metrics", customers),
            ("sales.customers", customers),
        ):
            catalog.create_table(name, schema=table.schema, properties=TABLE_DEFAULTS).append(table)

    platform.engine.lake.commit_now("default", work)
