"""Run by itself: one writer or carer of a table, at work until it is killed. What it did stands in its log.

A line is written before each change (`intent`), and another when it is known to be done or known to have failed."""

import fcntl
import json
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pyarrow as pa
from pyiceberg.exceptions import CommitFailedException, NoSuchTableError, ValidationException
from pyiceberg.table import Table
from pyiceberg.types import StringType
from sqlalchemy.exc import OperationalError

from core.errors import Conflict, Unavailable
from engine.lake.history import read_history
from engine.lake.metadata import local_path
from engine.lake.warehouse import Lake
from engine.maintenance.compaction import run_compaction
from engine.maintenance.evolution import add_column, drop_column, rename_column
from engine.maintenance.expiry import expire, files_of_expired, plan_expiry
from engine.maintenance.manifests import rewrite_manifests
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.tables import delete_positions

ROWS = 20
RETAIN = 8
PATIENCE_S = 0.15
ADDED = "note"
FAILED = (CommitFailedException, ValidationException, Conflict)
UNKNOWN = (OperationalError, Unavailable, FileNotFoundError, NoSuchTableError)


class Writer:
    """Changes of one process, with its dice and its log."""

    def __init__(self, folder: Path, role: str, seed: int):
        self.folder, self.role = folder, role
        self.dice = random.Random(seed)
        self.lake = Lake(folder / "warehouse")
        self.log = (folder / f"{seed}.log").open("a")
        self.next_id = seed * 1_000_000
        self.seed = seed

    def open(self) -> Table:
        table: Table = self.lake.commit_now("default", lambda catalog: catalog.load_table(("shop", "orders")))
        return table

    def say(self, **line: Any) -> None:
        self.log.write(json.dumps(line) + "\n")
        self.log.flush()

    def change(self, kind: str, ids: list[int], work: Callable[[], object]) -> None:
        self.say(state="intent", kind=kind, ids=ids)
        try:
            work()
        except FAILED:
            self.say(state="failed", kind=kind, ids=ids)
        except UNKNOWN:
            return
        else:
            self.say(state="done", kind=kind, ids=ids)

    def append(self) -> None:
        table = self.open()
        ids = list(range(self.next_id, self.next_id + ROWS))
        self.next_id += ROWS
        schema = table.schema().as_arrow()
        values: dict[str, list[Any]] = {field.name: [None] * ROWS for field in schema}
        amount = "amount" if "amount" in values else "sum"
        values |= {"id": ids, "region": [f"r{self.seed % 3}"] * ROWS, amount: [float(number) for number in ids]}
        self.change("append", ids, lambda: table.append(pa.table(values, schema=schema)))

    def delete(self) -> None:
        """A whole batch by a condition, or some rows by their positions; not both kinds at once.

        pyiceberg's own delete does not see position deletes that were made meanwhile."""
        with (self.folder / "deletes.lock").open("w") as lock:
            fcntl.flock(lock, fcntl.LOCK_EX)
            table = self.open()
            tasks = list(table.scan().plan_files())
            if not tasks:
                return
            if self.dice.random() < 0.15:
                self.delete_rows(table)
            else:
                self.delete_positions(table, self.dice.choice(tasks).file)

    def delete_rows(self, table: Table) -> None:
        found = numbers(table.scan(selected_fields=("id",), limit=200).to_arrow())
        if found:
            first = self.dice.choice(found) // ROWS * ROWS
            ids = list(range(first, first + ROWS))
            self.change("delete", ids, lambda: table.delete(f"id >= {first} and id < {first + ROWS}"))

    def delete_positions(self, table: Table, file: Any) -> None:
        import pyarrow.parquet as pq

        ids = numbers(pq.read_table(local_path(file.file_path), columns=["id"]))
        positions = sorted(self.dice.sample(range(len(ids)), min(len(ids), 3)))
        gone = [ids[place] for place in positions]
        self.change("delete", gone, lambda: delete_positions(table, file.file_path, positions, about=[file]))

    def care(self) -> None:
        work = self.dice.choice([self.compact, self.compact, self.expire, self.manifests, self.evolve])
        try:
            work()
        except (*FAILED, *UNKNOWN):
            return

    def compact(self) -> None:
        options = CompactionOptions(min_input_files=2)
        run_compaction(self.open(), options, run_id=f"r{time.time_ns()}", limits=WriterLimits(threads=1))

    def expire(self) -> None:
        table = self.open()
        planned = plan_expiry(read_history(table.metadata_location), retain_last=RETAIN, older_than=None)
        if planned.snapshot_ids:
            expire(table, planned)
            history = read_history(self.open().metadata_location)
            for path in files_of_expired(history, planned.manifest_lists):
                local_path(path).unlink(missing_ok=True)

    def manifests(self) -> None:
        rewrite_manifests(self.open())

    def evolve(self) -> None:
        table = self.open()
        names = {field.name for field in table.schema().fields}
        if self.dice.random() < 0.5:
            rename_column(table, *(("amount", "sum") if "amount" in names else ("sum", "amount")))
        elif ADDED in names:
            drop_column(table, ADDED)
        else:
            add_column(table, ADDED, str(StringType()))


def numbers(rows: pa.Table) -> list[int]:
    return [int(str(number)) for number in rows["id"].to_pylist()]


def main() -> None:
    writer = Writer(Path(sys.argv[1]), sys.argv[2], int(sys.argv[3]))
    work = {"append": writer.append, "delete": writer.delete, "care": writer.care}[writer.role]
    while True:
        work()
        time.sleep(writer.dice.random() * PATIENCE_S)


if __name__ == "__main__":
    main()
