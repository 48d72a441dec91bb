"""Definitions as SQL that real engines run, and what is refused on the way."""

import dataclasses
import json
import re
import sqlite3
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import duckdb
import psycopg
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from sqlglot import exp

from core.context import Principal
from core.errors import Conflict, PlatformError, QueryUnauthorized
from core.settings import QuerySettings
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ColumnInfo, ConnectionSpec, RelationInfo
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from engine.policy.rules import ColumnRule, Governed, open_to_all
from engine.sql.build import build
from engine.sql.builder import Key, Page, QueryBuilder
from engine.sql.definitions import read_definition
from engine.sql.parse import parse
from engine.sql.run import Statement
from tests.engine.sql.world import ANN, World, make_world
from tests.fixtures_postgres import PostgresServer, postgres, postgres_database

__all__ = ["postgres", "postgres_database"]

SCHEMA = """
CREATE TABLE sales (id INTEGER PRIMARY KEY, person INTEGER, region VARCHAR(20), amount DECIMAL(9, 2), sold_on {date});
INSERT INTO sales VALUES (1, 1, 'north', 10.5, '2026-01-01'), (2, 1, 'south', 20.25, '2026-01-02'),
    (3, 2, 'north', 3, '2026-01-03'), (4, NULL, NULL, 7.75, '2026-01-04');
CREATE TABLE people (id INTEGER PRIMARY KEY, name VARCHAR(40));
INSERT INTO people VALUES (1, 'Ada'), (2, 'O''Neil; DROP TABLE people --'), (3, 'Zoë');
CREATE TABLE "Odd ""Table"" .x" ("Mixed Case" INTEGER, "se""lect" VARCHAR(9), "a.b" INTEGER, "größe" INTEGER);
INSERT INTO "Odd ""Table"" .x" VALUES (1, 'x', 2, 3);
"""
ODD = '"Odd ""Table"" .x"'
SUM = {"aggregate": "sum", "column": "amount", "alias": "total"}
QUERIES: dict[str, tuple[dict[str, Any], list[list[Any]]]] = {
    "everything": ({"table": "people", "order": ["id"], "limit": 1}, [[1, "Ada"]]),
    "group and having": (
        {"table": "sales", "select": ["region"], "measures": [SUM, {"aggregate": "count"}], "order": ["total"],
         "having": [{"column": "total", "operator": "gt", "value": 8}]},
        [["north", 13.5, 2], ["south", 20.25, 1]],
    ),
    "measure with filter": (
        {"table": "sales", "measures": [
            {**SUM, "filters": [{"column": "region", "operator": "eq", "value": "north"}]},
            {"aggregate": "count", "column": "person", "distinct": True}]},
        [[13.5, 2]],
    ),
    "join": (
        {"table": "sales", "alias": "s", "select": ["s.id", "p.name"], "order": ["s.id"],
         "joins": [{"type": "left", "table": "people", "alias": "p", "on": [{"left": "person", "right": "p.id"}]}]},
        [[1, "Ada"], [2, "Ada"], [3, "O'Neil; DROP TABLE people --"], [4, None]],
    ),
    "tree": (
        {"table": "sales", "select": ["id"], "order": ["id"], "filters": [
            {"or": [{"and": [{"column": "region", "operator": "in", "value": ["north", "x"]},
                             {"column": "amount", "operator": "between", "value": [3, "5.0"]}]},
                    {"not": {"column": "region", "operator": "not_null"}}]},
            {"column": "sold_on", "operator": "ge", "value": "2026-01-02"}]},
        [[3], [4]],
    ),
    "texts that look like SQL": (
        {"table": "people", "select": ["id"],
         "filters": [{"column": "name", "operator": "eq", "value": "O'Neil; DROP TABLE people --"}]},
        [[2]],
    ),
    "patterns": (
        {"table": "people", "select": ["id"], "order": ["id"], "filters": [
            {"column": "name", "operator": "ilike", "value": "%A"},
            {"column": "name", "operator": "not_like", "value": "%;%"}]},
        [[1]],
    ),
    "odd names": (
        {"table": ODD, "select": ["Mixed Case", '"se""lect"', '"a.b"', "größe"],
         "filters": [{"column": '"a.b"', "operator": "eq", "value": 2}]},
        [[1, "x", 2, 3]],
    ),
    "window": (
        {"table": "sales", "select": ["id", {"function": "sum", "args": ["amount"], "alias": "so_far", "over":
            {"partition_by": ["region"], "order": ["id"], "rows_before": 1}}], "order": ["id"], "limit": 3},
        [[1, 10.5], [2, 20.25], [3, 13.5]],
    ),
    "exists": (
        {"table": "people", "select": ["id"], "filters": [{"not": {"exists": {
            "table": "sales", "select": ["id"],
            "filters": [{"column": "sales.person", "operator": "eq", "other": "people.id"}]}}}]},
        [[3]],
    ),
    "subqueries": (
        {"subquery": {"table": "sales", "select": ["region"], "measures": [SUM]}, "alias": "q", "select": ["total"],
         "filters": [{"column": "total", "operator": "gt", "query": {
             "table": "sales", "measures": [{"aggregate": "avg", "column": "amount"}]}},
            {"column": "region", "operator": "in", "query": {"table": "sales", "select": ["region"]}}],
         "order": ["total"]},
        [[13.5], [20.25]],
    ),
    "set operations": (
        {"table": "people", "select": ["id"], "order": ["id"], "set_operations": [
            {"type": "union_all", "query": {"table": "sales", "select": ["id"]}},
            {"type": "except", "query": {"table": "people", "select": ["id"], "order": ["id"], "limit": 1}}]},
        [[2], [3], [4]],
    ),
    "case, arithmetic, cast": (
        {"table": "sales", "order": ["id"], "limit": 2, "select": [
            {"case": [{"when": {"column": "amount", "operator": "gt", "value": 15}, "then": {"value": "big"}}],
             "otherwise": {"value": "small"}, "alias": "size"},
            {"operator": "*", "args": ["id", {"operator": "-", "args": [{"value": 1}, {"value": -2}]}], "alias": "x"},
            {"cast": "text", "args": ["id"], "alias": "id_text"}]},
        [["small", 3, "1"], ["big", 6, "2"]],
    ),
    "distinct, nulls first": (
        {"table": "sales", "select": ["region"], "distinct": True,
         "order": [{"column": "region", "direction": "desc", "nulls": "first"}]},
        [[None], ["south"], ["north"]],
    ),
    "offset": ({"table": "sales", "select": ["id"], "order": [{"column": "id"}], "offset": 3}, [[4]]),
}  # fmt: skip


