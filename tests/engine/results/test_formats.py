"""Every format is read back by a reader that we did not write, with equal values."""

import csv
import gzip
import io
import json
import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from core.errors import Conflict
from engine.results.formats import PAIRS, Compression, Format, choose_compression, file_ending, open_encoder

TEXTS = ["", None, 'a"b\\,\r\n\x01é😀', "=1+1"]
DECIMALS = [Decimal("12345678901234567890.01"), None, Decimal("-0.01"), Decimal("0.00")]
FLOATS = [0.1, None, math.nan, -math.inf]
MOMENT = datetime(2026, 1, 2, 3, 4, 5, 678901)
COLUMNS: dict[str, tuple[pa.DataType, list[Any]]] = {
    "n": (pa.int64(), [2**63 - 1, None, -1, 0]),
    "text": (pa.string(), TEXTS),
    "exact": (pa.decimal128(38, 2), DECIMALS),
    "real": (pa.float64(), FLOATS),
    "yes": (pa.bool_(), [True, None, False, True]),
    "raw": (pa.binary(), [b"\x00\xff", None, b"", b"x"]),
    "at": (pa.timestamp("us"), [MOMENT, None, datetime(1, 1, 1), datetime(9999, 12, 31)]),
    "zoned": (pa.timestamp("us", "Europe/Berlin"), [MOMENT.replace(tzinfo=UTC), None, None, None]),
    "day": (pa.date32(), [date(2024, 2, 29), None, date(1, 1, 1), date(9999, 12, 31)]),
    "clock": (pa.time64("us"), [time(1, 2, 3, 4), None, time(0), time(23, 59, 59)]),
    "items": (pa.list_(pa.int32()), [[1, None], None, [], [3]]),
    "both": (
        pa.struct([("x", pa.decimal128(9, 2)), ("y z", pa.string())]),
        [{"x": Decimal("1.50"), "y z": '"'}, None, {"x": None, "y z": None}, {"x": Decimal(0), "y z": ""}],
    ),
    "pairs": (pa.map_(pa.string(), pa.int64()), [[("k", 1)], None, [], [("", None)]]),
    "count(*)": (pa.uint64(), [2**64 - 1, None, 0, 1]),
}
TABLE = pa.table({name: pa.array(values, kind) for name, (kind, values) in COLUMNS.items()})
ALL = [(kind, compression) for kind, compressions in PAIRS.items() for compression in compressions]


def written(kind: Format, compression: Compression, table: pa.Table = TABLE, **options: bool) -> bytes:
    encoder = open_encoder(kind, compression, table.schema, **options)
    return encoder.add(table) + encoder.add(table.slice(0, 0)) + encoder.add(table) + encoder.end()


def unpacked(data: bytes, compression: Compression) -> bytes:
    if compression == "GZIP":
        return gzip.decompress(data)
    if compression == "ZSTD":
        return pa.CompressedInputStream(pa.BufferReader(data), "zstd").read()
    return data


@pytest.mark.parametrize("compression", PAIRS["CSV"])
def test_csv_is_read_by_python_and_duckdb(compression: Compression, tmp_path: Path) -> None:
    data = written("CSV", compression)
    rows = list(csv.reader(io.StringIO(unpacked(data, compression).decode(), newline="")))
    assert rows[0] == list(COLUMNS)
    assert len(rows) == 9
    first = dict(zip(COLUMNS, rows[1], strict=True))
    assert (first["exact"], first["text"], first["raw"]) == ("12345678901234567890.01", "", "AP8=")
    assert (json.loads(first["items"]), json.loads(first["pairs"])) == ([1, None], {"k": 1})
    assert json.loads(first["both"], parse_float=Decimal) == {"x": Decimal("1.50"), "y z": '"'}
    assert [row[3] for row in rows[1:5]] == ["0.1", "", "nan", "-inf"]
    path = tmp_path / f"x{file_ending('CSV', compression)}"
    path.write_bytes(data)
    kinds = {"n": "BIGINT", "exact": "DECIMAL(38,2)", "real": "DOUBLE", "yes": "BOOLEAN", "at": "TIMESTAMP"}
    kinds |= {"zoned": "TIMESTAMPTZ", "day": "DATE", "clock": "TIME", "count(*)": "UBIGINT"}
    options = ", ".join(f"'{name}': '{kinds.get(name, 'VARCHAR')}'" for name in COLUMNS)
    names = [name for name in COLUMNS if name not in ("real", "raw", "items", "both", "pairs", "zoned")]
    found = duckdb.sql(
        f"SELECT * FROM read_csv('{path}', columns = {{{options}}}, header = true, allow_quoted_nulls = false)"
    )
    for name in names:
        assert [row[0] for row in found.select(f'"{name}"').fetchall()] == COLUMNS[name][1] * 2, name
    assert found.select("epoch_us(zoned)").fetchone() == (int(MOMENT.replace(tzinfo=UTC).timestamp() * 1e6),)


@pytest.mark.parametrize("compression", PAIRS["JSON"])
def test_json_lines_are_read_by_python(compression: Compression) -> None:
    lines = unpacked(written("JSON", compression), compression).decode().split("\n")
    assert (len(lines), lines[-1]) == (9, "")
    rows = [json.loads(line, parse_float=Decimal) for line in lines[:-1]]
    for name in ("n", "text", "yes", "items", "count(*)"):
        assert [row[name] for row in rows] == COLUMNS[name][1] * 2
    assert [None if row["exact"] is None else Decimal(row["exact"]) for row in rows[:4]] == DECIMALS
    assert [row["real"] for row in rows[:4]] == [Decimal("0.1"), None, None, None]
    assert rows[0]["both"] == {"x": Decimal("1.50"), "y z": '"'}
    assert [row["pairs"] for row in rows[:4]] == [{"k": 1}, None, {}, {"": None}]
    assert datetime.fromisoformat(rows[0]["at"]) == MOMENT
    assert datetime.fromisoformat(rows[0]["zoned"]) == MOMENT.replace(tzinfo=UTC)
    assert (rows[0]["day"], rows[0]["clock"], rows[0]["raw"]) == ("2024-02-29", "01:02:03.000004", "AP8=")


