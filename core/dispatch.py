"""The one gate: the only way to run a tool, for faces, agents, jobs and tests alike.

Order: who is calling, limits, permission, validation, visibility, approval, idempotency, job,
deadline, run, result check; the audit is written in `finally`, whatever happened."""

import asyncio
import json
import logging
import time
import traceback
from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Any, Generic, TypeVar

from pydantic import BaseModel

from core.arguments import Form, read_arguments
from core.context import Caller, Cancellation, Context, Emit, JobRun, Principal, discard
from core.deadline import Deadline
from core.errors import (
    Cancelled,
    Internal,
    PlatformError,
    Timeout,
    Unauthenticated,
    Unauthorized,
    error_from,
)
from core.portable import Model, Rows
from core.ports import (
    Approvals,
    Audit,
    AuditRecord,
    Idempotency,
    Jobs,
    Limits,
    Stay,
    Verifier,
    Visibility,
    stay_for_good,
)
from core.registry import Registry
from core.tool import ANYONE, SIGNED_IN, Tool

EngineT = TypeVar("EngineT")
OtherT = TypeVar("OtherT")
log = logging.getLogger("headwater.dispatch")

DEFAULT_WAIT_S = 30.0


@dataclass(frozen=True, slots=True)
class Call:
    """One request as a face hands it in: a bearer `token` to verify, or an already known `principal`."""

    tool: str
    arguments: Mapping[str, Any]
    face: str
    request_id: str
    token: str | None = None
    at: str = ""  # the address that the token came to (`mcp/agents/x`), at a face that has several
    principal: Principal | None = None
    emit: Emit = discard
    timeout_s: float | None = None
    wait_s: float | None = None
    idempotency_key: str = ""
    cancelled: Cancellation = field(default_factory=Cancellation)
    job: JobRun | None = None
    form: Form = "typed"
    is_nested: bool = False
    traceparent: str = ""  # W3C trace context of the caller, where the face was given one
    confirm: Approvals | None = None  # asks the person behind the client; also before nested calls


@dataclass(frozen=True, slots=True)
class Ports:
    """The engine's side of the gate."""

    verify: Verifier
    limits: Limits
    visibility: Visibility
    approvals: Approvals
    idempotency: Idempotency
    jobs: Jobs
    audit: Audit
    stay: Stay = stay_for_good
    is_open: bool = False  # authentication is off: `verify` also knows who a caller without a token is


@dataclass(slots=True)
class _Trail:
    """What the audit will say about a call; filled in as the call passes the gate."""

    started: float
    tool: Tool | None = None
    principal: Principal | None = None
    argument_digest: str = ""
    result_digest: str = ""
    code: str = "INTERNAL"
    job_id: str = ""
    resources: list[str] = field(default_factory=list)


