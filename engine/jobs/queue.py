"""The durable queue as callers see it: submit, look, follow, wait, cancel."""

import json
import time
import uuid
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import ColumnElement, Connection, delete, exists, func, insert, select, tuple_, update
from sqlalchemy.exc import IntegrityError

from core.context import Emit, Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from core.jobs import Job, JobError, JobEvent, JobStatus
from core.pages import Window
from core.ports import Jobs
from engine.jobs import log
from engine.jobs.bell import CANCEL, WORK, Bell
from engine.jobs.leases import Leases
from engine.jobs.log import kind_of, status_line
from engine.jobs.principals import dump_principal
from engine.store.db import Store
from engine.store.result_tables import query_exports, query_results
from engine.store.tables import jobs

ENDED = ("succeeded", "failed", "cancelled")
RETENTION_S = 7 * 24 * 3600.0
PURGE_BATCH = 500
POLL_MIN_S, POLL_MAX_S = 0.1, 0.5
MAX_KEY_LENGTH = 255
READ_ALL = "jobs.read"
CANCEL_ALL = "tenant.manage"


class JobQueue(Jobs):
    """Every tenant's jobs. `part_of` names the model that a tool emits, so that `wait` can emit it again."""

    def __init__(
        self,
        store: Store,
        *,
        part_of: Callable[[str], type[BaseModel] | None] = lambda tool: None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self.bell = Bell()
        self.leases = Leases(store, self.bell, clock)
        self._store = store
        self._part_of = part_of
        self._clock = clock
        self._new_id = new_id

    async def submit(
        self, principal: Principal, tool: str, request_json: str, *, request_id: str, idempotency_key: str = ""
    ) -> Job:
        if len(idempotency_key) > MAX_KEY_LENGTH:
            raise InvalidArgument("The idempotency key is too long.", hint=f"Use at most {MAX_KEY_LENGTH} characters.")
        row = self._new_row(principal, tool, request_json, request_id, idempotency_key)
        try:
            job = await self._store.write(lambda connection: _insert(connection, row))
        except IntegrityError:  # an equal key was stored between our look and our insert
            job = await self._store.write(lambda connection: _insert(connection, row))
        self.bell.ring(WORK)
        return job

    async def get(self, principal: Principal, job_id: str) -> Job:
        """One job of the caller, or of the tenant with jobs.read. Raises NotFound."""
        return await self._store.read(lambda connection: _job(_visible(connection, principal, job_id)))

    async def page(
        self, principal: Principal, window: Window, *, status: str | None = None, tool: str | None = None
    ) -> tuple[list[Job], int]:
        """A slice of the jobs that the caller may see, newest first, and how many there are."""
        where = [_seen_by(principal)]
        if status is not None:
            where.append(jobs.c.status == status)
        if tool is not None:
            where.append(jobs.c.tool == tool)

        def work(connection: Connection) -> tuple[list[Job], int]:
            total = connection.execute(select(func.count()).select_from(jobs).where(*where)).scalar_one()
            query = select(jobs).where(*where).order_by(jobs.c.created_at.desc(), jobs.c.job_id)
            rows = connection.execute(query.offset(window.offset).limit(window.size))
            return [_job(row) for row in rows], total

        return await self._store.read(work)

    async def cancel(self, principal: Principal, job_id: str) -> Job:
        """Cancel a waiting job, or ask its worker to stop; a job that has ended stays as it is.

        Raises NotFound, or Unauthorized for somebody else's job without tenant.manage."""
        now = self._clock()
        job = await self._store.write(lambda connection: _cancel(connection, principal, job_id, now))
        self.bell.ring(CANCEL)
        self.bell.ring(job_id)
        return job

    async def events(self, tenant: str, job_id: str, after_seq: int = 0) -> list[JobEvent]:
        """Events after a cursor, oldest first, at most `log.PAGE`."""
        return await self._store.read(lambda connection: log.read(connection, tenant, job_id, after_seq))

    async def follow(
        self, tenant: str, job_id: str, after_seq: int = 0, *, timeout_s: float | None = None
    ) -> AsyncIterator[JobEvent]:
        """Events after a cursor as they come, until the job has ended or the time is over."""
        ends_at = None if timeout_s is None else time.monotonic() + timeout_s
        pause_s = POLL_MIN_S
        with self.bell.listen(job_id) as listener:
            while True:
                has_ended, events = await self._store.read(
                    lambda connection, after=after_seq: _look(connection, tenant, job_id, after)  # type: ignore[misc]
                )
                for event in events:
                    yield event
                    after_seq = event.seq
                left_s = POLL_MAX_S if ends_at is None else ends_at - time.monotonic()
                if (has_ended and len(events) < log.PAGE) or left_s <= 0:
                    return
                pause_s = POLL_MIN_S if events else min(POLL_MAX_S, pause_s * 1.5)
                if len(events) < log.PAGE:
                    await listener.wait(min(pause_s, left_s))

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        job = await self.get(principal, job_id)
        part = self._part_of(job.tool)
        kind = None if part is None else kind_of(part)
        async for event in self.follow(principal.tenant, job_id, timeout_s=timeout_s):
            if part is not None and event.kind == kind:
                await emit(part.model_validate(event.data))
        return await self.get(principal, job_id)

    async def purge(self) -> int:
        """Delete jobs that ended longer ago than the retention, with their events and steps; says how many."""
        ended_before = self._clock() - RETENTION_S
        old = (
            select(jobs.c.tenant_id, jobs.c.job_id)
            .where(jobs.c.status.in_(ENDED), jobs.c.updated_at < ended_before, *_without_rows())
            .limit(PURGE_BATCH)
        )
        statement = delete(jobs).where(tuple_(jobs.c.tenant_id, jobs.c.job_id).in_(old))
        total = 0
        while True:
            count = await self._store.write(lambda connection: connection.execute(statement).rowcount)
            total += count
            if count < PURGE_BATCH:
                return total

    def _new_row(
        self, principal: Principal, tool: str, request_json: str, request_id: str, idempotency_key: str
    ) -> dict[str, Any]:
        now = self._clock()
        return {
            "tenant_id": principal.tenant,
            "job_id": self._new_id(),
            "tool": tool,
            "owner": principal.subject,
            "principal": dump_principal(principal),
            "request_id": request_id[:64],
            "request": request_json,
            "idempotency_key": idempotency_key,
            "status": "pending",
            "cancel_requested": 0,
            "attempt": 0,
            "fence": 0,
            "due_at": now,
            "worker": "",
            "created_at": now,
            "updated_at": now,
        }


def _without_rows() -> list[ColumnElement[bool]]:
    """Jobs whose result or export is still kept stay with it."""
    return [
        ~exists().where(table.c.tenant_id == jobs.c.tenant_id, table.c[key] == jobs.c.job_id)
        for table, key in ((query_results, "job_id"), (query_exports, "export_id"))
    ]


def _insert(connection: Connection, row: dict[str, Any]) -> Job:
    if row["idempotency_key"]:
        same_key = [jobs.c[name] == row[name] for name in ("tenant_id", "owner", "tool", "idempotency_key")]
        earlier = connection.execute(select(jobs).where(*same_key)).first()
        if earlier is not None and earlier.request != row["request"]:
            raise Conflict(
                "The idempotency key was used with other arguments.", hint="Use a new key for a new request."
            )
        if earlier is not None:
            return _job(earlier)
    stored = connection.execute(insert(jobs).values(row).returning(jobs)).one()
    log.append(connection, row["tenant_id"], row["job_id"], [status_line(row["created_at"], "pending")])
    return _job(stored)


def _cancel(connection: Connection, principal: Principal, job_id: str, now: float) -> Job:
    row = _visible(connection, principal, job_id, is_locked=True)
    if row.owner != principal.subject and not principal.may(CANCEL_ALL):
        raise Unauthorized(
            f"Cancelling somebody else's job needs the permission {CANCEL_ALL}.", hint="Ask its owner, or an admin."
        )
    if row.status in ENDED or row.cancel_requested:
        return _job(row)
    changes: dict[str, Any] = {"cancel_requested": 1, "updated_at": now}
    if row.status == "pending":
        changes |= {"status": "cancelled", "due_at": None}
    is_it = (jobs.c.tenant_id == principal.tenant, jobs.c.job_id == job_id)
    changed = connection.execute(update(jobs).where(*is_it).values(changes).returning(jobs)).one()
    log.append(connection, principal.tenant, job_id, [status_line(now, changed.status, cancel_requested=True)])
    return _job(changed)


def _look(connection: Connection, tenant: str, job_id: str, after_seq: int) -> tuple[bool, list[JobEvent]]:
    # The status first: when it says that the job has ended, the events read next are complete.
    is_it = (jobs.c.tenant_id == tenant, jobs.c.job_id == job_id)
    status = connection.execute(select(jobs.c.status).where(*is_it)).scalar()
    return status is None or status in ENDED, log.read(connection, tenant, job_id, after_seq)


def _visible(connection: Connection, principal: Principal, job_id: str, *, is_locked: bool = False) -> Any:
    query = select(jobs).where(_seen_by(principal), jobs.c.job_id == job_id)
    row = connection.execute(query.with_for_update() if is_locked else query).first()
    if row is None:
        raise NotFound(f"No job {job_id[:64]!r}.", hint="list_jobs shows the jobs that you can see.")
    return row


def _seen_by(principal: Principal) -> ColumnElement[bool]:
    in_tenant = jobs.c.tenant_id == principal.tenant
    return in_tenant if principal.may(READ_ALL) else in_tenant & (jobs.c.owner == principal.subject)


def _job(row: Any) -> Job:
    status: JobStatus = row.status
    return Job(
        job_id=row.job_id,
        tool=row.tool,
        status=status,
        owner=row.owner,
        created_at=datetime.fromtimestamp(row.created_at, UTC),
        updated_at=datetime.fromtimestamp(row.updated_at, UTC),
        attempt=row.attempt,
        progress=row.progress,
        result=None if row.result is None else json.loads(row.result),
        error=None if row.error is None else JobError.model_validate_json(row.error),
    )
