import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidArgument, NotFound, Unavailable
from engine.catalog.catalog import Catalog
from engine.catalog.snapshots import Snapshots, make_snapshot
from engine.connectors.connector import ColumnInfo, ConnectionSpec, Connector, RelationInfo
from engine.lake.warehouse import Lake
from tests.engine.catalog.conftest import ADA, BOB, run_sql
from tests.fixtures_catalog import sqlite_store

__all__ = ["sqlite_store"]


@dataclass
class Counting:
    """Passes everything to the real connectors, counts reads of a schema, and can take the source away."""

    inner: Any
    reads: int = 0
    is_down: bool = False
    opened: dict[str, "_Counted"] = field(default_factory=dict)

    async def get(self, spec: ConnectionSpec) -> Connector:
        return _Counted(self, await self.inner.get(spec))  # type: ignore[return-value]


@dataclass
class _Counted:
    counting: Counting
    connector: Any

    async def schema(self) -> list[RelationInfo]:
        self.counting.reads += 1
        if self.counting.is_down:
            raise Unavailable("The source is down.")
        await asyncio.sleep(0.01)
        relations: list[RelationInfo] = await self.connector.schema()
        return relations


@pytest.fixture
async def shop_id(catalog: Catalog, shop: Path) -> str:
    created = await catalog.connections.create("acme", name="Shop", kind="sqlite", options={"path": str(shop)})
    return created.connection_id


@pytest.fixture
def counting(catalog: Catalog) -> Counting:
    return Counting(catalog.connectors)


@pytest.fixture
def clock() -> list[float]:
    return [1000.0]


@pytest.fixture
def snapshots(catalog: Catalog, counting: Counting, clock: list[float]) -> Snapshots:
    return Snapshots(
        connections=catalog.connections,
        connectors=counting,  # type: ignore[arg-type]
        ttl_s=60,
        monotonic=lambda: clock[0],
    )


async def test_a_hundred_callers_at_once_cause_one_read(snapshots: Snapshots, counting: Counting, shop_id: str) -> None:
    taken = await asyncio.gather(*(snapshots.snapshot(ADA, shop_id) for _ in range(100)))
    assert counting.reads == 1
    assert all(snapshot is taken[0] for snapshot in taken)


async def test_one_caller_going_away_does_not_stop_the_read_of_the_others(
    snapshots: Snapshots, counting: Counting, shop_id: str
) -> None:
    first = asyncio.ensure_future(snapshots.snapshot(ADA, shop_id))
    second = asyncio.ensure_future(snapshots.snapshot(ADA, shop_id))
    while not counting.reads:
        await asyncio.sleep(0.001)
    first.cancel()
    assert (await second).names == ("customers", "order_lines")
    assert counting.reads == 1


async def test_a_schema_is_read_again_after_its_ttl(
    snapshots: Snapshots, counting: Counting, shop_id: str, shop: Path, clock: list[float]
) -> None:
    await snapshots.snapshot(ADA, shop_id)
    run_sql(shop, "CREATE TABLE refunds (id INTEGER)")
    assert "refunds" not in (await snapshots.snapshot(ADA, shop_id)).relations
    clock[0] += 61
    assert "refunds" in (await snapshots.snapshot(ADA, shop_id)).relations
    assert counting.reads == 2


async def test_a_refresh_reads_at_once_and_raises_the_version_for_other_processes(
    catalog: Catalog, snapshots: Snapshots, shop_id: str, shop: Path
) -> None:
    await snapshots.snapshot(ADA, shop_id)
    await catalog.snapshots.snapshot(ADA, shop_id)
    run_sql(shop, "CREATE TABLE refunds (id INTEGER)")
    assert "refunds" in (await catalog.snapshots.refresh(ADA, shop_id)).relations
    assert "refunds" in (await snapshots.snapshot(ADA, shop_id)).relations


async def test_a_source_that_is_down_is_unavailable_once_its_schema_is_too_old(
    snapshots: Snapshots, counting: Counting, shop_id: str, clock: list[float]
) -> None:
    await snapshots.snapshot(ADA, shop_id)
    counting.is_down = True
    await snapshots.snapshot(ADA, shop_id)
    clock[0] += 61
    with pytest.raises(Unavailable):
        await snapshots.snapshot(ADA, shop_id)
    counting.is_down = False
    await snapshots.snapshot(ADA, shop_id)


