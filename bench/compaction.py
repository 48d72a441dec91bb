"""Compaction of about 2,000 small files (12 M rows) beside DuckDB's bare copy of the same files into Parquet.

CPU seconds of a process of its own, imports left out. `--scale 0.1` takes a tenth of the files, `--rounds 1` one round.
The last line is the ratio of the two."""

import argparse
import json
import resource
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pyiceberg.table import Table

FILES, ROWS_OF_A_FILE = 1_980, 6_060
TARGET_MB = 32
MEMORY_MB, THREADS = 256, 2
ALLOWED_MB = 300  # of the process beside DuckDB's limit
BUDGET = 1.5
LINES = """
SELECT i AS l_orderkey, (i * 7919) % 400000 AS l_partkey, (i * 104729) % 20000 AS l_suppkey,
    (1 + i % 7)::INTEGER AS l_linenumber, (1 + i % 50)::DECIMAL(15, 2) AS l_quantity,
    ((i * 15485863) % 10000000 / 100)::DECIMAL(15, 2) AS l_extendedprice, (i % 11 / 100)::DECIMAL(15, 2) AS l_discount,
    ['N', 'R', 'A'][1 + i % 3] AS l_returnflag, DATE '1992-01-01' + (i * 31 % 2500)::INTEGER AS l_shipdate,
    ['AIR', 'MAIL', 'RAIL', 'SHIP', 'TRUCK'][1 + i % 5] AS l_shipmode,
    'carefully final deposits ' || (hash(i) % 100000)::VARCHAR AS l_comment
FROM range({start}, {end}) r(i)"""


def make_table(folder: Path, files: int) -> int:
    """The table `bench.lines` of many small files, all in one commit; its rows."""
    import duckdb
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record
    from pyiceberg.types import DateType, DecimalType, IntegerType, LongType, NestedField, StringType

    from engine.lake.metadata import local_path
    from engine.lake.warehouse import TABLE_DEFAULTS, Lake
    from engine.maintenance.layout import layout_of
    from engine.maintenance.writing import _describe

    money = DecimalType(15, 2)
    kinds = [LongType(), LongType(), LongType(), IntegerType(), money, money, money]
    kinds += [StringType(), DateType(), StringType(), StringType()]
    connection = duckdb.connect(config={"threads": "1"})
    names = [column[0] for column in connection.sql(LINES.format(start=0, end=1)).description]
    fields = [NestedField(place + 1, name, kinds[place]) for place, name in enumerate(names)]
    lake = Lake(folder)
    lake.create_namespace("default", "bench")
    table: Table = lake.commit_now(
        "default",
        lambda catalog: catalog.create_table("bench.lines", schema=Schema(*fields), properties=TABLE_DEFAULTS),
    )
    data = local_path(f"{table.location()}/data")
    data.mkdir(parents=True)
    layout = layout_of(table)
    assert layout is not None
    for number in range(files):
        rows = LINES.format(start=number * ROWS_OF_A_FILE, end=(number + 1) * ROWS_OF_A_FILE)
        options = f"FORMAT parquet, COMPRESSION zstd, FIELD_IDS {layout.field_ids}"
        connection.execute(f"COPY ({rows}) TO '{data / f'{number:05}.parquet'}' ({options})")
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for path in sorted(data.iterdir()):
            append.append_data_file(_describe(table, path, f"{table.location()}/data/{path.name}", Record()))
    lake.close()
    return files * ROWS_OF_A_FILE


def compact(folder: Path) -> int:
    """Ours: open, plan, rewrite, commit. The files there are afterwards."""
    import pyiceberg.catalog.sql  # noqa: F401 - so that its import is not measured

    from engine.lake.warehouse import Lake
    from engine.maintenance.compaction import run_compaction
    from engine.maintenance.planning import CompactionOptions
    from engine.maintenance.writing import WriterLimits

    lake = Lake(folder)
    options, limits = CompactionOptions(target_mb=TARGET_MB), WriterLimits(MEMORY_MB, THREADS, folder / "tmp")
    started = time.process_time()
    table: Table = lake.commit_now("default", lambda catalog: catalog.load_table("bench.lines"))
    done = run_compaction(table, options, run_id=f"bench-{time.time_ns()}", limits=limits)
    tell(time.process_time() - started, done.new_files)
    lake.close()
    return done.new_files


