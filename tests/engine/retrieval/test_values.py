"""Values: what is read, whose eyes see it, and what is never read at all."""

from collections.abc import Callable
from pathlib import Path

from core.context import Principal
from core.settings import QuerySettings
from engine.catalog.catalog import Catalog
from engine.policy.policy import Bound, Rule
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from engine.retrieval.values import ValueSource
from engine.sql.builder import QueryBuilder
from engine.sql.run import SqlService
from engine.store.db import Store
from tests.engine.retrieval.conftest import open_folders, run_sql

READER = Principal("ada", "acme", permissions=frozenset(("query.run",)))
ROOT = Principal("root", "acme", permissions=frozenset(("policies.manage",)))


async def test_values_are_found_by_those_who_may_read_them(
    open_catalog: Callable[[], Catalog], store: Store, roots: Path, home: Path
) -> None:
    run_sql(
        roots / "shop.db",
        "CREATE TABLE people (id INTEGER, city TEXT, secret TEXT, note TEXT);"
        "INSERT INTO people VALUES (1, 'Kuala Lumpur', 'zeppelin', 'n1'), (2, 'Oslo', 'yacht', 'n2');"
        "CREATE TABLE long (word TEXT);",
    )
    run_sql(roots / "shop.db", f"INSERT INTO long VALUES {', '.join(f'({chr(39)}w{n}{chr(39)})' for n in range(300))}")
    catalog = open_catalog()
    options = {"path": str(roots / "shop.db")}
    await catalog.connections.create("acme", connection_id="shop", name="Shop", kind="sqlite", options=options)
    sql = SqlService(catalog=catalog, store=store, settings=QuerySettings())
    source = ValueSource(catalog, TableSource(catalog), sql, QueryBuilder(catalog))
    retrieval = Retrieval([source], vectors=open_folders(home))

    hits = await retrieval.search(READER, "customers in kuala lumpur", ("value",))
    assert [(hit.title, hit.table, hit.column) for hit in hits] == [("Kuala Lumpur", "people", "city")]
    assert await retrieval.search(READER, "w17", ("value",)) == []  # a column of many values is no list of names
    for other in (Principal("ada", "acme"), Principal("bob", "other", permissions=READER.permissions)):
        assert await retrieval.search(other, "kuala lumpur", ("value",)) == []

    rule = Rule("column", "shop", table="people", columns=(Bound("secret"),), privacy="masked")
    await catalog.policies.create(ROOT, rule, name="no secrets")
    for text in ("zeppelin", "kuala lumpur"):  # of a table that a policy is about nothing is read any more
        assert await retrieval.search(READER, text, ("value",)) == []
    await retrieval.aclose()
    await sql.close()