class Dispatcher(Generic[EngineT]):
    """Runs tools. Stateless beside its parts, so one instance serves every face of a process."""

    def __init__(
        self,
        registry: Registry,
        engine: EngineT,
        ports: Ports,
        *,
        timeout_s: float = 60.0,
        observe: Callable[[AuditRecord], None] = lambda record: None,
        scope: Callable[[Call], AbstractContextManager[None]] = lambda call: nullcontext(),
    ):
        self.registry = registry
        self._engine = engine
        self._ports = ports
        self._timeout_s = timeout_s
        self._observe = observe
        self._scope = scope

    def beside(self, registry: Registry, engine: OtherT, timeout_s: float = 0) -> "Dispatcher[OtherT]":
        """The same gate before the operations of another protocol, which work on an engine of their own."""
        limit_s = timeout_s or self._timeout_s
        return Dispatcher(registry, engine, self._ports, timeout_s=limit_s, observe=self._observe, scope=self._scope)

    async def authenticate(self, token: str | None, at: str = "") -> Principal:
        """The principal of a bearer token, at a face or one of its addresses. Raises Unauthenticated."""
        if not token and not self._ports.is_open:
            raise Unauthenticated("No token was sent.", hint="Send `Authorization: Bearer TOKEN`.")
        return await self._ports.verify(token or "", at)

    def stay(self, principal: Principal) -> AbstractContextManager[None]:
        """To be entered around what a face still does for a caller after the call: it ends when the caller is gone."""
        return self._ports.stay(principal, SIGNED_IN)

    def tools_for(self, principal: Principal) -> list[Tool]:
        """The tools that this principal may call: what is hidden here is refused there."""
        return [tool for tool in self.registry if is_permitted(tool, principal)]

    async def call(self, call: Call) -> BaseModel:
        """Run one call. Returns the tool's result, or a `Job` when a job outlasts `wait_s`.

        Raises only PlatformError (and asyncio.CancelledError when the caller goes away)."""
        with self._scope(call):
            return await self._recorded(call)

    async def _recorded(self, call: Call) -> BaseModel:
        trail = _Trail(started=time.perf_counter())
        try:
            result = await self._pass(call, trail)
            trail.code = "OK"
            return result
        except PlatformError as error:
            trail.code = error.code
            raise
        except asyncio.CancelledError:
            trail.code = Cancelled.code
            call.cancelled.set()
            raise
        except Exception as error:  # the one place where an unknown failure becomes INTERNAL
            log.error("%s failed in %s: %s", call.request_id, call.tool[:64], describe(error))
            raise Internal(hint="Report the request id; the details are in the server's log.") from error
        finally:
            await self._audit(call, trail)

    async def _pass(self, call: Call, trail: _Trail) -> BaseModel:
        principal, tool = await self._admit(call, trail)
        if principal is NOBODY:
            return await self._serve(call, principal, tool, trail)
        with self._ports.stay(principal, tool.needs):
            return await self._serve(call, principal, tool, trail)

    async def _serve(self, call: Call, principal: Principal, tool: Tool, trail: _Trail) -> BaseModel:
        request = read_arguments(tool, call.arguments, call.form)
        payload = request.model_dump_json()
        trail.argument_digest = self._ports.audit.digest(principal.tenant, _in_order(payload))
        await self._check_objects(principal, tool, request, trail)
        is_agreed = await self._ports.approvals.check(principal, tool, request, trail.argument_digest, job=call.job)
        if call.job is None:
            if call.confirm is not None and not is_agreed:
                await call.confirm.check(principal, tool, request, trail.argument_digest)
            if tool.job:
                return await self._submit(call, principal, tool, payload, trail)
        is_keyed = call.idempotency_key and tool.takes_key and call.job is None
        return await (self._run_once if is_keyed else self._run)(call, principal, tool, request, trail)

    async def _admit(self, call: Call, trail: _Trail) -> tuple[Principal, Tool]:
        if call.tool in self.registry:
            trail.tool = self.registry.get(call.tool)
        if call.principal is not None:
            principal = call.principal
        elif trail.tool is not None and trail.tool.needs == ANYONE:
            principal = NOBODY
        else:
            principal = await self.authenticate(call.token, call.at or call.face)
        trail.principal = principal
        tool = self.registry.get(call.tool)
        if call.job is None and not tool.delegates and principal is not NOBODY:
            await self._ports.limits.take(principal, tool)
        if not is_permitted(tool, principal):
            raise Unauthorized(
                f"{tool.name} needs the permission {tool.needs}.",
                hint="Ask an administrator for a role that has it.",
            )
        return principal, tool

    async def _check_objects(self, principal: Principal, tool: Tool, request: Model, trail: _Trail) -> None:
        for name, kind in tool.references.items():
            value = getattr(request, name)
            if value is not None:
                trail.resources.append(f"{kind}:{value}")
                await self._ports.visibility.check(principal, kind, value)

    async def _submit(self, call: Call, principal: Principal, tool: Tool, payload: str, trail: _Trail) -> BaseModel:
        jobs = self._ports.jobs
        job = await jobs.submit(
            principal, tool.name, payload, request_id=call.request_id, idempotency_key=call.idempotency_key
        )
        trail.job_id = job.job_id
        wait_s = DEFAULT_WAIT_S if call.wait_s is None else call.wait_s
        if wait_s > 0:
            job = await jobs.wait(principal, job.job_id, timeout_s=wait_s, emit=call.emit)
        if job.status == "succeeded":
            return tool.result.model_validate(job.result)
        if job.status == "failed" and job.error is not None:
            raise error_from(job.error.code, job.error.message, hint=job.error.hint)
        if job.status == "cancelled":
            raise Cancelled(f"Job {job.job_id} was cancelled.")
        return job

    async def _run_once(self, call: Call, principal: Principal, tool: Tool, request: Model, trail: _Trail) -> BaseModel:
        store, key = self._ports.idempotency, call.idempotency_key
        earlier = await store.begin(principal, tool.name, key, trail.argument_digest)
        if earlier is not None:
            return tool.result.model_validate_json(earlier)
        kept: str | None = None
        try:
            result = await self._run(call, principal, tool, request, trail)
            kept = result.model_dump_json()
            return result
        finally:
            await store.finish(principal, tool.name, key, kept)

    async def _run(self, call: Call, principal: Principal, tool: Tool, request: Model, trail: _Trail) -> BaseModel:
        limit_s = None if call.job is not None else self._limit_s(call)
        ctx = Context(
            principal=principal,
            request_id=call.request_id,
            face=call.face,
            engine=self._engine,
            call=_Nested(self, call, principal),
            emit=call.emit,
            note=trail.resources.append,
            deadline=None if limit_s is None else time.monotonic() + limit_s,
            cancelled=call.cancelled,
            job=call.job,
            idempotency_key=call.idempotency_key,
        )
        try:
            with Deadline(limit_s):
                result = await tool.run(ctx, request)
        except TimeoutError:
            call.cancelled.set()
            raise Timeout(f"{tool.name} took longer than {limit_s:g} s.", hint="Ask for less, or allow more time.")
        if not isinstance(result, tool.result):
            raise TypeError(f"{tool.name} returned {type(result).__name__}, not {tool.result.__name__}")
        if tool.effect != "read":
            trail.result_digest = self._ports.audit.digest(principal.tenant, _digestible(result))
        return result

    def _limit_s(self, call: Call) -> float | None:
        asked = [limit for limit in (call.timeout_s, self._timeout_s) if limit]
        return min(asked) if asked else None

    async def _audit(self, call: Call, trail: _Trail) -> None:
        tool, principal = trail.tool, trail.principal or NOBODY
        record = AuditRecord(
            request_id=call.request_id,
            at=datetime.now(UTC),
            tenant=principal.tenant,
            subject=principal.subject,
            via=principal.via,
            credential_id=principal.credential_id,
            face=call.face,
            tool=tool.name if tool else "unknown",
            effect=tool.effect if tool else "read",
            argument_digest=trail.argument_digest,
            decision=_DECISIONS.get(trail.code, "refused"),
            code=trail.code,
            resources=tuple(trail.resources),
            result_digest=trail.result_digest,
            duration_ms=(time.perf_counter() - trail.started) * 1000,
            job_id=call.job.job_id if call.job else trail.job_id,
        )
        self._observe(record)
        await self._ports.audit.record(record, wait=record.effect != "read" and trail.code == "OK")


