"""The desk: everything about projects, what is shared, what is approved, and who is told."""

from dataclasses import dataclass

from engine.approvals.access import DataAccess
from engine.approvals.approvals import Approvals
from engine.approvals.rules import ApprovalRules
from engine.approvals.sharing import Sharing
from engine.notices.destinations import Destinations
from engine.notices.outbox import Outbox
from engine.projects.projects import Projects
from engine.projects.shares import Shares


@dataclass(frozen=True, slots=True)
class Desk:
    """At which one asks and another decides."""

    projects: Projects
    shares: Shares
    approvals: Approvals
    rules: ApprovalRules
    sharing: Sharing
    access: DataAccess
    outbox: Outbox
    destinations: Destinations
