"""An approval: somebody asks, somebody else decides, and what was decided holds for just what was asked."""

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import ColumnElement, Connection

from core.context import Principal

PENDING, APPROVED, REJECTED, EXPIRED = "pending", "approved", "rejected", "expired"
STATUSES = (PENDING, APPROVED, REJECTED, EXPIRED)

PROMOTION = "promotion"
PROJECT_TENANT = "project_tenant"
PROJECT_DATASET = "project_dataset"
AGENT_CHANGE = "agent_change"
TOOL_CALL = "tool_call"
DATA_ACCESS = "data_access"

DECIDE, LEAD = "approvals.decide", "pipelines.lead"
DAY_S = 86_400.0
LASTS_S = 15 * DAY_S


@dataclass(frozen=True, slots=True)
class Approval:
    """One request as it stands. `status` counts the time: what was not decided until `expires_at` has expired."""

    approval_id: str
    tenant: str
    kind: str
    status: str
    decider_tenant: str | None
    requested_by: str
    title: str
    subject: Mapping[str, Any]
    tool: str
    argument_digest: str
    arguments: bytes | None
    snapshot: str
    request_reason: str
    created_at: float
    expires_at: float
    reviewed_by: str | None
    reviewer_tenant: str | None
    reviewed_at: float | None
    reason: str
    used_at: float | None


@dataclass(frozen=True, slots=True)
class Opening:
    """What is asked. `key` names it: as long as it is pending, asking again gives the same approval.

    `decider` is the tenant asked, or a scalar statement that finds it; default the requester's own."""

    kind: str
    title: str
    key: str
    subject: Mapping[str, Any] = field(default_factory=dict)
    decider: "str | ColumnElement[Any] | None" = None
    tool: str = ""
    argument_digest: str = ""
    arguments: bytes | None = None
    snapshot: str = ""
    reason: str = ""
    lasts_s: float = LASTS_S


Effect = Callable[[Connection], None]
"""What an approval brings about, in the same transaction as the decision."""

Prepare = Callable[[Approval, Principal], Awaitable[Effect]]
"""Gets an effect ready before the transaction. Raises Conflict, NotFound: then nothing is decided."""


async def no_effect(approval: Approval, by: Principal) -> Effect:
    return lambda connection: None


@dataclass(frozen=True, slots=True)
class Kind:
    """What is special about one kind of approvals. `after` is told of each decision, once it is stored."""

    name: str
    decides: str = DECIDE
    needs_reason: bool = False
    prepare: Prepare = no_effect
    after: Callable[[Approval], None] = lambda approval: None
    use_within_s: float | None = None  # after the decision
