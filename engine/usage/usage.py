"""Costs of queries: prices, quotas in USD per day and month (UTC), and the history."""

import time
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal

from sqlalchemy import Connection, func, insert, select

from core.context import Principal
from core.errors import NotFound
from engine.store import tables
from engine.store.db import Store
from engine.usage.periods import periods_at
from engine.usage.prices import Prices, to_nano, to_usd
from engine.usage.spending import Limits, Spent, read_limits, read_spent, reserve, settle

GRACE_S = 60.0  # a reservation outlives its query's time limit by this much, should the process die

InStore = Callable[[Connection], None]
"""A part of a transaction of somebody else's."""


@dataclass(frozen=True, slots=True)
class Work:
    """What a query did, as far as it is known: the measure of its price."""

    rows_scanned: int = 0
    bytes_scanned: int = 0
    cpu_ms: int = 0


@dataclass(frozen=True, slots=True)
class QueryCost:
    """One line of the history."""

    query_id: str
    owner: str
    connection_id: str
    at: float
    status: str
    work: Work
    execution_time_ms: int
    from_cache: bool
    cost_usd: Decimal


@dataclass(frozen=True, slots=True)
class QuotaState:
    """What a tenant may spend and has spent."""

    limits: Limits
    spent: Spent


class Usage:
    """What queries cost. Its parts of transactions run where a query's start and end are written."""

    def __init__(self, store: Store, prices: Prices, *, clock: Callable[[], float] = time.time):
        self._store = store
        self._prices = prices
        self._clock = clock

    def reservation(self, by: Principal, query_id: str, likely: Work, *, timeout_s: float) -> InStore:
        """Sets the likely price of a query aside; raises QuotaExceeded inside the transaction."""
        nano = self.price(likely)

        def work(connection: Connection) -> None:
            now = self._clock()  # read under the lock
            until = now + timeout_s + GRACE_S
            reserve(connection, by.tenant, query_id, nano, periods=periods_at(now), now=now, until=until)

        return work

    def settlement(self, by: Principal, cost: QueryCost) -> InStore:
        """Writes a query's cost into the history and counts it."""
        nano = to_nano(cost.cost_usd)

        def work(connection: Connection) -> None:
            row = {
                "tenant_id": by.tenant,
                "query_id": cost.query_id,
                "owner": cost.owner,
                "connection_id": cost.connection_id,
                "at": cost.at,
                "status": cost.status,
                "rows_scanned": cost.work.rows_scanned,
                "bytes_scanned": cost.work.bytes_scanned,
                "cpu_ms": cost.work.cpu_ms,
                "execution_time_ms": cost.execution_time_ms,
                "from_cache": int(cost.from_cache),
                "cost_nano": nano,
            }
            connection.execute(insert(tables.query_costs).values(row))
            settle(connection, by.tenant, cost.query_id, nano, periods_at(cost.at))

        return work

    def price(self, work: Work) -> int:
        """Nano-dollars."""
        return self._prices.nano(bytes_scanned=work.bytes_scanned, cpu_ms=work.cpu_ms)

    async def quota(self, tenant: str) -> QuotaState:
        periods = periods_at(self._clock())

        def read(connection: Connection) -> QuotaState:
            return QuotaState(read_limits(connection, tenant), read_spent(connection, tenant, periods))

        return await self._store.read(read)

    async def set_quota(self, tenant: str, *, daily_usd: Decimal | None, monthly_usd: Decimal | None) -> QuotaState:
        """Replace a tenant's limits; None takes one away. Raises NotFound."""
        values = {
            "daily_nano": None if daily_usd is None else to_nano(daily_usd),
            "monthly_nano": None if monthly_usd is None else to_nano(monthly_usd),
            "updated_at": self._clock(),
        }
        quotas, known = tables.query_quotas, tables.tenants.c

        def write(connection: Connection) -> None:
            if connection.scalar(select(known.tenant_id).where(known.tenant_id == tenant)) is None:
                raise NotFound(f"No tenant {tenant[:64]!r}.", hint="Leave tenant_id out for your own.")
            changed = connection.execute(quotas.update().where(quotas.c.tenant_id == tenant).values(values))
            if not changed.rowcount:
                connection.execute(insert(quotas).values(tenant_id=tenant, **values))

        await self._store.write(write)
        return await self.quota(tenant)

    async def history(self, tenant: str, *, offset: int, size: int) -> tuple[list[QueryCost], int]:
        """A slice of the tenant's history, newest first, and how many there are."""
        costs = tables.query_costs
        ours = costs.c.tenant_id == tenant
        wanted = select(costs).where(ours).order_by(costs.c.at.desc(), costs.c.query_id).offset(offset).limit(size)

        def read(connection: Connection) -> tuple[list[QueryCost], int]:
            total = connection.scalar(select(func.count()).select_from(costs).where(ours)) or 0
            return [
                QueryCost(
                    query_id=row.query_id,
                    owner=row.owner,
                    connection_id=row.connection_id,
                    at=row.at,
                    status=row.status,
                    work=Work(row.rows_scanned, row.bytes_scanned, row.cpu_ms),
                    execution_time_ms=row.execution_time_ms,
                    from_cache=bool(row.from_cache),
                    cost_usd=to_usd(row.cost_nano),
                )
                for row in connection.execute(wanted)
            ], int(total)

        return await self._store.read(read)
