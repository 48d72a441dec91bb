"""Tasks of our own agents, kept for their owners alone: what is asked and answered is sealed.

A task that runs is held by a process, which says every few seconds that it is still there. Where it no longer does,
the task is lost, and whoever reads it next ends it."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, Select, and_, delete, func, insert, or_, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.context import Principal
from core.errors import Conflict
from engine.agents.credentials import Seal
from engine.store.db import Store
from engine.store.tables import served_pushes, served_tasks

KEEP_S = 7 * 86_400.0
HOLD_S = 20.0
MAX_PUSHES = 20
_t = served_tasks.c
_p = served_pushes.c


class TaskChanged(Conflict):
    """Somebody else has changed the task meanwhile."""


@dataclass(frozen=True, slots=True)
class ServedTask:
    """A task as it is kept. `version` counts its changes; `is_lost` says that whoever ran it is gone."""

    task_id: str
    context_id: str
    state: str
    changed_at_ns: int
    document: bytes
    version: int = 0
    is_lost: bool = False


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which tasks a list shows: newest change first, those after the position `after`."""

    context_id: str = ""
    state: str = ""
    since_ns: int | None = None
    after: tuple[int, str] | None = None
    limit: int = 50


class ServedTasks:
    """Every statement names the tenant, the owner and the agent: a task of somebody else's is not there."""

    def __init__(self, store: Store, *, seal: Seal, unseal: Seal, clock: Callable[[], float] = time.time):
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._clock = clock

    async def get(self, by: Principal, agent_id: str, task_id: str) -> ServedTask | None:
        query = select(served_tasks).where(_mine(by, agent_id), _t.task_id == task_id)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        return None if row is None else self._read(by, row)

    async def save(
        self,
        by: Principal,
        agent_id: str,
        task: ServedTask,
        *,
        holder: str = "",
        overwrites_unless: Sequence[str] | None = None,
    ) -> int:
        """Keep a task whose `version` is the one it was made from, and say its new one. Raises TaskChanged.

        With `holder`, that process runs it from now on. With `overwrites_unless`, the version does not count, but the
        task must not be in one of these states."""
        document = self._seal(by.tenant, task.document, _about(by, task.task_id))
        now = self._clock()
        values = {
            "context_id": task.context_id,
            "state": task.state,
            "changed_at_ns": task.changed_at_ns,
            "document": document,
            "holder": holder,
            "held_until": now + HOLD_S if holder else None,
            "updated_at": now,
        }

        def work(connection: Connection) -> int:
            if task.version == 0:
                return _add(connection, by, agent_id, task.task_id, values | {"version": 1, "created_at": now})
            same = [_t.version == task.version] if overwrites_unless is None else [_t.state.not_in(overwrites_unless)]
            query = select(_t.version).where(_mine(by, agent_id), _t.task_id == task.task_id, *same)
            version = connection.scalar(query.with_for_update())
            if version is None:
                raise TaskChanged
            where = and_(_mine(by, agent_id), _t.task_id == task.task_id)
            connection.execute(update(served_tasks).where(where).values(version=version + 1, **values))
            return int(version) + 1

        return await self._store.write(work)

    async def page(self, by: Principal, agent_id: str, wanted: Wanted) -> tuple[list[ServedTask], int]:
        """A page of the caller's tasks, and how many there are in all."""
        where = [_mine(by, agent_id)]
        where += [_t.context_id == wanted.context_id] if wanted.context_id else []
        where += [_t.state == wanted.state] if wanted.state else []
        where += [_t.changed_at_ns >= wanted.since_ns] if wanted.since_ns is not None else []
        total = select(func.count()).select_from(served_tasks).where(*where)
        query: Select[Any] = select(served_tasks).where(*where)
        if wanted.after is not None:
            at, task_id = wanted.after
            query = query.where(or_(_t.changed_at_ns < at, and_(_t.changed_at_ns == at, _t.task_id < task_id)))
        query = query.order_by(_t.changed_at_ns.desc(), _t.task_id.desc()).limit(wanted.limit)

        def work(connection: Connection) -> tuple[Sequence[Row[Any]], int]:
            return connection.execute(query).all(), connection.scalar(total) or 0

        rows, count = await self._store.read(work)
        return [self._read(by, row) for row in rows], count

    async def delete(self, by: Principal, agent_id: str, task_id: str) -> None:
        where = and_(_mine(by, agent_id), _t.task_id == task_id)
        await self._store.write(lambda connection: connection.execute(delete(served_tasks).where(where)))

    async def hold(self, holder: str) -> set[str]:
        """Say that a process still runs what it runs, and which tasks those are; others may have ended some."""
        later = update(served_tasks).where(_t.holder == holder).values(held_until=self._clock() + HOLD_S)
        held = select(_t.task_id).where(_t.holder == holder)

        def work(connection: Connection) -> set[str]:
            connection.execute(later)
            return set(connection.scalars(held))

        return await self._store.write(work)

    async def release(self, holder: str) -> None:
        """Say that a process runs nothing any more: what it did not end is lost at once."""
        lost = update(served_tasks).where(_t.holder == holder).values(held_until=0.0)
        await self._store.write(lambda connection: connection.execute(lost))

    async def set_push(self, by: Principal, task_id: str, config_id: str, document: bytes) -> None:
        """Keep an address to tell of a task. Raises Conflict beyond 20 of them."""
        sealed = self._seal(by.tenant, document, _about(by, task_id))
        row = {"tenant_id": by.tenant, "task_id": task_id, "config_id": config_id}
        values = {"owner": by.subject, "document": sealed, "created_at": self._clock()}

        def work(connection: Connection) -> None:
            others = and_(_p.tenant_id == by.tenant, _p.task_id == task_id, _p.config_id != config_id)
            count = select(func.count()).select_from(served_pushes).where(others)
            if (connection.scalar(count) or 0) >= MAX_PUSHES:
                raise Conflict(f"A task has at most {MAX_PUSHES} addresses.", hint="Delete one of them.")
            module = postgresql if connection.dialect.name == "postgresql" else sqlite
            statement = module.insert(served_pushes).values(row | values)
            keys = ["tenant_id", "task_id", "config_id"]
            is_mine = served_pushes.c.owner == by.subject
            connection.execute(statement.on_conflict_do_update(index_elements=keys, set_=values, where=is_mine))

        await self._store.write(work)

    async def pushes(self, by: Principal, task_id: str) -> list[bytes]:
        """The caller's addresses for a task."""
        where = and_(_p.tenant_id == by.tenant, _p.task_id == task_id, _p.owner == by.subject)
        query = select(_p.document).where(where).order_by(_p.created_at, _p.config_id)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return [self._unseal(by.tenant, row.document, _about(by, task_id)) for row in rows]

    async def delete_push(self, by: Principal, task_id: str, config_id: str) -> None:
        where = and_(_p.tenant_id == by.tenant, _p.task_id == task_id, _p.owner == by.subject)
        statement = delete(served_pushes).where(where, _p.config_id == config_id)
        await self._store.write(lambda connection: connection.execute(statement))

    async def purge(self) -> None:
        """Forget what nobody has touched for a week."""
        old = self._clock() - KEEP_S

        def work(connection: Connection) -> None:
            connection.execute(delete(served_tasks).where(_t.updated_at < old))
            connection.execute(delete(served_pushes).where(_p.created_at < old))

        await self._store.write(work)

    def _read(self, by: Principal, row: Row[Any]) -> ServedTask:
        return ServedTask(
            task_id=row.task_id,
            context_id=row.context_id,
            state=row.state,
            changed_at_ns=row.changed_at_ns,
            document=self._unseal(by.tenant, row.document, _about(by, row.task_id)),
            version=row.version,
            is_lost=row.held_until is not None and row.held_until < self._clock(),
        )


def _add(connection: Connection, by: Principal, agent_id: str, task_id: str, values: dict[str, Any]) -> int:
    taken = select(_t.task_id).where(_t.tenant_id == by.tenant, _t.task_id == task_id)
    if connection.scalar(taken) is not None:
        raise TaskChanged
    row = {"tenant_id": by.tenant, "agent_id": agent_id, "task_id": task_id, "owner": by.subject}
    connection.execute(insert(served_tasks).values(row | values))
    return 1


def _mine(by: Principal, agent_id: str) -> Any:
    return and_(_t.tenant_id == by.tenant, _t.owner == by.subject, _t.agent_id == agent_id)


def _about(by: Principal, task_id: str) -> bytes:
    return f"served task\0{task_id}\0{by.subject}".encode()
