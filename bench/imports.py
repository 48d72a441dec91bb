"""Imports: CPU of a whole import (look, read, check, write, commit) beside DuckDB's own COPY of the file into Parquet.

1 M rows x 9 columns, of the kinds of TPC-H's orders, on an empty Iceberg table."""

import tempfile
import time
from pathlib import Path

import duckdb

from bench._measure import compare
from bench.exports import ORDERS
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.transfer.importing import Limits, Rules, Run, Wish, run_import
from engine.transfer.sources import Format, Source

BUDGET = 1.5
ROUNDS = 3
FILES: dict[Format, str] = {"CSV": "FORMAT csv, HEADER", "JSON": "FORMAT json", "PARQUET": "FORMAT parquet"}
READERS = {"CSV": "read_csv", "JSON": "read_json", "PARQUET": "read_parquet"}


def ours(lake: Lake, source: Source, folder: Path, number: int) -> float:
    """CPU seconds of one import into a table of its own."""
    from pyiceberg.schema import Schema

    name = ("bench", f"t{number}_{source.format.lower()}")
    table = lake.commit_now("acme", lambda catalog: catalog.create_table(name, Schema(), properties=TABLE_DEFAULTS))
    run = Run(job_id=f"bench{number}{source.format}", attempt="1", now=time.time())
    started = time.process_time()
    done = run_import(table, source, Wish(), Rules(), Limits(512, 2, folder), run)
    used = time.process_time() - started
    assert done.row_count == 1_000_000
    return used


def theirs(source: Source, folder: Path, number: int) -> float:
    """CPU seconds of DuckDB's own copy."""
    target = folder / f"{source.format}{number}.parquet"
    with duckdb.connect(
        config={"threads": "2", "memory_limit": "512MB", "preserve_insertion_order": "false"}
    ) as connection:
        started = time.process_time()
        query = f"SELECT * FROM {READERS[source.format]}('{source.path}')"
        connection.execute(f"COPY ({query}) TO '{target}' (FORMAT parquet, COMPRESSION zstd, COMPRESSION_LEVEL 3)")
        return time.process_time() - started


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place)
        lake = Lake(folder / "warehouse")
        lake.create_namespace("acme", "bench")
        for kind, options in FILES.items():
            path = folder / f"orders.{kind.lower()}"
            with duckdb.connect() as connection:
                connection.execute(f"COPY ({ORDERS}) TO '{path}' ({options})")
            source = Source(path, kind)
            rounds = range(ROUNDS)
            pairs = [(ours(lake, source, folder, number), theirs(source, folder, number)) for number in rounds]
            compare(f"import of {kind}", "CPU s", pairs, BUDGET)
        lake.close()


if __name__ == "__main__":
    main()
