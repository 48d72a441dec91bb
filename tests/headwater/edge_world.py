"""Data planes of a test: a supervised one on its own home, and connections straight to it, past all governance."""

import contextlib
import os
import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb

from core.context import Cancellation
from core.settings import Settings
from engine.connectors.connector import ConnectionSpec, Connector, QueryLimits
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from headwater.edge.edges import Edges
from headwater.settings import read_settings

ROWS = "SELECT i, i * 2 AS j FROM range({count}) t(i)"
ENDLESS = "SELECT count(*) AS n FROM range(100000000000) a, range(1000) b"
STUBBORN = "SELECT levenshtein(repeat('a', 400000), repeat('b', 400000)) AS n"
"""One call of a function, which looks at no interrupt for many seconds."""


PLACES = {"files": "", "duckdb": "shop.duckdb", "sqlite": "shop.sqlite"}


def limits(**changes: Any) -> QueryLimits:
    return QueryLimits(**{"max_rows": 10_000_000, "max_bytes": 2**40, "timeout_s": 10.0, **changes})


@dataclass
class World:
    """A supervisor, and what its data planes may read."""

    settings: Settings
    data: Path
    edges: Edges
    connectors: Connectors

    @property
    def pid(self) -> int:
        return int(self.edges.facts["pid"])

    async def connect(self, kind: str = "files", *, tenant: str = "acme", **options: str) -> Connector:
        if kind != "postgresql":
            options = {"path": str(self.data / PLACES[kind]), **options}
        return await self.connectors.get(ConnectionSpec(tenant, f"{tenant} {kind}", kind, kind, options))

    async def rows(self, sql: str, kind: str = "files", **changes: Any) -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = await rows(await self.connect(kind), sql, **changes)
        return found


async def rows(connector: Connector, sql: str, *, cancelled: Cancellation | None = None, **changes: Any) -> Any:
    stop = Cancellation() if cancelled is None else cancelled
    stream = await connector.execute(sql, {}, limits=limits(**changes), cancelled=stop)
    return [row for batch in [batch async for batch in stream] for row in batch.to_pylist()]


@contextlib.asynccontextmanager
async def world(folder: Path, **settings: Any) -> AsyncIterator[World]:
    """Data of each embedded kind, and a supervisor that has begun to start its data plane."""
    data = folder / "data"
    data.mkdir(exist_ok=True)
    (data / "cities.csv").write_text("name,people\nOslo,700\nRome,2800\n")
    with duckdb.connect(str(data / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE t AS SELECT 42 AS answer")
    with contextlib.closing(sqlite3.connect(data / "shop.sqlite")) as plain:
        plain.execute("CREATE TABLE t AS SELECT 43 AS answer")
        plain.commit()
    home = folder / "home"
    home.mkdir()
    (home / "root.key").write_text("CANARY-KEY")
    query = {"allowed_roots": [str(data)], "memory_mb": 256, **settings.pop("query", {})}
    settings_read = read_settings(home, query=query, **settings)
    edges, lake = Edges(settings_read), Lake(home / "warehouse")
    hosts = settings_read.egress.allowed_private_hosts
    connectors = Connectors(
        lake=lake,
        places=Places(home=home, roots=[data], private_hosts=hosts),
        settings=settings_read.query,
        temp_directory=home / "tmp",
        wrap=edges.wrap(lake),
    )
    try:
        edges.start()
        yield World(settings_read, data, edges, connectors)
    finally:
        await connectors.close()
        await edges.close()


def is_alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] != "Z"
