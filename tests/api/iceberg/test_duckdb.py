"""DuckDB's ATTACH as the judge: reading, INSERT, UPDATE, DELETE, MERGE, CREATE TABLE, transactions."""

from collections.abc import Iterator
from typing import TYPE_CHECKING, Any

import pytest

from engine.connectors.duck import extension_path
from tests.api.iceberg.conftest import ask
from tests.api.iceberg.test_pyiceberg import opened
from tests.faces.served import Served

if TYPE_CHECKING:
    import duckdb

MERGE = """MERGE INTO hw.dd.made t USING (VALUES (1, 'm'), (9, 'new')) s(id, name) ON t.id = s.id
WHEN MATCHED THEN UPDATE SET name = s.name WHEN NOT MATCHED THEN INSERT VALUES (s.id, s.name)"""


@pytest.fixture(scope="module")
def duck(lab: Served) -> Iterator["duckdb.DuckDBPyConnection"]:
    import duckdb

    # As `prepare` in every other DuckDB of the suite: nothing is fetched from the network.
    connection = duckdb.connect(config={"autoinstall_known_extensions": "false"})
    for name in ("avro", "httpfs", "iceberg"):
        connection.execute(f"LOAD '{extension_path(name)}'")
    attach(connection, lab, f"CLIENT_ID '{lab.tokens['id']}', CLIENT_SECRET '{lab.tokens['secret']}'")
    connection.execute("CREATE SCHEMA IF NOT EXISTS hw.dd")
    yield connection
    connection.close()


def attach(connection: "duckdb.DuckDBPyConnection", lab: Served, who: str) -> None:
    uri = f"{lab.url('rest')}/iceberg"
    token = f", OAUTH2_SERVER_URI '{uri}/v1/oauth/tokens'" if who.startswith("CLIENT") else ""
    connection.execute(f"CREATE OR REPLACE SECRET hw (TYPE iceberg, {who}{token})")
    connection.execute(f"ATTACH 'default' AS hw (TYPE iceberg, ENDPOINT '{uri}', SECRET hw)")


def rows(duck: "duckdb.DuckDBPyConnection", sql: str) -> list[list[Any]]:
    return [list(row) for row in duck.execute(sql).fetchall()]


def test_duckdb_reads_our_tables(duck: "duckdb.DuckDBPyConnection") -> None:
    assert rows(duck, "SELECT id, name FROM hw.shop.people ORDER BY id") == [[1, "Ada"], [2, "Bob"], [3, "Cy"]]


def test_duckdb_makes_changes_and_merges_and_all_readers_agree(lab: Served, duck: "duckdb.DuckDBPyConnection") -> None:
    duck.execute("CREATE TABLE hw.dd.made (id BIGINT, name VARCHAR)")
    for sql in (
        "INSERT INTO hw.dd.made VALUES (1, 'a'), (2, 'b'), (3, 'c')",
        "UPDATE hw.dd.made SET name = 'z' WHERE id = 3",
        "DELETE FROM hw.dd.made WHERE id = 2",
        MERGE,
    ):
        duck.execute(sql)
    query, wanted = "SELECT id, name FROM {} ORDER BY id", [[1, "m"], [3, "z"], [9, "new"]]
    assert rows(duck, query.format("hw.dd.made")) == wanted
    assert ask(lab, query.format("dd.made")) == wanted
    read = opened(lab).load_table("dd.made").scan().to_arrow().sort_by("id").to_pylist()
    assert [list(row.values()) for row in read] == wanted


def test_duckdb_makes_tables_from_queries_and_in_transactions(lab: Served, duck: "duckdb.DuckDBPyConnection") -> None:
    duck.execute("CREATE TABLE hw.dd.picked AS SELECT range AS n FROM range(5)")
    duck.execute("BEGIN; INSERT INTO hw.dd.picked VALUES (50); INSERT INTO hw.dd.picked VALUES (51); COMMIT")
    assert ask(lab, "SELECT count(*), sum(n) FROM dd.picked") == [[7, 111]]
    duck.execute("ALTER TABLE hw.dd.picked ADD COLUMN more INTEGER")
    assert ask(lab, "SELECT count(more) FROM dd.picked") == [[0]]
    duck.execute("DROP TABLE hw.dd.picked")
    assert not opened(lab).table_exists("dd.picked")


def test_a_transaction_over_two_tables_is_refused_whole(lab: Served, duck: "duckdb.DuckDBPyConnection") -> None:
    import duckdb

    for name in ("left_one", "right_one"):
        duck.execute(f"CREATE TABLE hw.dd.{name} (n BIGINT)")
    both = "INSERT INTO hw.dd.left_one VALUES (1); INSERT INTO hw.dd.right_one VALUES (1)"
    with pytest.raises(duckdb.Error, match=r"(?i)transaction"):
        duck.execute(f"BEGIN; {both}; COMMIT")
    assert ask(lab, "SELECT count(*) FROM dd.left_one") == [[0]]
    assert ask(lab, "SELECT count(*) FROM dd.right_one") == [[0]]


def test_a_reader_that_policies_bind_sees_the_other_tables(lab: Served) -> None:
    import duckdb

    with duckdb.connect(config={"autoinstall_known_extensions": "false"}) as connection:
        for name in ("avro", "httpfs", "iceberg"):
            connection.execute(f"LOAD '{extension_path(name)}'")
        attach(connection, lab, f"TOKEN '{lab.tokens['viewer']}'")
        assert rows(connection, "SELECT count(*) FROM hw.shop.items") == [[3]]
        for table in ("secrets", "people"):
            with pytest.raises(duckdb.Error):
                connection.execute(f"SELECT * FROM hw.shop.{table}")
