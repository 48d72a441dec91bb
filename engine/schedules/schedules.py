"""Schedules: which tool runs when, as whom; a due one is claimed by one ticker of all processes."""

import time
import uuid
from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, or_, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from core.pages import Window
from engine.jobs.principals import dump_principal, load_principal
from engine.schedules.cron import Cron, parse_zone
from engine.store.db import Store
from engine.store.tables import schedules

CLAIM_S = 60.0
DUE_BATCH = 100
READ_ALL = "jobs.read"
DELETE_ALL = "tenant.manage"


@dataclass(frozen=True, slots=True)
class Schedule:
    """A tool with its arguments, times, and who it runs as (with the rights of the day it was made)."""

    tenant: str
    schedule_id: str
    name: str
    tool: str
    request: str  # JSON
    cron: str
    time_zone: str
    principal: Principal
    next_at: float
    created_at: float
    last_at: float | None = None
    last_job_id: str | None = None
    last_error: str | None = None

    @property
    def key(self) -> str:
        """The idempotency key of this tick: the same in every process, another one at every tick."""
        return f"schedule:{self.schedule_id}:{self.created_at}:{self.next_at}"


@dataclass(frozen=True, slots=True)
class Order:
    """What a schedule is to run, and when."""

    name: str
    tool: str
    request: str  # JSON
    cron: str
    time_zone: str = "UTC"


class Schedules:
    """Every tenant's schedules."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def create(
        self,
        principal: Principal,
        *,
        name: str,
        tool: str,
        request: str,
        cron: str,
        time_zone: str = "UTC",
        schedule_id: str | None = None,
    ) -> Schedule:
        """Raises InvalidArgument on a bad expression or time zone, Conflict on an id that is taken."""
        order = Order(name, tool, request, cron, time_zone)
        made = self._made(principal, schedule_id or self._new_id(), order, self._clock())
        try:
            await self._store.write(lambda connection: connection.execute(insert(schedules).values(_row(made))))
        except IntegrityError:
            raise Conflict(f"The schedule id {made.schedule_id!r} is taken.", hint="Choose another.") from None
        return made

    async def get(self, principal: Principal, schedule_id: str) -> Schedule:
        """One schedule of the caller, or of the tenant with jobs.read. Raises NotFound."""
        query = select(schedules).where(_seen_by(principal), schedules.c.schedule_id == schedule_id)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise NotFound(f"No schedule {schedule_id[:64]!r}.", hint="list_schedules shows those you can see.")
        return _schedule(row)

    async def page(self, principal: Principal, window: Window) -> tuple[list[Schedule], int]:
        """A slice of the schedules that the caller may see, by name, and how many there are."""
        seen = _seen_by(principal)

        def work(connection: Connection) -> tuple[list[Schedule], int]:
            total = connection.execute(select(func.count()).select_from(schedules).where(seen)).scalar_one()
            query = (
                select(schedules)
                .where(seen)
                .order_by(schedules.c.name, schedules.c.created_at, schedules.c.schedule_id)
            )
            rows = connection.execute(query.offset(window.offset).limit(window.size))
            return [_schedule(row) for row in rows], total

        return await self._store.read(work)

    async def delete(self, principal: Principal, schedule_id: str) -> None:
        """Raises NotFound, or Unauthorized for somebody else's without tenant.manage."""
        found = await self.get(principal, schedule_id)
        if found.principal.subject != principal.subject and not principal.may(DELETE_ALL):
            raise Unauthorized(
                f"Deleting somebody else's schedule needs the permission {DELETE_ALL}.", hint="Ask its owner."
            )
        await self._store.write(lambda connection: connection.execute(delete(schedules).where(_is(found))))

    async def standing(self, tenant: str, schedule_ids: Collection[str]) -> dict[str, Schedule]:
        """Those of the schedules that are there, whoever's they are: for what belongs to an object of the tenant."""
        query = select(schedules).where(schedules.c.tenant_id == tenant, schedules.c.schedule_id.in_(schedule_ids))
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return {row.schedule_id: _schedule(row) for row in rows}

    async def replace(self, principal: Principal, orders: Mapping[str, "Order | None"]) -> dict[str, Schedule]:
        """Set the schedules with these ids, as one: None takes one away. Raises InvalidArgument.

        An order that stays the same, of the same person, keeps its next time and its past."""
        now = self._clock()
        before = await self.standing(principal.tenant, orders)
        made = {key: self._made(principal, key, order, now) for key, order in orders.items() if order is not None}
        kept = {key: then for key, then in before.items() if key in made and _is_same(then, made[key])}

        def work(connection: Connection) -> None:
            gone = [key for key in orders if key not in kept]
            connection.execute(
                delete(schedules).where(schedules.c.tenant_id == principal.tenant, schedules.c.schedule_id.in_(gone))
            )
            fresh = [_row(schedule) for key, schedule in made.items() if key not in kept]
            if fresh:
                connection.execute(insert(schedules), fresh)

        await self._store.write(work)
        return {**made, **kept}

    async def carry(self, tenant: str, moved: Mapping[str, "Schedule | None"]) -> None:
        """Put other schedules in the place of those with these ids, as one, with their past and whose they are.

        None takes one away. One whose new id is taken already stays as it is there."""
        made = [schedule for schedule in moved.values() if schedule is not None]
        taken = await self.standing(tenant, [schedule.schedule_id for schedule in made])
        gone = schedules.c.tenant_id == tenant, schedules.c.schedule_id.in_(list(moved))
        rows = [
            {**_row(item), "last_at": item.last_at, "last_job_id": item.last_job_id, "last_error": item.last_error}
            for item in made
            if item.schedule_id not in taken
        ]

        def work(connection: Connection) -> None:
            connection.execute(delete(schedules).where(*gone))
            if rows:
                connection.execute(insert(schedules), rows)

        if moved:
            await self._store.write(work)

    def _made(self, principal: Principal, schedule_id: str, order: "Order", now: float) -> Schedule:
        return Schedule(
            tenant=principal.tenant,
            schedule_id=schedule_id,
            name=order.name,
            tool=order.tool,
            request=order.request,
            cron=order.cron,
            time_zone=order.time_zone,
            principal=principal,
            next_at=following(order.cron, order.time_zone, now),
            created_at=now,
        )

    async def due(self) -> list[Schedule]:
        """Schedules whose time has come and that no ticker is at work on."""
        query = select(schedules).where(self._is_due()).order_by(schedules.c.next_at).limit(DUE_BATCH)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [_schedule(row) for row in rows]

    async def claim(self, schedule: Schedule) -> bool:
        """Whether this caller, and nobody else for the next minute, turns this tick into a job."""
        taken = (
            update(schedules).where(_is_tick(schedule), self._is_due()).values(claimed_until=self._clock() + CLAIM_S)
        )
        return await self._store.write(lambda connection: connection.execute(taken).rowcount == 1)

    async def settle(self, schedule: Schedule, *, job_id: str = "", error: str = "") -> None:
        """Note what became of a tick and set the next; ticks missed meanwhile are not made up for."""
        now = self._clock()
        changes: dict[str, Any] = {
            "next_at": following(schedule.cron, schedule.time_zone, max(now, schedule.next_at)),
            "claimed_until": None,
            "last_at": now,
            "last_error": error or None,
        }
        if job_id:
            changes["last_job_id"] = job_id
        settled = update(schedules).where(_is_tick(schedule)).values(changes)
        await self._store.write(lambda connection: connection.execute(settled))

    def _is_due(self) -> ColumnElement[bool]:
        now = self._clock()
        is_free = or_(schedules.c.claimed_until.is_(None), schedules.c.claimed_until <= now)
        return and_(schedules.c.next_at <= now, is_free)


