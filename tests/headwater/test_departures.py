"""A deactivated user is out within two seconds: streams, jobs, schedules, results and links, in another process too."""

import asyncio
import time
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import PlatformError, Unauthenticated
from core.pages import Window
from headwater.build import Platform, build, make_ticker
from headwater.faces import rest_face
from tests.faces.world import load_shop, settings_of

ENDLESS = "SELECT count(*) AS n FROM " + ", ".join(f"shop.orders o{number}" for number in range(24))
"""A product of 4^24 rows."""


@pytest.fixture
async def two(tmp_path: Path) -> AsyncIterator[tuple[Platform, Platform]]:
    """Two serving processes' platforms over one store; the second runs jobs."""
    here = await build(settings_of(tmp_path / "home"))
    there = await build(settings_of(tmp_path / "home"))
    await asyncio.to_thread(load_shop, there)
    await here.engine.identity.directory.create_user("default", user_id="ann", roles=["lead_data_engineer"])
    await there.start_workers(2)
    yield here, there
    await here.close()
    await there.close()


async def answer(platform: Platform, token: str, name: str, /, **arguments: Any) -> Any:
    return await platform.dispatcher.call(Call(name, arguments, "test", "r1", token=token))


async def outcome(started: "asyncio.Task[Any]") -> str:
    try:
        await asyncio.wait_for(started, 5)
    except PlatformError as error:
        return error.code
    return "OK"


@pytest.mark.slow
async def test_everything_of_a_deactivated_user_stops(two: tuple[Platform, Platform]) -> None:
    here, there = two
    ann = await there.engine.identity.mint(subject="ann")
    admin = await here.engine.identity.principal_of("default", "admin", "user")
    kept = await answer(there, ann, "execute_query", sql="SELECT region FROM shop.orders")
    job = await answer(there, ann, "run_query", query_text=ENDLESS, connection_id="lakehouse")
    await answer(there, ann, "create_schedule", name="x", tool="refresh_schema", cron="0 3 * * *", arguments={})
    query = asyncio.create_task(answer(there, ann, "execute_query", sql=ENDLESS))
    watch = asyncio.create_task(answer(there, ann, "watch_job", job_id=job.job_id))
    streamed = asyncio.create_task(stream_of(there, ann))
    await asyncio.sleep(0.8)
    assert not (query.done() or watch.done() or streamed.done())

    started = time.monotonic()
    gone = Call("deactivate_user", {"user_id": "ann"}, "test", "r1", principal=admin)
    await here.dispatcher.call(gone)
    assert await outcome(query) == "UNAUTHENTICATED"
    assert await outcome(watch) == "UNAUTHENTICATED"
    assert "UNAUTHENTICATED" in await asyncio.wait_for(streamed, 5)
    assert await ending(there, job.job_id) == "failed"
    assert time.monotonic() - started < 2.0

    for platform in (here, there):
        for tool, arguments in {"get_result": {"query_id": kept.metadata.query_id}, "list_tables": {}}.items():
            with pytest.raises(Unauthenticated):
                await answer(platform, ann, tool, **arguments)
    await no_tick_of(there, "ann")


async def stream_of(platform: Platform, token: str) -> str:
    """What a browser reads of an endless stream."""
    transport = httpx.ASGITransport(rest_face(platform))
    headers = {"authorization": f"Bearer {token}", "accept": "text/event-stream"}
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as client:
        found = await client.post("/v1/query/stream", json={"sql": ENDLESS}, timeout=10)
        return found.text


async def ending(platform: Platform, job_id: str) -> str:
    """The status with which a job ends."""
    root = Principal("admin", "default", permissions=frozenset({"jobs.read"}))
    while True:
        job = await platform.engine.jobs.get(root, job_id)
        if job.is_done:
            assert job.error is not None and job.error.code in ("UNAUTHENTICATED", "UNAUTHORIZED"), job.error
            return job.status
        await asyncio.sleep(0.05)


async def no_tick_of(platform: Platform, owner: str) -> None:
    """Whether the schedules of somebody who is gone start nothing."""
    engine = platform.engine
    schedule = (await engine.schedules.page(Principal(owner, "default"), Window(0, 10)))[0][0]
    with pytest.raises(PlatformError) as refused:
        await make_ticker(platform)._fire(schedule, "key")
    assert refused.value.code == "UNAUTHORIZED"
