"""Who is calling, and what a running tool may use: explicit, frozen, passed as the first argument."""

import asyncio
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, Generic, Protocol, TypeVar

from pydantic import BaseModel

if TYPE_CHECKING:
    from core.ports import Approvals
    from core.tool import Tool

EngineT = TypeVar("EngineT")

Emit = Callable[[BaseModel], Awaitable[None]]


async def discard(part: BaseModel) -> None:
    """The `emit` of a caller that follows no parts."""


def ignore(resource: str) -> None:
    """The `note` of a call whose resources nobody records."""


@dataclass(frozen=True, slots=True)
class Principal:
    """A verified caller. Subject and tenant come from the token, roles and permissions from the store."""

    subject: str
    tenant: str
    roles: frozenset[str] = frozenset()
    permissions: frozenset[str] = frozenset()
    via: str = "client"  # user, client, token, local, external or agent
    credential_id: str = ""  # the client, personal token or key this call came with
    attributes: Mapping[str, str] = field(default_factory=dict)
    connections: frozenset[str] | None = None  # the only ones that exist for this caller; None: those of the tenant

    def may(self, permission: str) -> bool:
        return permission in self.permissions


class Cancellation:
    """A flag that a caller, a deadline or an operator sets once and a running tool observes."""

    def __init__(self) -> None:
        self._event = asyncio.Event()
        self._callbacks: list[Callable[[], None]] = []

    def __bool__(self) -> bool:
        return self._event.is_set()

    def set(self) -> None:
        if not self._event.is_set():
            self._event.set()
            for callback in self._callbacks:
                callback()

    def on_set(self, callback: Callable[[], None]) -> None:
        """Run `callback` when the flag is set, or now if it already is."""
        if self:
            callback()
        else:
            self._callbacks.append(callback)

    async def wait(self) -> None:
        await self._event.wait()


@dataclass(frozen=True, slots=True)
class JobRun:
    """The durable job that a tool runs in: the fence guards its writes, the steps survive a kill."""

    job_id: str
    fence: int
    attempt: int
    step: Callable[[str, Callable[[], Awaitable[str]]], Awaitable[str]]


class Caller(Protocol):
    """Calls other tools as the same principal; the gate checks each of them again."""

    person: "Approvals | None"  # asks whoever sits behind the client, where the face can

    async def __call__(self, tool: str, arguments: Mapping[str, Any]) -> BaseModel: ...

    def tools(self) -> "list[Tool]":
        """The tools that this principal may call."""
        ...

    def as_agent(self, agent: Principal, guard: "Approvals") -> "Caller":
        """Calls of an agent that works for this principal, with no more rights; `guard` looks at each first."""
        ...


@dataclass(frozen=True, slots=True)
class Context(Generic[EngineT]):
    """What a tool gets beside its request.

    `deadline` is in seconds of `time.monotonic()`; None means no limit."""

    principal: Principal
    request_id: str
    face: str
    engine: EngineT
    call: Caller
    emit: Emit = discard
    note: Callable[[str], None] = ignore  # names a resource that the call touched, for the audit
    deadline: float | None = None
    cancelled: Cancellation = field(default_factory=Cancellation)
    job: JobRun | None = None
    idempotency_key: str = ""  # for tools that leave a mark of it where they write
