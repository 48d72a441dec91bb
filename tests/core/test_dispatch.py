"""The gate: its order, its refusals, and the record that it leaves of every call."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import pytest
from pydantic import BaseModel

from core.context import Context, Emit, JobRun, Principal
from core.dispatch import Call, Dispatcher, Ports
from core.errors import (
    Cancelled,
    Conflict,
    Internal,
    InvalidArgument,
    NotFound,
    PlatformError,
    RateLimited,
    Timeout,
    Unauthenticated,
    Unauthorized,
    Unavailable,
)
from core.jobs import Job
from core.ports import AuditRecord
from core.registry import Registry
from core.tool import Empty, Tool, tool
from tests.fakes.gate import PRINCIPALS
from tests.fakes.sample_tools import ConnectionRequest, Count, Counted

Ctx = Context[Any]
ADMIN, VIEWER = PRINCIPALS["admin-token"], PRINCIPALS["viewer-token"]
NEW_YEAR = "2026-01-01T00:00:00Z"
JOB = {"tool": "start_count", "owner": "ada", "created_at": NEW_YEAR, "updated_at": NEW_YEAR}


@tool("POST /counts", needs="catalog.manage", effect="write")
async def make_count(ctx: Ctx, request: Count) -> Counted:
    """Count something at once."""
    ctx.engine.append("ran")
    return Counted(total=request.to)


@tool("GET /counts/{connection_id}", needs="catalog.read", effect="read")
async def read_count(ctx: Ctx, request: ConnectionRequest) -> Counted:
    """Count what a connection has."""
    ctx.note("table:shop.orders")
    return Counted(total=1)


@tool("POST /counts/start", needs="catalog.manage", effect="write", job=True)
async def start_count(ctx: Ctx, request: Count) -> Counted:
    """Count in a worker."""
    return Counted(total=request.to)


@tool("POST /counts/through", needs="catalog.read", effect="read", delegates=True)
async def count_through(ctx: Ctx, request: Count) -> Counted:
    """Count by calling another tool."""
    result = await ctx.call("make_count", {"to": request.to})
    assert isinstance(result, Counted)
    return result


@tool("POST /counts/slow", needs="catalog.read", effect="read")
async def count_slowly(ctx: Ctx, request: Empty) -> Empty:
    """Count for ever."""
    ctx.engine.append(ctx.cancelled)
    await asyncio.sleep(30)
    return Empty()


@tool("POST /counts/wrong", needs="catalog.read", effect="read")
async def count_wrongly(ctx: Ctx, request: Empty) -> Empty:
    """Answer with another model."""
    return Counted(total=1)  # type: ignore[return-value]


@tool("POST /counts/crash", needs="catalog.read", effect="read")
async def count_badly(ctx: Ctx, request: Empty) -> Empty:
    """Crash with a secret in the message."""
    raise RuntimeError("password=hunter2")


@dataclass
class Desk:
    """Every port, noting the order in which the gate asks them; `refuse` names the one that says no."""

    asked: list[str] = field(default_factory=list)
    records: list[AuditRecord] = field(default_factory=list)
    waited: list[bool] = field(default_factory=list)
    refuse: dict[str, PlatformError] = field(default_factory=dict)
    kept: dict[str, str] = field(default_factory=dict)
    job: Job = field(default_factory=lambda: Job.model_validate({"job_id": "j1", "status": "running", **JOB}))

    def _ask(self, port: str) -> None:
        self.asked.append(port)
        if port in self.refuse:
            raise self.refuse[port]

    async def verify(self, token: str, face: str) -> Principal:
        self._ask("verify")
        return PRINCIPALS[token]

    async def take(self, principal: Principal, tool: Tool) -> None:
        self._ask("limits")

    async def begin(self, principal: Principal, tool: str, key: str, argument_digest: str) -> str | None:
        self._ask("idempotency")
        return self.kept.get(key)

    async def finish(self, principal: Principal, tool: str, key: str, result_json: str | None) -> None:
        if result_json is not None:
            self.kept[key] = result_json

    async def submit(self, principal: Principal, tool: str, request_json: str, **more: Any) -> Job:
        self._ask("job")
        return self.job

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        return self.job

    def digest(self, tenant: str, data: bytes) -> str:
        return f"{tenant}:{data.decode()}"

    async def record(self, record: AuditRecord, *, wait: bool) -> None:
        self.asked.append("audit")
        self.records.append(record)
        self.waited.append(wait)


@dataclass
class Port:
    """One of the ports whose method is `check`."""

    desk: Desk
    name: str

    async def check(self, *asked: Any, **more: Any) -> Any:
        self.desk._ask(self.name)
        return False


@pytest.fixture
def desk() -> Desk:
    return Desk()


@pytest.fixture
def runs() -> list[Any]:
    return []


@pytest.fixture
def gate(desk: Desk, runs: list[Any]) -> Dispatcher[list[Any]]:
    visibility, approvals = Port(desk, "visibility"), Port(desk, "approvals")
    ports = Ports(desk.verify, desk, visibility, approvals, desk, desk, desk)
    return Dispatcher(Registry.walk([__name__]), runs, ports, timeout_s=1.0)


def call(name: str, arguments: Mapping[str, Any] | None = None, **more: Any) -> Call:
    return Call(name, arguments or {}, "test", "req_1", **{"token": "admin-token", **more})


async def test_the_gate_asks_in_its_order(gate: Dispatcher[Any], desk: Desk, runs: list[Any]) -> None:
    await gate.call(call("make_count", {"to": 3}, idempotency_key="k"))
    assert desk.asked == ["verify", "limits", "approvals", "idempotency", "audit"]
    assert runs == ["ran"]


async def test_an_object_is_looked_at_before_an_approval_is_asked(gate: Dispatcher[Any], desk: Desk) -> None:
    await gate.call(call("read_count", {"connection_id": "c"}))
    assert desk.asked == ["verify", "limits", "visibility", "approvals", "audit"]


@pytest.mark.parametrize("port", ["verify", "limits", "approvals", "idempotency"])
async def test_a_port_that_says_no_ends_the_call(gate: Dispatcher[Any], desk: Desk, runs: list[Any], port: str) -> None:
    desk.refuse[port] = Conflict("no")
    with pytest.raises(Conflict):
        await gate.call(call("make_count", idempotency_key="k"))
    assert runs == []
    assert desk.asked[-2:] == [port, "audit"]


async def test_an_over_limit_caller_learns_nothing_of_permissions(gate: Dispatcher[Any], desk: Desk) -> None:
    desk.refuse["limits"] = RateLimited(retry_after_s=3)
    with pytest.raises(RateLimited):
        await gate.call(call("make_count", token="viewer-token"))


async def test_a_missing_permission_is_unauthorized(gate: Dispatcher[Any], desk: Desk) -> None:
    with pytest.raises(Unauthorized, match=r"catalog\.manage"):
        await gate.call(call("make_count", token="viewer-token"))
    assert desk.records[0].decision == "refused"


async def test_no_token_is_unauthenticated_even_for_an_unknown_tool(gate: Dispatcher[Any]) -> None:
    with pytest.raises(Unauthenticated):
        await gate.call(call("no_such_tool", token=None))


async def test_an_unknown_tool_does_not_exist(gate: Dispatcher[Any], desk: Desk) -> None:
    with pytest.raises(NotFound):
        await gate.call(call("no_such_tool"))
    assert (desk.records[0].tool, desk.records[0].code) == ("unknown", "NOT_FOUND")


async def test_a_wrong_argument_is_named_without_its_value(gate: Dispatcher[Any]) -> None:
    with pytest.raises(InvalidArgument) as caught:
        await gate.call(call("make_count", {"to": "hunter2"}))
    assert "to:" in caught.value.message
    assert "hunter2" not in caught.value.message + caught.value.hint


async def test_an_effect_waits_for_its_record_and_a_read_does_not(gate: Dispatcher[Any], desk: Desk) -> None:
    await gate.call(call("make_count"))
    await gate.call(call("read_count", {"connection_id": "c"}))
    assert desk.waited == [True, False]


async def test_the_record_says_who_what_and_which_without_arguments(gate: Dispatcher[Any], desk: Desk) -> None:
    await gate.call(call("read_count", {"connection_id": "c"}))
    record = desk.records[0]
    assert (record.subject, record.tenant, record.tool, record.face) == ("ada", "acme", "read_count", "test")
    assert record.resources == ("connection:c", "table:shop.orders")
    assert record.argument_digest == 'acme:{"connection_id":"c"}'


async def test_a_crash_is_internal_and_keeps_its_secret(
    gate: Dispatcher[Any], desk: Desk, caplog: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(Internal) as caught:
        await gate.call(call("count_badly"))
    assert "hunter2" not in str(caught.value) + caplog.text
    assert "req_1" in caplog.text
    assert (desk.records[0].decision, desk.records[0].code) == ("failed", "INTERNAL")


async def test_a_result_of_another_model_is_a_defect(gate: Dispatcher[Any]) -> None:
    with pytest.raises(Internal):
        await gate.call(call("count_wrongly"))


async def test_a_slow_tool_is_stopped_at_its_deadline(gate: Dispatcher[Any], desk: Desk, runs: list[Any]) -> None:
    with pytest.raises(Timeout):
        await gate.call(call("count_slowly", timeout_s=0.05))
    assert bool(runs[0]) is True
    assert desk.records[0].code == "TIMEOUT"


async def test_a_caller_that_goes_away_cancels_the_call(gate: Dispatcher[Any], desk: Desk, runs: list[Any]) -> None:
    task = asyncio.create_task(gate.call(call("count_slowly")))
    while not runs:
        await asyncio.sleep(0)
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        await task
    assert bool(runs[0]) is True
    assert desk.records[0].code == "CANCELLED"


async def test_the_same_key_runs_once(gate: Dispatcher[Any], runs: list[Any]) -> None:
    first = await gate.call(call("make_count", {"to": 5}, idempotency_key="k"))
    second = await gate.call(call("make_count", {"to": 5}, idempotency_key="k"))
    assert first == second
    assert runs == ["ran"]


async def test_a_nested_call_passes_the_gate_again(gate: Dispatcher[Any], desk: Desk) -> None:
    with pytest.raises(Unauthorized):
        await gate.call(call("count_through", token="viewer-token"))
    assert [record.tool for record in desk.records] == ["make_count", "count_through"]


async def test_a_delegating_tool_is_limited_by_what_it_calls(gate: Dispatcher[Any], desk: Desk) -> None:
    await gate.call(call("count_through", {"to": 2}))
    assert desk.asked.count("limits") == 1


async def test_a_job_that_takes_long_is_answered_with_itself(gate: Dispatcher[Any], desk: Desk) -> None:
    answer = await gate.call(call("start_count", wait_s=0))
    assert isinstance(answer, Job)
    assert desk.records[0].job_id == "j1"


def _ended(status: str, **more: Any) -> Job:
    return Job.model_validate({"job_id": "j1", "status": status, **JOB, **more})


async def test_a_job_that_ends_in_time_is_answered_with_its_result(gate: Dispatcher[Any], desk: Desk) -> None:
    desk.job = _ended("succeeded", result={"total": 9})
    assert await gate.call(call("start_count")) == Counted(total=9)


async def test_a_failed_job_raises_its_error(gate: Dispatcher[Any], desk: Desk) -> None:
    desk.job = _ended("failed", error={"code": "UNAVAILABLE", "message": "The source is down."})
    with pytest.raises(Unavailable, match="The source is down"):
        await gate.call(call("start_count"))


async def test_a_cancelled_job_is_cancelled(gate: Dispatcher[Any], desk: Desk) -> None:
    desk.job = _ended("cancelled")
    with pytest.raises(Cancelled):
        await gate.call(call("start_count"))


async def test_the_list_of_tools_holds_what_may_be_called(gate: Dispatcher[Any]) -> None:
    assert "make_count" in {tool.name for tool in gate.tools_for(ADMIN)}
    assert "make_count" not in {tool.name for tool in gate.tools_for(VIEWER)}
    assert gate.tools_for(Principal("", "")) == []


async def test_a_face_may_ask_the_person_first(gate: Dispatcher[Any], runs: list[Any]) -> None:
    class NobodyAgreed:
        async def check(
            self,
            principal: Principal,
            tool: Tool,
            request: BaseModel,
            argument_digest: str,
            *,
            job: JobRun | None = None,
        ) -> bool:
            raise Unauthorized("Nobody agreed.")

    with pytest.raises(Unauthorized, match="Nobody agreed"):
        await gate.call(call("count_through", confirm=NobodyAgreed()))
    assert runs == []