def copy(folder: Path) -> None:
    """Theirs: one COPY of the same files, with the same limits."""
    import duckdb

    config: dict[str, str | bool | int | float | list[str]] = {
        "memory_limit": f"{MEMORY_MB}MB",
        "threads": str(THREADS),
        "preserve_insertion_order": "false",
    }
    connection = duckdb.connect(config=config)
    files = [str(path) for path in sorted(folder.rglob("[0-9]*.parquet"))]
    target = folder / f"copy-{time.time_ns()}.parquet"
    started = time.process_time()
    connection.execute(
        f"COPY (SELECT * FROM read_parquet({files})) TO '{target}' (FORMAT parquet, COMPRESSION zstd, "
        "COMPRESSION_LEVEL 3, ROW_GROUP_SIZE 131072)"
    )
    tell(time.process_time() - started, 1)
    target.unlink()


def tell(seconds: float, files: int) -> None:
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(json.dumps({"cpu_s": seconds, "files": files, "peak_mb": peak}))


def measured(side: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, "-m", "bench.compaction", "--side", side, "--folder", str(folder)]
    done = subprocess.run(command, stdout=subprocess.PIPE, check=True, text=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def roll_back(folder: Path) -> None:
    """The small files again, for the next round."""
    from engine.lake.history import read_history
    from engine.lake.warehouse import Lake
    from engine.maintenance.refs import roll_back as go_back

    lake = Lake(folder)
    table: Table = lake.commit_now("default", lambda catalog: catalog.load_table("bench.lines"))
    history = read_history(table.metadata_location)
    go_back(table, history, history.lineage(history.current_id)[-1].snapshot_id)
    lake.close()


def main(scale: float, rounds: int) -> None:
    with tempfile.TemporaryDirectory() as place:
        folder = Path(place) / "warehouse"
        files = max(10, round(FILES * scale))
        rows = make_table(folder, files)
        size_mb = sum(path.stat().st_size for path in folder.rglob("*.parquet")) / 1024**2
        print(f"{files:,} files, {rows:,} rows, {size_mb:.0f} MB; targets of {TARGET_MB} MB; {THREADS} threads")
        ratios, peak_mb = [], 0.0
        for number in range(rounds):
            if number:
                roll_back(folder)
            theirs, ours = measured("copy", folder), measured("compact", folder)
            ratios.append(ours["cpu_s"] / theirs["cpu_s"])
            peak_mb = max(peak_mb, ours["peak_mb"])
            print(
                f"round {number + 1}: compaction {ours['cpu_s']:.1f} CPU s into {ours['files']:.0f} files, peak "
                f"{ours['peak_mb']:.0f} MB; copy {theirs['cpu_s']:.1f} CPU s, peak {theirs['peak_mb']:.0f} MB",
                flush=True,
            )
        allowed = MEMORY_MB + ALLOWED_MB
        print(f"peak {peak_mb:.0f} MB, allowed {allowed} MB  {'ok' if peak_mb <= allowed else 'OVER'}")
        ratio = statistics.median(ratios)
        print(f"budget {BUDGET:g}  {'ok' if ratio <= BUDGET else 'OVER'}")
        print(f"{ratio:.2f}x")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--scale", type=float, default=1.0)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--side", choices=["copy", "compact"])
    parser.add_argument("--folder", type=Path)
    asked = parser.parse_args()
    if asked.side:
        {"copy": copy, "compact": compact}[asked.side](asked.folder)
    else:
        main(asked.scale, asked.rounds)
