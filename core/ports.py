"""What the gate needs from the engine, stated as small interfaces. The engine implements them."""

from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass
from datetime import datetime
from typing import TYPE_CHECKING, Protocol

from pydantic import BaseModel

from core.context import Emit, JobRun, Principal
from core.jobs import Job

if TYPE_CHECKING:
    from core.tool import Tool


@dataclass(frozen=True, slots=True)
class AuditRecord:
    """One call as the audit keeps it: no argument values, no SQL literals, no row values."""

    request_id: str
    at: datetime
    tenant: str
    subject: str
    via: str
    credential_id: str
    face: str
    tool: str
    effect: str
    argument_digest: str
    decision: str  # allowed, refused or failed
    code: str  # OK or the error's code
    resources: tuple[str, ...] = ()
    result_digest: str = ""
    duration_ms: float = 0.0
    job_id: str = ""


class Audit(Protocol):
    def digest(self, tenant: str, data: bytes) -> str:
        """A keyed digest, so that guessing the arguments from the log does not work."""
        ...

    async def record(self, record: AuditRecord, *, wait: bool) -> None:
        """Queue a record; with `wait` return only when it is durable."""
        ...


class Limits(Protocol):
    async def take(self, principal: Principal, tool: "Tool") -> None:
        """Use one request of the tenant's tier, or raise RateLimited with `retry_after_s`."""
        ...


class Approvals(Protocol):
    async def check(
        self, principal: Principal, tool: "Tool", request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        """Raise when this call, or the job that it starts, needs a decision that it does not have.

        True: somebody has decided on just this call."""
        ...


class Idempotency(Protocol):
    async def begin(self, principal: Principal, tool: str, key: str, argument_digest: str) -> str | None:
        """The stored result (JSON) of an earlier equal call, or None and the key is taken.

        Raises Conflict when the key was used with other arguments or is still running."""
        ...

    async def finish(self, principal: Principal, tool: str, key: str, result_json: str | None) -> None:
        """Keep the result under the key, or with None give the key back after a failure."""
        ...


class Visibility(Protocol):
    async def check(self, principal: Principal, kind: str, object_id: str) -> None:
        """Raise NotFound unless the caller can see the object."""
        ...


class Jobs(Protocol):
    async def submit(
        self, principal: Principal, tool: str, request_json: str, *, request_id: str, idempotency_key: str = ""
    ) -> Job:
        """Store the call for a worker; the same key with the same arguments gives the same job."""
        ...

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        """Follow the job until it ends or the time is over; events go to `emit`."""
        ...


Verifier = Callable[[str, str], Awaitable[Principal]]
"""Turns a bearer token that came to a face, or one of its addresses, into a Principal, or raises Unauthenticated."""


Stay = Callable[[Principal, str], AbstractContextManager[None]]
"""Entered around work for a caller: interrupts it, and raises, once the caller is gone or lost the permission."""


def stay_for_good(principal: Principal, needs: str) -> AbstractContextManager[None]:
    """The `Stay` of a gate that watches nobody."""
    return nullcontext()


@dataclass(frozen=True, slots=True)
class Download:
    """A file that a caller may have. `size_bytes` None: it is made on the way, and has no ranges."""

    name: str
    media_type: str
    size_bytes: int | None
    read: Callable[[int, int], AsyncIterator[bytes]]  # bytes from a start up to an end


class Content(Protocol):
    """Files that signed links stand for."""

    async def admit(self, path: str, *, by: str, expires: str, signature: str) -> Principal:
        """Whom a link was made for, with the rights of now. Raises NotFound when it does not hold."""
        ...

    async def open_export(self, by: Principal, export_id: str) -> Download:
        """Raises NotFound, Conflict."""
        ...

    async def open_archive(self, by: Principal, export_id: str) -> Download:
        """Raises NotFound, Conflict."""
        ...

    async def open_result(self, by: Principal, job_id: str, format_name: str) -> Download:
        """Raises NotFound, Conflict."""
        ...


class Receiver(Protocol):
    """Takes the bytes of uploads."""

    async def receive(
        self, by: Principal, upload_id: str, start: int, chunks: AsyncIterator[bytes], *, total: int | None
    ) -> "Received":
        """Bytes from `start` on; `total` is the whole size as the caller says. Raises NotFound, Conflict."""
        ...

    async def open_rejects(self, by: Principal, job_id: str) -> Download:
        """The rows that an import of the caller's own has set aside. Raises NotFound."""
        ...


class Received(Protocol):
    """How much of an upload has come."""

    @property
    def received_bytes(self) -> int: ...

    @property
    def is_complete(self) -> bool: ...
