"""The whole platform, wired as `serve` wires it, on both stores: jobs, schedules, rights, audit."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.dispatch import Call
from core.errors import PlatformError, Unauthenticated, Unauthorized
from core.jobs import Job
from engine.store.tables import schedules
from headwater.build import Platform, build
from headwater.settings import read_settings
from tests.fixtures_store import empty_url

__all__ = ["empty_url"]


@pytest.fixture
async def platform(tmp_path: Path, empty_url: str) -> AsyncIterator[Platform]:
    url = "" if empty_url.startswith("sqlite") else empty_url
    built = await build(read_settings(tmp_path / "home", store={"url": url}, jobs={"lease_s": 2}))
    yield built
    await built.close()


async def call(platform: Platform, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> Any:
    more.setdefault("token", await platform.engine.identity.mint(role="admin"))
    return await platform.dispatcher.call(Call(tool, arguments or {}, "test", "req_1", form="json", **more))


async def refused(platform: Platform, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> str:
    with pytest.raises(PlatformError) as caught:
        await call(platform, tool, arguments, **more)
    return caught.value.code


async def test_a_job_runs_in_the_embedded_worker(platform: Platform) -> None:
    await platform.start_workers()
    refreshed = await call(platform, "refresh_schema", {"connection_id": "lakehouse"})
    assert refreshed.connection_id == "lakehouse"
    listed = await call(platform, "list_jobs")
    assert [(job.tool, job.status) for job in listed.jobs] == [("refresh_schema", "succeeded")]


async def test_a_job_without_a_worker_waits_and_can_be_cancelled(platform: Platform) -> None:
    job = await call(platform, "refresh_schema", {"connection_id": "lakehouse"}, wait_s=0)
    assert isinstance(job, Job)
    assert (await call(platform, "cancel_job", {"job_id": job.job_id})).status == "cancelled"


async def test_rights_are_read_again_when_a_job_starts(platform: Platform) -> None:
    directory = platform.engine.identity.directory
    await directory.create_user("default", user_id="leaver", roles=["admin"])
    token = await platform.engine.identity.mint(subject="leaver")
    job = await call(platform, "refresh_schema", {"connection_id": "lakehouse"}, wait_s=0, token=token)
    await directory.deactivate_user("default", "leaver")
    platform.engine.identity._rights._tenants.clear()  # as if the two seconds for which rights are remembered were over
    await platform.start_workers()
    for _ in range(100):
        found = await call(platform, "get_job", {"job_id": job.job_id})
        if found.is_done:
            break
        await asyncio.sleep(0.05)
    assert (found.status, found.error.code) == ("failed", Unauthorized.code)


async def test_a_schedule_that_is_due_becomes_one_job(platform: Platform) -> None:
    made = await call(
        platform,
        "create_schedule",
        {"name": "nightly", "tool": "refresh_schema", "arguments": {"connection_id": "lakehouse"}, "cron": "0 3 * * *"},
    )
    await platform.engine.store.write(lambda connection: connection.execute(schedules.update().values(next_at=1.0)))
    await platform.start_workers()
    for _ in range(100):
        listed = await call(platform, "list_jobs")
        if listed.jobs and listed.jobs[0].is_done:
            break
        await asyncio.sleep(0.05)
    assert [(job.tool, job.status) for job in listed.jobs] == [("refresh_schema", "succeeded")]
    assert (await call(platform, "list_schedules")).schedules[0].schedule_id == made.schedule_id


async def test_a_deactivated_user_is_out_within_two_seconds(platform: Platform) -> None:
    directory = platform.engine.identity.directory
    await directory.create_user("default", user_id="leaver", roles=["viewer"])
    token = await platform.engine.identity.mint(subject="leaver")
    await call(platform, "list_tables", token=token)
    await directory.deactivate_user("default", "leaver")
    await asyncio.sleep(2.1)
    assert await refused(platform, "list_tables", token=token) == Unauthenticated.code


async def test_a_free_tenant_stops_at_sixty_a_minute(platform: Platform) -> None:
    directory = platform.engine.identity.directory
    await directory.create_tenant("Small", tenant_id="small", tier="free")
    await directory.create_user("small", user_id="sam", roles=["viewer"])
    token = await platform.engine.identity.mint(subject="sam", tenant="small")
    passed = 0
    with pytest.raises(PlatformError) as caught:
        for _ in range(100):
            await call(platform, "list_connections", token=token)
            passed += 1
    assert (passed, caught.value.code) == (60, "RATE_LIMITED")
    assert caught.value.retry_after_s is not None
    assert 0 < caught.value.retry_after_s <= 61


async def test_what_was_done_is_in_an_audit_that_verifies(platform: Platform) -> None:
    assert await refused(platform, "list_tables", token="forged") == Unauthenticated.code
    await call(platform, "list_tables")
    assert (await call(platform, "verify_audit_log")).is_valid
    assert (await platform.engine.audit.verify("")).is_valid
    await platform.engine.audit.close()
    records = [entry.record for entry in await platform.engine.audit.read("default")]
    assert [record.tool for record in records if record] == ["list_tables", "verify_audit_log"]
    assert [entry.record.code for entry in await platform.engine.audit.read("") if entry.record] == ["UNAUTHENTICATED"]
