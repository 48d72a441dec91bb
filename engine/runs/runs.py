"""Runs of workflows, agents and chats: begun once, held by one process at a time, read by their owner alone.

Requests, answers, errors, traces and events are sealed with the tenant's key."""

import asyncio
import json
import time
import uuid
from collections.abc import AsyncIterator, Callable, Mapping
from contextlib import asynccontextmanager, suppress
from dataclasses import asdict, dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, not_, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Cancellation, Principal
from core.errors import Cancelled, Conflict, NotFound, PlatformError
from core.pages import Window
from engine.jobs.bell import Bell
from engine.runs.run import ENDED, Beginning, Cost, Kind, Outcome, Run, RunEvent, Status, Step
from engine.store.db import Store
from engine.store.tables import run_events, runs

LEASE_S = 15.0
BEAT_S = 3.0
POLL_MIN_S, POLL_MAX_S = 0.05, 0.5
RETENTION_S = 30 * 24 * 3600.0
PURGE_BATCH = 500
MAX_EVENTS = 20_000  # of one run
PAGE = 1000
NOTHING: Mapping[str, Any] = {}
LOST = {
    "code": "UNAVAILABLE",
    "message": "The process that worked on this run has ended in the middle of it.",
    "hint": "Ask again: nothing of this turn was kept. Look first whether a change that it was to make was made.",
}


