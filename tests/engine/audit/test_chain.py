"""What the chain gives away: every way of tampering with it."""

from collections.abc import Callable

import pytest
from sqlalchemy import Connection, delete, select, update

from engine.audit.chain import Head, extend
from engine.audit.log import AuditLog
from engine.audit.rows import insert_records, read_head, read_records, update_head
from engine.store.db import Store
from engine.store.tables import audit, audit_heads
from tests.engine.audit.conftest import Keys
from tests.engine.audit.records import make_record

Open = Callable[[], AuditLog]
SQLITE_ONLY = pytest.mark.parametrize("store_url", ["sqlite"], indirect=True)
OURS = audit.c.tenant_id == "acme"


async def fill(log: AuditLog, count: int = 5, tenant: str = "acme") -> None:
    for index in range(count):
        await log.record(make_record(tenant, request_id=f"req_{index + 1}"), wait=index == count - 1)


def edit(connection: Connection) -> None:
    connection.execute(update(audit).where(OURS, audit.c.seq == 3).values(record=b"other bytes"))


def backdate(connection: Connection) -> None:
    connection.execute(update(audit).where(OURS, audit.c.seq == 3).values(at=0.0))


def reseal(connection: Connection) -> None:
    """Put the genuine seal of another record into the third one."""
    other = connection.execute(select(audit.c.record).where(OURS, audit.c.seq == 5)).scalar_one()
    connection.execute(update(audit).where(OURS, audit.c.seq == 3).values(record=other))


def remove(connection: Connection) -> None:
    connection.execute(delete(audit).where(OURS, audit.c.seq == 3))


def remove_first(connection: Connection) -> None:
    connection.execute(delete(audit).where(OURS, audit.c.seq == 1))


def remove_and_renumber(connection: Connection) -> None:
    remove(connection)
    for seq in (4, 5):
        connection.execute(update(audit).where(OURS, audit.c.seq == seq).values(seq=seq - 1))


def reorder(connection: Connection) -> None:
    for old, new in ((3, 100), (4, 3), (100, 4)):
        connection.execute(update(audit).where(OURS, audit.c.seq == old).values(seq=new))


def truncate(connection: Connection) -> None:
    connection.execute(delete(audit).where(OURS, audit.c.seq > 3))


def rehash_from(connection: Connection, seq: int, keep: int) -> Head:
    """Rewrite the chain from a record on, with all hashes right, as who knows the format could."""
    before, *after = read_records(connection, "acme", after_seq=seq - 2, limit=10)
    connection.execute(delete(audit).where(OURS, audit.c.seq >= seq))
    rewritten = extend("acme", Head(before.seq, before.hash), [(row.at, b"forged") for row in after[:keep]])
    insert_records(connection, "acme", rewritten)
    return Head(rewritten[-1].seq, rewritten[-1].hash)


def rewrite(connection: Connection) -> None:
    head = rehash_from(connection, 3, keep=3)
    stored = read_head(connection, "acme")
    assert stored is not None
    update_head(connection, "acme", head, stored[1])


def truncate_with_head(connection: Connection) -> None:
    truncate(connection)
    third = read_records(connection, "acme", after_seq=2, limit=1)[0]
    connection.execute(update(audit_heads).values(seq=3, hash=third.hash))


def append_unsealed(connection: Connection) -> None:
    last = read_records(connection, "acme", after_seq=4, limit=1)[0]
    insert_records(connection, "acme", extend("acme", Head(5, last.hash), [(1.0, b"forged")]))


def remove_head(connection: Connection) -> None:
    connection.execute(delete(audit_heads))


def move_to_another_tenant(connection: Connection) -> None:
    connection.execute(update(audit).where(OURS, audit.c.seq == 1).values(tenant_id="other"))


@SQLITE_ONLY
@pytest.mark.parametrize(
    ("tamper", "first_bad_seq"),
    [
        (edit, 3),
        (backdate, 3),
        (reseal, 3),
        (remove, 3),
        (remove_first, 1),
        (remove_and_renumber, 3),
        (reorder, 3),
        (truncate, 4),
        (move_to_another_tenant, 1),
        (rewrite, None),
        (truncate_with_head, None),
        (append_unsealed, None),
        (remove_head, None),
    ],
)
async def test_tampering_is_found(
    store: Store, audit: AuditLog, open_audit: Open, tamper: Callable[[Connection], None], first_bad_seq: int | None
) -> None:
    await fill(audit)
    await store.write(tamper)
    found = await open_audit().verify("acme")
    assert not found.is_valid
    assert found.first_bad_seq == first_bad_seq
    assert found.reason