async def test_the_least_used_snapshots_go_first_when_there_are_too_many_columns(
    catalog: Catalog, counting: Counting, shop: Path
) -> None:
    small = Snapshots(connections=catalog.connections, connectors=counting, ttl_s=60, max_columns=12)  # type: ignore[arg-type]
    for connection_id in ("a", "b", "c"):
        await catalog.connections.create(
            "acme", name=connection_id, kind="sqlite", options={"path": str(shop)}, connection_id=connection_id
        )
        await small.snapshot(ADA, connection_id)
    assert counting.reads == 3
    await small.snapshot(ADA, "c")
    assert counting.reads == 3
    await small.snapshot(ADA, "a")
    assert counting.reads == 4


async def test_a_new_lakehouse_table_is_visible_at_once(catalog: Catalog, lake: Lake) -> None:
    assert (await catalog.snapshot(ADA, "lakehouse")).names == ()
    make_table(lake, "acme", ("sales", "orders"))
    assert (await catalog.snapshot(ADA, "lakehouse")).names == ("sales.orders",)
    make_table(lake, "acme", ("sales", "lines"))
    assert (await catalog.snapshot(ADA, "lakehouse")).names == ("sales.lines", "sales.orders")
    assert (await catalog.snapshot(BOB, "lakehouse")).names == ()


async def test_an_unchanged_lakehouse_is_not_read_again(catalog: Catalog, lake: Lake) -> None:
    make_table(lake, "acme", ("sales", "orders"))
    assert await catalog.snapshot(ADA, "lakehouse") is await catalog.snapshot(ADA, "lakehouse")


async def test_a_foreign_connection_does_not_exist(catalog: Catalog, shop_id: str) -> None:
    for act in (catalog.snapshot(BOB, shop_id), catalog.snapshots.refresh(BOB, shop_id)):
        with pytest.raises(NotFound):
            await act


async def test_an_unknown_table_is_not_found_and_the_hint_names_the_next_tool(catalog: Catalog, shop_id: str) -> None:
    with pytest.raises(NotFound) as caught:
        await catalog.table(ADA, shop_id, "nope.customers")
    assert "Did you mean customers" in caught.value.hint
    assert "list_tables" in caught.value.hint
    with pytest.raises(InvalidArgument):
        await catalog.table(ADA, shop_id, 'a"')


def test_names_are_found_in_full_without_their_catalog_or_by_their_last_part() -> None:
    snapshot = of_names("sales.Orders", "main.items", "other.items", 'x."a.b"', "deep.er.users", "one.dup", "two.dup")
    found: Mapping[tuple[str, ...], str | None] = {
        ("sales", "orders"): "sales.Orders",
        ("SALES", "ORDERS"): "sales.Orders",
        ("headwater", "sales", "orders"): "sales.Orders",
        ("elsewhere", "sales", "orders"): None,
        ("orders",): "sales.Orders",
        ("public", "sales", "orders"): "sales.Orders",
        ("items",): "main.items",
        ("a.b",): 'x."a.b"',
        ("x", "a.b"): 'x."a.b"',
        ("er", "users"): None,
        ("users",): "deep.er.users",
        ("dup",): None,
    }
    assert {parts: getattr(snapshot.find(parts), "name", None) for parts in found} == found


def test_names_that_differ_only_by_case_are_both_reachable() -> None:
    snapshot = of_names("db.Events", "db.events")
    assert [getattr(snapshot.find(("db", name)), "name", "") for name in ("events", "EVENTS", "Events")] == [
        "db.events",
        "db.events",
        "db.Events",
    ]


def of_names(*names: str) -> Any:
    relations = [RelationInfo(name, (ColumnInfo("id", "bigint", True, 1),)) for name in names]
    return make_snapshot(ConnectionSpec("acme", "x", "x", "lakehouse"), relations, 0.0, catalog_name="headwater")


def make_table(lake: Lake, tenant: str, parts: tuple[str, ...]) -> None:
    from pyiceberg.schema import Schema
    from pyiceberg.types import LongType, NestedField, StringType

    schema = Schema(
        NestedField(1, "id", LongType(), required=True), NestedField(2, "note", StringType(), doc="What was said")
    )
    lake.create_namespace(tenant, ".".join(parts[:-1]))
    lake.commit_now(tenant, lambda iceberg: iceberg.create_table(parts, schema))
