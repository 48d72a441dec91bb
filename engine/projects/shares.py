"""Shares: which tenant belongs to a project of another, and which of its datasets another may read.

A dataset is read by a guest while its share, the dataset, the project and its owner live, and, where the project is
somebody else's, while the guest belongs to it. Belonging to a project alone opens no data."""

import hashlib
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, and_, insert, or_, select, update

from core.context import Principal
from core.errors import NotFound
from engine.store.db import Store
from engine.store.tables import datasets, projects, queries, tenants
from engine.store.tables import shares as table

T = table.c
GONE = ("archiving", "archived")


@dataclass(frozen=True, slots=True)
class Share:
    """What one tenant opened to another. Without a dataset, the guest belongs to the project."""

    share_id: str
    owner: str
    guest: str
    project_tenant: str
    project_id: str
    project_name: str
    dataset_id: str
    dataset_name: str
    approval_id: str
    created_at: float


@dataclass(frozen=True, slots=True)
class SharedDataset:
    """A dataset that a guest reads now."""

    share_id: str
    owner: str
    namespace: str
    description: str
    project_name: str
    version: int
    created_at: float


@dataclass(frozen=True, slots=True)
class Grant:
    """What an approval opens."""

    owner: str
    guest: str
    project_tenant: str
    project_id: str
    dataset_id: str = ""
    approval_id: str = ""

    @property
    def active_key(self) -> str:
        parts = (self.guest, self.project_tenant, self.project_id, self.dataset_id)
        return hashlib.sha256("\0".join(parts).encode()).hexdigest()


class Shares:
    """Lists and ends shares; `changed` is told each tenant for whom something else is there now."""

    def __init__(
        self,
        store: Store,
        *,
        changed: Callable[[str], None] = lambda tenant: None,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"share_{secrets.token_hex(12)}",
    ):
        self._store = store
        self.changed = changed
        self._clock = clock
        self._new_id = new_id

    async def all(self, by: Principal) -> Sequence[Share]:
        """What the tenant shares with others and others with it, the oldest first."""
        return await self._store.read(lambda connection: _read(connection, _of(by.tenant)))

    async def get(self, by: Principal, share_id: str) -> Share:
        """Raises NotFound."""
        found = await self._store.read(
            lambda connection: _read(connection, and_(_of(by.tenant), T.share_id == share_id))
        )
        if not found:
            raise NotFound(f"No share {share_id[:64]!r}.", hint="list_shares shows what is shared.")
        return found[0]

    async def revoke(self, by: Principal, share_id: str) -> None:
        """End a share, as its owner or as its guest. Raises NotFound."""
        found, at = await self.get(by, share_id), self._clock()
        ending = [T.share_id == share_id]
        if not found.dataset_id:  # who leaves a project leaves what is in it
            ending = [T.guest_tenant == found.guest, T.project_tenant == found.project_tenant]
            ending.append(T.project_id == found.project_id)
        await self._store.write(lambda connection: end_shares(connection, ending, by.subject, at))
        self.changed(found.guest)

    def grant(self, connection: Connection, grant: Grant) -> str:
        """Open it, once however often it was approved; the id of the share. Runs in a transaction."""
        query = select(T.share_id).where(T.tenant_id == grant.owner, T.active_key == grant.active_key)
        known: str | None = connection.scalar(query)
        if known is not None:
            return known
        row = {
            "tenant_id": grant.owner,
            "share_id": self._new_id(),
            "guest_tenant": grant.guest,
            "project_tenant": grant.project_tenant,
            "project_id": grant.project_id,
            "dataset_id": grant.dataset_id,
            "active_key": grant.active_key,
            "approval_id": grant.approval_id,
            "created_at": self._clock(),
            "revoked_by": "",
        }
        connection.execute(insert(table).values(row))
        return str(row["share_id"])


