import asyncio
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import insert, update

from core.context import Cancellation, JobRun, Principal
from core.errors import Cancelled, Conflict, NotFound, PlatformError, Unavailable
from engine.results.exports import PIECE_BYTES, Exports, Wish
from engine.results.folder import FolderObjects
from engine.results.links import Links
from engine.results.manifests import Outcome
from engine.results.shelf import Shelf
from engine.results.stored import Send, StoredResults
from engine.store.db import Store
from engine.store.tables import jobs
from tests.fixtures_catalog import sqlite_store

__all__ = ["sqlite_store"]

ADA = Principal("ada", "acme", attributes={"region": "eu"})
COLUMNS = [SimpleNamespace(name="n"), SimpleNamespace(name="secret")]


@dataclass
class Eyes:
    """What ADA sees: change it between a run and a read."""

    relation: Any = field(default_factory=lambda: SimpleNamespace(columns=COLUMNS))
    source: Any = field(default_factory=lambda: SimpleNamespace(columns=COLUMNS))
    columns: dict[str, str] = field(default_factory=dict)
    filters: tuple[str, ...] = ()
    min_group: int = 1
    is_there: bool = True

    def find(self, parts: tuple[str, ...]) -> "Eyes | None":
        return self if self.is_there else None


@dataclass
class Place:
    """Stored results over a folder, their clock, and what their owner sees."""

    store: Store
    folder: Path
    eyes: Eyes
    now: float = 1000.0

    def __post_init__(self) -> None:
        async def look(by: Principal, connection_id: str, as_of: str = "", /) -> Any:
            return self.eyes

        self.shelf = Shelf(
            store=self.store,
            objects=FolderObjects(self.folder),
            seal=lambda tenant, data, aad: bytes(14) + aad[-14:].rjust(14) + bytes(byte ^ 1 for byte in data),
            unseal=self.unseal,
            look=look,
            keep_s=self.keep_s,
            max_bytes=2**30,
            clock=lambda: self.now,
        )
        self.results = StoredResults(self.shelf)
        self.exports = Exports(self.shelf, self.results, Links(b"k" * 32))

    async def keep_s(self, tenant: str) -> float:
        return 100.0

    def unseal(self, tenant: str, data: bytes, aad: bytes) -> bytes:
        if data[14:28] != aad[-14:].rjust(14):
            raise Unavailable("Sealed query results do not open.")
        return bytes(byte ^ 1 for byte in data[28:])

    async def begin(self, job_id: str, fence: int = 1, by: Principal = ADA) -> JobRun:
        row = {"tenant_id": by.tenant, "job_id": job_id, "tool": "t", "owner": by.subject, "principal": "{}"}
        row |= {"request_id": "r", "request": "{}", "idempotency_key": "", "status": "running", "worker": ""}
        numbers = {"cancel_requested": 0, "attempt": 1, "fence": fence, "created_at": 0.0, "updated_at": 0.0}
        await self.store.write(lambda connection: connection.execute(insert(jobs).values(**row, **numbers)))
        return JobRun(job_id, fence, 1, SimpleNamespace())  # type: ignore[arg-type]

    async def end(self, job_id: str) -> None:
        done = update(jobs).where(jobs.c.job_id == job_id).values(status="succeeded")
        await self.store.write(lambda connection: connection.execute(done))

    async def write(self, job_id: str, sizes: tuple[int, ...] = (3, 0, 4), by: Principal = ADA) -> JobRun:
        run = await self.begin(job_id, by=by)
        await self.results.write(by, run, ["item"], "shop", lambda send: self.produce(send, sizes))
        await self.end(job_id)
        return run

    async def produce(self, send: Send, sizes: tuple[int, ...]) -> Outcome:
        start = 0
        for size in sizes:
            await send(ipc(list(range(start, start + size))))
            start += size
        return Outcome("shop", ["item"], [("n", "bigint")])

    async def export(self, run: JobRun, job_id: str, **options: Any) -> Any:
        wish = Wish("CSV", "NONE")
        return await self.exports.write(ADA, run, job_id, wish, cancelled=Cancellation(), report=ignore, **options)

    def files(self) -> list[str]:
        return sorted(path.relative_to(self.folder).as_posix() for path in self.folder.rglob("*") if path.is_file())


async def ignore(done: int, total: int) -> None:
    return None


def ipc(numbers: list[int]) -> bytes:
    table = pa.table({"n": pa.array(numbers, pa.int64())})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    return sink.getvalue().to_pybytes()


@pytest.fixture
def place(store: Store, tmp_path: Path) -> Place:
    return Place(store, tmp_path / "store", Eyes())


async def test_pages_cross_the_pieces(place: Place) -> None:
    await place.write("j1")
    for offset, size, expected in ((0, 2, [0, 1]), (2, 3, [2, 3, 4]), (6, 9, [6]), (7, 1, []), (0, 99, [*range(7)])):
        page = await place.results.page(ADA, "j1", offset=offset, size=size)
        assert [number for batch in page.batches for number in batch.column(0).to_pylist()] == expected
        assert page.schema.names == ["n"]


