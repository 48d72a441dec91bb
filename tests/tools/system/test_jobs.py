"""Jobs through the gate: submitted, watched, cancelled; whose they are; what is refused."""

import asyncio
import json
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from pydantic import BaseModel

from core.context import Cancellation, Emit, JobRun, Principal
from core.dispatch import Call, Dispatcher
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from core.jobs import Job
from core.pages import PageSigner
from core.registry import Registry
from engine.jobs.leases import Claim
from engine.jobs.queue import JobQueue
from engine.schedules.schedules import Schedules
from engine.store.db import Store
from engine.visibility.objects import ObjectVisibility
from tests.fakes.gate import sample_dispatcher
from tests.fixtures_jobs import working
from tests.fixtures_store import new_sqlite

ADA = Principal("ada", "acme", permissions=frozenset({"catalog.read", "catalog.manage"}))
CY = Principal("cy", "acme", permissions=frozenset({"catalog.read"}))
AUDITOR = Principal("audrey", "acme", permissions=frozenset({"jobs.read"}))
ROOT = Principal("root", "acme", permissions=frozenset({"jobs.read", "tenant.manage"}))
EVE = Principal("ada", "evil", permissions=ROOT.permissions | ADA.permissions)
STRANGERS = [CY, EVE]


@dataclass
class Desk:
    """The gate with a real queue; `parts` holds what was emitted."""

    dispatcher: Dispatcher[Any]
    queue: JobQueue
    parts: list[BaseModel]

    async def call(self, name: str, by: Principal = ADA, /, *, wait_s: float | None = None, **arguments: Any) -> Any:
        async def emit(part: BaseModel) -> None:
            self.parts.append(part)

        call = Call(name, arguments, face="test", request_id="r1", principal=by, wait_s=wait_s, emit=emit)
        return await self.dispatcher.call(call)

    async def run(self, claim: Claim, job: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        """What the wiring gives to a worker, with the rights of the submitter."""
        call = Call(
            tool=claim.tool,
            arguments=json.loads(claim.request),
            face="job",
            request_id=claim.request_id,
            principal=claim.principal,
            emit=emit,
            cancelled=cancelled,
            job=job,
        )
        return (await self.dispatcher.call(call)).model_dump_json()

    async def submit(self, by: Principal = ADA) -> str:
        job = await self.call("rebuild_things", by, wait_s=0, to=2)
        assert isinstance(job, Job)
        return job.job_id


@pytest.fixture
async def jobs_desk(tmp_path: Path) -> AsyncIterator[Desk]:
    store = Store(new_sqlite(tmp_path))
    registry = Registry.walk(["tools.system.jobs", "tools.system.schedules", "tests.fakes.sample_tools"])
    queue = JobQueue(store, part_of=lambda name: registry.get(name).emits)
    schedules = Schedules(store)
    visible = ObjectVisibility({"job": queue.get, "schedule": schedules.get})
    sample, _ = sample_dispatcher()
    ports = replace(sample._ports, jobs=queue, visibility=visible)
    engine = SimpleNamespace(jobs=queue, schedules=schedules, pages=PageSigner(b"p" * 32))
    yield Desk(Dispatcher(registry, engine, ports, timeout_s=2.0), queue, [])
    store.close()


async def test_a_job_that_ends_in_time_answers_like_a_plain_call(jobs_desk: Desk) -> None:
    async with working(jobs_desk.queue, jobs_desk.run):
        assert (await jobs_desk.call("rebuild_things", to=3)).total == 3
    assert [part.done for part in jobs_desk.parts] == [1, 2, 3]  # type: ignore[attr-defined]


async def test_a_job_shows_its_result_and_its_log(jobs_desk: Desk) -> None:
    job_id = await jobs_desk.submit()
    async with working(jobs_desk.queue, jobs_desk.run):
        watched = await jobs_desk.call("watch_job", job_id=job_id)
    assert (watched.job.status, watched.job.result) == ("succeeded", {"total": 2})
    kinds = [part.event.kind for part in jobs_desk.parts]  # type: ignore[attr-defined]
    assert kinds == ["status", "status", "progress", "progress", "status"]
    assert await jobs_desk.call("get_job", job_id=job_id) == watched.job


async def test_watching_goes_on_after_a_cursor(jobs_desk: Desk) -> None:
    job_id = await jobs_desk.submit()
    async with working(jobs_desk.queue, jobs_desk.run):
        await jobs_desk.call("watch_job", job_id=job_id)
    jobs_desk.parts.clear()
    await jobs_desk.call("watch_job", job_id=job_id, after=3)
    assert [part.event.seq for part in jobs_desk.parts] == [4, 5]  # type: ignore[attr-defined]


async def test_watching_a_waiting_job_ends_before_the_calls_deadline(jobs_desk: Desk) -> None:
    job_id = await jobs_desk.submit()
    assert (await jobs_desk.call("watch_job", job_id=job_id)).job.status == "pending"


async def test_a_waiting_job_is_cancelled(jobs_desk: Desk) -> None:
    job_id = await jobs_desk.submit()
    assert (await jobs_desk.call("cancel_job", job_id=job_id)).status == "cancelled"


@pytest.mark.parametrize("stranger", STRANGERS)
@pytest.mark.parametrize("tool", ["get_job", "cancel_job", "watch_job"])
async def test_somebody_elses_job_does_not_exist(jobs_desk: Desk, tool: str, stranger: Principal) -> None:
    job_id = await jobs_desk.submit()
    with pytest.raises(NotFound):
        await jobs_desk.call(tool, stranger, job_id=job_id)
    assert (await jobs_desk.call("list_jobs", stranger)).total_count == 0


async def test_an_auditor_reads_every_job_and_cancels_none(jobs_desk: Desk) -> None:
    job_id = await jobs_desk.submit()
    assert (await jobs_desk.call("get_job", AUDITOR, job_id=job_id)).owner == "ada"
    with pytest.raises(Unauthorized):
        await jobs_desk.call("cancel_job", AUDITOR, job_id=job_id)
    assert (await jobs_desk.call("cancel_job", ROOT, job_id=job_id)).status == "cancelled"


async def test_jobs_are_listed_by_pages_and_filters(jobs_desk: Desk) -> None:
    ids = [await jobs_desk.submit() for _ in range(3)]
    first = await jobs_desk.call("list_jobs", page_size=2)
    second = await jobs_desk.call("list_jobs", page_size=2, page_token=first.next_page_token)
    assert sorted(job.job_id for page in (first, second) for job in page.jobs) == sorted(ids)
    assert (first.total_count, second.next_page_token, first.items) == (3, None, first.jobs)
    assert (await jobs_desk.call("list_jobs", status="failed")).jobs == []
    with pytest.raises(InvalidArgument):
        await jobs_desk.call("list_jobs", status="lost")


async def test_rights_lost_after_submitting_fail_the_job(jobs_desk: Desk) -> None:
    async def run(claim: Claim, job: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        poorer = replace(claim, principal=replace(claim.principal, permissions=frozenset()))
        return await jobs_desk.run(poorer, job, emit, cancelled)

    job_id = await jobs_desk.submit()
    async with working(jobs_desk.queue, run):
        watched = await jobs_desk.call("watch_job", job_id=job_id)
    assert watched.job.status == "failed" and watched.job.error.code == "UNAUTHORIZED"
    with pytest.raises(Unauthorized):
        await jobs_desk.call("rebuild_things", CY, to=1)


async def test_a_caller_that_goes_away_leaves_its_job_running(jobs_desk: Desk) -> None:
    calling = asyncio.create_task(jobs_desk.call("rebuild_things", wait_s=5, to=1))
    while (await jobs_desk.call("list_jobs")).total_count == 0:
        await asyncio.sleep(0.01)
    calling.cancel()
    await asyncio.wait({calling})
    async with working(jobs_desk.queue, jobs_desk.run):
        (job,) = (await jobs_desk.call("list_jobs")).jobs
        assert (await jobs_desk.call("watch_job", job_id=job.job_id)).job.status == "succeeded"


SCHEDULE: dict[str, Any] = {"name": "nightly", "tool": "rebuild_things", "arguments": {"to": 2}, "cron": "@daily"}


async def test_a_schedule_is_made_listed_and_deleted(jobs_desk: Desk) -> None:
    made = await jobs_desk.call("create_schedule", **SCHEDULE, time_zone="Europe/Berlin", schedule_id="nightly-1")
    assert (made.schedule_id, made.owner, made.arguments, made.last_error) == ("nightly-1", "ada", {"to": 2}, None)
    listed = await jobs_desk.call("list_schedules")
    assert (listed.schedules, listed.items, listed.total_count) == ([made], [made], 1)
    await jobs_desk.call("delete_schedule", schedule_id="nightly-1")
    assert (await jobs_desk.call("list_schedules")).schedules == []


@pytest.mark.parametrize("stranger", STRANGERS)
async def test_somebody_elses_schedule_does_not_exist(jobs_desk: Desk, stranger: Principal) -> None:
    made = await jobs_desk.call("create_schedule", **SCHEDULE)
    with pytest.raises(NotFound):
        await jobs_desk.call("delete_schedule", stranger, schedule_id=made.schedule_id)
    assert (await jobs_desk.call("list_schedules", stranger)).schedules == []


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"tool": "count_things"}, Conflict),
        ({"tool": "no_such_tool"}, NotFound),
        ({"arguments": {"to": -1}}, Conflict),
        ({"arguments": {"too": 1}}, Conflict),
        ({"cron": "now and then"}, InvalidArgument),
        ({"cron": "61 * * * *"}, Conflict),
        ({"cron": "0 0 30 2 *"}, Conflict),
        ({"cron": "@sometimes"}, Conflict),
        ({"time_zone": "Mars"}, Conflict),
        ({"schedule_id": "a b"}, InvalidArgument),
    ],
)
async def test_a_schedule_that_could_not_run_is_refused(
    jobs_desk: Desk, change: dict[str, Any], error: type[Exception]
) -> None:
    with pytest.raises(error):
        await jobs_desk.call("create_schedule", **(SCHEDULE | change))


async def test_a_tool_without_the_permission_cannot_be_scheduled(jobs_desk: Desk) -> None:
    with pytest.raises(NotFound):
        await jobs_desk.call("create_schedule", CY, **SCHEDULE)
