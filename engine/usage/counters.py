"""Statements over what was used: one row for each tenant, project or user, and day or month."""

from collections.abc import Iterable, Mapping
from dataclasses import asdict, fields
from typing import Any

from sqlalchemy import Connection, select, text

from engine.store.tables import usage_counters
from engine.usage.amounts import Amount, Who
from engine.usage.periods import Periods

C = usage_counters.c
NAMES = tuple(field.name for field in fields(Amount))
Key = tuple[str, str, str]
"""Scope, its id, and period."""

ADD = text(
    f"INSERT INTO usage_counter (tenant_id, scope, scope_id, period, {', '.join(NAMES)})"  # noqa: S608
    f" VALUES (:tenant, :scope, :scope_id, :period, {', '.join(f':{name}' for name in NAMES)})"
    " ON CONFLICT (tenant_id, scope, scope_id, period) DO UPDATE SET "
    + ", ".join(f"{name} = usage_counter.{name} + excluded.{name}" for name in NAMES)
)


def add(connection: Connection, who: Who, periods: Periods, amount: Amount) -> None:
    """Count an amount for the tenant, the user and the project, in the day and the month."""
    add_all(connection, {(who.tenant, *scope, period): amount for scope in who.scopes for period in periods.names})


def add_all(connection: Connection, amounts: Mapping[tuple[str, str, str, str], Amount]) -> None:
    """Count amounts by tenant, scope, id and period; rows are taken in one order, so that nobody deadlocks."""
    rows = [
        {"tenant": tenant, "scope": scope, "scope_id": scope_id, "period": period, **asdict(amount)}
        for (tenant, scope, scope_id, period), amount in sorted(amounts.items())
        if amount != Amount()
    ]
    if rows:
        connection.execute(ADD, rows)


def read(connection: Connection, tenant: str, periods: Iterable[str], *, scope: str = "") -> dict[Key, Amount]:
    """What was used in some periods, by all scopes or by one kind of them."""
    query = select(usage_counters).where(C.tenant_id == tenant, C.period.in_(list(periods)))
    rows = connection.execute(query.where(C.scope == scope) if scope else query)
    return {_key(row): _amount(row) for row in rows}


def read_of(connection: Connection, who: Who, periods: Iterable[str]) -> dict[Key, Amount]:
    """What was used by those whom something is charged to."""
    found: dict[Key, Amount] = {}
    names = list(periods)
    for scope, scope_id in who.scopes:
        query = select(usage_counters).where(
            C.tenant_id == who.tenant, C.scope == scope, C.scope_id == scope_id, C.period.in_(names)
        )
        found |= {_key(row): _amount(row) for row in connection.execute(query)}
    return found


def _key(row: Any) -> Key:
    return row.scope, row.scope_id, row.period


def _amount(row: Any) -> Amount:
    return Amount(**{name: int(getattr(row, name)) for name in NAMES})