class Seal(Protocol):
    """Seals or opens bytes of a tenant."""

    def __call__(self, tenant: str, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Started:
    """A run, and whether the caller is the one to work on it: it is new, or nobody does any more."""

    run: Run
    is_mine: bool
    is_new: bool


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs to list; None is any."""

    kind: Kind | None = None
    agent_id: str | None = None
    session_id: str | None = None
    status: Status | None = None


class Runs:
    """Every tenant's runs."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Seal,
        unseal: Seal,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._lease_s = lease_s
        self.seal = seal
        self.unseal = unseal
        self._clock = clock
        self._new_id = new_id
        self._bell = Bell()

    async def start(self, by: Principal, beginning: Beginning) -> Started:
        """Begin a run, or find the one of that id: taken over where whoever held it is gone, or it waited.

        Raises Conflict when the id was used for another request."""
        try:
            return await self._store.write(lambda connection: self._start(connection, by, beginning))
        except IntegrityError:  # an equal id was stored between our look and our insert
            return await self._store.write(lambda connection: self._start(connection, by, beginning))

    async def get(self, by: Principal, run_id: str, kind: Kind = "workflow") -> Run:
        """A run of the caller's own. Raises NotFound."""

        def work(connection: Connection) -> Any:
            return connection.execute(select(runs).where(_is(by, kind, run_id))).first()

        row = await self._store.read(work)
        if row is None:
            raise _missing(run_id)
        return self._run(row)

    async def page(self, by: Principal, window: Window, wanted: RunFilter | None = None) -> tuple[list[Run], int]:
        """A slice of the caller's own runs, newest first, and how many there are."""
        given = asdict(wanted or RunFilter())
        where = [runs.c.tenant_id == by.tenant, runs.c.owner == by.subject, *self._standing(given.pop("status"))]
        where += [runs.c[name] == value for name, value in given.items() if value is not None]

        def work(connection: Connection) -> tuple[list[Any], int]:
            total = connection.execute(select(func.count()).select_from(runs).where(*where)).scalar_one()
            query = select(runs).where(*where).order_by(runs.c.created_at.desc(), runs.c.uid)
            return list(connection.execute(query.offset(window.offset).limit(window.size))), total

        rows, total = await self._store.read(work)
        return [self._run(row) for row in rows], total

    async def append(self, run: Run, kind: str, data: dict[str, Any], so_far: Outcome | None = None) -> RunEvent:
        """Add an event and give its number; with steps and cost `so_far`, which outlive whoever works on it.

        Raises Cancelled when somebody else holds the run now."""
        now, sealed = self._clock(), self._sealed(run.tenant, data)
        values = {} if so_far is None else self._done(run, so_far)

        def work(connection: Connection) -> int:
            self._keep(connection, run, now, values)
            last = connection.execute(
                select(func.coalesce(func.max(run_events.c.seq), 0)).where(*_of(run.tenant, run.uid))
            ).scalar_one()
            if last >= MAX_EVENTS:
                raise Conflict(f"A run has at most {MAX_EVENTS:,} events.", hint="Start another.")
            row = {"tenant_id": run.tenant, "uid": run.uid, "seq": last + 1, "at": now, "kind": kind, "data": sealed}
            connection.execute(insert(run_events).values(row))
            return int(last) + 1

        seq = await self._store.write(work)
        self._bell.ring(run.uid)
        return RunEvent(seq, now, kind, data)

    async def note(self, run: Run, so_far: Outcome) -> None:
        """Keep steps and cost of a run that goes on. Raises Cancelled when somebody else holds it now."""
        now, values = self._clock(), self._done(run, so_far)
        await self._store.write(lambda connection: self._keep(connection, run, now, values))

    async def events(self, run: Run, after_seq: int = 0) -> list[RunEvent]:
        """Events after a cursor, oldest first, at most `PAGE`."""
        query = select(run_events).where(*_of(run.tenant, run.uid), run_events.c.seq > after_seq)
        rows = await self._store.read(lambda connection: connection.execute(query.order_by(run_events.c.seq)).all())
        return [RunEvent(row.seq, row.at, row.kind, self._opened(run.tenant, row.data)) for row in rows[:PAGE]]

    async def follow(self, by: Principal, run: Run, after_seq: int = 0) -> AsyncIterator[RunEvent]:
        """Events after a cursor as they come, until the run has ended or waits, or nobody works on it."""
        pause_s = POLL_MIN_S
        with self._bell.listen(run.uid) as listener:
            while True:
                now = await self.get(by, run.run_id, run.kind)
                found = await self.events(now, after_seq)
                for event in found:
                    yield event
                    after_seq = event.seq
                is_over = now.has_ended or now.status == "waiting" or (now.held_until or 0) < self._clock()
                if is_over and len(found) < PAGE:
                    return
                pause_s = POLL_MIN_S if found else min(POLL_MAX_S, pause_s * 1.5)
                await listener.wait(pause_s)

    async def finish(self, run: Run, outcome: Outcome) -> Run:
        """Let go of a run: it has ended, or waits. Raises Cancelled when somebody else holds it now."""
        now = self._clock()
        values = {
            "status": outcome.status,
            "answer": None if outcome.answer is None else self._sealed(run.tenant, outcome.answer),
            "error": None if outcome.error is None else self._sealed(run.tenant, outcome.error),
            "held_until": None,
            "finished_at": now if outcome.status in ENDED else None,
            **self._done(run, outcome),
        }

        def work(connection: Connection) -> Any:
            self._keep(connection, run, now)
            where = [runs.c.tenant_id == run.tenant, runs.c.uid == run.uid]
            connection.execute(update(runs).where(*where).values(values))
            return connection.execute(select(runs).where(*where)).one()

        row = await self._store.write(work)
        self._bell.ring(run.uid)
        return self._run(row)

    async def release(self, run: Run) -> None:
        """Let go of a run that has not ended: whoever asks for it next goes on with it."""
        held = (runs.c.tenant_id == run.tenant, runs.c.uid == run.uid, runs.c.fence == run.fence)
        statement = update(runs).where(*held, runs.c.finished_at.is_(None)).values(held_until=None)
        await self._store.write(lambda connection: connection.execute(statement))
        self._bell.ring(run.uid)

    async def cancel(self, by: Principal, run_id: str, kind: Kind = "workflow") -> Run:
        """Ask whoever works on a run to stop; where nobody does, it ends here. Raises NotFound."""
        now = self._clock()

        def work(connection: Connection) -> Any:
            row = connection.execute(select(runs).where(_is(by, kind, run_id)).with_for_update()).first()
            if row is None:
                raise _missing(run_id)
            if self._run(row).has_ended:
                return row
            values: dict[str, Any] = {"cancel_requested": 1, "updated_at": now}
            if row.held_until is None or row.held_until < now:
                values |= {"status": "cancelled", "finished_at": now, "held_until": None}
            connection.execute(update(runs).where(_is(by, kind, run_id)).values(values))
            return connection.execute(select(runs).where(_is(by, kind, run_id))).one()

        run = self._run(await self._store.write(work))
        self._bell.ring(run.uid)
        self._bell.ring(_cancelling(run.uid))
        return run

    @asynccontextmanager
    async def holding(self, run: Run, cancelled: Cancellation) -> AsyncIterator[None]:
        """Work on a run inside: it stays held, and `cancelled` is set when its owner cancels or another takes it."""
        beat = asyncio.create_task(self._beat(run, cancelled))
        try:
            yield
        finally:
            beat.cancel()
            with suppress(asyncio.CancelledError):
                await beat

    async def delete(self, by: Principal, wanted: RunFilter) -> int:
        """Delete the caller's own runs of that kind; says how many."""
        where = [runs.c.tenant_id == by.tenant, runs.c.owner == by.subject]
        where += [runs.c[name] == value for name, value in asdict(wanted).items() if value is not None]

        def work(connection: Connection) -> int:
            uids = [row.uid for row in connection.execute(select(runs.c.uid).where(*where))]
            return _delete(connection, uids)

        return await self._store.write(work)

    async def purge(self) -> int:
        """Delete runs that nothing happened to for the retention's time; says how many."""
        old = select(runs.c.uid).where(runs.c.updated_at < self._clock() - RETENTION_S).limit(PURGE_BATCH)
        total = 0
        while True:
            count = await self._store.write(
                lambda connection: _delete(connection, [row.uid for row in connection.execute(old)])
            )
            total += count
            if count < PURGE_BATCH:
                return total

    def _start(self, connection: Connection, by: Principal, beginning: Beginning) -> Started:
        now = self._clock()
        where = _is(by, beginning.kind, beginning.run_id)
        row = connection.execute(select(runs).where(where).with_for_update()).first()
        if row is None:
            made = connection.execute(insert(runs).values(self._row(by, beginning, now)).returning(runs)).one()
            return Started(self._run(made), is_mine=True, is_new=True)
        run = self._run(row)
        if dict(run.request) != dict(beginning.request):
            raise Conflict("This id was used for another request.", hint="Use a new id for a new request.")
        is_free = not run.has_ended and (run.held_until is None or run.held_until < now)
        if not is_free or (run.status == "waiting" and not beginning.resumes):
            return Started(run, is_mine=False, is_new=False)
        values = {"status": "running", "fence": run.fence + 1, "held_until": now + self._lease_s, "updated_at": now}
        connection.execute(update(runs).where(where).values(values))
        taken = connection.execute(select(runs).where(where)).one()
        return Started(self._run(taken), is_mine=True, is_new=False)

    def _row(self, by: Principal, beginning: Beginning, now: float) -> dict[str, Any]:
        return {
            "tenant_id": by.tenant,
            "owner": by.subject,
            "kind": beginning.kind,
            "run_id": beginning.run_id,
            "uid": self._new_id(),
            "name": beginning.name,
            "agent_id": beginning.agent_id,
            "session_id": beginning.session_id,
            "status": "running",
            "request": self._sealed(by.tenant, dict(beginning.request)),
            "tokens_in": 0,
            "tokens_out": 0,
            "nano": 0,
            "cancel_requested": 0,
            "fence": 1,
            "held_until": now + self._lease_s,
            "created_at": now,
            "updated_at": now,
        }

    def _keep(self, connection: Connection, run: Run, now: float, more: Mapping[str, Any] = NOTHING) -> bool:
        """Hold a run for a while longer; whether its owner wants it cancelled. Raises Cancelled when it is lost."""
        held = (runs.c.tenant_id == run.tenant, runs.c.uid == run.uid, runs.c.fence == run.fence)
        values = {"held_until": now + self._lease_s, "updated_at": now, **more}
        statement = update(runs).where(*held, runs.c.finished_at.is_(None)).values(values)
        row = connection.execute(statement.returning(runs.c.cancel_requested)).first()
        if row is None:
            raise Cancelled("Somebody else works on this run now, or it has ended.")
        return bool(row.cancel_requested)

    async def _beat(self, run: Run, cancelled: Cancellation) -> None:
        with self._bell.listen(_cancelling(run.uid)) as listener:
            while not cancelled:
                await listener.wait(min(BEAT_S, self._lease_s / 4))
                try:
                    is_wanted = await self._store.write(lambda connection: self._keep(connection, run, self._clock()))
                except Cancelled:
                    is_wanted = True
                except PlatformError:  # the store is away for a moment; the lease lasts longer
                    continue
                if is_wanted:
                    cancelled.set()

    def _done(self, run: Run, outcome: Outcome) -> dict[str, Any]:
        """Steps and cost of a run as they are stored."""
        cost = run.cost + outcome.cost
        steps = self._sealed(run.tenant, [asdict(step) for step in outcome.steps])
        return {"steps": steps, "tokens_in": cost.tokens_in, "tokens_out": cost.tokens_out, "nano": cost.nano}

    def _standing(self, status: Status | None) -> tuple[ColumnElement[bool], ...]:
        """The condition for a status as `_run` shows it: a talk that its process has left has failed."""
        if status is None:
            return ()
        is_free = func.coalesce(runs.c.held_until, 0) < self._clock()
        left = and_(runs.c.status == "running", runs.c.kind != "workflow", is_free)
        if status == "failed":
            return (or_(runs.c.status == "failed", left),)
        return (runs.c.status == status, not_(left))

    def _sealed(self, tenant: str, value: Any) -> bytes:
        return self.seal(tenant, json.dumps(value, separators=(",", ":"), default=str).encode())

    def _opened(self, tenant: str, sealed: bytes | None) -> Any:
        return None if sealed is None else json.loads(self.unseal(tenant, sealed))

    def _run(self, row: Any) -> Run:
        steps = self._opened(row.tenant_id, row.steps) or []
        is_left = row.status == "running" and (row.held_until or 0) < self._clock()
        is_lost = is_left and row.kind != "workflow"  # which has no checkpoint to go on from
        return Run(
            tenant=row.tenant_id,
            owner=row.owner,
            kind=row.kind,
            run_id=row.run_id,
            uid=row.uid,
            name=row.name,
            agent_id=row.agent_id,
            session_id=row.session_id,
            status="failed" if is_lost else row.status,
            request=self._opened(row.tenant_id, row.request),
            answer=self._opened(row.tenant_id, row.answer),
            error=LOST if is_lost else self._opened(row.tenant_id, row.error),
            steps=tuple(Step(**step) for step in steps),
            cost=Cost(row.tokens_in, row.tokens_out, row.nano),
            is_cancel_requested=bool(row.cancel_requested),
            fence=row.fence,
            held_until=row.held_until,
            created_at=row.created_at,
            updated_at=row.updated_at,
            finished_at=row.held_until if is_lost else row.finished_at,
            is_left=is_left,
        )


def _cancelling(uid: str) -> str:
    return f"cancel {uid}"


def _missing(run_id: str) -> NotFound:
    return NotFound(f"No run {run_id[:64]!r} of yours.", hint="Runs are shown to whoever started them.")


def _is(by: Principal, kind: Kind, run_id: str) -> ColumnElement[bool]:
    return and_(runs.c.tenant_id == by.tenant, runs.c.owner == by.subject, runs.c.kind == kind, runs.c.run_id == run_id)


def _of(tenant: str, uid: str) -> tuple[ColumnElement[bool], ...]:
    return run_events.c.tenant_id == tenant, run_events.c.uid == uid


def _delete(connection: Connection, uids: list[str]) -> int:
    connection.execute(delete(run_events).where(run_events.c.uid.in_(uids)))
    return connection.execute(delete(runs).where(runs.c.uid.in_(uids))).rowcount
