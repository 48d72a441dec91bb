"""Requests between tenants: one is let into another's project, or reads another's dataset.

They take ids of others by design. The side asked is found by the statement that stores the request, so that the same
is executed and answered whether what is named exists or not; a request that reached nobody expires like any other."""

from collections.abc import Sequence

from sqlalchemy import Connection, func, select

from core.context import Principal
from core.errors import Conflict
from engine.approvals.approval import PROJECT_DATASET, PROJECT_TENANT, Approval, Effect, Kind, Opening
from engine.approvals.approvals import Approvals
from engine.projects.projects import Projects
from engine.projects.shares import GONE, Grant, Shares, members
from engine.store.tables import datasets, projects, tenants


class Sharing:
    """Opens the two kinds of requests, and what their approval brings about."""

    def __init__(self, approvals: Approvals, projects: Projects, shares: Shares):
        self._approvals = approvals
        self._projects = projects
        self._shares = shares
        self._guests: dict[str, Sequence[str]] = {}  # by approvals that are decided just now
        approvals.register(
            Kind(PROJECT_TENANT, prepare=self._let_in, after=self._tell),
            Kind(PROJECT_DATASET, prepare=self._open_dataset, after=self._tell),
        )

    async def request_tenant(self, by: Principal, project_id: str, tenant_id: str) -> Approval:
        """Ask another tenant to join a project of one's own. Raises NotFound, Conflict."""
        project = await self._projects.own(by, project_id)
        if tenant_id == by.tenant:
            raise Conflict("The project belongs to your tenant already.", hint="Send the id of another tenant.")
        asked = select(tenants.c.tenant_id).where(tenants.c.tenant_id == tenant_id, tenants.c.archived_at.is_(None))
        opening = Opening(
            kind=PROJECT_TENANT,
            title=f"Join the project {project.name}",
            key=f"{project_id}:{tenant_id}",
            subject={
                "project_id": project_id,
                "project_tenant": project.tenant,
                "project_name": project.name,
                "tenant_id": tenant_id,
            },
            decider=asked.scalar_subquery(),
        )
        return await self._approvals.open(by, opening)

    async def request_dataset(self, by: Principal, project_id: str, dataset_id: str, *, owner: str = "") -> Approval:
        """Ask a dataset's owner to add it to a project of one's own, or that one was let into. Raises NotFound.

        `owner` says whose dataset it is, where several tenants have one of that id."""
        project = await self._projects.get(by, project_id)
        named = select(func.min(datasets.c.tenant_id)).where(
            datasets.c.dataset_id == dataset_id, datasets.c.archived_at.is_(None)
        )
        own = named.where(datasets.c.tenant_id == by.tenant).scalar_subquery()
        only = named.where(datasets.c.tenant_id == owner) if owner else named.having(func.count() == 1)
        opening = Opening(
            kind=PROJECT_DATASET,
            title=f"Add a dataset to the project {project.name}",
            key=f"{project.tenant}:{project_id}:{dataset_id}:{owner}",
            subject={
                "project_id": project_id,
                "project_tenant": project.tenant,
                "project_name": project.name,
                "dataset_id": dataset_id,
            },
            decider=only.scalar_subquery() if owner else func.coalesce(own, only.scalar_subquery()),
        )
        return await self._approvals.open(by, opening)

    async def _let_in(self, approval: Approval, by: Principal) -> Effect:
        subject = approval.subject

        def effect(connection: Connection) -> None:
            _check_project(connection, subject["project_tenant"], subject["project_id"])
            grant = Grant(
                owner=subject["project_tenant"],
                guest=by.tenant,
                project_tenant=subject["project_tenant"],
                project_id=subject["project_id"],
                approval_id=approval.approval_id,
            )
            self._shares.grant(connection, grant)

        return effect

    async def _open_dataset(self, approval: Approval, by: Principal) -> Effect:
        subject = approval.subject

        def effect(connection: Connection) -> None:
            place = (subject["project_tenant"], subject["project_id"])
            _check_project(connection, *place)
            _check_dataset(connection, by.tenant, subject["dataset_id"])
            guests = _guests(connection, approval, by.tenant)
            if not guests:
                raise Conflict(
                    "There is nobody to share it with.", hint="request_project_tenant lets another tenant join first."
                )
            self._guests[approval.approval_id] = guests
            for guest in guests:
                grant = Grant(by.tenant, guest, *place, subject["dataset_id"], approval.approval_id)
                self._shares.grant(connection, grant)

        return effect

    def _tell(self, approval: Approval) -> None:
        for tenant in {approval.tenant, approval.reviewer_tenant, *self._guests.pop(approval.approval_id, ())}:
            self._shares.changed(tenant or approval.tenant)


def _guests(connection: Connection, approval: Approval, owner: str) -> Sequence[str]:
    """Who reads the dataset once its owner agrees: whoever asked, and where that is the owner, who is in the project.

    Tenants that join later ask for themselves: nobody reads what its owner did not agree to."""
    project_tenant, project_id = approval.subject["project_tenant"], approval.subject["project_id"]
    inside = [project_tenant, *members(connection, project_tenant, project_id)]
    if approval.tenant != owner:
        if approval.tenant not in inside:
            raise Conflict("Whoever asked does not belong to the project any more.", hint="Reject the request.")
        return [approval.tenant]
    return [tenant for tenant in inside if tenant != owner]


def _check_project(connection: Connection, tenant: str, project_id: str) -> None:
    query = select(projects.c.project_id).where(projects.c.tenant_id == tenant, projects.c.project_id == project_id)
    if connection.scalar(query.where(projects.c.archived_at.is_(None))) is None:
        raise Conflict("The project is not there any more.", hint="Reject the request.")


def _check_dataset(connection: Connection, tenant: str, dataset_id: str) -> None:
    query = select(datasets.c.dataset_id).where(datasets.c.tenant_id == tenant, datasets.c.dataset_id == dataset_id)
    if connection.scalar(query.where(datasets.c.archived_at.is_(None), datasets.c.state.not_in(GONE))) is None:
        raise Conflict("The dataset is not there any more.", hint="Reject the request.")
