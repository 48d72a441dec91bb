"""`call` over the query tools: the real gate, a real SQLite database behind the connection `shop`."""

from collections.abc import AsyncIterator
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel
from sqlalchemy import insert

from core.context import Emit, Principal, discard
from core.dispatch import Call, Dispatcher, Ports
from core.pages import PageSigner
from core.registry import Registry
from core.settings import QuerySettings
from engine.connectors.places import Places
from engine.connectors.writers import Writers
from engine.planner.questions import Questions
from engine.projects.projects import Projects
from engine.queries import SavedQueries
from engine.quotas.ledger import SqlLedger
from engine.quotas.quotas import Quotas
from engine.records.records import Means, Records
from engine.results.kept import KeptResults
from engine.sql.builder import QueryBuilder
from engine.sql.run import SqlService
from engine.store.db import Store
from engine.store.tables import tenants
from engine.usage.prices import Prices
from engine.usage.usage import Usage
from engine.visibility.objects import ObjectVisibility
from tests.engine.catalog.conftest import run_sql
from tests.fakes.gate import _NoApprovals
from tests.fixtures_catalog import ADMIN, Caller, Desk, desk, sqlite_store

__all__ = ["desk", "sqlite_store"]


@pytest.fixture
def usage(store: Store) -> Usage:
    """Prices that a test can count in."""
    return Usage(store, Prices(Decimal(5), Decimal(36)))  # a cent for a second of CPU


@pytest.fixture
def results(desk: Desk, tmp_path: Path) -> KeptResults:
    """Results as files; their seals are tested elsewhere."""
    return KeptResults(
        tmp_path / "results",
        seal=lambda tenant, data, aad: data,
        unseal=lambda tenant, data, aad: data,
        look=desk.catalog.view,
    )


@pytest.fixture
async def service(desk: Desk, store: Store, usage: Usage, results: KeptResults) -> AsyncIterator[SqlService]:
    made = SqlService(
        catalog=desk.catalog, store=store, settings=QuerySettings(max_rows=100), usage=usage, results=results
    )
    yield made
    await made.close()
    await results.close()


@pytest.fixture
async def call(desk: Desk, store: Store, service: SqlService, usage: Usage, results: KeptResults) -> Caller:
    """Calls a query tool through the real gate, as an administrator unless told."""
    run_sql(
        desk.roots / "shop.db",
        "CREATE TABLE item (id INTEGER PRIMARY KEY, name TEXT); INSERT INTO item VALUES (1, 'a'), (2, 'b');"
        "CREATE TABLE many (n INTEGER); WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 500)"
        "INSERT INTO many SELECT n FROM r;",
    )
    options = {"path": str(desk.roots / "shop.db")}
    await desk.catalog.connections.create(
        ADMIN.tenant, connection_id="shop", name="Shop", kind="sqlite", options=options
    )
    tenant = {"tenant_id": ADMIN.tenant, "name": "Acme", "tier": "free", "wrapped_key": b"", "version": 1}
    await store.write(lambda connection: connection.execute(insert(tenants).values(**tenant, created_at=0.0)))
    quotas = Quotas(store, SqlLedger(store))
    builder = QueryBuilder(desk.catalog)
    saved = SavedQueries(store, reader=builder)
    engine = SimpleNamespace(
        catalog=desk.catalog,
        sql=service,
        quotas=quotas,
        usage=usage,
        results=results,
        builder=builder,
        questions=Questions(desk.catalog, service, builder),
        saved=saved,
        records=Records(
            catalog=desk.catalog,
            lake=desk.lake,
            writers=Writers(
                Places(home=desk.roots.parent / "home", roots=[desk.roots], private_hosts=["*"], writable=[desk.roots])
            ),
            means=Means(memory_mb=256, threads=2),
        ),
        pages=PageSigner(b"k" * 32),
    )
    objects = ObjectVisibility(
        {
            "connection": lambda by, name: desk.catalog.connections.get(by.tenant, name),
            "project": Projects(store).get,
            "query": service.queries.get,
            "saved_query": saved.get,
        }
    )
    gate = desk.gate
    ports = Ports(gate.verify, gate, objects, _NoApprovals(), gate, gate, gate)
    dispatcher = Dispatcher(Registry.walk(["tools.query", "tools.records"]), engine, ports)

    async def call_tool(tool: str, *, by: Principal = ADMIN, emit: Emit = discard, **arguments: Any) -> BaseModel:
        asked = Call(tool=tool, arguments=arguments, face="test", request_id="r1", principal=by, emit=emit)
        return await dispatcher.call(asked)

    return call_tool
