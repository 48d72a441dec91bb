import asyncio
from collections.abc import Callable
from pathlib import Path

import pytest
from sqlalchemy import select

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized, Unavailable
from engine.catalog.annotations import Place
from engine.catalog.catalog import Catalog
from engine.store.db import Store
from engine.store.tables import column_tags, connections
from tests.engine.catalog.conftest import ADA, run_sql

PG = {"host": "8.8.8.8", "database": "shop", "user": "reader", "password": "tops3cret"}


async def add_shop(catalog: Catalog, shop: Path, connection_id: str = "shop") -> None:
    await catalog.connections.create(
        "acme", name=f"The {connection_id}", kind="sqlite", options={"path": str(shop)}, connection_id=connection_id
    )


async def test_every_tenant_has_the_lakehouse_without_a_row(catalog: Catalog, store: Store) -> None:
    assert [item.connection_id for item in await catalog.connections.listing("anyone")] == ["lakehouse"]
    assert await store.read(lambda connection: connection.execute(select(connections)).all()) == []


@pytest.mark.parametrize("verb", ["update", "delete"])
async def test_the_lakehouse_can_be_neither_changed_nor_deleted(catalog: Catalog, verb: str) -> None:
    with pytest.raises(Conflict, match="built in"):
        await getattr(catalog.connections, verb)("acme", "lakehouse")


async def test_a_connection_keeps_the_id_that_the_caller_chose(catalog: Catalog, shop: Path) -> None:
    await add_shop(catalog, shop, "conn_abc123")
    assert (await catalog.connections.get("acme", "conn_abc123")).kind == "sqlite"


@pytest.mark.parametrize("wrong", ["a b", "a/b", "x" * 65, "é", "../x"])
async def test_an_id_of_other_characters_is_refused(catalog: Catalog, shop: Path, wrong: str) -> None:
    with pytest.raises(InvalidArgument):
        await add_shop(catalog, shop, wrong)


async def test_ids_and_names_are_taken_once_in_a_tenant_and_free_in_another(catalog: Catalog, shop: Path) -> None:
    options = {"path": str(shop)}
    await catalog.connections.create("acme", name="Shop", kind="sqlite", options=options, connection_id="one")
    for connection_id, name in (
        ("one", "Else"),
        ("two", "Shop"),
        ("two", " Shop "),
        ("lakehouse", "x"),
        ("x", "lakehouse"),
    ):
        with pytest.raises(Conflict):
            await catalog.connections.create(
                "acme", name=name, kind="sqlite", options=options, connection_id=connection_id
            )
    await catalog.connections.create("other", name="Shop", kind="sqlite", options=options, connection_id="one")


async def test_of_many_writers_at_once_one_gets_the_name(open_catalog: Callable[[], Catalog], shop: Path) -> None:
    catalogs = [open_catalog() for _ in range(4)]
    results = await asyncio.gather(
        *(add_shop(catalog, shop) for catalog in catalogs for _ in range(3)), return_exceptions=True
    )
    assert sorted(type(result).__name__ for result in results) == ["Conflict"] * 11 + ["NoneType"]


async def test_a_secret_is_sealed_in_the_store_and_not_in_listings(catalog: Catalog, store: Store) -> None:
    created = await catalog.connections.create("acme", name="PG", kind="postgresql", options=PG)
    row = await store.read(lambda connection: connection.execute(select(connections)).one())
    listed = (await catalog.connections.listing("acme"))[1]
    spec = await catalog.connections.spec("acme", created.connection_id)
    assert "tops3cret" not in f"{row} {created} {listed} {spec}"
    assert listed.has_secret
    assert spec.secret == {"password": "tops3cret"}


async def test_new_options_do_not_inherit_the_password(catalog: Catalog) -> None:
    created = await catalog.connections.create("acme", name="PG", kind="postgresql", options=PG)
    with pytest.raises(Conflict, match="secrets again"):
        await catalog.connections.update(
            "acme", created.connection_id, options={"host": "9.9.9.9", "database": "shop", "user": "reader"}
        )