def following(cron: str, time_zone: str, after: float) -> float:
    """The next time of an expression. Raises InvalidArgument."""
    return Cron.parse(cron).next_after(datetime.fromtimestamp(after, UTC), parse_zone(time_zone)).timestamp()


def _is_same(then: Schedule, now: Schedule) -> bool:
    """Whether nothing was asked that was not so already; rights that changed since count as asked anew."""
    return dump_principal(then.principal) == dump_principal(now.principal) and replace(
        now, next_at=then.next_at, created_at=then.created_at
    ) == replace(then, last_at=None, last_job_id=None, last_error=None, principal=now.principal)


def _is(schedule: Schedule) -> ColumnElement[bool]:
    return and_(schedules.c.tenant_id == schedule.tenant, schedules.c.schedule_id == schedule.schedule_id)


def _is_tick(schedule: Schedule) -> ColumnElement[bool]:
    return and_(_is(schedule), schedules.c.next_at == schedule.next_at, schedules.c.created_at == schedule.created_at)


def _seen_by(principal: Principal) -> ColumnElement[bool]:
    in_tenant = schedules.c.tenant_id == principal.tenant
    return in_tenant if principal.may(READ_ALL) else in_tenant & (schedules.c.owner == principal.subject)


def _row(schedule: Schedule) -> dict[str, Any]:
    return {
        "tenant_id": schedule.tenant,
        "schedule_id": schedule.schedule_id,
        "name": schedule.name,
        "tool": schedule.tool,
        "request": schedule.request,
        "cron": schedule.cron,
        "time_zone": schedule.time_zone,
        "principal": dump_principal(schedule.principal),
        "owner": schedule.principal.subject,
        "next_at": schedule.next_at,
        "created_at": schedule.created_at,
    }


def _schedule(row: Any) -> Schedule:
    return Schedule(
        tenant=row.tenant_id,
        schedule_id=row.schedule_id,
        name=row.name,
        tool=row.tool,
        request=row.request,
        cron=row.cron,
        time_zone=row.time_zone,
        principal=load_principal(row.principal),
        next_at=row.next_at,
        created_at=row.created_at,
        last_at=row.last_at,
        last_job_id=row.last_job_id,
        last_error=row.last_error,
    )
