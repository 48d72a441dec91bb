"""Projects, shares, approvals and notices put together."""

from functools import partial
from typing import Protocol

from core.settings import Settings
from engine.approvals.access import DataAccess
from engine.approvals.approval import AGENT_CHANGE, LEAD, PROMOTION, Kind
from engine.approvals.approvals import Approvals
from engine.approvals.desk import Desk
from engine.approvals.gate import CALLS, ApprovalGate
from engine.approvals.rules import ApprovalRules
from engine.approvals.sharing import Sharing
from engine.catalog.catalog import Catalog
from engine.context import Engine
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.seals import TenantSeals
from engine.notices.destinations import Destinations
from engine.notices.mail import Mailer
from engine.notices.outbox import Outbox
from engine.notices.webhook import Webhooks
from engine.projects.projects import Projects
from engine.projects.shares import Shares
from engine.store.db import Store


class Ground(Protocol):
    """What an outbox stands on."""

    @property
    def seals(self) -> TenantSeals: ...

    @property
    def egress(self) -> EgressClient: ...


def build_outbox(settings: Settings, store: Store, ground: Ground) -> Outbox:
    """What sends notices."""
    return Outbox(
        store,
        Webhooks(ground.egress),
        Mailer(settings.notices),
        seal=partial(ground.seals.seal, "notices"),
        unseal=partial(ground.seals.open, "notices"),
    )


def build_desk(seals: TenantSeals, outbox: Outbox, *, catalog: Catalog, identity: Identity) -> Desk:
    """Where one asks and another decides. Promotions and agent changes do nothing by themselves."""
    store = outbox.store
    approvals = Approvals(store, outbox, unseal=partial(seals.open, "approvals"))
    projects = Projects(store)
    shares = Shares(store, changed=catalog.connections.forget)
    approvals.register(CALLS, Kind(PROMOTION, decides=LEAD, needs_reason=True), Kind(AGENT_CHANGE))
    return Desk(
        projects=projects,
        shares=shares,
        approvals=approvals,
        rules=ApprovalRules(store),
        sharing=Sharing(approvals, projects, shares),
        access=DataAccess(approvals, catalog, standing=identity.principal_of),
        outbox=outbox,
        destinations=Destinations(store, outbox.webhooks, seal=partial(seals.seal, "notices")),
    )


def build_gate(engine: Engine) -> ApprovalGate:
    """What holds a call back until somebody has agreed to it."""
    seals = TenantSeals(engine.store, engine.vault)
    return ApprovalGate(engine.desk.approvals, engine.desk.rules, seal=partial(seals.seal, "approvals"))
