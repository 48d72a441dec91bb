"""Care of large tables: health and plans on 100,000 files and 500 snapshots, appends under a maintenance policy, and
queries of flights before and after compaction.

The large table is its metadata alone: manifests written directly, and no data file behind them."""

import resource
import statistics
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

from bench._measure import show
from core.settings import Settings
from engine.lake.history import read_history
from engine.lake.metadata import local_path
from engine.lake.warehouse import TABLE_DEFAULTS, Lake
from engine.maintenance.compaction import make_plan, run_compaction
from engine.maintenance.expiry import expire, files_of_expired, plan_expiry
from engine.maintenance.health import measure
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits

if TYPE_CHECKING:
    from pyiceberg.table import Table

FILES, SNAPSHOTS = 100_000, 500
APPENDS, CARE_EVERY, RETAIN = 120, 20, 10
HEALTH_BUDGET_S, PLAN_BUDGET_S, MEMORY_BUDGET_MB = 5.0, 10.0, 1024
QUERY = """
SELECT carrier, month(flight_date) AS m, count(*), avg(dep_delay), max(arr_delay)
FROM iceberg_scan('{location}') WHERE distance > 200 GROUP BY ALL"""


def timed(work: Callable[[], Any]) -> float:
    started = time.perf_counter()
    work()
    return time.perf_counter() - started


def open_table(lake: Lake, name: str) -> "Table":
    table: Table = lake.commit_now("default", lambda catalog: catalog.load_table(name))
    return table


