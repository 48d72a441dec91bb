import asyncio
from pathlib import Path

import pytest

from engine.catalog.annotations import Place, TableNotes
from engine.catalog.catalog import Catalog
from engine.catalog.search import Hits, build_index, find_in
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.catalog.words import split_words
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.policy.rules import open_to_all
from tests.engine.catalog.conftest import ADA, BOB
from tests.fixtures_catalog import sqlite_store

__all__ = ["sqlite_store"]


def names(hits: Hits) -> list[str]:
    return [f"{hit.table}#{hit.column.name}" if hit.column else hit.table for hit in hits.items]


@pytest.fixture
async def shop_catalog(catalog: Catalog, shop: Path) -> Catalog:
    await catalog.connections.create(
        "acme", name="Shop", kind="sqlite", options={"path": str(shop)}, connection_id="shop"
    )
    return catalog


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ("order_lines", ["order", "line"]),
        ("emailAddress", ["email", "address"]),
        ("HTTPServerURLs", ["http", "server", "url"]),
        ("Companies, boxes & classes", ["company", "box", "class"]),
        ("Größe_in_cm", ["grösse", "in", "cm"]),
        ("status", ["status"]),
        ("!?", []),
    ],
)
def test_names_are_split_into_words(text: str, words: list[str]) -> None:
    assert list(split_words(text)) == words


async def test_a_tables_name_comes_before_columns_of_other_tables(shop_catalog: Catalog) -> None:
    hits = await shop_catalog.search(ADA, "customer", 10)
    assert names(hits) == ["customers", "order_lines#customer_id"]


async def test_beginnings_of_words_are_enough(shop_catalog: Catalog) -> None:
    assert names(await shop_catalog.search(ADA, "addr", 10)) == ["customers#emailAddress"]


async def test_all_words_together_beat_one_of_them(shop_catalog: Catalog) -> None:
    assert names(await shop_catalog.search(ADA, "customer email", 10))[0] == "customers#emailAddress"
    assert names(await shop_catalog.search(ADA, "order total", 10)) == ["order_lines", "order_lines#total_amount"]


async def test_tags_and_descriptions_are_found_as_soon_as_they_are_written(shop_catalog: Catalog) -> None:
    assert names(await shop_catalog.search(ADA, "gdpr revenue", 10)) == []
    await shop_catalog.annotations.tag("acme", Place("shop", "customers", "name"), "gdpr")
    await shop_catalog.annotations.describe("acme", "shop", "order_lines", "", "What we sold: the revenue.")
    assert names(await shop_catalog.search(ADA, "gdpr", 10)) == ["customers#name"]
    assert names(await shop_catalog.search(ADA, "revenue", 10)) == ["order_lines"]


async def test_another_tenant_finds_nothing(shop_catalog: Catalog) -> None:
    assert names(await shop_catalog.search(BOB, "customer", 10)) == []


async def test_a_source_that_is_gone_is_named_and_the_rest_is_found(shop_catalog: Catalog, roots: Path) -> None:
    gone = roots / "gone.db"
    gone.write_bytes(b"")
    await shop_catalog.connections.create(
        "acme", name="Gone", kind="sqlite", options={"path": str(gone)}, connection_id="gone"
    )
    gone.unlink()
    hits = await shop_catalog.search(ADA, "customer", 10)
    assert (hits.unavailable, names(hits)[0]) == (["gone"], "customers")


async def test_searches_at_once_build_one_index(shop_catalog: Catalog) -> None:
    results = await asyncio.gather(*(shop_catalog.search(ADA, "customer", 5) for _ in range(20)))
    assert all(result == results[0] for result in results)


@pytest.mark.parametrize("q", ["", "   ", "%", "'; DROP TABLE x", "a" * 5000, "(((", "*", "\u202e"])
async def test_odd_queries_find_nothing_and_fail_nowhere(shop_catalog: Catalog, q: str) -> None:
    assert names(await shop_catalog.search(ADA, q, 10)) == []


def test_a_large_catalog_is_searched_alike_each_time_and_finds_its_one_note() -> None:
    columns = tuple(ColumnInfo(f"column_{place}", "bigint", True, place) for place in range(20))
    relations = [RelationInfo(f"ns{number % 50}.table_{number}", columns) for number in range(1000)]
    snapshot = make_snapshot(ConnectionSpec("acme", "big", "big", "sqlite"), relations, 0.0)
    view = View(ADA, snapshot, "open", lambda key: open_to_all(snapshot.relations[key]))
    indexed = build_index(snapshot, {snapshot.names[0]: TableNotes("A table of note.")})
    for q in ("column", "ns1 column 2", "table 7", "a", "co ns"):
        words = list(dict.fromkeys(split_words(q)))
        first = find_in(view, indexed, words, 20)
        assert first
        assert find_in(view, indexed, words, 20) == first
    assert len(find_in(view, indexed, ["note"], 20)) == 1
