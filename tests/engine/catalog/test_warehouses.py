"""A tenant's lakehouse lies where its configuration says: for readers, writers, queries and other processes."""

from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pytest

from core.errors import Conflict, NotFound, Unavailable
from core.settings import QuerySettings
from engine.catalog.catalog import Catalog
from engine.catalog.config import CatalogConfig
from engine.catalog.warehouses import Warehouses
from engine.lake.sites import Site
from engine.lake.warehouse import Lake
from engine.sql.run import SqlService, Statement
from engine.store.db import Store
from tests.engine.catalog.conftest import ADA, BOB
from tests.engine.catalog.test_snapshots import make_table


def fill(lake: Lake, name: str) -> None:
    """The table db.events with one row, that says where it lies."""
    rows = pa.table({"place": [name]})
    lake.create_namespace("acme", "db")
    lake.commit_now("acme", lambda iceberg: iceberg.create_table("db.events", schema=rows.schema).append(rows))


def at(roots: Path, name: str) -> CatalogConfig:
    return CatalogConfig(catalog_type="hadoop", warehouse=str(roots / name), catalog_name="drls")


async def test_queries_follow_the_warehouse_there_and_back(
    catalog: Catalog, lake: Lake, store: Store, roots: Path
) -> None:
    sql = SqlService(catalog=catalog, store=store, settings=QuerySettings(memory_mb=256, threads=1))

    async def place(table: str) -> object:
        answer = await sql.execute(ADA, "lakehouse", Statement(f"SELECT place FROM {table}"))
        return answer.rows.records()[0]["place"]

    fill(lake, "default")
    assert await place("db.events") == "default"
    await catalog.set_config(ADA, at(roots, "warehouse"))
    fill(lake, "elsewhere")
    assert (roots / "warehouse" / "catalog.db").is_file()
    assert await place("drls.db.events") == "elsewhere"
    assert await place("headwater.db.events") == "elsewhere"
    await catalog.set_config(ADA, CatalogConfig())
    assert await place("db.events") == "default"
    await catalog.set_config(ADA, at(roots, "warehouse"))
    assert await place("db.events") == "elsewhere"
    await sql.close()


async def test_a_process_that_did_not_make_the_change_follows_within_the_ttl(
    open_catalog: Callable[[], Catalog], lake: Lake, roots: Path
) -> None:
    one, two = open_catalog(), open_catalog()
    clock = [0.0]
    warehouses = two.configs._warehouses
    warehouses._clock = lambda: clock[0]
    make_table(lake, "acme", ("old", "orders"))
    assert (await two.snapshot(ADA, "lakehouse")).names == ("old.orders",)
    await one.set_config(ADA, at(roots, "warehouse"))
    assert (await one.snapshot(ADA, "lakehouse")).names == ()
    make_table(lake, "acme", ("new", "orders"))
    clock[0] = 2.0
    assert (await two.snapshot(ADA, "lakehouse")).names == ("new.orders",)
    assert warehouses.locate("other") != warehouses.locate("acme")


class Overtaken(Warehouses):
    """Each look at the store is overtaken by a change."""

    looks = 0

    def _read(self, tenant: str) -> Site:
        self.looks += 1
        found = super()._read(tenant)
        self.forget(tenant)
        return found


def test_a_look_that_began_before_a_change_does_not_outlive_it(store: Store, roots: Path, home: Path) -> None:
    warehouses = Overtaken(store, folder=home / "lake", home=home, roots=[roots])
    assert [warehouses.locate("acme") for _ in range(2)] == [home / "lake" / "acme"] * 2
    assert warehouses.looks == 2


async def test_a_place_that_the_operator_no_longer_allows_is_not_used(
    catalog: Catalog, store: Store, roots: Path, home: Path, tmp_path: Path
) -> None:
    await catalog.set_config(ADA, at(roots, "warehouse"))
    narrowed = Warehouses(store, folder=home / "lake", home=home, roots=[roots / "less"])
    with pytest.raises(Unavailable, match="operator"):
        narrowed.locate("acme")
    (roots / "warehouse").rmdir()
    (roots / "warehouse").symlink_to(tmp_path)
    replaced = Warehouses(store, folder=home / "lake", home=home, roots=[roots])
    with pytest.raises(Unavailable, match="operator"):
        replaced.locate("acme")


async def test_a_warehouse_left_behind_still_belongs_to_its_tenant(catalog: Catalog, lake: Lake, roots: Path) -> None:
    await catalog.set_config(ADA, at(roots, "used"))
    fill(lake, "used")
    for name in ("unused", "third"):
        await catalog.set_config(ADA, at(roots, name))
    await catalog.set_config(ADA, CatalogConfig())
    for name in ("used", "used/inner"):
        with pytest.raises(Conflict):
            await catalog.set_config(BOB, at(roots, name))
    await catalog.set_config(BOB, at(roots, "unused"))
    assert lake.tables("other") == []
    await catalog.set_config(ADA, at(roots, "used"))
    assert list(lake.locations("acme")) == ["db.events"]


async def test_another_tenant_sees_nothing_of_it(catalog: Catalog, lake: Lake, roots: Path) -> None:
    await catalog.set_config(ADA, at(roots, "warehouse"))
    fill(lake, "elsewhere")
    assert (await catalog.snapshot(BOB, "lakehouse")).names == ()
    with pytest.raises(NotFound):
        await catalog.table(BOB, "lakehouse", "db.events")


async def test_a_file_that_is_no_catalog_is_said_plainly(catalog: Catalog, roots: Path) -> None:
    (roots / "warehouse").mkdir()
    (roots / "warehouse" / "catalog.db").write_text("not a database, and longer than a header of a hundred bytes " * 4)
    await catalog.set_config(ADA, at(roots, "warehouse"))
    with pytest.raises(Unavailable):
        await catalog.snapshot(ADA, "lakehouse")