def end_shares(connection: Connection, which: Sequence[Any], subject: str, at: float) -> None:
    """End shares, and what is reading through them just now: its process finds the wish within half a second."""
    living = select(T.guest_tenant, T.share_id).where(*which, T.revoked_at.is_(None))
    found = connection.execute(living).all()
    ended = update(table).where(*which, T.revoked_at.is_(None))
    connection.execute(ended.values(revoked_at=at, revoked_by=subject, active_key=None))
    for guest, share_id in found:
        reading = (queries.c.tenant_id == guest, queries.c.connection_id == share_id, queries.c.status == "running")
        connection.execute(update(queries).where(*reading).values(cancel_requested=1))


def still_shared(guest: str, share_id: str) -> Callable[[Connection], None]:
    """To be run where the start of a statement is written: whoever revokes meanwhile waits, and then finds it."""

    def check(connection: Connection) -> None:
        living = select(T.share_id).where(T.guest_tenant == guest, T.share_id == share_id, T.revoked_at.is_(None))
        if connection.scalar(living.with_for_update(read=True)) is None:
            raise NotFound(
                f"No connection {share_id[:64]!r}.", hint="list_connections shows the connections you can use."
            )

    return check


def members(connection: Connection, project_tenant: str, project_id: str) -> list[str]:
    """The tenants that were let into a project."""
    query = select(T.guest_tenant).where(T.project_tenant == project_tenant, T.project_id == project_id)
    return list(connection.scalars(query.where(T.dataset_id == "", T.revoked_at.is_(None))))


def read_shared(connection: Connection, guest: str) -> list[SharedDataset]:
    """Every dataset that the guest may read now."""
    membership = table.alias()
    belongs = select(membership.c.share_id).where(
        membership.c.guest_tenant == guest,
        membership.c.project_tenant == T.project_tenant,
        membership.c.project_id == T.project_id,
        membership.c.dataset_id == "",
        membership.c.revoked_at.is_(None),
    )
    query = (
        select(T.share_id, T.tenant_id, T.created_at, datasets.c.name, datasets.c.description, datasets.c.updated_at)
        .add_columns(projects.c.name.label("project_name"))
        .where(T.guest_tenant == guest, T.revoked_at.is_(None), T.dataset_id != "")
        .where(datasets.c.tenant_id == T.tenant_id, datasets.c.dataset_id == T.dataset_id)
        .where(datasets.c.archived_at.is_(None), datasets.c.state.not_in(GONE))
        .where(projects.c.tenant_id == T.project_tenant, projects.c.project_id == T.project_id)
        .where(projects.c.archived_at.is_(None))
        .where(tenants.c.tenant_id == T.tenant_id, tenants.c.archived_at.is_(None), tenants.c.suspended_at.is_(None))
        .where(or_(T.project_tenant == guest, belongs.exists()))
    )
    return [_shared(row) for row in connection.execute(query)]


def _shared(row: Row[Any]) -> SharedDataset:
    return SharedDataset(
        share_id=row.share_id,
        owner=row.tenant_id,
        namespace=row.name,
        description=row.description,
        project_name=row.project_name,
        version=int(row.updated_at * 1000) % 2**31,
        created_at=row.created_at,
    )


def _of(tenant: str) -> Any:
    return or_(T.tenant_id == tenant, T.guest_tenant == tenant)


def _read(connection: Connection, where: Any) -> list[Share]:
    of_project = and_(projects.c.tenant_id == T.project_tenant, projects.c.project_id == T.project_id)
    of_dataset = and_(datasets.c.tenant_id == T.tenant_id, datasets.c.dataset_id == T.dataset_id)
    query = (
        select(table, projects.c.name.label("project_name"), datasets.c.name.label("dataset_name"))
        .join(projects, of_project)
        .outerjoin(datasets, of_dataset)
        .where(where, T.revoked_at.is_(None))
        .order_by(T.created_at, T.share_id)
    )
    return [_share(row) for row in connection.execute(query)]


def _share(row: Row[Any]) -> Share:
    return Share(
        share_id=row.share_id,
        owner=row.tenant_id,
        guest=row.guest_tenant,
        project_tenant=row.project_tenant,
        project_id=row.project_id,
        project_name=row.project_name,
        dataset_id=row.dataset_id,
        dataset_name=row.dataset_name or "",
        approval_id=row.approval_id,
        created_at=row.created_at,
    )
