"""Projects: what a tenant's datasets, saved queries and agents belong to, and who else was let in."""

import time
import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound
from engine.identity.names import checked_name, name_key
from engine.projects.shares import end_shares
from engine.store.db import Store
from engine.store.tables import projects as table
from engine.store.tables import shares

T = table.c


@dataclass(frozen=True, slots=True)
class Project:
    """One project. One of another tenant, which let this one in, is read only."""

    project_id: str
    tenant: str
    name: str
    description: str
    version: int
    created_by: str
    created_at: float
    updated_at: float
    archived_at: float | None


@dataclass(frozen=True, slots=True)
class Change:
    """What of a project is to be another; None leaves a field as it is."""

    name: str | None = None
    description: str | None = None
    expected_version: int | None = None


class Projects:
    """Every tenant's projects, as its people may see them."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: str(uuid.uuid4()),
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id

    async def all(self, by: Principal, *, archived: bool = False) -> Sequence[Project]:
        """The tenant's own, the oldest first, and then those of others that it was let into."""
        own = select(table).where(T.tenant_id == by.tenant, _is_archived(archived))
        own = own.order_by(T.created_at, T.project_id)
        found = await self._store.read(lambda connection: connection.execute(own).all())
        foreign = () if archived else await self._store.read(lambda connection: connection.execute(_let_in(by)).all())
        return [_project(row) for row in (*found, *foreign)]

    async def get(self, by: Principal, project_id: str) -> Project:
        """One of the tenant's own, else one that it was let into. Raises NotFound."""
        row = await self._store.read(lambda connection: _own(connection, by.tenant, project_id))
        if row is None:
            foreign = _let_in(by).where(T.project_id == project_id)
            row = await self._store.read(lambda connection: connection.execute(foreign).first())
        if row is None:
            raise no_project(project_id)
        return _project(row)

    async def own(self, by: Principal, project_id: str) -> Project:
        """One of the tenant's own. Raises NotFound."""
        row = await self._store.read(lambda connection: _own(connection, by.tenant, project_id))
        if row is None:
            raise no_project(project_id)
        return _project(row)

    async def create(self, by: Principal, name: str, *, description: str = "", project_id: str = "") -> Project:
        """Raises Conflict when the id or the name, or one that looks like it, is taken."""
        shown, at = checked_name(name, "the project"), self._clock()
        made = Project(project_id or self._new_id(), by.tenant, shown, description, 1, by.subject, at, at, None)
        row = {
            "tenant_id": by.tenant,
            "project_id": made.project_id,
            "name": shown,
            "name_key": name_key(shown),
            "description": description,
            "created_by": by.subject,
            "version": 1,
            "created_at": at,
            "updated_at": at,
        }
        await self._change(lambda connection: connection.execute(insert(table).values(row)))
        return made

    async def update(self, by: Principal, project_id: str, change: Change) -> Project:
        """Raises NotFound, and Conflict when the name is taken or the version is another."""
        found = await self.own(by, project_id)
        values: dict[str, Any] = {}
        if change.name is not None:
            shown = checked_name(change.name, "the project")
            values |= {"name": shown, "name_key": name_key(shown)}
        if change.description is not None:
            values["description"] = change.description
        return await self._write(found, change.expected_version, values)

    async def delete(self, by: Principal, project_id: str) -> None:
        """Hide it. What it holds stays with the tenant; what was shared with it ends at once. Raises NotFound."""
        found, at = await self.own(by, project_id), self._clock()
        through = (shares.c.project_tenant == by.tenant, shares.c.project_id == project_id)

        def end(connection: Connection) -> None:
            end_shares(connection, through, by.subject, at)

        await self._write(found, None, {"archived_at": at, "name_key": None}, also=end)

    async def restore(self, by: Principal, project_id: str) -> Project:
        """Bring a deleted project back. Raises NotFound, and Conflict when its name is taken by now."""
        query = select(table).where(T.tenant_id == by.tenant, T.project_id == project_id, T.archived_at.is_not(None))
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None:
            raise no_project(project_id)
        found = _project(row)
        return await self._write(found, None, {"archived_at": None, "name_key": name_key(found.name)})

    async def _write(
        self,
        found: Project,
        expected: int | None,
        values: dict[str, Any],
        *,
        also: Callable[[Connection], None] = lambda connection: None,
    ) -> Project:
        if expected not in (None, found.version):
            raise _stale()
        statement = (
            update(table)
            .where(T.tenant_id == found.tenant, T.project_id == found.project_id, T.version == found.version)
            .values(**values, version=found.version + 1, updated_at=self._clock())
        )

        def work(connection: Connection) -> Row[Any]:
            if connection.execute(statement).rowcount == 0:
                raise _stale()
            also(connection)
            query = select(table).where(T.tenant_id == found.tenant, T.project_id == found.project_id)
            return connection.execute(query).one()

        return _project(await self._change(work))

    async def _change(self, work: Callable[[Connection], Any]) -> Any:
        try:
            return await self._store.write(work)
        except IntegrityError as error:
            raise Conflict(
                "There is a project with this id or name, or with one that looks like it.",
                hint="Choose another; list_projects shows those in use.",
            ) from error


def no_project(project_id: str) -> NotFound:
    return NotFound(f"No project {project_id[:64]!r}.", hint="list_projects shows the projects you can see.")


def _own(connection: Connection, tenant: str, project_id: str) -> Row[Any] | None:
    query = select(table).where(T.tenant_id == tenant, T.project_id == project_id, T.archived_at.is_(None))
    return connection.execute(query).first()


def _let_in(by: Principal) -> Any:
    """The living projects of others that the caller's tenant belongs to."""
    member = (
        select(shares.c.share_id)
        .where(shares.c.guest_tenant == by.tenant, shares.c.revoked_at.is_(None), shares.c.dataset_id == "")
        .where(shares.c.project_tenant == T.tenant_id, shares.c.project_id == T.project_id)
        .exists()
    )
    return select(table).where(member, T.tenant_id != by.tenant, T.archived_at.is_(None)).order_by(T.created_at)


def _is_archived(archived: bool) -> Any:
    return T.archived_at.is_not(None) if archived else T.archived_at.is_(None)


def _stale() -> Conflict:
    return Conflict("The project was changed meanwhile.", hint="Read it again with get_project, then retry.")


def _project(row: Row[Any]) -> Project:
    return Project(
        project_id=row.project_id,
        tenant=row.tenant_id,
        name=row.name,
        description=row.description,
        version=row.version,
        created_by=row.created_by,
        created_at=row.created_at,
        updated_at=row.updated_at,
        archived_at=row.archived_at,
    )
