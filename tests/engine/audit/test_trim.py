"""A tenant may keep its audit for some time only: the beginning goes, and nobody else can cut it off."""

import asyncio
from collections.abc import Callable
from datetime import UTC, datetime, timedelta

import pytest
from sqlalchemy import Connection, delete, func, select, update

from engine.audit.chain import Head
from engine.audit.log import AuditLog
from engine.audit.search import AuditSearch, Wanted
from engine.store.db import Store
from engine.store.tables import audit as rows
from engine.store.tables import audit_heads, audit_starts, audit_terms
from tests.engine.audit.conftest import Keys
from tests.engine.audit.records import make_record

DAY = datetime(2026, 11, 1, 12, tzinfo=UTC)
OURS = rows.c.tenant_id == "acme"


def day(number: int) -> float:
    return (DAY + timedelta(days=number, hours=-6)).timestamp()


async def fill(log: AuditLog, count: int = 10, tenant: str = "acme") -> None:
    for number in range(count):
        record = make_record(tenant, request_id=f"r{number}", at=DAY + timedelta(days=number), tool=f"tool_{number}")
        await log.record(record, wait=True)


async def test_what_is_left_verifies_is_found_and_is_counted(audit: AuditLog, store: Store) -> None:
    await fill(audit)
    await fill(audit, tenant="other")
    assert await audit.trim("acme", before=day(4)) == 4
    assert await audit.trim("acme", before=day(4)) == 0
    found = await audit.verify("acme")
    assert (found.is_valid, found.checked, found.head_seq) == (True, 6, 10)
    search = AuditSearch(store, audit)
    assert await search.count("acme") == 6 and await search.count("other") == 10
    page = await search.find("acme", Wanted(subject="alice"), size=20)
    assert [entry.seq for entry in page.entries] == [10, 9, 8, 7, 6, 5] and page.before is None
    within = await search.find("acme", Wanted(since=day(5), until=day(7)), size=20)
    assert [entry.seq for entry in within.entries] == [7, 6]
    left = select(func.min(audit_terms.c.seq)).where(audit_terms.c.tenant_id == "acme")
    assert await store.read(lambda connection: connection.scalar(left)) == 5


async def test_a_trimmed_chain_grows_and_is_trimmed_again(
    open_audit: Callable[[], AuditLog], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("engine.audit.log.CHUNK", 4)
    log = open_audit()
    await fill(log)
    counts = await asyncio.gather(*(open_audit().trim("acme", before=day(8)) for _ in range(3)))
    assert sum(counts) == 8
    await fill(log)
    assert await log.trim("acme", before=day(30)) == 11  # the newest stays, so that the chain has an end
    assert (await open_audit().verify("acme")).checked == 1
    await log.close()


async def test_a_head_that_was_noted_is_held_against_what_is_kept(audit: AuditLog) -> None:
    await fill(audit)
    hashes = {entry.seq: entry for entry in await audit.read("acme")}
    assert len(hashes) == 10
    noted = await audit._store.read(
        lambda c: {row.seq: Head(row.seq, row.hash) for row in c.execute(select(rows).where(OURS)).all()}
    )
    await audit.trim("acme", before=day(4))
    assert (await audit.verify("acme", noted=noted[7])).is_valid
    assert (await audit.verify("acme", noted=noted[4])).is_valid  # the last one that was removed
    assert "not kept any more" in (await audit.verify("acme", noted=noted[3])).reason
    assert not (await audit.verify("acme", noted=Head(4, bytes(32)))).is_valid


def cut_more(connection: Connection) -> None:
    connection.execute(delete(rows).where(OURS, rows.c.seq <= 6))


def move_start(connection: Connection) -> None:
    """Cut off more, and say so, as somebody would who has the store but not the key."""
    row = connection.execute(select(rows.c.seq, rows.c.hash).where(OURS, rows.c.seq == 6)).one()
    cut_more(connection)
    connection.execute(update(audit_starts).values(seq=row.seq, hash=row.hash))


def borrow_a_seal(connection: Connection) -> None:
    """The seal of an end is none of a beginning."""
    head = connection.execute(select(audit_heads).where(audit_heads.c.tenant_id == "acme")).one()
    connection.execute(delete(rows).where(OURS, rows.c.seq < 10))
    connection.execute(update(audit_starts).values(seq=head.seq, hash=head.hash, mac=head.mac))


def drop_start(connection: Connection) -> None:
    connection.execute(delete(audit_starts))


@pytest.mark.parametrize("tamper", [cut_more, move_start, borrow_a_seal, drop_start])
async def test_nobody_else_cuts_off_a_beginning(
    audit: AuditLog, store: Store, tamper: Callable[[Connection], None]
) -> None:
    await fill(audit)
    await audit.trim("acme", before=day(4))
    await store.write(tamper)
    assert not (await audit.verify("acme")).is_valid
    assert await audit.trim("acme", before=day(9)) == 0  # and the evidence stays


async def test_a_record_that_was_changed_is_never_trimmed(audit: AuditLog, store: Store) -> None:
    await fill(audit)
    await store.write(lambda c: c.execute(update(rows).where(OURS, rows.c.seq == 3).values(record=b"other")))
    assert await audit.trim("acme", before=day(9)) == 2
    assert await audit.trim("acme", before=day(9)) == 0
    found = await audit.verify("acme")
    assert (found.is_valid, found.first_bad_seq) == (False, 3)


async def test_what_nobody_can_read_any_more_is_trimmed_too(audit: AuditLog, store: Store, keys: Keys) -> None:
    await fill(audit)
    keys.shred("acme")
    assert await audit.trim("acme", before=day(4)) == 4
    assert (await audit.verify("acme")).is_valid


async def test_a_chain_is_trimmed_while_it_is_verified(audit: AuditLog, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("engine.audit.log.CHUNK", 2)
    await fill(audit)
    trimming = asyncio.create_task(audit.trim("acme", before=day(7)))
    found = await asyncio.gather(*(audit.verify("acme") for _ in range(5)))
    assert all(item.is_valid for item in found) and await trimming == 7