@pytest.mark.parametrize("compression", PAIRS["AVRO"])
def test_avro_is_read_by_fastavro(compression: Compression) -> None:
    data = written("AVRO", compression)
    rows: list[Any] = list(fastavro.reader(io.BytesIO(data)))
    assert len(rows) == 8
    for name in ("n", "text", "exact", "yes", "raw", "day", "clock", "items"):
        assert [row[name] for row in rows] == COLUMNS[name][1] * 2, name
    assert [row["at"] for row in rows[:4]] == COLUMNS["at"][1]
    assert rows[0]["zoned"] == MOMENT.replace(tzinfo=UTC)
    assert rows[0]["both"] == {"x": Decimal("1.50"), "y_z": '"'}
    assert [row["count___"] for row in rows[:4]] == [Decimal(2**64 - 1), None, 0, 1]
    assert repr([row["real"] for row in rows[:4]]) == repr(FLOATS)


@pytest.mark.parametrize("compression", PAIRS["PARQUET"])
def test_parquet_is_read_by_duckdb_and_pyarrow(compression: Compression, tmp_path: Path) -> None:
    path = tmp_path / "x.parquet"
    path.write_bytes(written("PARQUET", compression))
    assert pq.ParquetFile(path).metadata.num_row_groups == 1
    found = duckdb.sql(f"SELECT * FROM '{path}'")
    for name in ("n", "text", "exact", "yes", "raw", "at", "day", "clock", "items", "both", "count(*)"):
        assert [row[0] for row in found.select(f'"{name}"').fetchall()] == COLUMNS[name][1] * 2, name
    assert pq.read_table(path).drop_columns("real").equals(pa.concat_tables([TABLE, TABLE]).drop_columns("real"))


@pytest.mark.parametrize("compression", PAIRS["ARROW"])
def test_arrow_is_read_by_pyarrow(compression: Compression) -> None:
    found = pa.ipc.open_file(written("ARROW", compression)).read_all()
    assert found.drop_columns("real").equals(pa.concat_tables([TABLE, TABLE]).drop_columns("real"))


@pytest.mark.parametrize(("kind", "compression"), ALL)
def test_no_rows_make_a_file_all_the_same(kind: Format, compression: Compression) -> None:
    empty = TABLE.slice(0, 0)
    data = unpacked(written(kind, compression, empty), compression if kind in ("CSV", "JSON") else "NONE")
    if kind == "CSV":
        assert list(csv.reader(io.StringIO(data.decode()))) == [list(COLUMNS)]
    elif kind == "JSON":
        assert data == b""
    elif kind == "AVRO":
        assert list(fastavro.reader(io.BytesIO(data))) == []
    elif kind == "PARQUET":
        assert pq.read_table(io.BytesIO(data)).schema.names == list(COLUMNS)
    else:
        assert pa.ipc.open_file(data).read_all().num_rows == 0


@pytest.mark.parametrize("text", ["=1", "+1", "-1", "@x", "\tx", "\rx"])
def test_what_a_spreadsheet_would_run_is_text_where_asked(text: str) -> None:
    table = pa.table({"a": [text], "b": ["x" + text]})
    data = written("CSV", "NONE", table, is_defused=True).decode()
    assert list(csv.reader(io.StringIO(data, newline="")))[1] == ["'" + text, "x" + text]


def test_intervals_and_dictionaries_have_a_form_in_every_format() -> None:
    kind: Any = pa.MonthDayNano
    intervals: Any = pa.array([kind([1, 2, 3_000_000_000]), None, kind([0, 0, 0])])
    table = pa.table({"i": intervals, "d": pa.array(["x", None, "x"]).dictionary_encode(), "null": pa.nulls(3)})
    expected = ["P1M2DT3S", None, "PT0S"]
    lines = [json.loads(line) for line in written("JSON", "NONE", table).splitlines()[:3]]
    assert lines == [{"i": i, "d": d, "null": None} for i, d in zip(expected, ["x", None, "x"], strict=True)]
    assert pq.read_table(io.BytesIO(written("PARQUET", "NONE", table))).column("i").to_pylist() == expected * 2
    assert [row["i"] for row in fastavro.reader(io.BytesIO(written("AVRO", "NONE", table)))] == expected * 2  # type: ignore[index, call-overload]
    assert written("CSV", "NONE", table).decode().splitlines()[1:4] == ['"P1M2DT3S","x",', ",,", '"PT0S","x",']


def test_wrong_pairs_are_refused_with_the_right_ones() -> None:
    for kind, asked in (("CSV", "DEFLATE"), ("AVRO", "GZIP"), ("ARROW", "GZIP"), ("PARQUET", "DEFLATE")):
        with pytest.raises(Conflict) as refused:
            choose_compression(kind, asked)  # type: ignore[arg-type]
        assert refused.value.hint == f"{kind} goes with {', '.join(PAIRS[kind])}."  # type: ignore[index]
    assert [choose_compression(kind, None) for kind in PAIRS] == ["GZIP", "GZIP", "DEFLATE", "GZIP", "ZSTD"]
