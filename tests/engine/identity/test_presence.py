"""Whoever is gone stops within two seconds, also what is under way in another process."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.context import Principal
from core.errors import Unauthenticated, Unauthorized
from engine.identity.identity import Identity
from engine.store.db import Store
from tests.fixtures_store import new_sqlite
from tests.tools.admin.people_desk import process


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Identity, Identity]]:
    """Two processes' identities, each with its own connections to one store, by a real clock."""
    url = new_sqlite(tmp_path)
    stores = [Store(url), Store(url)]
    opened = [process(store, tmp_path) for store in stores]
    await opened[0].bootstrap()
    await opened[0].directory.create_user("default", user_id="ann", roles=["viewer"])
    yield opened[0], opened[1]
    for identity, store in zip(opened, stores, strict=True):
        identity.close()
        store.close()


async def streaming(identity: Identity, by: Principal, needs: str = "query.run") -> None:
    with identity.presence.stay(by, needs):
        await asyncio.sleep(30)


async def ended(task: "asyncio.Task[None]") -> float:
    """Seconds until a task ended."""
    started = time.monotonic()
    await asyncio.wait({task}, timeout=5)
    return time.monotonic() - started


async def test_what_runs_for_somebody_ends_in_every_process(two: tuple[Identity, Identity]) -> None:
    here, there = two
    admin = await here.principal_of("default", "admin", "user")
    token = await there.create_personal_token(by=await there.principal_of("default", "ann", "user"), name="laptop")
    by_token = await there.verify(token.token)
    ways = [by_token, await there.principal_of("default", "ann", "user")]
    tasks = [asyncio.create_task(streaming(there, by)) for by in ways]
    stays = asyncio.create_task(streaming(there, admin))
    await asyncio.sleep(0.5)
    await here.admin.people.set_active(admin, "ann", is_active=False)
    for task in tasks:
        assert await ended(task) < 2.0
        with pytest.raises(Unauthenticated, match="signed out"):
            await task
    assert not stays.done()
    stays.cancel()


async def test_a_revoked_token_and_a_lost_permission_end_what_runs(two: tuple[Identity, Identity]) -> None:
    here, there = two
    admin = await here.principal_of("default", "admin", "user")
    ann = await there.principal_of("default", "ann", "user")
    token = await there.create_personal_token(by=ann, name="laptop")
    by_token = asyncio.create_task(streaming(there, await there.verify(token.token)))
    by_role = asyncio.create_task(streaming(there, ann))
    await asyncio.sleep(0.3)
    await here.revoke_personal_token(token.info.token_id, by=ann)
    assert await ended(by_token) < 2.0
    with pytest.raises(Unauthenticated):
        await by_token
    assert not by_role.done()
    await here.admin.people.set_roles(admin, "ann", lambda held: ["auditor"])
    assert await ended(by_role) < 2.0
    with pytest.raises(Unauthorized, match=r"query\.run"):
        await by_role


async def test_work_inside_work_ends_as_one_and_others_cancellations_pass(two: tuple[Identity, Identity]) -> None:
    here, _ = two
    ann = await here.principal_of("default", "ann", "user")

    async def nested() -> None:
        with here.presence.stay(ann, ""):
            await streaming(here, ann)

    inner, cancelled = asyncio.create_task(nested()), asyncio.create_task(nested())
    await asyncio.sleep(0.3)
    cancelled.cancel()
    with pytest.raises(asyncio.CancelledError):
        await cancelled
    await here.directory.archive_tenant("default")
    assert await ended(inner) < 2.0
    with pytest.raises(Unauthenticated):
        await inner


async def test_nothing_watches_while_nothing_runs(two: tuple[Identity, Identity]) -> None:
    here, _ = two
    by = await here.principal_of("default", "ann", "user")
    with here.presence.stay(by, ""):
        pass
    await asyncio.sleep(0.5)
    assert here.presence._look_out is not None and here.presence._look_out.done()
