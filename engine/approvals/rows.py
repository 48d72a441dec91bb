"""Statements on approvals. Every change is one conditional UPDATE, so that of two at once only one holds."""

import json
from collections.abc import Sequence
from typing import Any

from sqlalchemy import Connection, Row, and_, func, insert, or_, select, update

from engine.approvals.approval import APPROVED, EXPIRED, PENDING, Approval, Opening
from engine.store.tables import approval_comments, approvals

T = approvals.c
C = approval_comments.c


def find_pending(connection: Connection, tenant: str, key: str, now: float) -> Row[Any] | None:
    query = select(approvals).where(T.tenant_id == tenant, T.pending_key == key, T.expires_at > now)
    return connection.execute(query).first()


def insert_pending(
    connection: Connection, tenant: str, subject: str, opening: Opening, key: str, *, approval_id: str, now: float
) -> Row[Any]:
    """A new request; one under the same key whose time is over makes room for it."""
    stale = update(approvals).where(T.tenant_id == tenant, T.pending_key == key, T.expires_at <= now)
    connection.execute(stale.values(pending_key=None))  # `expire` marks it, and tells of it
    values = {
        "tenant_id": tenant,
        "approval_id": approval_id,
        "kind": opening.kind,
        "status": PENDING,
        "decider_tenant": tenant if opening.decider is None else opening.decider,
        "requested_by": subject,
        "title": opening.title,
        "subject": json.dumps(dict(opening.subject)),
        "tool": opening.tool,
        "argument_digest": opening.argument_digest,
        "arguments": opening.arguments,
        "snapshot": opening.snapshot,
        "request_reason": opening.reason,
        "pending_key": key,
        "created_at": now,
        "expires_at": now + opening.lasts_s,
        "reason": "",
    }
    connection.execute(insert(approvals).values(values))
    return connection.execute(select(approvals).where(T.tenant_id == tenant, T.approval_id == approval_id)).one()


def asked_side(tenant: str, approval_id: str) -> Any:
    """The tenant that is asked to decide, found by the statement that it is put into."""
    return select(T.decider_tenant).where(T.tenant_id == tenant, T.approval_id == approval_id).scalar_subquery()


def count_pending(connection: Connection, tenant: str, subject: str, now: float) -> int:
    query = select(func.count()).where(T.tenant_id == tenant, T.requested_by == subject, T.status == PENDING)
    return connection.scalar(query.where(T.expires_at > now)) or 0


def decide(connection: Connection, approval: Approval, by: tuple[str, str], values: dict[str, Any], now: float) -> bool:
    """Write a decision; false when it is no longer pending."""
    tenant, subject = by
    statement = update(approvals).where(
        T.tenant_id == approval.tenant,
        T.approval_id == approval.approval_id,
        T.status == PENDING,
        T.expires_at > now,
        T.decider_tenant == tenant,
    )
    values = {**values, "reviewed_by": subject, "reviewer_tenant": tenant, "reviewed_at": now, "pending_key": None}
    return connection.execute(statement.values(values)).rowcount == 1


def use(connection: Connection, tenant: str, subject: str, tool: str, digest: str, *, now: float) -> str | None:
    """Use up one approval of just this call; its id, or None where there is none."""
    mine = and_(T.tenant_id == tenant, T.requested_by == subject, T.tool == tool, T.argument_digest == digest)
    free = and_(mine, T.status == APPROVED, T.used_at.is_(None), T.expires_at > now)
    found: list[str] = list(connection.scalars(select(T.approval_id).where(free).order_by(T.created_at)))
    for approval_id in found:
        taken = update(approvals).where(free, T.approval_id == approval_id).values(used_at=now)
        if connection.execute(taken).rowcount == 1:
            return approval_id
    return None


def was_used(connection: Connection, tenant: str, subject: str, tool: str, digest: str) -> bool:
    mine = and_(T.tenant_id == tenant, T.requested_by == subject, T.tool == tool, T.argument_digest == digest)
    query = select(T.approval_id).where(mine, T.status == APPROVED, T.used_at.is_not(None)).limit(1)
    return connection.scalar(query) is not None


def due(connection: Connection, now: float, limit: int) -> list[Row[Any]]:
    """Requests whose time is over, the oldest first."""
    query = select(approvals).where(T.status == PENDING, T.expires_at <= now).order_by(T.expires_at).limit(limit)
    return list(connection.execute(query))


def expire(connection: Connection, tenant: str, approval_id: str, now: float) -> bool:
    statement = update(approvals).where(T.tenant_id == tenant, T.approval_id == approval_id)
    statement = statement.where(T.status == PENDING, T.expires_at <= now)
    return connection.execute(statement.values(status=EXPIRED, pending_key=None)).rowcount == 1


def visible(tenant: str) -> Any:
    """What the tenant asked, or is asked."""
    return or_(T.tenant_id == tenant, T.decider_tenant == tenant)


def with_status(status: Sequence[str], now: float) -> Any:
    """Those of a status; one that was not decided in time has expired, whether or not that is written yet."""
    late = and_(T.status == PENDING, T.expires_at <= now)
    parts = [and_(T.status == PENDING, T.expires_at > now)] if PENDING in status else []
    parts += [or_(T.status == EXPIRED, late)] if EXPIRED in status else []
    decided = [name for name in status if name not in (PENDING, EXPIRED)]
    return or_(*parts, T.status.in_(decided))


def listing(
    connection: Connection, where: Any, *, offset: int = 0, size: int | None = None
) -> tuple[list[Row[Any]], int]:
    """The newest first, and how many there are."""
    total = connection.scalar(select(func.count()).select_from(approvals).where(where)) or 0
    query = select(approvals).where(where).order_by(T.created_at.desc(), T.approval_id).offset(offset)
    return list(connection.execute(query if size is None else query.limit(size))), total


def comment(connection: Connection, values: dict[str, Any]) -> None:
    connection.execute(insert(approval_comments).values(values))


def comments(connection: Connection, approval: Approval) -> list[Row[Any]]:
    query = select(approval_comments).where(C.tenant_id == approval.tenant, C.approval_id == approval.approval_id)
    return list(connection.execute(query.order_by(C.created_at, C.comment_id)))


def read(row: Row[Any], now: float) -> Approval:
    is_late = row.status == PENDING and row.expires_at <= now
    return Approval(
        approval_id=row.approval_id,
        tenant=row.tenant_id,
        kind=row.kind,
        status=EXPIRED if is_late else row.status,
        decider_tenant=row.decider_tenant,
        requested_by=row.requested_by,
        title=row.title,
        subject=json.loads(row.subject),
        tool=row.tool,
        argument_digest=row.argument_digest,
        arguments=row.arguments,
        snapshot=row.snapshot,
        request_reason=row.request_reason,
        created_at=row.created_at,
        expires_at=row.expires_at,
        reviewed_by=row.reviewed_by,
        reviewer_tenant=row.reviewer_tenant,
        reviewed_at=row.reviewed_at,
        reason=row.reason,
        used_at=row.used_at,
    )