@pytest.mark.parametrize(
    "change",
    [
        {"filters": ("region = 'eu'",)},
        {"columns": {"n": "masked"}},
        {"min_group": 5},
        {"is_there": False},
        {"relation": SimpleNamespace(columns=COLUMNS[:1])},
    ],
)
async def test_a_result_is_not_read_through_other_rules_than_those_it_was_made_under(
    place: Place, change: dict[str, Any]
) -> None:
    run = await place.write("j1")
    await place.begin("e1")
    made = await place.export(replace(run, job_id="e1"), "j1")
    place.eyes = replace(place.eyes, **change)
    for read in (place.results.open(ADA, "j1"), place.exports.open(ADA, made.export_id)):
        with pytest.raises(Conflict, match="access"):
            await read
    place.eyes = Eyes(relation=SimpleNamespace(columns=[*COLUMNS, SimpleNamespace(name="new")]))
    place.eyes.source = place.eyes.relation
    assert (await place.results.open(ADA, "j1")).row_count == 7


async def test_other_attributes_and_other_people_do_not_read_it(place: Place) -> None:
    await place.write("j1")
    with pytest.raises(Conflict):
        await place.results.open(replace(ADA, attributes={"region": "us"}), "j1")
    for other in (replace(ADA, subject="bob"), replace(ADA, tenant="evil")):
        with pytest.raises(NotFound):
            await place.results.open(other, "j1")
    place.now += 100
    with pytest.raises(NotFound):
        await place.results.open(ADA, "j1")


async def test_rules_that_change_during_the_run_leave_no_result(place: Place) -> None:
    run = await place.begin("j1")

    async def produce(send: Send) -> Outcome:
        await send(ipc([1]))
        place.eyes = Eyes(filters=("n > 1",))
        return Outcome("shop", ["item"], [("n", "bigint")])

    with pytest.raises(Conflict, match="changed while"):
        await place.results.write(ADA, run, ["item"], "shop", produce)
    assert place.files() == []


async def test_a_run_that_was_taken_over_commits_nothing(place: Place) -> None:
    run = await place.begin("j1", fence=2)
    with pytest.raises(Unavailable, match="Another worker"):
        await place.results.write(ADA, replace(run, fence=1), ["item"], "shop", lambda send: place.produce(send, (1,)))
    assert await place.results.sweep() == 1
    assert place.files() == []


async def test_a_result_is_made_once_however_often_its_job_is_started(place: Place) -> None:
    run = await place.write("j1")
    again = await place.results.write(ADA, run, ["item"], "shop", lambda send: place.produce(send, (99,)))
    assert (again.row_count, place.files()) == (7, ["results/acme/j1/1.arrows"])


async def test_pieces_that_were_exchanged_do_not_open(place: Place) -> None:
    await place.write("j1", (3, 3))
    path = place.folder / "results/acme/j1/1.arrows"
    data = path.read_bytes()
    path.write_bytes(data[len(data) // 2 :] + data[: len(data) // 2])
    with pytest.raises(PlatformError):
        await place.results.page(ADA, "j1", offset=0, size=1)


async def test_the_sweep_takes_what_is_over_and_what_was_left_behind(place: Place) -> None:
    run = await place.write("j1")
    await place.begin("e1")
    await place.export(replace(run, job_id="e1"), "j1")
    await place.end("e1")
    await place.begin("j2", fence=7)
    for left in ("results/acme/j2/7.arrows.partial", "results/acme/j2/6.arrows.partial", "results/acme/j3/1.arrows"):
        path = place.folder / left
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(b"x")
    (place.folder / "results/README").write_bytes(b"not ours")
    kept = ["exports/acme/e1/1.csv", "results/README", "results/acme/j1/1.arrows", "results/acme/j2/7.arrows.partial"]
    assert await place.results.sweep() == 2
    assert place.files() == kept
    place.now += 100
    await place.end("j2")
    assert await place.results.sweep() == 3
    assert place.files() == ["results/README"]


async def test_a_file_of_many_pieces_is_read_from_anywhere(place: Place) -> None:
    run = await place.write("j1", (350_000, 350_000))
    await place.begin("e1")
    made = await place.export(replace(run, job_id="e1"), "j1")
    expected = b'"n"\n' + b"".join(b"%d\n" % number for number in range(700_000))
    assert made.size_bytes == len(expected) > 2 * PIECE_BYTES
    for start, end in ((0, len(expected)), (PIECE_BYTES - 1, PIECE_BYTES + 1), (PIECE_BYTES, 2 * PIECE_BYTES), (5, 6)):
        pieces = [piece async for piece in place.exports.read(made, start, end)]
        assert b"".join(pieces) == expected[start:end]


async def test_a_cancelled_export_leaves_nothing(place: Place) -> None:
    run = await place.write("j1", (200_000, 200_000))
    await place.begin("e1")
    cancelled = Cancellation()

    async def report(done: int, total: int) -> None:
        cancelled.set()
        await asyncio.sleep(0)

    with pytest.raises(Cancelled):
        await place.exports.write(
            ADA, replace(run, job_id="e1"), "j1", Wish("CSV", "NONE"), cancelled=cancelled, report=report
        )
    assert place.files() == ["results/acme/j1/1.arrows"]
