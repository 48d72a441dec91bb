"""Questions over more tables than a planner reads: retrieval says which it is about."""

from collections.abc import Callable
from pathlib import Path

from core.context import Principal
from core.settings import QuerySettings
from engine.catalog.catalog import Catalog
from engine.planner.questions import Questions
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.tables import TableSource
from engine.sql.builder import QueryBuilder
from engine.sql.run import SqlService
from engine.store.db import Store
from tests.engine.retrieval.conftest import run_sql

ADA = Principal("ada", "acme", permissions=frozenset(("query.run", "catalog.read")))


async def test_a_question_is_answered_from_the_last_of_many_tables(
    open_catalog: Callable[[], Catalog], store: Store, roots: Path
) -> None:
    many = "".join(f"CREATE TABLE archive_{number:03} (id INTEGER, note REAL);" for number in range(240))
    run_sql(roots / "shop.db", many + "CREATE TABLE zeppelins (id INTEGER PRIMARY KEY, captain TEXT, weight REAL);")
    catalog = open_catalog()
    options = {"path": str(roots / "shop.db")}
    await catalog.connections.create("acme", connection_id="shop", name="Shop", kind="sqlite", options=options)
    sql = SqlService(catalog=catalog, store=store, settings=QuerySettings())
    questions = Questions(catalog, sql, QueryBuilder(catalog), retrieval=Retrieval([TableSource(catalog)]))
    asked = await questions.ask(ADA, "shop", "What is the average weight of zeppelins?")
    assert "zeppelins" in asked.built.sql and "AVG" in asked.built.sql.upper()
    linked, _ = await questions.link(ADA, "shop", "Which captain has the heaviest zeppelin?")
    assert linked.tables[0].name == "zeppelins"
    await sql.close()
