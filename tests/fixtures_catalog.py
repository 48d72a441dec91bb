"""`call`: the gate over every catalog and system tool, with a real store, real files and real connectors."""

from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any, Protocol

import pytest
from pydantic import BaseModel

from core.context import JobRun, Principal
from core.dispatch import Call, Dispatcher, Ports
from core.errors import NotFound
from core.pages import PageSigner
from core.registry import Registry
from core.settings import QuerySettings, Settings
from engine.catalog.catalog import Catalog
from engine.catalog.warehouses import Warehouses
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.identity.roles import BUILT_IN
from engine.lake.warehouse import Lake
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from engine.sql.lineage import LineageLog
from engine.store.db import Store
from tests.engine.catalog.conftest import open_sealed, run_sql, seal
from tests.fakes.gate import FakeGate, _NoApprovals
from tests.fixtures_store import new_sqlite

ADMIN = Principal("ada", "acme", frozenset({"admin"}), BUILT_IN["admin"])
VIEWER = Principal("vic", "acme", frozenset({"viewer"}), BUILT_IN["viewer"])
NO_RIGHTS = Principal("nil", "acme")
STRANGER = Principal("bob", "other", frozenset({"admin"}), BUILT_IN["admin"])


class Caller(Protocol):
    def __call__(self, tool: str, *, by: Principal = ..., **arguments: Any) -> Awaitable[Any]: ...


@dataclass
class Desk:
    """What a test may look into or change."""

    roots: Path
    lake: Lake
    catalog: Catalog
    lineage: LineageLog
    checks: dict[str, Callable[[], Awaitable[None]]] = field(default_factory=dict)
    gate: FakeGate = field(default_factory=FakeGate)


@pytest.fixture(name="store")
def sqlite_store(tmp_path: Path) -> Iterator[Store]:
    """A store on SQLite alone, for tests of what is above it."""
    opened = Store(new_sqlite(tmp_path))
    yield opened
    opened.close()


@pytest.fixture
async def desk(tmp_path: Path, store: Store) -> AsyncIterator[Desk]:
    home, roots = tmp_path / "home", tmp_path / "allowed"
    home.mkdir()
    roots.mkdir()
    warehouses = Warehouses(store, folder=home / "lake", home=home, roots=[roots])
    lake = Lake(home / "lake", site_of=warehouses.site, gate=warehouses.gate)
    places = Places(home=home, roots=[roots], lakehouses=warehouses.folders)
    connectors = Connectors(lake=lake, places=places, settings=QuerySettings(), temp_directory=home / "tmp")
    catalog = Catalog(
        store=store,
        connectors=connectors,
        seal=seal,
        open=open_sealed,
        validate=connectors.build,
        warehouses=warehouses,
        schema_ttl_s=300,
    )
    lineage = LineageLog(store)
    yield Desk(roots, lake, catalog, lineage)
    await lineage.close()
    await connectors.close()
    lake.close()


@pytest.fixture
def call(desk: Desk) -> Caller:
    """Calls a tool through the real gate, as an administrator unless told."""
    engine = SimpleNamespace(
        settings=Settings(),
        version="1.2.3",
        lake=desk.lake,
        catalog=desk.catalog,
        retrieval=Retrieval([TableSource(desk.catalog)]),
        lineage=desk.lineage,
        pages=PageSigner(b"k" * 32),
        checks=desk.checks,
    )
    gate = desk.gate
    ports = Ports(gate.verify, gate, _Connections(desk.catalog), _NoApprovals(), gate, gate, gate)
    dispatcher = Dispatcher(Registry.walk(["tools.catalog", "tools.system"]), engine, ports)

    async def call_tool(tool: str, *, by: Principal = ADMIN, **arguments: Any) -> BaseModel:
        asked = Call(tool=tool, arguments=arguments, face="test", request_id="r1", principal=by)
        if dispatcher.registry.get(tool).job:  # as the worker runs it
            asked = replace(asked, job=JobRun("j1", 1, 1, _step))
        return await dispatcher.call(asked)

    return call_tool


@pytest.fixture
async def shop(desk: Desk, call: Caller) -> str:
    """A connection to a SQLite database with two tables."""
    run_sql(
        desk.roots / "shop.db",
        "CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT NOT NULL, emailAddress TEXT);"
        "CREATE TABLE order_lines (id INTEGER, customer_id INTEGER, total_amount REAL);",
    )
    options = {"path": str(desk.roots / "shop.db")}
    await call("create_connection", connection_id="shop", name="Shop", kind="sqlite", options=options)
    return "shop"


class _Connections:
    def __init__(self, catalog: Catalog):
        self._catalog = catalog

    async def check(self, principal: Principal, kind: str, object_id: str) -> None:
        if kind != "connection":
            raise NotFound(f"No {kind}.")
        await self._catalog.connections.get(principal.tenant, object_id)


async def _step(name: str, work: Callable[[], Awaitable[str]]) -> str:
    return await work()
