"""Group commit: few transactions, nothing lost, effects refused when nothing can be written."""

import asyncio
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from pytest import raises
from sqlalchemy import Connection, event

from core.errors import Unavailable
from engine.audit.group import GroupCommit
from engine.audit.log import AuditLog
from engine.audit.rows import read_records
from engine.store.db import Store
from tests.engine.audit.records import make_record


class Ledger:
    """Where batches go; can be down for a while."""

    def __init__(self) -> None:
        self.batches: list[list[int]] = []
        self.is_down = False

    def commit(self, items: list[int]) -> None:
        if self.is_down:
            raise Unavailable
        self.batches.append(items)


@pytest.fixture
def ledger() -> Ledger:
    return Ledger()


async def test_a_thousand_concurrent_records_take_few_transactions(audit: AuditLog, store: Store) -> None:
    writes = count_writes(store)
    await asyncio.gather(*(audit.record(make_record(request_id=f"req_{index}"), wait=True) for index in range(1000)))
    assert (await audit.verify("acme")).checked == 1000
    assert len(writes) <= 5


def count_writes(store: Store) -> list[None]:
    commits: list[None] = []
    event.listen(store.engine, "commit", lambda connection: commits.append(None))
    return commits


async def test_a_read_is_written_soon_without_anybody_waiting(audit: AuditLog) -> None:
    await audit.record(make_record(), wait=False)
    assert audit.backlog == 1
    for _ in range(100):
        await asyncio.sleep(0.01)
        if not audit.backlog:
            break
    assert len(await audit.read("acme")) == 1


async def test_a_chain_that_grows_while_it_is_verified_is_valid(audit: AuditLog) -> None:
    async def write() -> None:
        for _ in range(40):
            await audit.record(make_record(), wait=True)

    writing = asyncio.create_task(write())
    while not writing.done():
        assert (await audit.verify("acme")).reason == ""
    await writing


async def test_waiting_means_durable(audit: AuditLog) -> None:
    await audit.record(make_record(request_id="read"), wait=False)
    await audit.record(make_record(request_id="effect"), wait=True)
    assert audit.backlog == 0
    assert [entry.record and entry.record.request_id for entry in await audit.read("acme")] == ["read", "effect"]


async def test_while_the_store_is_down_effects_are_refused_and_all_records_kept(ledger: Ledger) -> None:
    group = GroupCommit(ledger.commit, max_delay_s=0.001)
    ledger.is_down = True
    await group.add(1, wait=False)
    with raises(Unavailable):
        await group.add(2, wait=True)
    ledger.is_down = False
    await group.add(3, wait=True)
    assert [item for batch in ledger.batches for item in batch] == [1, 2, 3]
    await group.close()


async def test_a_full_queue_makes_reads_wait_and_then_refuses(ledger: Ledger) -> None:
    group = GroupCommit(ledger.commit, capacity=2, max_delay_s=0.001, patience_s=0.05)
    ledger.is_down = True
    await group.add(1, wait=False)
    await group.add(2, wait=False)
    with raises(Unavailable):
        await group.add(3, wait=False)
    ledger.is_down = False
    await group.add(4, wait=True)
    assert [item for batch in ledger.batches for item in batch] == [1, 2, 4]
    await group.close()


async def test_a_burst_beyond_the_queue_gets_through(ledger: Ledger) -> None:
    group = GroupCommit(ledger.commit, capacity=2)
    await asyncio.gather(*(group.add(index, wait=False) for index in range(50)))
    await group.close()
    assert sorted(item for batch in ledger.batches for item in batch) == list(range(50))


async def test_closing_writes_what_is_queued_and_refuses_more(ledger: Ledger) -> None:
    group = GroupCommit(ledger.commit, max_delay_s=60)
    await group.add(1, wait=False)
    await group.close()
    assert ledger.batches == [[1]]
    with raises(Unavailable):
        await group.add(2, wait=False)


async def test_a_caller_that_goes_away_does_not_take_its_record_along(ledger: Ledger) -> None:
    group = GroupCommit(ledger.commit)
    waiting = asyncio.create_task(group.add(1, wait=True))
    other = asyncio.create_task(group.add(2, wait=True))
    await asyncio.sleep(0)
    waiting.cancel()
    await other
    assert [item for batch in ledger.batches for item in batch] == [1, 2]
    await group.close()


async def test_a_defect_in_writing_fails_those_who_wait_instead_of_leaving_them(
    caplog: pytest.LogCaptureFixture,
) -> None:
    def commit(items: list[int]) -> None:
        raise ZeroDivisionError

    group = GroupCommit(commit, patience_s=0.05)
    with raises(Unavailable):
        await group.add(1, wait=True)
    with raises(Unavailable):
        await group.add(2, wait=True)
    assert group.backlog == 2
    assert "ZeroDivisionError" in caplog.text


WRITERS = """
import asyncio, os, sys
from engine.audit.log import AuditLog
from engine.store.db import Store
from tests.engine.audit.records import DIGEST_KEY, make_record

async def write(name, count):
    plain = lambda tenant, data: data
    log = AuditLog(Store(sys.argv[1]), seal=plain, unseal=plain, digest_key=DIGEST_KEY)
    for index in range(count):
        await log.record(make_record(request_id=f"{name}-{index}-read"), wait=False)
        await log.record(make_record(request_id=f"{name}-{index}"), wait=True)
        print(f"{name}-{index}", flush=True)
    await log.close()

first, *others = sys.argv[3:]
name = next((other for other in others if os.fork() == 0), first)  # imported once, then a process each
asyncio.run(write(name, int(sys.argv[2])))
if name == first:
    for _ in others:
        os.wait()
"""


def start_writers(store_url: str, count: int, *names: str) -> "subprocess.Popen[str]":
    """Processes, one per name, that append to the same chain and print what was confirmed."""
    command = [sys.executable, "-c", WRITERS, store_url, str(count), *names]
    return subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=Path(__file__).parents[3])


def stored_names(store: Store) -> list[str]:
    def work(connection: Connection) -> list[str]:
        rows = read_records(connection, "acme", after_seq=0, limit=100_000)
        return [json.loads(row.record)["request_id"] for row in rows]

    return store.read_now(work)


async def test_two_processes_append_to_one_chain(
    store: Store, store_url: str, open_audit: Callable[[], AuditLog]
) -> None:
    start_writers(store_url, 100, "a", "b").communicate(timeout=60)
    names = stored_names(store)
    assert len(names) == len(set(names)) == 400
    assert [name for name in names if name.startswith("a") and not name.endswith("read")] == [
        f"a-{index}" for index in range(100)
    ]
    found = await open_audit().verify("acme")
    assert (found.is_valid, found.checked) == (True, 400)


async def test_kill_9_loses_no_record_that_was_waited_for(
    store: Store, store_url: str, open_audit: Callable[[], AuditLog]
) -> None:
    writer = start_writers(store_url, 1_000_000, "a")
    assert writer.stdout is not None
    confirmed = [writer.stdout.readline().strip() for _ in range(60)]
    os.kill(writer.pid, signal.SIGKILL)
    confirmed += [line.strip() for line in writer.communicate()[0].splitlines(keepends=True) if line.endswith("\n")]
    assert set(confirmed) <= set(stored_names(store))
    assert (await open_audit().verify("acme")).is_valid
