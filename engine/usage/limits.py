"""Limits on what tenants, projects and users may use in a day or month: soft ones are told, hard ones hold."""

import logging
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime

from sqlalchemy import Connection, delete, func, insert, select, text

from core.errors import QuotaExceeded
from engine.store.tables import query_quotas, usage_holds, usage_limits, usage_notices
from engine.usage.amounts import EACH, Amount, Who, said
from engine.usage.counters import Key, read_of
from engine.usage.periods import Periods

log = logging.getLogger("headwater.usage")
L, H = usage_limits.c, usage_holds.c
H_NAMES = ("rows_scanned", "bytes_scanned", "query_nano", "model_tokens", "model_nano")

LOCK_ROW = text(
    "INSERT INTO query_quota (tenant_id, updated_at) VALUES (:tenant, 0) ON CONFLICT (tenant_id) DO NOTHING"
)
NOTE = text(
    "INSERT INTO usage_notice (tenant_id, scope, scope_id, metric, period, soft, at)"
    " VALUES (:tenant, :scope, :scope_id, :metric, :period, :soft, :at) ON CONFLICT DO NOTHING"
)


@dataclass(frozen=True, slots=True)
class Limit:
    """One limit, in whole units. `scope_id` `*` is each of the kind; None is without limit."""

    scope: str
    scope_id: str
    metric: str
    span: str  # day or month
    soft: int | None
    hard: int | None

    def binds(self, scope: str, scope_id: str) -> bool:
        return self.scope == scope and self.scope_id in (scope_id, EACH)


@dataclass(frozen=True, slots=True)
class Bound:
    """A limit as it binds somebody now: what is used, and what running work holds."""

    limit: Limit
    scope_id: str
    period: str
    ends_at: datetime
    left_s: float  # until then
    used: int
    held: int = 0


def read_usage_limits(connection: Connection, tenant: str) -> list[Limit]:
    query = select(usage_limits).where(L.tenant_id == tenant)
    rows = connection.execute(query.order_by(L.metric, L.scope, L.scope_id, L.span))
    return [Limit(row.scope, row.scope_id, row.metric, row.span, row.soft, row.hard) for row in rows]


def write_limits(connection: Connection, tenant: str, limits: Iterable[Limit]) -> None:
    """Replace a tenant's limits by others."""
    connection.execute(delete(usage_limits).where(L.tenant_id == tenant))
    for limit in {(item.scope, item.scope_id, item.metric, item.span): item for item in limits}.values():
        values = {name: getattr(limit, name) for name in Limit.__slots__}
        connection.execute(insert(usage_limits).values(tenant_id=tenant, **values))


@dataclass(frozen=True, slots=True)
class Asked:
    """Work that wants to begin: an id of its own, what it will use of which metrics, and until when it may run."""

    hold_id: str
    metrics: frozenset[str]
    amount: Amount
    until: float


def hold(connection: Connection, who: Who, asked: Asked, now: Periods) -> None:
    """Set an amount aside where a limit binds whoever asks. Raises QuotaExceeded."""
    limits = [item for item in read_usage_limits(connection, who.tenant) if item.hard is not None]
    limits = [item for item in limits if item.metric in asked.metrics]
    if not limits:
        return
    lock(connection, who.tenant)
    connection.execute(delete(usage_holds).where(H.tenant_id == who.tenant, H.expires_at <= now.seconds))
    for bound in bounds(connection, who, limits, now):
        refuse_beyond(bound, asked.amount)
    row = {name: getattr(asked.amount, name) for name in H_NAMES}
    connection.execute(
        insert(usage_holds).values(
            tenant_id=who.tenant,
            hold_id=asked.hold_id,
            subject=who.subject,
            project_id=who.project_id,
            expires_at=asked.until,
            **row,
        )
    )


def release(connection: Connection, tenant: str, hold_id: str) -> None:
    connection.execute(delete(usage_holds).where(H.tenant_id == tenant, H.hold_id == hold_id))


def lock(connection: Connection, tenant: str) -> None:
    """Make everybody else who looks at the tenant's limits wait; SQLite has one writer anyway."""
    if connection.dialect.name == "sqlite":
        return
    connection.execute(LOCK_ROW, {"tenant": tenant})
    wanted = select(query_quotas.c.tenant_id).where(query_quotas.c.tenant_id == tenant)
    connection.execute(wanted.with_for_update())


