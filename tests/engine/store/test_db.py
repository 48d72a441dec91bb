"""One behaviour on both databases: transactions, retries, concurrent writers, a store that is gone."""

import asyncio
import threading
from pathlib import Path

import pytest
from sqlalchemy import Connection, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError

from core.errors import Unavailable
from engine.store import db
from engine.store.db import Store
from engine.store.tables import buckets, job_events, jobs
from tests.fixtures_postgres import PostgresServer

BUCKET = {"bucket": "b", "tenant_id": "acme", "level": 0.0, "updated_at": 0.0}


def add(connection: Connection) -> None:
    connection.execute(insert(buckets).values(BUCKET))


def raise_level(connection: Connection) -> float:
    grown = update(buckets).values(level=buckets.c.level + 1).returning(buckets.c.level)
    return float(connection.execute(grown).scalar_one())


def level(connection: Connection) -> float:
    return float(connection.execute(select(buckets.c.level)).scalar_one())


def count(connection: Connection) -> int:
    return int(connection.execute(select(func.count()).select_from(buckets)).scalar_one())


async def test_a_write_is_there_for_the_next_read(store: Store) -> None:
    await store.write(add)
    assert await store.read(count) == 1


async def test_a_failing_write_leaves_nothing_behind(store: Store) -> None:
    def fail(connection: Connection) -> None:
        add(connection)
        raise ValueError("no")

    with pytest.raises(ValueError, match="no"):
        await store.write(fail)
    assert await store.read(count) == 0


async def test_a_read_cannot_leave_a_change_behind(store: Store) -> None:
    await store.read(add)
    assert await store.read(count) == 0


async def test_a_broken_constraint_is_not_taken_for_an_outage(store: Store) -> None:
    await store.write(add)
    with pytest.raises(IntegrityError):
        await store.write(add)


async def test_a_statement_that_is_wrong_is_not_taken_for_an_outage(store: Store) -> None:
    with pytest.raises(DBAPIError):
        await store.read(lambda connection: connection.execute(text("SELECT * FROM missing")))


async def test_rows_need_their_parent_and_go_with_it(store: Store) -> None:
    orphan = {"tenant_id": "acme", "job_id": "j", "seq": 1, "at": 0.0, "kind": "status", "data": "{}"}
    with pytest.raises(IntegrityError):
        await store.write(lambda connection: connection.execute(insert(job_events).values(orphan)))


async def test_concurrent_writers_lose_no_update(store: Store, store_url: str) -> None:
    other = Store(store_url, pool_size=4)
    await store.write(add)
    await asyncio.gather(*(each.write(raise_level) for each in (store, other) for _ in range(25)))
    assert await store.read(level) == 50
    other.close()


async def test_readers_are_not_held_up_by_a_writer(store: Store) -> None:
    await store.write(add)
    inside, release = threading.Event(), threading.Event()

    def hold(connection: Connection) -> None:
        raise_level(connection)
        inside.set()
        release.wait(5)

    writing = asyncio.create_task(store.write(hold))
    await asyncio.to_thread(inside.wait, 5)
    assert await store.read(level) == 0
    release.set()
    await writing


async def test_a_read_sees_one_moment_throughout_on_sqlite(tmp_path: Path) -> None:
    store = Store(db.sqlite_url(tmp_path))
    make_tables(store)
    await store.write(add)

    def twice(connection: Connection) -> tuple[float, float]:
        before = level(connection)
        store.write_now(raise_level)
        return before, level(connection)

    assert await store.read(twice) == (0, 0)
    store.close()


def make_tables(store: Store) -> None:
    jobs.metadata.create_all(store.engine)


@pytest.mark.postgres
async def test_a_deadlock_is_retried_until_both_writers_are_through(
    postgres: PostgresServer, postgres_url: str
) -> None:
    store = Store(postgres_url)
    make_tables(store)
    await store.write(lambda c: c.execute(insert(buckets), [BUCKET, {**BUCKET, "bucket": "a"}]))
    meeting, tries = threading.Barrier(2), []

    def cross(first: str, second: str) -> None:
        def work(connection: Connection) -> None:
            tries.append(first)
            connection.execute(text("SET LOCAL deadlock_timeout = '20ms'"))
            connection.execute(update(buckets).where(buckets.c.bucket == first).values(level=1))
            if tries.count(first) == 1:
                meeting.wait(5)
            connection.execute(update(buckets).where(buckets.c.bucket == second).values(level=2))

        store.write_now(work)

    await asyncio.gather(asyncio.to_thread(cross, "a", "b"), asyncio.to_thread(cross, "b", "a"))
    assert len(tries) == 3
    store.close()


@pytest.mark.postgres
async def test_a_server_that_is_gone_is_unavailable_and_comes_back(
    postgres: PostgresServer, postgres_database: str
) -> None:
    store = Store(postgres.url(postgres_database))
    make_tables(store)
    await store.write(add)
    postgres.cut_off(postgres_database)
    for attempt in (store.write(raise_level), store.read(level)):
        with pytest.raises(Unavailable):
            await attempt
    postgres.let_in(postgres_database)
    assert await store.write(raise_level) == 1
    store.close()


@pytest.mark.postgres
async def test_a_session_that_was_ended_is_replaced_unnoticed(postgres: PostgresServer, postgres_database: str) -> None:
    store = Store(postgres.url(postgres_database))
    make_tables(store)
    await store.write(add)
    postgres.cut_off(postgres_database)
    postgres.let_in(postgres_database)
    assert await store.write(raise_level) == 1
    store.close()


def test_a_sqlite_file_that_stays_locked_is_unavailable(tmp_path: Path) -> None:
    store, other = Store(db.sqlite_url(tmp_path)), Store(db.sqlite_url(tmp_path), lock_wait_s=0.05)
    make_tables(store)

    def hold(connection: Connection) -> None:
        with pytest.raises(Unavailable):
            other.write_now(add)

    store.write_now(hold)
    store.close()
    other.close()


async def test_work_beyond_the_pool_waits_and_is_done(tmp_path: Path) -> None:
    store = Store(db.sqlite_url(tmp_path), pool_size=2)
    make_tables(store)
    await store.write(add)
    await asyncio.gather(*(store.write(raise_level) for _ in range(50)), *(store.read(level) for _ in range(50)))
    assert await store.read(level) == 50
    store.close()
