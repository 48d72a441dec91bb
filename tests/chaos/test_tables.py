"""Writers, carers and kill -9 on one table: its rows are always those of a model, whoever reads them."""

import json
import random
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from engine.connectors.duck import Duck, DuckPlan
from engine.lake.history import History, read_history
from engine.lake.metadata import local_path
from engine.lake.warehouse import Lake
from engine.maintenance.compaction import run_compaction
from engine.maintenance.orphans import find_orphans
from engine.maintenance.planning import CompactionOptions
from engine.maintenance.writing import WriterLimits
from tests.engine.maintenance.tables import Tables

SECONDS = 40.0  # `python -m tests.chaos.test_tables 300` runs it for five minutes
REPOSITORY = Path(__file__).parents[2]
ROLES = ("append", "append", "delete", "care", "care")


class Crew:
    """The processes at work; each replacement has a number, and so ids and a log, of its own."""

    def __init__(self, folder: Path):
        self._folder = folder
        self._number = 0
        self._working = [(role, self._start(role)) for role in ROLES]

    def _start(self, role: str) -> "subprocess.Popen[bytes]":
        self._number += 1
        command = [sys.executable, "-W", "ignore", "-m", "tests.chaos.table_worker"]
        return subprocess.Popen([*command, str(self._folder), role, str(self._number)], cwd=REPOSITORY)

    def kill_one(self, dice: random.Random) -> None:
        place = dice.randrange(len(self._working))
        role, victim = self._working[place]
        assert victim.poll() is None, f"{role} ended by itself"
        victim.kill()
        victim.wait()
        self._working[place] = (role, self._start(role))

    def end(self) -> None:
        for _, process in self._working:
            process.kill()
            process.wait()


class Model:
    """What the logs say must, may and must not be there."""

    def __init__(self, folder: Path):
        self.appended: dict[int, str] = {}
        self.deleted: dict[int, set[str]] = {}
        for log in folder.glob("*.log"):
            for line in self._lines(log):
                for number in line["ids"]:
                    if line["kind"] == "append":
                        self.appended[number] = line["state"]
                    else:
                        self.deleted.setdefault(number, set()).add(line["state"])

    @staticmethod
    def _lines(log: Path) -> Iterator[dict[str, Any]]:
        for text in log.read_text().splitlines():
            if text.endswith("}"):
                yield json.loads(text)

    def faults(self, rows: Counter[int]) -> list[str]:
        found = [f"{number} stands {count} times" for number, count in rows.items() if count > 1]
        found += [f"{number} was never written" for number in rows if number not in self.appended]
        for number, state in self.appended.items():
            states = self.deleted.get(number, set())
            if state == "failed" and number in rows:
                found.append(f"{number} is there although its append failed")
            if "done" in states and number in rows:
                found.append(f"{number} came back")
            if state == "done" and not states & {"done", "intent"} and number not in rows:
                found.append(f"{number} is lost")
        return found


def settled(model: Model) -> Model:
    """A delete that is known to have failed deleted nothing."""
    for number, states in model.deleted.items():
        if states == {"intent", "failed"}:
            model.deleted[number] = {"failed"}
    return model


def by_pyiceberg(tables: Tables) -> list[int]:
    return sorted(
        int(str(number)) for number in tables.open().scan(selected_fields=("id",)).to_arrow()["id"].to_pylist()
    )


def by_duckdb(tables: Tables) -> list[int]:
    table = tables.open()
    duck = Duck(DuckPlan(directories=[local_path(table.location())], extensions=["avro", "iceberg"], threads=1))
    location = local_path(table.metadata_location)
    rows = duck.rows(f"SELECT id FROM iceberg_scan('{location}') ORDER BY 1")
    duck.close()
    return [int(row[0]) for row in rows]


def by_datafusion(tables: Tables) -> list[int]:
    from datafusion import SessionContext

    session = SessionContext()
    session.register_table("orders", tables.open())
    batches = session.sql("SELECT id FROM orders ORDER BY id").collect()
    return [int(str(number)) for batch in batches for number in batch.column(0).to_pylist()]


def run(folder: Path, seconds: float) -> int:
    """Let the crew work and die for so long; how many rows stood up to the model in the end."""
    tables, dice = Tables(Lake(folder / "warehouse")), random.Random(7)
    tables.lake.create_namespace("default", "shop")
    # The Rust readers want locations that are URLs.
    tables.make(files=0, location=f"file://{folder.resolve()}/warehouse/default/shop/orders")
    crew, ends_at = Crew(folder), time.monotonic() + seconds
    try:
        while time.monotonic() < ends_at:
            time.sleep(dice.uniform(3, 6))
            crew.kill_one(dice)
    finally:
        crew.end()
    rows = by_pyiceberg(tables)
    assert settled(Model(folder)).faults(Counter(rows)) == []
    assert by_duckdb(tables) == rows
    check_values(tables)
    tidy(tables)
    assert by_pyiceberg(tables) == by_duckdb(tables) == by_datafusion(tables) == rows
    tables.lake.close()
    return len(rows)


def check_values(tables: Tables) -> None:
    found = tables.open().scan().to_arrow()
    name = "amount" if "amount" in found.column_names else "sum"
    assert found[name].to_pylist() == [float(str(number)) for number in found["id"].to_pylist()]


def tidy(tables: Tables) -> None:
    """All that the dead left behind goes, and not a row with it."""
    run_compaction(tables.open(), CompactionOptions(min_input_files=2), run_id="end", limits=WriterLimits(threads=1))

    def read() -> tuple[str, History]:
        location = tables.open().metadata_location
        return location, read_history(location)

    for orphan in find_orphans(tables.open().location(), read, older_than_s=-1, now=time.time()):
        Path(orphan.path).unlink()


@pytest.mark.slow
def test_a_tables_rows_are_those_of_a_model_whatever_happens(tmp_path: Path) -> None:
    assert run(tmp_path, SECONDS) > 0


if __name__ == "__main__":
    import tempfile

    with tempfile.TemporaryDirectory() as place:
        sys.stdout.write(f"{run(Path(place), float(sys.argv[1])):,} rows as they should be\n")
