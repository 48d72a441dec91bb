"""Agents in projects: which belong where, and in what role."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_, func, insert, select, update

from core.errors import Conflict, NotFound
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import agents, project_agents

MAX_IN_PROJECT = 100


@dataclass(frozen=True, slots=True)
class Assignment:
    """An agent's place in a project."""

    tenant: str
    project_id: str
    agent_id: str
    role: str
    created_at: float
    archived_at: float | None = None


class ProjectAgents:
    """Which agents a project has."""

    def __init__(self, store: Store, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._clock = clock

    async def assign(self, tenant: str, project_id: str, agent_id: str, role: str = "") -> Assignment:
        """Put an agent into a project, or change its role there. Raises Conflict when the project has too many."""
        made = Assignment(tenant, project_id, agent_id, role, self._clock())
        return await self._store.write(lambda connection: assign(connection, made))

    async def remove(self, tenant: str, project_id: str, agent_id: str, *, must_stay: bool) -> None:
        """Take an agent out. Raises NotFound, and Conflict for the last project of one that must be in some."""

        def work(connection: Connection) -> None:
            projects = live_projects(connection, tenant, agent_id)
            if project_id not in projects:
                raise NotFound("The agent is not in that project.", hint="list_project_agents shows who is.")
            if must_stay and len(projects) == 1:
                hint = "Assign it to another first, or delete_agent."
                raise Conflict("An agent of others belongs to a project at least.", hint=hint)
            gone = update(project_agents).where(_place(tenant, project_id, agent_id))
            connection.execute(gone.values(archived_at=self._clock()))

        await self._store.write(work)

    async def check(self, tenant: str, project_id: str, agent_id: str) -> None:
        """Raises NotFound unless the project has the agent."""
        projects = await self._store.read(lambda connection: live_projects(connection, tenant, agent_id))
        if project_id not in projects:
            raise NotFound("The agent is not in that project.", hint="list_project_agents shows who is.")

    async def page(self, tenant: str, project_id: str, window: Window) -> tuple[list[tuple[Any, Assignment]], int]:
        """A slice of a project's agents with their places, the first to come first, and how many there are."""
        both = and_(agents.c.tenant_id == project_agents.c.tenant_id, agents.c.agent_id == project_agents.c.agent_id)
        live = and_(
            project_agents.c.tenant_id == tenant,
            project_agents.c.project_id == project_id,
            project_agents.c.archived_at.is_(None),
            agents.c.archived_at.is_(None),
        )
        found = select(agents).join(project_agents, both).where(live)
        order = (project_agents.c.created_at, project_agents.c.agent_id)
        places = select(project_agents).join(agents, both).where(live).order_by(*order)

        def work(connection: Connection) -> tuple[Sequence[Any], Sequence[Any], int]:
            slice_ = (window.offset, window.size)
            rows = connection.execute(found.order_by(*order).offset(slice_[0]).limit(slice_[1])).all()
            placed = connection.execute(places.offset(slice_[0]).limit(slice_[1])).all()
            total = connection.execute(select(func.count()).select_from(found.subquery())).scalar_one()
            return rows, placed, total

        rows, placed, total = await self._store.read(work)
        return [(row, _assignment(place)) for row, place in zip(rows, placed, strict=True)], total


def assign(connection: Connection, made: Assignment) -> Assignment:
    """Write an assignment; one that is there keeps its beginning and takes the role."""
    live = and_(project_agents.c.tenant_id == made.tenant, project_agents.c.archived_at.is_(None))
    count = select(func.count()).select_from(project_agents).where(live, project_agents.c.project_id == made.project_id)
    there = connection.execute(
        select(project_agents).where(_place(made.tenant, made.project_id, made.agent_id, live_only=False))
    ).first()
    if there is None or there.archived_at is not None:
        if connection.execute(count).scalar_one() >= MAX_IN_PROJECT:
            raise Conflict(f"The project has {MAX_IN_PROJECT} agents.", hint="Remove one first.")
    else:
        made = Assignment(made.tenant, made.project_id, made.agent_id, made.role, there.created_at)
    values = {"role": made.role, "created_at": made.created_at, "archived_at": None}
    if there is not None:
        place = _place(made.tenant, made.project_id, made.agent_id, live_only=False)
        connection.execute(update(project_agents).where(place).values(**values))
    else:
        ids = {"tenant_id": made.tenant, "project_id": made.project_id, "agent_id": made.agent_id}
        connection.execute(insert(project_agents).values(**ids, **values))
    return made


def live_projects(connection: Connection, tenant: str, agent_id: str) -> list[str]:
    """The ids of the projects that an agent is in."""
    query = select(project_agents.c.project_id).where(
        project_agents.c.tenant_id == tenant,
        project_agents.c.agent_id == agent_id,
        project_agents.c.archived_at.is_(None),
    )
    return list(connection.scalars(query.order_by(project_agents.c.created_at)))


def _place(tenant: str, project_id: str, agent_id: str, *, live_only: bool = True) -> Any:
    there = and_(
        project_agents.c.tenant_id == tenant,
        project_agents.c.project_id == project_id,
        project_agents.c.agent_id == agent_id,
    )
    return and_(there, project_agents.c.archived_at.is_(None)) if live_only else there


def _assignment(row: Any) -> Assignment:
    return Assignment(
        row.tenant_id, row.project_id, row.agent_id, row.role, created_at=row.created_at, archived_at=row.archived_at
    )
