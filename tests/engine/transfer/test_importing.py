"""Imports without a platform around them: what files hold goes into a table in full, or it is said what does not."""

import itertools
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyiceberg.schema import Schema

from core.errors import Conflict
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.transfer.importing import Imported, Limits, Rules, Run, Wish, run_import
from engine.transfer.reading import CsvOptions
from engine.transfer.sources import Format, Source
from tests.tools.projects.files import encoded

HEAD = b"id,name\n"
MANY = b"".join(b"%d,v\n" % number for number in range(25_000))  # more than are looked at beforehand
LONG = 9_000_000
ID = {"name": "id", "type": "bigint", "nullable": True, "description": ""}
Load = Callable[..., tuple[Imported, list[dict[str, Any]]]]


@pytest.fixture(scope="module")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Lake]:
    made = Lake(tmp_path_factory.mktemp("lake"))
    made.create_namespace("acme", "t")
    yield made
    made.close()


@pytest.fixture
def load(lake: Lake, tmp_path: Path) -> Load:
    numbers = itertools.count()

    def load_now(data: bytes, kind: Format = "CSV", **wish: Any) -> tuple[Imported, list[dict[str, Any]]]:
        job = f"{tmp_path.name}-{next(numbers)}"
        table = lake.commit_now(
            "acme", lambda catalog: catalog.create_table(("t", job), Schema(), properties=TABLE_DEFAULTS)
        )
        path = tmp_path / "file"
        path.write_bytes(data)
        try:
            done = run_import(
                table, Source(path, kind), Wish(**wish), Rules(), Limits(512, 2, tmp_path), Run(job, "1", time.time())
            )
        except Conflict:
            assert table.refresh().metadata.snapshots == [] and not table.schema().fields
            assert not list(Path(table.location().removeprefix("file://")).rglob("*.parquet"))
            raise
        return done, table.refresh().scan().to_arrow().to_pylist()

    return load_now


