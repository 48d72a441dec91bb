"""A gate over the sample tools with in-memory ports, for tests of a face alone.

Tokens are the names of PRINCIPALS; any other token is refused."""

import hashlib
from dataclasses import dataclass, field
from typing import Any

from pydantic import BaseModel

from core.context import Emit, JobRun, Principal
from core.dispatch import Dispatcher, Ports
from core.errors import NotFound, Unauthenticated
from core.jobs import Job
from core.ports import AuditRecord
from core.registry import Registry
from core.tool import Tool

ALL = frozenset({"catalog.read", "catalog.manage", "query.run"})
PRINCIPALS = {
    "admin-token": Principal("ada", "acme", frozenset({"admin"}), ALL),
    "viewer-token": Principal("vic", "acme", frozenset({"viewer"}), frozenset({"catalog.read", "query.run"})),
    "nobody-token": Principal("nil", "acme"),
}


@dataclass
class FakeGate:
    """In-memory ports; `records` holds what was audited."""

    records: list[AuditRecord] = field(default_factory=list)
    results: dict[tuple[str, ...], tuple[str, str | None]] = field(default_factory=dict)

    async def verify(self, token: str, face: str) -> Principal:
        if token not in PRINCIPALS:
            raise Unauthenticated("The token is not valid.", hint="Get a new one.")
        return PRINCIPALS[token]

    def digest(self, tenant: str, data: bytes) -> str:
        return hashlib.blake2b(data, key=tenant.encode(), digest_size=16).hexdigest()

    async def record(self, record: AuditRecord, *, wait: bool) -> None:
        self.records.append(record)

    async def take(self, principal: Principal, tool: Tool) -> None:
        return None

    async def begin(self, principal: Principal, tool: str, key: str, argument_digest: str) -> str | None:
        stored = self.results.get((principal.tenant, principal.subject, tool, key))
        return stored[1] if stored else None

    async def finish(self, principal: Principal, tool: str, key: str, result_json: str | None) -> None:
        self.results[(principal.tenant, principal.subject, tool, key)] = ("", result_json)

    async def submit(self, principal: Principal, tool: str, request_json: str, **kwargs: Any) -> Job:
        raise NotFound("The fake gate runs no jobs.")

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        raise NotFound("The fake gate runs no jobs.")


class _Objects:
    async def check(self, principal: Principal, kind: str, object_id: str) -> None:
        if object_id != "visible":
            raise NotFound(f"No {kind} {object_id!r}.")


class _NoApprovals:
    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        return False


def sample_dispatcher() -> tuple[Dispatcher[None], FakeGate]:
    return dispatcher_over(Registry.walk(["tests.fakes.sample_tools"]))


def dispatcher_over(
    registry: Registry, gate: FakeGate | None = None, engine: Any = None
) -> tuple[Dispatcher[Any], FakeGate]:
    """The fake gate over any registry."""
    gate = gate or FakeGate()
    ports = Ports(gate.verify, gate, _Objects(), _NoApprovals(), gate, gate, gate)
    return Dispatcher(registry, engine, ports, timeout_s=2.0), gate