async def test_options_sent_back_unchanged_keep_the_password(catalog: Catalog) -> None:
    created = await catalog.connections.create("acme", name="PG", kind="postgresql", options=PG)
    await catalog.connections.update("acme", created.connection_id, name="PG 2", options=created.options)
    spec = await catalog.connections.spec("acme", created.connection_id)
    assert (spec.name, spec.secret, spec.version) == ("PG 2", {"password": "tops3cret"}, created.version + 1)


async def test_a_change_in_one_process_is_seen_in_another_after_the_ttl(
    open_catalog: Callable[[], Catalog], shop: Path
) -> None:
    one, two = open_catalog(), open_catalog()
    two.connections._cache._ttl_s = 0.05
    assert len(await two.connections.listing("acme")) == 1
    await add_shop(one, shop)
    assert len(await one.connections.listing("acme")) == 2
    await asyncio.sleep(0.06)
    assert len(await two.connections.listing("acme")) == 2


async def test_a_deleted_connection_takes_its_tags_with_it(catalog: Catalog, store: Store, shop: Path) -> None:
    await add_shop(catalog, shop)
    await catalog.annotations.tag("acme", Place("shop", "customers", "name"), "pii")
    await catalog.delete_connection(ADA, "shop")
    with pytest.raises(NotFound):
        await catalog.connections.get("acme", "shop")
    assert await store.read(lambda connection: connection.execute(select(column_tags)).all()) == []


async def test_a_connection_made_again_is_another_one_to_every_process(
    open_catalog: Callable[[], Catalog], shop: Path, roots: Path
) -> None:
    one, two = open_catalog(), open_catalog()
    two.connections._cache._ttl_s = 0.0
    await add_shop(one, shop)
    assert "customers" in (await two.snapshot(ADA, "shop")).relations
    await one.delete_connection(ADA, "shop")
    run_sql(roots / "else.db", "CREATE TABLE parcels (id INTEGER)")
    await add_shop(one, roots / "else.db")
    for catalog in (one, two):
        assert list((await catalog.snapshot(ADA, "shop")).relations) == ["parcels"]


async def test_another_tenants_connection_does_not_exist(catalog: Catalog, shop: Path) -> None:
    await add_shop(catalog, shop)
    with pytest.raises(NotFound):
        await catalog.connections.get("other", "shop")
    with pytest.raises(NotFound):
        await catalog.connections.update("other", "shop", name="Mine")
    with pytest.raises(NotFound):
        await catalog.connections.delete("other", "shop")


async def test_places_that_the_operator_did_not_allow_are_refused(catalog: Catalog, home: Path) -> None:
    for path in ("/etc/passwd", str(home / "headwater.db")):
        with pytest.raises(Unauthorized):
            await catalog.connections.create("acme", name="x", kind="sqlite", options={"path": path})
    with pytest.raises(Unauthorized, match="private network"):
        await catalog.connections.create("acme", name="x", kind="postgresql", options={**PG, "host": "127.0.0.1"})


async def test_a_stored_connection_whose_file_is_gone_is_unavailable(catalog: Catalog, shop: Path) -> None:
    await add_shop(catalog, shop)
    shop.unlink()
    with pytest.raises(Unavailable, match="no such file"):
        await catalog.connector(ADA, "shop")


@pytest.mark.parametrize("name", ["", " ", "a\nb", "\t", "x" * 256])
async def test_a_name_is_visible_text(catalog: Catalog, shop: Path, name: str) -> None:
    with pytest.raises(InvalidArgument):
        await catalog.connections.create("acme", name=name, kind="sqlite", options={"path": str(shop)})


async def test_many_who_wait_for_a_connection_share_one(catalog: Catalog, shop: Path) -> None:
    await add_shop(catalog, shop)
    opened = await asyncio.gather(*(catalog.connector(ADA, "shop") for _ in range(50)))
    assert len(set(opened)) == 1


async def test_a_second_lakehouse_and_unknown_kinds_are_refused(catalog: Catalog) -> None:
    for kind in ("lakehouse", "oracle"):
        with pytest.raises(InvalidArgument):
            await catalog.connections.create("acme", name="x", kind=kind, options={})