def shown(rows: list[dict[str, Any]]) -> list[list[Any]]:
    """Values as Python compares them: decimals come as texts or numbers, by source."""

    def plain(value: Any) -> Any:
        try:
            return float(value) if isinstance(value, str) and "." in value else value
        except ValueError:
            return value

    return [[plain(value) for value in row.values()] for row in rows]


async def run_all(world: World, names: list[str]) -> None:
    builder = QueryBuilder(world.sql._catalog)
    for name in names:
        definition, wanted = QUERIES[name]
        built = await builder.build(ANN, "shop", definition)
        answer = await world.sql.execute(ANN, "shop", Statement(built.sql))
        assert shown(answer.rows.records()) == wanted, f"{name}: {built.sql}"


async def test_duckdb_runs_what_is_built(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with duckdb.connect(str(tmp_path / "data" / "a.duckdb")) as connection:
        connection.execute(SCHEMA.format(date="DATE"))
    spec = ConnectionSpec("default", "shop", "shop", "duckdb", {"path": str(tmp_path / "data" / "a.duckdb")})
    world = make_world(tmp_path / "home", [spec], data=tmp_path / "data")
    await run_all(world, list(QUERIES))
    await world.close()


async def test_sqlite_runs_what_is_built(tmp_path: Path) -> None:
    (tmp_path / "data").mkdir()
    with sqlite3.connect(tmp_path / "data" / "a.db") as connection:
        connection.executescript(SCHEMA.format(date="TEXT"))
    spec = ConnectionSpec("default", "shop", "shop", "sqlite", {"path": str(tmp_path / "data" / "a.db")})
    world = make_world(tmp_path / "home", [spec], data=tmp_path / "data")
    await run_all(world, list(QUERIES))
    await world.close()


@pytest.mark.postgres
async def test_postgresql_runs_what_is_built(tmp_path: Path, postgres: PostgresServer, postgres_database: str) -> None:
    with psycopg.connect(postgres.url(postgres_database), autocommit=True) as connection:
        connection.execute(SCHEMA.format(date="DATE").encode())
    host = postgres.url("x").partition("host=")[2]
    options = {"host": host, "database": postgres_database, "user": "postgres"}
    world = make_world(
        tmp_path / "home", [ConnectionSpec("default", "shop", "shop", "postgresql", options)], data=tmp_path
    )
    catalog: Any = world.sql._catalog
    catalog.connectors = Connectors(
        lake=Lake(tmp_path / "lake"),
        places=Places(home=tmp_path / "home", roots=[], private_hosts=[host]),
        settings=QuerySettings(),
        temp_directory=tmp_path / "tmp",
    )
    await run_all(world, list(QUERIES))
    await catalog.connectors.close()
    await world.close()


# Names and rights, without any engine


def relation(name: str, columns: Mapping[str, str], key: tuple[str, ...] = ()) -> RelationInfo:
    found = (ColumnInfo(column, kind, True, number) for number, (column, kind) in enumerate(columns.items(), 1))
    return RelationInfo(name, tuple(found), primary_key=key)


STAFF = relation("hr.staff", {"id": "integer", "name": "varchar", "pay": "decimal(9,2)", "ssn": "varchar",
                              "born": "date"}, ("id",))  # fmt: skip
SECRET = relation("hr.secrets", {"id": "integer"})
TEAMS = relation("teams", {"id": "integer", "title": "varchar", "name": "varchar"}, ("title", "id"))
VISIBLE = dataclasses.replace(STAFF, columns=tuple(column for column in STAFF.columns if column.name != "ssn"))
RULES = {"pay": ColumnRule("aggregate_only"), "born": ColumnRule("masked"), "ssn": ColumnRule("hidden")}


@pytest.fixture
def view() -> View:
    """Somebody who does not know of secrets, sees no ssn, birthdays masked and pay in aggregates only."""
    spec = ConnectionSpec("default", "shop", "shop", "duckdb")
    snapshot = make_snapshot(spec, [STAFF, SECRET, TEAMS], 0.0)
    seen = {"hr.staff": Governed(VISIBLE, STAFF, RULES), "teams": open_to_all(TEAMS)}
    return View(ANN, snapshot, "ann", seen.get)


def made(view: View, **definition: Any) -> str:
    return build(read_definition(definition), view, "duckdb").sql


def refusal(view: View, **definition: Any) -> PlatformError:
    with pytest.raises(PlatformError) as caught:
        build(read_definition(definition), view, "duckdb")
    return caught.value


def where(*conditions: dict[str, Any]) -> dict[str, Any]:
    return {"table": "teams", "select": ["id"], "filters": list(conditions)}


def test_all_columns_means_those_whose_values_can_be_read(view: View) -> None:
    assert made(view, table="staff") == 'SELECT "staff"."id", "staff"."name", "staff"."born" FROM "hr"."staff"'
    total = made(view, table="hr.staff", measures=[{"aggregate": "sum", "column": "pay"}])
    assert total == 'SELECT sum("staff"."pay") AS "sum_pay" FROM "hr"."staff"'


def test_what_is_hidden_and_what_is_not_there_are_refused_alike(view: View) -> None:
    for hidden, unknown in (("secrets", "secretz"), ("hr.secrets", "hr.secretz")):
        one, other = refusal(view, table=hidden), refusal(view, table=unknown)
        assert isinstance(one, QueryUnauthorized) and one.message == other.message
        assert one.hint.replace(hidden, "X") == other.hint.replace(unknown, "X")
    one, other = refusal(view, table="staff", select=["ssn"]), refusal(view, table="staff", select=["ssx"])
    assert one.message == other.message and one.hint.replace("ssn", "X") == other.hint.replace("ssx", "X")


def test_hints_name_only_what_is_visible(view: View) -> None:
    assert "Did you mean hr.staff?" in refusal(view, table="hr.stuff").hint
    assert "Did you mean title?" in refusal(view, table="teams", select=["titel"]).hint
    assert "ssn" not in refusal(view, table="staff", select=["sn"]).hint
    assert "secrets" not in refusal(view, table="hr.secret").hint


def test_names_must_be_clear(view: View) -> None:
    join = {"table": "teams", "on": [{"left": "staff.id", "right": "teams.id"}]}
    assert "table.column" in refusal(view, table="staff", joins=[join], select=["name"]).hint
    assert "alias" in refusal(view, table="teams", joins=[join]).hint
    sql = made(view, table="staff", joins=[join], select=["staff.name", "teams.name"])
    assert '"staff"."name", "teams"."name" AS "name_2"' in sql
    refused = refusal(view, table="teams", select=[{"column": "id", "alias": "x"}, {"column": "name", "alias": "X"}])
    assert isinstance(refused, Conflict)


@pytest.mark.parametrize(
    ("column", "operator", "value"),
    [
        *(("id", "eq", "x"), ("id", "eq", True), ("id", "eq", None), ("id", "eq", [1]), ("id", "eq", {"a": 1})),
        *(("id", "in", 1), ("id", "in", []), ("id", "in", [1, None]), ("id", "between", [1]), ("id", "eq", "1e9999")),
        *(("title", "eq", 5), ("title", "like", 5), ("title", "like", "%" * 1001), ("title", "is_null", "yes")),
        *(("id", "eq", "1; DROP TABLE x"), ("id", "eq", "٣"), ("id", "eq", 10**50), ("title", "in", ["a", 1])),
    ],
)  # fmt: skip
def test_values_of_the_wrong_type_are_refused(view: View, column: str, operator: str, value: Any) -> None:
    refused = refusal(view, **where({"column": column, "operator": operator, "value": value}))
    assert isinstance(refused, Conflict) and "DROP" not in refused.message + refused.hint


@pytest.mark.parametrize(
    "definition",
    [
        {},
        {"table": "teams", "sql": "DROP TABLE teams"},
        {"table": "teams", "select": [{"column": "id", "value": 1}]},
        {"table": "teams", "select": [{"function": "read_csv", "args": [{"value": "/etc/passwd"}]}]},
        {"table": "teams", "select": [{"function": "lower(x); --"}]},
        {"table": "teams", "select": [{"operator": "; DROP", "args": ["id", "id"]}]},
        {"table": "teams", "select": [{"operator": "+", "args": ["id"]}]},
        {"table": "teams", "select": [{"cast": "regclass", "args": ["id"]}]},
        {"table": "teams", "order": [{"column": "id", "direction": "asc; DROP"}]},
        {"table": "teams", "group": [{"value": 1}], "measures": [{"aggregate": "count"}]},
        {"table": "teams", "having": [{"column": "id", "operator": "eq", "value": 1}], "select": [{"value": 1}]},
        {"table": "teams", "limit": -1},
        {"table": "teams", "limit": "1 OFFSET 2"},
        {"table": "teams", "joins": [{"table": "teams", "alias": "t"}]},
        {"table": "teams", "filters": [{"column": "id", "operator": "in", "query": {"table": "teams"}}]},
        {"table": "teams", "set_operations": [{"type": "union", "query": {"table": "teams", "select": ["id"]}}]},
        {"table": "teams", "measures": [{"aggregate": "sum"}]},
        {"subquery": {"table": "teams"}, "select": ["id"]},
    ],
)
def test_definitions_that_make_no_sense_are_refused(view: View, definition: dict[str, Any]) -> None:
    refused = refusal(view, **definition)
    assert isinstance(refused, Conflict) and refused.hint


def test_large_and_deep_definitions_are_built_or_refused_and_never_crash(view: View) -> None:
    one = {"column": "id", "operator": "eq", "value": 1}
    many = made(view, **where(*[one] * 1000))
    parse(many, "duckdb")
    assert made(view, **where({"column": "id", "operator": "in", "value": list(range(5000))})).count(",") == 4999
    assert isinstance(refusal(view, **where(*[one] * 10_000)), Conflict)
    assert isinstance(refusal(view, **where({"or": [{"and": [one] * 200}] * 60})), Conflict)
    assert isinstance(refusal(view, **where({"column": "id", "operator": "in", "value": [1] * 5001})), Conflict)
    deep: dict[str, Any] = one
    for _ in range(25):
        deep = {"not": {"or": [deep, one]}}
    assert made(view, **where(deep))
    for _ in range(1000):
        deep = {"not": deep}
    assert isinstance(refusal(view, **where(deep)), Conflict)


@given(st.text(st.characters(exclude_characters="\0", exclude_categories=["Cs"]), max_size=40))
@settings(max_examples=60, deadline=None)
def test_any_text_stays_one_literal_and_any_name_one_name(text: str) -> None:
    spec = ConnectionSpec("default", "shop", "shop", "duckdb")
    name = text or "x"
    snapshot = make_snapshot(spec, [relation("t", {name: "varchar", "id": "integer"})], 0.0)
    view = View(ANN, snapshot, "ann", lambda key: open_to_all(snapshot.relations[key]))
    column = '"' + name.replace('"', '""') + '"'
    definition = {"table": "t", "select": ["id"], "filters": [{"column": column, "operator": "eq", "value": text}]}
    for dialect in ("duckdb", "postgres", "sqlite"):
        tree = parse(build(read_definition(definition), view, dialect).sql, dialect).tree
        test = tree.args["where"].this
        assert isinstance(test, exp.EQ)
        assert (test.left.name, test.right.name, test.right.is_string) == (name, text, True)


# Records


async def test_a_page_of_records_is_sorted_by_the_key_at_last(view: View) -> None:
    builder = QueryBuilder(Fixed(view))
    page = await builder.page(ANN, "shop", Page("teams", order=[{"column": "name", "direction": "desc"}], limit=2))
    assert page.sql.endswith('ORDER BY "name" DESC, "title" ASC, "id" ASC LIMIT 3')
    page = await builder.page(ANN, "shop", Page("staff", columns=["name"], offset=4))
    assert page.sql == 'SELECT "staff"."name" FROM "hr"."staff" ORDER BY "staff"."id" ASC LIMIT 101 OFFSET 4'


async def test_a_key_is_used_only_where_the_caller_sees_it(view: View) -> None:
    builder = QueryBuilder(Fixed(view))
    built = await builder.record(ANN, "shop", Key("teams", ["A", "7"]))
    assert 'WHERE "teams"."title" = \'A\' AND "teams"."id" = 7' in built.sql
    with pytest.raises(Conflict, match="2 columns"):
        await builder.record(ANN, "shop", Key("teams", ["A"]))
    masked = View(ANN, view.snapshot, "x", lambda key: Governed(VISIBLE, STAFF, {"id": ColumnRule("masked")}))
    with pytest.raises(Conflict, match="no key"):
        await QueryBuilder(Fixed(masked)).record(ANN, "shop", Key("staff", ["1"]))


class Fixed:
    """One view for all; its connections only say their dialect."""

    dialect = "duckdb"

    def __init__(self, view: View):
        self._view = view

    @property
    def connectors(self) -> Any:
        return self

    async def get(self, spec: ConnectionSpec) -> Any:
        return self

    async def view(self, principal: Principal, connection_id: str, as_of: str = "") -> View:
        return self._view


# The guide

ORDERS = relation("sales.orders", {"id": "bigint", "customer_id": "bigint", "region": "varchar",
                                   "amount": "decimal(9,2)", "ordered_on": "date"})  # fmt: skip
CUSTOMERS = relation("sales.customers", {"id": "bigint", "name": "varchar", "region": "varchar"})
GUIDE = Path(__file__).parents[3] / "docs" / "guides" / "building-queries.md"


@pytest.mark.parametrize("block", re.findall(r"```json\n(.*?)```", GUIDE.read_text(), re.DOTALL))
def test_every_definition_of_the_guide_is_built(block: str) -> None:
    snapshot = make_snapshot(ConnectionSpec("default", "shop", "shop", "duckdb"), [ORDERS, CUSTOMERS], 0.0)
    view = View(ANN, snapshot, "ann", lambda key: open_to_all(snapshot.relations[key]))
    sql = made(view, **json.loads(block))
    with duckdb.connect() as connection:
        connection.execute("CREATE SCHEMA sales")
        for table in (ORDERS, CUSTOMERS):
            columns = ", ".join(f"{column.name} {column.data_type}" for column in table.columns)
            connection.execute(f"CREATE TABLE {table.name} ({columns})")
        connection.execute(sql)