@SQLITE_ONLY
@pytest.mark.parametrize("tamper", [rewrite, truncate, truncate_with_head, append_unsealed, remove_head])
async def test_going_on_after_tampering_does_not_heal_the_chain(
    store: Store, audit: AuditLog, open_audit: Open, tamper: Callable[[Connection], None]
) -> None:
    await fill(audit)
    await store.write(tamper)
    later = open_audit()
    await fill(later, 2)
    assert not (await later.verify("acme")).is_valid
    await later.close()


async def test_an_untouched_chain_is_valid_and_says_where_it_ends(audit: AuditLog, store: Store) -> None:
    await fill(audit)
    found = await audit.verify("acme")
    last = (await store.read(lambda c: read_records(c, "acme", after_seq=4, limit=1)))[0]
    assert (found.is_valid, found.checked, found.head_seq, found.reason) == (True, 5, 5, "")
    assert found.head_hash == last.hash.hex()


async def test_a_chain_without_records_is_valid(audit: AuditLog) -> None:
    found = await audit.verify("nobody")
    assert (found.is_valid, found.checked) == (True, 0)


async def roll_back(store: Store, log: AuditLog) -> None:
    """Put records and head back to an earlier state that was once real."""
    await fill(log, 3)
    earlier = await store.read(lambda c: read_head(c, "acme"))
    await fill(log, 2)

    def work(connection: Connection) -> None:
        assert earlier is not None
        truncate(connection)
        update_head(connection, "acme", *earlier)

    await store.write(work)


async def test_the_process_that_wrote_records_misses_them_after_a_rollback(store: Store, audit: AuditLog) -> None:
    await roll_back(store, audit)
    assert (await audit.verify("acme")).reason == "The chain is shorter than it once was."
    await fill(audit, 4)
    assert not (await audit.verify("acme")).is_valid


async def test_a_noted_head_shows_a_rollback_to_any_process(store: Store, audit: AuditLog, open_audit: Open) -> None:
    await fill(audit, 2)
    noted = await audit.verify("acme")
    head = Head(noted.head_seq, bytes.fromhex(noted.head_hash))
    assert (await open_audit().verify("acme", noted=head)).is_valid
    await store.write(remove_everything)
    later = open_audit()
    await fill(later, 2)
    assert (await later.verify("acme")).is_valid  # on its own it cannot know
    assert (await later.verify("acme", noted=head)).first_bad_seq == 2
    await later.close()


def remove_everything(connection: Connection) -> None:
    connection.execute(delete(audit_heads))
    connection.execute(delete(audit))


async def test_shredding_a_tenants_key_leaves_a_chain_that_verifies(audit: AuditLog, keys: Keys) -> None:
    await fill(audit)
    keys.shred("acme")
    assert (await audit.verify("acme")).is_valid
    assert [entry.record for entry in await audit.read("acme")] == [None] * 5


async def test_late_records_of_a_shredded_tenant_go_to_the_platforms_chain(audit: AuditLog, keys: Keys) -> None:
    keys.shred("acme")
    await audit.record(make_record(), wait=True)
    (entry,) = await audit.read("")
    assert entry.record == make_record()


async def test_records_come_back_as_they_were_and_each_tenant_has_its_own_chain(audit: AuditLog) -> None:
    await fill(audit, 2)
    await audit.record(make_record("", subject="", code="UNAUTHENTICATED", decision="refused"), wait=True)
    assert [entry.record and entry.record.request_id for entry in await audit.read("acme")] == ["req_1", "req_2"]
    (entry,) = await audit.read("")
    assert (entry.seq, entry.record) == (1, make_record("", subject="", code="UNAUTHENTICATED", decision="refused"))
    assert await audit.read("acme", after_seq=2) == []


async def test_stored_bytes_hold_nothing_readable(audit: AuditLog, store: Store) -> None:
    await fill(audit, 1)
    (row,) = await store.read(lambda c: read_records(c, "acme", after_seq=0, limit=1))
    assert b"alice" not in row.record
    assert b"execute_query" not in row.record


def test_digests_are_keyed_by_tenant(open_audit: Open) -> None:
    log = open_audit()
    assert log.digest("acme", b"data") == open_audit().digest("acme", b"data")
    assert log.digest("acme", b"data") != log.digest("other", b"data")
    assert log.digest("acme", b"data") != log.digest("acme", b"date")


async def test_a_long_chain_is_verified_in_chunks(store: Store, audit: AuditLog) -> None:
    await fill(audit, 4_500)
    assert (await audit.verify("acme")).checked == 4_500
    await store.write(edit_at(4_100))
    assert (await audit.verify("acme")).first_bad_seq == 4_100


def edit_at(seq: int) -> Callable[[Connection], None]:
    def work(connection: Connection) -> None:
        connection.execute(update(audit).where(OURS, audit.c.seq == seq).values(record=b"x"))

    return work
