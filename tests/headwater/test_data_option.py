"""`serve --data`: a person's own files as the connection `data`."""

import shutil
import sqlite3
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.settings import Settings
from headwater.data_option import allow_data, point_at_data
from headwater.local import opened
from headwater.settings import read_settings
from tests.headwater.processes import Server, headwater

SUM = "SELECT sum(amount) AS total FROM {table}"


@pytest.fixture
def files(tmp_path: Path) -> Path:
    """One source of each kind, all with 1 + 2 + 3."""
    folder = tmp_path / "files"
    (folder / "parquet").mkdir(parents=True)
    (folder / "csv").mkdir()
    pq.write_table(pa.table({"amount": [1, 2, 3]}), folder / "parquet" / "sales.parquet")
    (folder / "csv" / "sales.csv").write_text("amount\n1\n2\n3\n")
    (folder / "sales.json").write_text('{"amount": 1}\n{"amount": 2}\n{"amount": 3}\n')
    with duckdb.connect(str(folder / "shop.duckdb")) as connection:
        connection.execute("CREATE TABLE sales AS SELECT unnest([1, 2, 3]) AS amount")
    with sqlite3.connect(folder / "shop.sqlite") as lite:
        lite.executescript("CREATE TABLE sales (amount INTEGER); INSERT INTO sales VALUES (1), (2), (3)")
    return folder


@pytest.mark.parametrize(
    ("name", "kind"),
    [
        ("parquet", "files"),
        ("csv", "files"),
        ("sales.json", "files"),
        ("parquet/sales.parquet", "files"),
        ("shop.duckdb", "duckdb"),
        ("shop.sqlite", "sqlite"),
    ],
)
async def test_every_kind_of_data_is_queried(tmp_path: Path, files: Path, name: str, kind: str) -> None:
    home = tmp_path / "home"
    told = await _serve(home, files / name)
    assert told == f"1 table of {files / name} as the connection `data`"
    connection = headwater("get-connection", "--connection-id", "data", "--home", str(home), "--json").json()
    assert connection["kind"] == kind
    tables = headwater("list-tables", "--connection-id", "data", "--home", str(home), "--json").json()["tables"]
    sql = SUM.format(table=tables[0]["name"])
    said = headwater("execute-query", "--sql", sql, "--connection-id", "data", "--home", str(home), "--json")
    assert [float(row["total"]) for row in said.json()["data"]] == [6.0]


async def _serve(home: Path, data: Path) -> str:
    allow_data(home, data)
    async with opened(read_settings(home)) as platform:
        return await point_at_data(platform, data)


async def test_the_same_again_changes_nothing_and_another_replaces(tmp_path: Path, files: Path) -> None:
    home = tmp_path / "home"
    await _serve(home, files / "csv")
    version = _connection(home)["version"]
    await _serve(home, files / "csv")
    assert _connection(home)["version"] == version
    await _serve(home, files / "parquet")
    assert _connection(home)["options"] == {"path": str(files / "parquet")}
    await _serve(home, files / "shop.duckdb")
    assert _connection(home)["kind"] == "duckdb"


def _connection(home: Path) -> dict[str, object]:
    found: dict[str, object] = headwater(
        "get-connection", "--connection-id", "data", "--home", str(home), "--json"
    ).json()
    return found


def test_other_processes_of_the_home_read_the_data_too(server: Server) -> None:
    said = headwater("list-tables", "--connection-id", "data", "--home", str(server.home), "--json")
    assert [table["name"] for table in said.json()["tables"]] == ["orders"]


@pytest.mark.parametrize("data", [".", "home/inside"])
def test_data_and_home_may_not_hold_one_another(tmp_path: Path, data: str) -> None:
    (tmp_path / "home" / "inside").mkdir(parents=True)
    said = headwater("serve", "--home", str(tmp_path / "home"), "--data", str(tmp_path / data))
    assert said.code == 2
    assert "hold one another" in said.err


def test_data_that_is_not_there_is_said(tmp_path: Path) -> None:
    said = headwater("serve", "--home", str(tmp_path), "--data", "/no/such/folder")
    assert said.code == 2
    assert "/no/such/folder" in said.err


async def test_data_that_is_gone_is_an_error_of_its_own(tmp_path: Path, files: Path) -> None:
    home = tmp_path / "home"
    await _serve(home, files / "csv")
    shutil.rmtree(files / "csv")
    said = headwater("list-tables", "--connection-id", "data", "--home", str(home), "--json")
    assert (said.code, said.json()["error"]["code"]) == (8, "UNAVAILABLE")
    assert "There is no such file or folder." in said.json()["error"]["message"]


def test_a_home_without_data_allows_nothing(tmp_path: Path) -> None:
    assert read_settings(tmp_path).query.allowed_roots == Settings().query.allowed_roots == []
