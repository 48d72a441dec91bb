"""Statements over what tenants may spend, have reserved and have spent: exact for any number of processes.

Whoever starts a query of a tenant with a quota locks that tenant's quota row, looks at what was spent and what
running queries have reserved, and adds its own reservation. When it ends, the reservation becomes what it cost."""

from dataclasses import dataclass

from sqlalchemy import Connection, delete, func, insert, select, text

from core.errors import QuotaExceeded
from engine.store import tables
from engine.usage.periods import Periods
from engine.usage.prices import to_usd

Q, S, R = tables.query_quotas.c, tables.query_spending.c, tables.query_reservations.c

ADD = text(
    "INSERT INTO query_spending (tenant_id, period, spent_nano) VALUES (:tenant, :period, :nano)"
    " ON CONFLICT (tenant_id, period) DO UPDATE SET spent_nano = query_spending.spent_nano + excluded.spent_nano"
)


@dataclass(frozen=True, slots=True)
class Limits:
    """What a tenant may spend in nano-dollars; None is without limit."""

    daily: int | None
    monthly: int | None


@dataclass(frozen=True, slots=True)
class Spent:
    daily: int
    monthly: int


def read_limits(connection: Connection, tenant: str, *, lock: bool = False) -> Limits:
    wanted = select(Q.daily_nano, Q.monthly_nano).where(Q.tenant_id == tenant)
    row = connection.execute(wanted.with_for_update() if lock else wanted).one_or_none()
    return Limits(None, None) if row is None else Limits(row.daily_nano, row.monthly_nano)


def read_spent(connection: Connection, tenant: str, periods: Periods) -> Spent:
    wanted = select(S.period, S.spent_nano).where(S.tenant_id == tenant, S.period.in_((periods.day, periods.month)))
    found = {row.period: row.spent_nano for row in connection.execute(wanted)}
    return Spent(found.get(periods.day, 0), found.get(periods.month, 0))


def reserve(
    connection: Connection, tenant: str, query_id: str, nano: int, *, periods: Periods, now: float, until: float
) -> None:
    """Set `nano` aside for a query where its tenant has a quota. Raises QuotaExceeded."""
    limits = read_limits(connection, tenant, lock=True)
    if limits.daily is None and limits.monthly is None:
        return
    connection.execute(delete(tables.query_reservations).where(R.tenant_id == tenant, R.expires_at <= now))
    held = connection.scalar(select(func.coalesce(func.sum(R.nano), 0)).where(R.tenant_id == tenant)) or 0
    spent = read_spent(connection, tenant, periods)
    for name, limit, used, ends in (
        ("daily", limits.daily, spent.daily, periods.day_ends),
        ("monthly", limits.monthly, spent.monthly, periods.month_ends),
    ):
        if limit is not None and (used + held >= limit or used + held + nano > limit):
            asked = "" if used + held >= limit else f"; this query may cost {to_usd(nano):f} USD"
            busy = f" and running queries hold {to_usd(int(held)):f} USD" if held else ""
            raise QuotaExceeded(
                f"The {name} query quota of {to_usd(limit):f} USD does not allow this query: "
                f"{to_usd(used):f} USD are spent{busy}{asked}.",
                hint=f"It renews at {ends:%Y-%m-%dT%H:%M:%SZ}. Ask for less data, or ask for a higher quota.",
                retry_after_s=max(1.0, ends.timestamp() - now),
            )
    row = {"tenant_id": tenant, "query_id": query_id, "nano": max(nano, 1), "expires_at": until}
    connection.execute(insert(tables.query_reservations).values(row))


def settle(connection: Connection, tenant: str, query_id: str, nano: int, periods: Periods) -> None:
    """Put what a query cost in the place of its reservation."""
    connection.execute(delete(tables.query_reservations).where(R.tenant_id == tenant, R.query_id == query_id))
    if nano:
        values = [{"tenant": tenant, "period": period, "nano": nano} for period in (periods.month, periods.day)]
        connection.execute(ADD, values)
