import base64
from collections.abc import AsyncIterator

import duckdb
import pyarrow as pa
import pytest

from engine.sql.rows import CHUNK_MAX_BYTES, CHUNK_MIN_BYTES, chunks, ipc_stream, make_rows, type_name, unique_names

CELLS = [
    ("1::HUGEINT", 1, "decimal(38,0)"),
    ("170141183460469231731687303715884105::HUGEINT", 170141183460469231731687303715884105, "decimal(38,0)"),
    ("12.50::DECIMAL(10, 2)", 12.5, "decimal(10,2)"),
    ("12::DECIMAL(10, 0)", 12, "decimal(10,0)"),
    ("1.5::DOUBLE", 1.5, "double"),
    ("'NaN'::DOUBLE", None, "double"),
    ("'-Infinity'::FLOAT", None, "real"),
    ("true", True, "boolean"),
    ("NULL::INTEGER", None, "integer"),
    ("DATE '2024-02-29'", "2024-02-29", "date"),
    ("TIMESTAMP '2024-02-29 01:02:03.5'", "2024-02-29T01:02:03.500000", "timestamp"),
    ("TIMESTAMP_NS '2024-02-29 01:02:03.123456789'", "2024-02-29T01:02:03.123456", "timestamp"),
    ("TIMESTAMPTZ '2024-02-29 01:02:03+00'", "2024-02-29T01:02:03+00:00", "timestamp with time zone"),
    ("TIME '01:02:03'", "01:02:03", "time"),
    ("INTERVAL '1 month 2 days 3.5 seconds'", "P1M2DT3.5S", "interval"),
    ("INTERVAL 0 DAY", "PT0S", "interval"),
    ("'\\x00\\xFF'::BLOB", base64.b64encode(b"\x00\xff").decode(), "blob"),
    ("[1, NULL, 3]", [1, None, 3], "integer[]"),
    ("['NaN'::DOUBLE, 1.0]", [None, 1.0], "double[]"),
    ("{'a': 1, 'd': DATE '2024-01-01'}", {"a": 1, "d": "2024-01-01"}, "struct(a integer, d date)"),
    ("[{'x': 1.5::DECIMAL(4, 1)}]", [{"x": 1.5}], "struct(x decimal(4,1))[]"),
    ("MAP {'k': 1}", {"k": 1}, "map(varchar, integer)"),
    ("MAP {1: 'v'}", {"1": "v"}, "map(integer, varchar)"),
    ("'00000000-0000-0000-0000-000000000001'::UUID", "00000000-0000-0000-0000-000000000001", "varchar"),
    ("'{\"a\": 1}'::JSON", '{"a": 1}', "varchar"),
    ("'a'::ENUM('a', 'b')", "a", "varchar"),
    ("'infinity'::DATE", "infinity", "date"),
    ("18446744073709551615::UBIGINT", 18446744073709551615, "ubigint"),
]


@pytest.fixture(scope="module")
def connection() -> duckdb.DuckDBPyConnection:
    opened = duckdb.connect()
    opened.execute("SET TimeZone='UTC'")
    return opened


@pytest.mark.parametrize(("expression", "value", "kind"), CELLS)
def test_cells_become_json(connection: duckdb.DuckDBPyConnection, expression: str, value: object, kind: str) -> None:
    table = connection.execute(f"SELECT {expression} AS v").to_arrow_table()
    [record] = make_rows(table.schema, table.to_batches()).records()
    if expression.startswith("'infinity'"):
        assert isinstance(record["v"], str)  # no date that Python can hold; as text, not as an error
        return
    assert record == {"v": value}
    assert type(record["v"]) is type(value)
    assert type_name(table.schema.field("v").type) == kind


def test_repeated_names_are_told_apart() -> None:
    names = ["id", "id", "id", "id_2", "x"]
    schema = unique_names(pa.schema([pa.field(name, pa.int64()) for name in names]))
    assert schema.names == ["id", "id_3", "id_4", "id_2", "x"]


@pytest.mark.parametrize("compression", ["lz4", "zstd", "none"])
def test_the_arrow_form_is_one_stream_that_any_reader_opens(compression: str) -> None:
    table = pa.table({"a": pa.array(range(1000)), "b": ["x" * 20] * 1000})
    data = make_rows(table.schema, table.to_batches()).arrow(compression)
    assert pa.ipc.open_stream(data).read_all() == table
    assert (len(data) < 20_000) == (compression != "none")


async def batches(table: pa.Table, rows: int) -> AsyncIterator[pa.RecordBatch]:
    for batch in table.to_batches(max_chunksize=rows):
        yield batch


@pytest.mark.parametrize(("count", "width", "rows"), [(20_000, 10, 500), (2_000, 5_000, 2_000), (300_000, 8, 300_000)])
async def test_chunks_hold_a_megabyte_or_two_whatever_the_width_of_a_row(count: int, width: int, rows: int) -> None:
    table = pa.table({"t": ["x" * width] * count})
    groups = [group async for group in chunks(table.schema, batches(table, rows))]
    sizes = [sum(batch.nbytes for batch in group) for group in groups]
    assert all(CHUNK_MIN_BYTES <= size <= CHUNK_MAX_BYTES for size in sizes[:-1]) and sizes[-1] <= CHUNK_MAX_BYTES
    read = [pa.ipc.open_stream(ipc_stream(table.schema, group)).read_all() for group in groups]
    assert pa.concat_tables(read).equals(table)


async def test_an_empty_result_is_still_one_chunk_with_its_schema() -> None:
    table = pa.table({"t": pa.array([], pa.int64())})
    groups = [group async for group in chunks(table.schema, batches(table, 1))]
    assert [pa.ipc.open_stream(ipc_stream(table.schema, group)).schema for group in groups] == [table.schema]