BROKEN = {
    "a quote that is open to the end": (HEAD + MANY + b'1,"x\n2,y\n', "Row 25002: a quote"),
    "a quote that is open for megabytes": (
        HEAD + MANY + b'1,"' + b"x,y\n" * (LONG // 4) + b'"\n',
        "Row 25002: a quote",
    ),
    "an open quote at the start": (HEAD + b'1,"' + b"x" * LONG, "columns cannot be told"),
    "a line that is too long": (
        HEAD + MANY + b"1," + b"x" * LONG + b"\n2,y\n",
        "Line 25002 of the file is longer than 8",
    ),
    "a long line at the start": (HEAD + b"1," + b"x" * LONG + b"\n2,y\n", "longer than 8 MB"),
    "a long line in quotes": (HEAD + MANY + b'1,"' + b"x" * LONG + b'"\n', "longer than 8 MB"),
    "names that differ by case": (b"a,A,b\n1,2,3\n", "differ only by case"),
    "the same name twice": (b"a,b,a\n1,2,3\n", "differ only by case"),
    "two tables in one": (b"title\n\nid,name\n1,2\n3,4\n", "too many columns"),
}


@pytest.mark.parametrize("name", BROKEN)
@pytest.mark.parametrize("max_bad_rows", [0, 2])
def test_broken_csv_is_refused_with_the_place(load: Load, name: str, max_bad_rows: int) -> None:
    data, message = BROKEN[name]
    with pytest.raises(Conflict, match=message) as refused:
        load(data, max_bad_rows=max_bad_rows)
    assert refused.value.hint and len(refused.value.message) < 200


@pytest.mark.slow
@pytest.mark.parametrize("extra", [b"", b"bad,row,here\n"])
def test_lines_longer_than_duckdbs_buffer_are_not_left_out(load: Load, extra: bytes) -> None:
    for value in (b"x" * 150_000_000, b'"' + b"x\n" * 75_000_000 + b'"'):
        with pytest.raises(Conflict, match="8 MB"):
            load(HEAD + MANY + extra + b"1," + value + b"\n2,y\n", max_bad_rows=5)


def test_quotes_that_the_sample_does_not_show_are_quotes(load: Load) -> None:
    done, rows = load(HEAD + MANY + b'-1,"a,b"\n-2,"x""y"\n-3,5" nail\n')
    assert done.row_count == 25_003
    assert {row["id"]: row["name"] for row in rows if row["id"] < 0} == {-1: "a,b", -2: 'x"y', -3: '5" nail'}
    assert load(b'id\tname\n1\t"b\n', csv=CsvOptions(quote=""))[1] == [{"id": 1, "name": '"b'}]


def test_fractions_are_not_rounded_away(load: Load) -> None:
    data = HEAD + MANY + b"-1.5,a\n-7.0,b\n-1e3,c\n-1e-3,d\n"
    with pytest.raises(Conflict, match="Row 25002: id: is not a value of type bigint"):
        load(data)
    done, rows = load(data, max_bad_rows=2)
    assert [reject.row for reject in done.rejects] == [25_002, 25_005]
    assert sorted(row["id"] for row in rows)[:2] == [-1000, -7]
    lines = b'{"id":1}\n' * 21_000 + b'{"id":1.5}\n{"id":true}\n{"id":9007199254740993}\n'
    done, rows = load(lines, "JSON", max_bad_rows=2)
    assert [reject.row for reject in done.rejects] == [21_001, 21_002] and max(row["id"] for row in rows) == 2**53 + 1


@pytest.mark.parametrize(
    ("value", "kind"), [(1.5, "bigint"), (2**31, "int"), ("1.5", "bigint"), (2**53 + 1, "decimal(9, 2)")]
)
def test_values_that_would_be_cut_are_bad_rows(load: Load, tmp_path: Path, value: Any, kind: str) -> None:
    good = type(value)(1)
    pq.write_table(pa.table({"a": [good, value, None]}), tmp_path / "p")
    columns = [{"name": "a", "type": kind, "nullable": True, "description": ""}]
    with pytest.raises(Conflict, match="Row 2: a"):
        load((tmp_path / "p").read_bytes(), "PARQUET", columns=columns)
    done, rows = load((tmp_path / "p").read_bytes(), "PARQUET", columns=columns, max_bad_rows=1)
    assert ([reject.row for reject in done.rejects], len(rows)) == ([2], 2)


def test_columns_of_one_name_are_refused_in_every_format(load: Load, tmp_path: Path) -> None:
    pq.write_table(pa.table([[1], [2], [3]], names=["a", "A", "b"]), tmp_path / "p")
    for data, kind in (((tmp_path / "p").read_bytes(), "PARQUET"), (b'{"a":1,"A":2}\n', "JSON")):
        with pytest.raises(Conflict, match="differ only by case"):
            load(data, kind)
    assert load(b"a,a_1\n1,2\n")[1] == [{"a": 1, "a_1": 2}]
    assert load(b'{"a":1,"a_1":2}\n', "JSON")[1] == [{"a": 1, "a_1": 2}]


def test_keys_that_come_late_are_columns(load: Load) -> None:
    done, rows = load(b'{"id":1}\n' * 21_000 + b'{"id":2,"late":"x"}\n', "JSON")
    assert done.row_count == 21_001 and [row for row in rows if row["late"]] == [{"id": 2, "late": "x"}]


def test_a_list_of_json_and_a_cut_last_line_have_bad_rows_too(load: Load) -> None:
    listed = b"[" + b",\n".join([b'{"id":1}'] * 300) + b',{"id":"x"},{"id":2}]'
    done, rows = load(listed, "JSON", max_bad_rows=1, columns=[ID])
    assert ([reject.row for reject in done.rejects], len(rows)) == ([301], 301)
    done, rows = load(b'{"id":1}\n' * 21_000 + b'{"id":', "JSON", max_bad_rows=1)
    assert ([reject.row for reject in done.rejects], len(rows)) == ([21_001], 21_000)


def test_a_cut_file_is_not_read_as_far_as_it_goes(load: Load) -> None:
    whole = encoded(pa.table({"id": range(100_000), "s": ["x" * 9] * 100_000}), "AVRO")
    assert load(whole, "AVRO")[0].row_count == 100_000
    for data in (whole[: len(whole) // 2], whole[:-1], whole[:-16], whole[:40], whole[:-9] + b"x" * 9):
        with pytest.raises(Conflict, match="damaged or cut off"):
            load(data, "AVRO")


def test_millions_of_bad_rows_take_no_more_room_than_one(load: Load) -> None:
    started = time.process_time()
    for line in (b"x,y\n", b"1,y,z\n", b"1\n"):
        with pytest.raises(Conflict, match="bad rows"):
            load(HEAD + MANY + line * 200_000, max_bad_rows=3)
    assert time.process_time() - started < 10


def test_bad_rows_of_every_kind_are_set_aside(load: Load) -> None:
    bad = b'1,a,b,c\nx\n2,caf\xe9\n3,"y"z\nz,q\n'
    done, rows = load(HEAD + MANY + bad + b"-1,a,,\n\n-2,b\r\n", max_bad_rows=5)
    assert [reject.row for reject in done.rejects] == list(range(25_002, 25_007))
    assert all(reject.reason and reject.text for reject in done.rejects) and len(rows) == 25_002
    assert not done.rejects[2].text.isascii()


def test_dates_keep_the_order_that_the_file_shows(load: Load) -> None:
    day = b"31/12/2020,31/12/2020 10:00:00\n"
    done, rows = load(b"d,t\n" + day * 3 + b"40/12/2020,31/12/2020 10:00:00\n", max_bad_rows=1)
    assert done.row_count + len(done.rejects) == 4 and len(rows) == done.row_count
