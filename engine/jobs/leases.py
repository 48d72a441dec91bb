"""The worker's side of the queue: claim, renew, record, settle; each write is guarded by the claim's fence."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import ColumnElement, Connection, Executable, and_, insert, select, tuple_, update

from core.context import Principal
from core.jobs import JobError
from engine.jobs import log
from engine.jobs.bell import WORK, Bell
from engine.jobs.log import Line, status_line
from engine.jobs.principals import load_principal
from engine.store.db import Store
from engine.store.tables import job_steps, jobs


class LeaseLost(Exception):
    """Another worker has the job now, or it has ended: nothing more may be written for this claim."""


@dataclass(frozen=True, slots=True)
class Claim:
    """A job in the hands of one worker. `principal` is who submitted it, with the rights of that moment."""

    tenant: str
    job_id: str
    tool: str
    principal: Principal
    request_id: str
    request: str  # JSON
    attempt: int
    fence: int


@dataclass(frozen=True, slots=True)
class Verdict:
    """How a run ended. `pending` gives the job back to the queue."""

    status: str  # succeeded, failed, cancelled or pending
    result: str | None = None  # JSON
    error: JobError | None = None
    delay_s: float = 0.0
    is_attempt: bool = True  # False: the run was given up for reasons outside the job


class Leases:
    """Statements of the workers; a lost lease raises LeaseLost and writes nothing."""

    def __init__(self, store: Store, bell: Bell, clock: Callable[[], float]):
        self._store = store
        self._bell = bell
        self._clock = clock

    async def claim(self, worker: str, *, lease_s: float, max_attempts: int) -> Claim | None:
        """Take the job that has been due longest, or one whose worker has stopped renewing its lease."""
        if not await self._store.read(self._is_any_due):
            return None
        while True:
            taken = await self._store.write(lambda connection: self._take(connection, worker, lease_s, max_attempts))
            if taken is None:
                return None
            claim, unstartable = taken
            if unstartable is None:
                self._bell.ring(claim.job_id)
                return claim
            await self.settle(claim, unstartable, ())

    async def renew(self, claims: Sequence[Claim], *, lease_s: float) -> dict[str, bool]:
        """Extend leases. Answers, for each job that is still held, whether its cancellation was asked for."""
        until = self._clock() + lease_s

        def work(connection: Connection) -> dict[str, bool]:
            held = {}
            for claim in sorted(claims, key=lambda claim: claim.job_id):
                row = connection.execute(
                    update(jobs).where(_is_held(claim)).values(due_at=until).returning(jobs.c.cancel_requested)
                ).first()
                if row is not None:
                    held[claim.job_id] = bool(row.cancel_requested)
            return held

        return await self._store.write(work)

    async def steps(self, claim: Claim) -> dict[str, str]:
        """The outputs of the steps that earlier attempts have finished."""
        query = select(job_steps.c.name, job_steps.c.output).where(
            job_steps.c.tenant_id == claim.tenant, job_steps.c.job_id == claim.job_id
        )
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return {row.name: row.output for row in rows}

    async def record(self, claim: Claim, lines: Sequence[Line], step: tuple[str, str] | None = None) -> None:
        """Append events and the output of a finished step, in one transaction."""
        now = self._clock()

        def work(connection: Connection) -> None:
            hold(connection, claim, now, _progress(lines))
            log.append(connection, claim.tenant, claim.job_id, lines)
            if step is not None:
                connection.execute(insert(job_steps).values(_step_row(claim, step, now)))

        await self._store.write(work)
        self._bell.ring(claim.job_id)

    async def settle(self, claim: Claim, verdict: Verdict, lines: Sequence[Line]) -> None:
        """End the run: its last events, its outcome, and the end of the lease, in one transaction."""
        now = self._clock()
        is_back = verdict.status == "pending"
        changes = {
            "status": verdict.status,
            "due_at": now + verdict.delay_s if is_back else None,
            "result": verdict.result,
            "error": None if verdict.error is None or is_back else verdict.error.model_dump_json(),
            "attempt": claim.attempt if verdict.is_attempt else claim.attempt - 1,
            "updated_at": now,
            "progress": 1.0 if verdict.status == "succeeded" else jobs.c.progress,
        }
        error = {} if verdict.error is None else {"error": verdict.error.model_dump()}
        closing = status_line(now, verdict.status, **error)

        def work(connection: Connection) -> None:
            hold(connection, claim, now, _progress(lines))
            connection.execute(update(jobs).where(_is_held(claim)).values(changes))
            log.append(connection, claim.tenant, claim.job_id, [*lines, closing])

        await self._store.write(work)
        self._bell.ring(claim.job_id)
        if is_back:
            self._bell.ring(WORK)

    def _is_any_due(self, connection: Connection) -> bool:
        due = select(jobs.c.job_id).where(jobs.c.due_at <= self._clock()).limit(1)
        return connection.execute(due).first() is not None

    def _take(
        self, connection: Connection, worker: str, lease_s: float, max_attempts: int
    ) -> tuple[Claim, Verdict | None] | None:
        now = self._clock()
        row = connection.execute(_claim_statement(now, worker, lease_s)).first()
        if row is None:
            return None
        claim = _claim_of(row)
        if row.cancel_requested:
            return claim, Verdict("cancelled")
        if row.attempt > max_attempts:
            return claim, Verdict("failed", error=_worn_out(claim, max_attempts), is_attempt=False)
        log.append(connection, claim.tenant, claim.job_id, [status_line(now, "running", attempt=claim.attempt)])
        return claim, None


def hold(connection: Connection, claim: Claim, now: float, progress: float | None = None) -> None:
    """Lock the job's row for this transaction. Raises LeaseLost when the claim no longer holds the job.

    An effect in the store that must happen once goes into the same transaction, after this."""
    changes = {"updated_at": now} if progress is None else {"updated_at": now, "progress": progress}
    if connection.execute(update(jobs).where(_is_held(claim)).values(changes)).rowcount != 1:
        raise LeaseLost(claim.job_id)


def _is_held(claim: Claim) -> ColumnElement[bool]:
    return and_(
        jobs.c.tenant_id == claim.tenant,
        jobs.c.job_id == claim.job_id,
        jobs.c.fence == claim.fence,
        jobs.c.status == "running",
    )


def _claim_statement(now: float, worker: str, lease_s: float) -> Executable:
    # `= (SELECT ...)`, not IN: PostgreSQL runs it once, so that exactly one row is locked and changed.
    due = (
        select(jobs.c.tenant_id, jobs.c.job_id)
        .where(jobs.c.due_at <= now)
        .order_by(jobs.c.due_at)
        .limit(1)
        .with_for_update(skip_locked=True)
        .scalar_subquery()
    )
    changes = {
        "status": "running",
        "attempt": jobs.c.attempt + 1,
        "fence": jobs.c.fence + 1,
        "due_at": now + lease_s,
        "worker": worker,
        "updated_at": now,
    }
    return update(jobs).where(tuple_(jobs.c.tenant_id, jobs.c.job_id) == due).values(changes).returning(jobs)


def _claim_of(row: Any) -> Claim:
    return Claim(
        tenant=row.tenant_id,
        job_id=row.job_id,
        tool=row.tool,
        principal=load_principal(row.principal),
        request_id=row.request_id,
        request=row.request,
        attempt=row.attempt,
        fence=row.fence,
    )


def _worn_out(claim: Claim, max_attempts: int) -> JobError:
    return JobError(
        code="INTERNAL",
        message=f"The job was started {max_attempts} times and no worker came to its end.",
        hint="It may need more memory than a worker has; the worker's log says more.",
        request_id=claim.request_id,
    )


def _progress(lines: Sequence[Line]) -> float | None:
    shares = [line.progress for line in lines if line.progress is not None]
    return shares[-1] if shares else None


def _step_row(claim: Claim, step: tuple[str, str], now: float) -> dict[str, object]:
    name, output = step
    return {
        "tenant_id": claim.tenant,
        "job_id": claim.job_id,
        "name": name,
        "output": output,
        "fence": claim.fence,
        "at": now,
    }