def make_large(lake: Lake) -> "Table":
    """A table whose current snapshot lists 100,000 files in 500 manifests, one for each snapshot."""
    from pyiceberg.manifest import DataFile, DataFileContent, FileFormat
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record
    from pyiceberg.types import LongType, NestedField

    lake.create_namespace("default", "bench")
    properties = {**TABLE_DEFAULTS, "commit.manifest-merge.enabled": "false"}
    schema = Schema(NestedField(1, "id", LongType()))
    table: Table = lake.commit_now(
        "default", lambda catalog: catalog.create_table("bench.large", schema=schema, properties=properties)
    )
    bounds = {1: (0).to_bytes(8, "little")}
    with table.transaction() as transaction, transaction.update_snapshot().fast_append() as append:
        for number in range(FILES // SNAPSHOTS):
            append.append_data_file(
                DataFile.from_args(
                    content=DataFileContent.DATA,
                    file_path=f"{table.location()}/data/{number:06}.parquet",
                    file_format=FileFormat.PARQUET,
                    partition=Record(),
                    record_count=1_000,
                    file_size_in_bytes=3_000_000 + number,
                    lower_bounds=bounds,
                    upper_bounds=bounds,
                )
            )
    return multiplied(lake, table.refresh())


def multiplied(lake: Lake, table: "Table") -> "Table":
    """The first snapshot's manifest again for 499 more, with other file names, and a list and a snapshot for each."""
    import json

    from fastavro import reader, writer

    raw = json.loads(local_path(table.metadata_location).read_text())
    first = raw["snapshots"][0]
    folder = local_path(table.location()) / "metadata"
    with local_path(first["manifest-list"]).open("rb") as file:
        found = reader(file)
        list_schema, list_meta = found.writer_schema, found.metadata
        line: Any = next(found)
    with local_path(line["manifest_path"]).open("rb") as file:
        found = reader(file)
        entry_schema, entry_meta = found.writer_schema, found.metadata
        entries: Any = list(found)
    meta = {key: value for key, value in entry_meta.items() if not key.startswith("avro.")}
    list_meta = {key: value for key, value in list_meta.items() if not key.startswith("avro.")}
    lines = [line]
    for number in range(1, SNAPSHOTS):
        path, snapshot_id = folder / f"many-{number}.avro", first["snapshot-id"] + number
        changed = [
            {**entry, "snapshot_id": snapshot_id, "data_file": moved(entry["data_file"], number)} for entry in entries
        ]
        with path.open("wb") as file:
            writer(file, entry_schema, changed, codec="deflate", metadata=meta)
        lines.append(
            {
                **line,
                "manifest_path": str(path),
                "manifest_length": path.stat().st_size,
                "added_snapshot_id": snapshot_id,
                "sequence_number": 1 + number,
                "min_sequence_number": 1 + number,
            }
        )
        with (folder / f"list-{number}.avro").open("wb") as file:
            writer(file, list_schema, lines, codec="deflate", metadata=list_meta)
        raw["snapshots"].append(
            {
                **first,
                "snapshot-id": snapshot_id,
                "parent-snapshot-id": snapshot_id - 1,
                "sequence-number": 1 + number,
                "timestamp-ms": first["timestamp-ms"] + number * 1000,
                "manifest-list": str(folder / f"list-{number}.avro"),
            }
        )
    last = raw["snapshots"][-1]
    raw |= {"current-snapshot-id": last["snapshot-id"], "last-sequence-number": SNAPSHOTS}
    raw["last-updated-ms"] = last["timestamp-ms"]
    raw["refs"] = {"main": {"snapshot-id": last["snapshot-id"], "type": "branch"}}
    local_path(table.metadata_location).write_text(json.dumps(raw))
    return open_table(lake, "bench.large")


def moved(file: dict[str, Any], number: int) -> dict[str, Any]:
    return {**file, "file_path": file["file_path"].replace("/data/", f"/data/{number:03}-")}


def large(folder: Path) -> None:
    lake = Lake(folder)
    table = make_large(lake)
    history = read_history(table.metadata_location)
    health = measure(history, small_file_mb=32)
    assert (health.data_file_count, health.snapshot_count) == (FILES, SNAPSHOTS), health
    show(
        "health: 100,000 files, 500 snapshots", "s", rounds(lambda: measure(history, small_file_mb=32)), HEALTH_BUDGET_S
    )
    options = CompactionOptions()
    show("plan of a compaction of them", "s", rounds(lambda: make_plan(table, options)), PLAN_BUDGET_S)
    show("plan with a condition", "s", [timed(lambda: make_plan(table, CompactionOptions(where="id < 5")))])
    show(
        "plan of an expiry", "s", rounds(lambda: plan_expiry(history, retain_last=5, older_than=None)), HEALTH_BUDGET_S
    )
    planned = plan_expiry(history, retain_last=5, older_than=None)
    show("files of expired snapshots", "s", [timed(lambda: files_of_expired(history, planned.manifest_lists))])
    peak_mb = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    show("peak of this process", "MB", [peak_mb], MEMORY_BUDGET_MB)
    lake.close()


def rounds(work: Callable[[], Any]) -> list[float]:
    return [timed(work) for _ in range(3)]


def appends(folder: Path, *, is_kept: bool) -> None:
    """CPU of an append: the last twenty beside the second twenty, with what a policy does in between, or without."""
    import pyarrow as pa

    lake = Lake(folder)
    lake.create_namespace("default", "bench")
    rows = pa.table({"id": list(range(100))})
    lake.commit_now(
        "default", lambda catalog: catalog.create_table("bench.stream", schema=rows.schema, properties=TABLE_DEFAULTS)
    )
    costs = []
    for number in range(APPENDS):
        table = open_table(lake, "bench.stream")
        started = time.process_time()
        table.append(rows)
        costs.append((time.process_time() - started) * 1000)
        if is_kept and number % CARE_EVERY == CARE_EVERY - 1:
            care_for(lake, number)
    first, last = statistics.median(costs[20:40]), statistics.median(costs[-20:])
    what = "with the policy's compaction and expiry" if is_kept else "without"
    budget = 1.5 if is_kept else None
    print(f"appends {what}: second twenty {first:.0f} ms CPU each, last twenty {last:.0f} ms", flush=True)
    show(f"append cost at the end, {what}", "x", [last / first], budget)
    lake.close()


def care_for(lake: Lake, number: int) -> None:
    table = open_table(lake, "bench.stream")
    run_compaction(table, CompactionOptions(), run_id=f"b{number}", limits=WriterLimits(threads=1))
    table = open_table(lake, "bench.stream")
    planned = plan_expiry(read_history(table.metadata_location), retain_last=RETAIN, older_than=None)
    if planned.snapshot_ids:
        expire(table, planned)


async def load(home: Path) -> None:
    from headwater.flights import load_flights

    await load_flights(Settings(home=home))


def flights(home: Path) -> None:
    """CPU of one query over the weekly appends, and over the table compacted."""
    import asyncio

    from engine.connectors.duck import Duck, DuckPlan

    asyncio.run(load(home))
    lake = Lake(home / "warehouse")
    for when in ("before", "after"):
        table = open_table(lake, "flights.flights")
        health = measure(read_history(table.metadata_location), small_file_mb=32)
        duck = Duck(DuckPlan(directories=[local_path(table.location())], extensions=["avro", "iceberg"], threads=1))
        query = QUERY.format(location=local_path(table.metadata_location))
        duck.rows(query)
        costs = []
        for _ in range(9):
            started = time.process_time()
            duck.rows(query)
            costs.append((time.process_time() - started) * 1000)
        duck.close()
        show(f"flights by carrier and month, {when}: {health.data_file_count} files", "ms CPU", costs)
        if when == "before":
            run_compaction(table, CompactionOptions(), run_id="bench", limits=WriterLimits(threads=1))
    lake.close()


def main() -> None:
    with tempfile.TemporaryDirectory() as place:
        large(Path(place) / "large")
        appends(Path(place) / "kept", is_kept=True)
        appends(Path(place) / "unkept", is_kept=False)
        flights(Path(place) / "home")


if __name__ == "__main__":
    main()
