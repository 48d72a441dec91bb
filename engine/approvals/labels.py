"""The names that go with the ids in approvals, as far as each side may know them."""

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select, tuple_

from engine.approvals.approval import APPROVED, PROJECT_DATASET, PROJECT_TENANT, Approval
from engine.store.db import Store
from engine.store.tables import datasets, tenants, users

Pair = tuple[str, str]


@dataclass(frozen=True, slots=True)
class Label:
    """What of one approval has a name. Empty: unknown, or not for this viewer."""

    requester_name: str = ""
    requester_email: str = ""
    tenant_name: str = ""
    dataset_name: str = ""


async def read_labels(store: Store, viewer: str, found: Sequence[Approval]) -> list[Label]:
    """One for each approval. Whoever asked learns the names of the other side once it has agreed."""
    return await store.read(lambda connection: _read(connection, viewer, found))


def _read(connection: Connection, viewer: str, found: Sequence[Approval]) -> list[Label]:
    people = _people(connection, {(item.tenant, item.requested_by) for item in found if item.requested_by})
    known = [item for item in found if item.decider_tenant == viewer or item.status == APPROVED]
    invited = {item.subject["tenant_id"] for item in known if item.kind == PROJECT_TENANT}
    names = _tenants(connection, invited)
    wanted = {
        (item.decider_tenant, item.subject["dataset_id"])
        for item in known
        if item.kind == PROJECT_DATASET and item.decider_tenant
    }
    called = _datasets(connection, wanted)
    return [_label(item, people, names if item in known else {}, called if item in known else {}) for item in found]


def _label(item: Approval, people: dict[Pair, Pair], names: dict[str, str], called: dict[Pair, str]) -> Label:
    name, email = people.get((item.tenant, item.requested_by), ("", ""))
    dataset = (item.decider_tenant or "", str(item.subject.get("dataset_id", "")))
    return Label(name, email, names.get(str(item.subject.get("tenant_id", "")), ""), called.get(dataset, ""))


def _people(connection: Connection, wanted: Iterable[Pair]) -> dict[Pair, Pair]:
    c = users.c
    query = select(c.tenant_id, c.user_id, c.name, c.email).where(tuple_(c.tenant_id, c.user_id).in_(list(wanted)))
    return {(row.tenant_id, row.user_id): (row.name, row.email) for row in connection.execute(query)}


def _tenants(connection: Connection, wanted: Iterable[str]) -> dict[str, str]:
    query = select(tenants.c.tenant_id, tenants.c.name).where(tenants.c.tenant_id.in_(list(wanted)))
    return {row.tenant_id: row.name for row in connection.execute(query)}


def _datasets(connection: Connection, wanted: Iterable[Pair]) -> dict[Pair, str]:
    c = datasets.c
    query = select(c.tenant_id, c.dataset_id, c.name).where(tuple_(c.tenant_id, c.dataset_id).in_(list(wanted)))
    return {(row.tenant_id, row.dataset_id): row.name for row in connection.execute(query)}