def bounds(connection: Connection, who: Who, limits: Sequence[Limit], now: Periods) -> list[Bound]:
    """The limits that bind somebody, with what is used and held."""
    binding = [(limit, scope) for scope in who.scopes for limit in limits if limit.binds(*scope)]
    if not binding:
        return []
    used, held = read_of(connection, who, now.names), _held(connection, who)
    return [_bound(limit, scope, now, used, held) for limit, scope in binding]


def _bound(
    limit: Limit, scope: tuple[str, str], now: Periods, used: dict[Key, Amount], held: dict[str, Amount]
) -> Bound:
    period, ends_at = now.of(limit.span)
    spent = used.get((*scope, period), Amount()).of(limit.metric)
    left_s = max(1.0, ends_at.timestamp() - now.seconds)
    return Bound(limit, scope[1], period, ends_at, left_s, spent, held[scope[0]].of(limit.metric))


def _held(connection: Connection, who: Who) -> dict[str, Amount]:
    sums = [func.coalesce(func.sum(H[name]), 0).label(name) for name in H_NAMES]
    ours = {"user": H.subject == who.subject, "project": H.project_id == who.project_id}
    mine = {"tenant": H.tenant_id == who.tenant, **ours}
    found = {}
    for scope, is_mine in mine.items():
        row = connection.execute(select(*sums).where(H.tenant_id == who.tenant, is_mine)).one()
        found[scope] = Amount(**{name: int(getattr(row, name)) for name in H_NAMES})
    return found


def refuse_beyond(bound: Bound, asked: Amount) -> None:
    """Raises QuotaExceeded, saying what, how much and until when."""
    limit, want = bound.limit, asked.of(bound.limit.metric)
    hard, taken = limit.hard or 0, bound.used + bound.held
    if limit.hard is None or (taken < hard and taken + want <= hard):
        return
    busy = f", running work holds {said(limit.metric, bound.held)}" if bound.held else ""
    more = f"; this may take {said(limit.metric, want)}" if taken < hard else ""
    raise exceeded(bound, f"{said(limit.metric, bound.used)} are used{busy}{more}")


def exceeded(bound: Bound, how: str) -> QuotaExceeded:
    limit = bound.limit
    name = {"tenant": "your tenant", "user": f"user {bound.scope_id!r}", "project": f"project {bound.scope_id!r}"}
    span = {"day": "daily", "month": "monthly"}[limit.span]
    return QuotaExceeded(
        f"The {span} limit of {said(limit.metric, limit.hard or 0)} for {name[limit.scope]} is reached: {how}.",
        hint=f"It renews at {bound.ends_at:%Y-%m-%dT%H:%M:%SZ}. Ask for less, or ask for a higher limit.",
        retry_after_s=bound.left_s,
    )


def note_soft(connection: Connection, who: Who, now: Periods) -> None:
    """Write down, once for each period, which soft limits are passed."""
    limits = [limit for limit in read_usage_limits(connection, who.tenant) if limit.soft is not None]
    for bound in bounds(connection, who, limits, now) if limits else ():
        limit = bound.limit
        if limit.soft is not None and bound.used >= limit.soft:
            row = {"tenant": who.tenant, "scope": limit.scope, "scope_id": bound.scope_id, "metric": limit.metric}
            noted = connection.execute(NOTE, {**row, "period": bound.period, "soft": limit.soft, "at": now.seconds})
            if noted.rowcount:
                log.warning("tenant %s passed its soft limit of %s %s", who.tenant, limit.metric, bound.period)


@dataclass(frozen=True, slots=True)
class Notice:
    """A soft limit that was passed, and when."""

    scope: str
    scope_id: str
    metric: str
    period: str
    soft: int
    at: float


def read_notices(connection: Connection, tenant: str, periods: Iterable[str]) -> list[Notice]:
    """The soft limits that were passed in some periods."""
    n = usage_notices.c
    query = select(n.scope, n.scope_id, n.metric, n.period, n.soft, n.at)
    rows = connection.execute(query.where(n.tenant_id == tenant, n.period.in_(list(periods))).order_by(n.at))
    return [Notice(*row) for row in rows]