class _Nested(Caller):
    """Calls of one tool by another: same principal, same deadline and cancellation, own audit record."""

    def __init__(self, dispatcher: Dispatcher[Any], outer: Call, principal: Principal):
        self._dispatcher, self._principal, self.person = dispatcher, principal, outer.confirm
        self._call = replace(
            outer, form="json", token=None, principal=principal, job=None, is_nested=True, traceparent=""
        )

    async def __call__(self, tool: str, arguments: Mapping[str, Any]) -> BaseModel:
        return await self._dispatcher.call(replace(self._call, tool=tool, arguments=arguments))

    def tools(self) -> list[Tool]:
        return self._dispatcher.tools_for(self._principal)

    def as_agent(self, agent: Principal, guard: Approvals) -> Caller:
        if not narrows(agent, self._principal):
            raise Unauthorized("An agent has at most the rights of whom it works for.")
        return _Nested(self._dispatcher, replace(self._call, emit=discard, confirm=guard, idempotency_key=""), agent)


NOBODY = Principal(subject="", tenant="", via="anonymous")

_DECISIONS = {"OK": "allowed", **dict.fromkeys(("INTERNAL", "TIMEOUT", "CANCELLED", "UNAVAILABLE"), "failed")}


def narrows(agent: Principal, whom: Principal) -> bool:
    """Whether an agent is no more than the principal whom it works for."""
    kept = replace(whom, via=agent.via, credential_id=agent.credential_id, permissions=agent.permissions)
    is_within = whom.connections is None or (agent.connections is not None and agent.connections <= whom.connections)
    return is_within and agent.permissions <= whom.permissions and replace(kept, connections=agent.connections) == agent


def is_permitted(tool: Tool, principal: Principal) -> bool:
    """Whether a principal may call a tool at all; what it may touch is decided per object."""
    if tool.needs == ANYONE:
        return True
    return bool(principal.tenant) and (tool.needs == SIGNED_IN or principal.may(tool.needs))


def _in_order(payload: str) -> bytes:
    """JSON with sorted keys: equal arguments have equal digests, also where a door keeps no order (protobuf maps)."""
    return json.dumps(json.loads(payload), sort_keys=True, separators=(",", ":")).encode()


def _digestible(result: BaseModel) -> bytes:
    """The result's JSON for its digest; rows are left out, their count stands in the metadata."""
    rows = {name for name, info in type(result).model_fields.items() if info.annotation is Rows}
    return result.model_dump_json(exclude=rows).encode()


def describe(error: BaseException) -> str:
    """Type and place of a failure, without its message, which could hold a secret or a row's value."""
    frames = traceback.extract_tb(error.__traceback__)[-6:]
    places = " < ".join(f"{frame.filename}:{frame.lineno} {frame.name}" for frame in reversed(frames))
    return json.dumps({"type": type(error).__qualname__, "at": places})
