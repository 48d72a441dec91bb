"""Usage: what queries cost, who has used how much, and the limits on it per day and month (UTC)."""

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path

from sqlalchemy import Connection, func, insert, select

from core.context import Principal
from core.errors import NotFound
from core.tool import Tool
from engine.store import tables
from engine.store.db import Store
from engine.usage.amounts import Amount, Who
from engine.usage.counters import Key, add, read
from engine.usage.limits import (
    Asked,
    Limit,
    Notice,
    hold,
    note_soft,
    read_notices,
    read_usage_limits,
    release,
    write_limits,
)
from engine.usage.meter import RequestMeter
from engine.usage.models import ModelUsage
from engine.usage.periods import Periods, periods_at
from engine.usage.prices import Prices, to_nano, to_usd
from engine.usage.spending import Limits, Spent, read_limits, read_spent, reserve, settle
from engine.usage.storage import Storage

QUERY_METRICS = frozenset({"rows_scanned", "bytes_scanned", "query_usd"})
STORING = frozenset({"records.write", "query.export", "assets.manage"})
"""Permissions whose writing tools add to what is stored."""

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
    """What a tenant may spend and has spent on queries, and every other limit with what is used of it."""

    limits: Limits
    spent: Spent
    others: Sequence[Limit]
    used: dict[Key, Amount]
    notices: Sequence[Notice]
    periods: Periods

    def used_of(self, limit: Limit) -> int:
        """What is used of a limit, by whoever used most where it binds several."""
        period = self.periods.of(limit.span)[0]
        return max(
            (
                amount.of(limit.metric)
                for (scope, scope_id, when), amount in self.used.items()
                if when == period and limit.binds(scope, scope_id)
            ),
            default=0,
        )


class Usage:
    """What is used. Its parts of transactions run where a query's start and end are written."""

    def __init__(
        self,
        store: Store,
        prices: Prices,
        *,
        warehouse: Callable[[str], Path | None] = lambda tenant: None,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._prices = prices
        self._clock = clock
        self.requests = RequestMeter(store, clock=clock)
        self.models = ModelUsage(store, clock=clock)
        self.storage = Storage(store, warehouse=warehouse)

    async def admit(self, by: Principal, tool: Tool) -> None:
        """Count a request that may go on. Raises QuotaExceeded where a limit does not allow it."""
        await self.requests.take(by)
        if tool.effect == "write" and tool.needs in STORING:
            await self.storage.check(by.tenant)

    def reservation(
        self, by: Principal, query_id: str, likely: Work, *, timeout_s: float, saved_query: str = ""
    ) -> InStore:
        """Sets the likely price of a query aside; raises QuotaExceeded inside the transaction.

        What a saved query uses counts for its project too."""
        nano = self.price(likely)
        amount = Amount(rows_scanned=likely.rows_scanned, bytes_scanned=likely.bytes_scanned, query_nano=nano)

        def work(connection: Connection) -> None:
            now = self._clock()  # read under the lock
            until, periods = now + timeout_s + GRACE_S, periods_at(now)
            reserve(connection, by.tenant, query_id, nano, periods=periods, now=now, until=until)
            who = _charged(connection, by, saved_query)
            hold(connection, who, Asked(query_id, QUERY_METRICS, amount, until), periods)

        return work

    def settlement(self, by: Principal, cost: QueryCost, *, saved_query: str = "") -> InStore:
        """Writes a query's cost into the history and counts it."""
        nano = to_nano(cost.cost_usd)
        amount = Amount(
            queries=1, rows_scanned=cost.work.rows_scanned, bytes_scanned=cost.work.bytes_scanned, query_nano=nano
        )

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
            periods, who = periods_at(cost.at), _charged(connection, by, saved_query)
            settle(connection, by.tenant, cost.query_id, nano, periods)
            release(connection, by.tenant, cost.query_id)
            add(connection, who, periods, amount)
            note_soft(connection, who, periods)

        return work

    def price(self, work: Work) -> int:
        """Nano-dollars."""
        return self._prices.nano(bytes_scanned=work.bytes_scanned, cpu_ms=work.cpu_ms)

    async def quota(self, tenant: str) -> QuotaState:
        periods = periods_at(self._clock())

        def look(connection: Connection) -> QuotaState:
            return QuotaState(
                limits=read_limits(connection, tenant),
                spent=read_spent(connection, tenant, periods),
                others=read_usage_limits(connection, tenant),
                used=read(connection, tenant, periods.names),
                notices=read_notices(connection, tenant, periods.names),
                periods=periods,
            )

        return await self._store.read(look)

    async def check_tenant(self, tenant: str, *, by: Principal) -> None:
        """Raises NotFound unless there is such a tenant, and the caller looks after all of them."""
        known = tables.tenants.c
        wanted = select(known.tenant_id).where(known.tenant_id == tenant)
        is_known = await self._store.read(lambda connection: connection.scalar(wanted)) is not None
        if not (is_known and by.may("platform.tenants")):
            raise _no_tenant(tenant)

    async def used(self, tenant: str, periods: Sequence[str]) -> dict[Key, Amount]:
        """What a tenant, its projects and its users have used in some days or months."""
        await self.requests.flush()  # what this process has counted shall be in it
        return await self._store.read(lambda connection: read(connection, tenant, periods))

    async def set_quota(
        self,
        tenant: str,
        *,
        daily_usd: Decimal | None,
        monthly_usd: Decimal | None,
        others: Sequence[Limit] | None = None,
    ) -> QuotaState:
        """Replace a tenant's limits; None takes one away, and leaves the other ones as they are. Raises NotFound."""
        values = {
            "daily_nano": None if daily_usd is None else to_nano(daily_usd),
            "monthly_nano": None if monthly_usd is None else to_nano(monthly_usd),
            "updated_at": self._clock(),
        }
        quotas, known = tables.query_quotas, tables.tenants.c

        def write(connection: Connection) -> None:
            if connection.scalar(select(known.tenant_id).where(known.tenant_id == tenant)) is None:
                raise _no_tenant(tenant)
            changed = connection.execute(quotas.update().where(quotas.c.tenant_id == tenant).values(values))
            if not changed.rowcount:
                connection.execute(insert(quotas).values(tenant_id=tenant, **values))
            if others is not None:
                write_limits(connection, tenant, others)

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


def _charged(connection: Connection, by: Principal, saved_query: str) -> Who:
    saved = tables.saved_queries.c
    wanted = select(saved.project_id).where(saved.tenant_id == by.tenant, saved.query_id == saved_query)
    return Who(by.tenant, by.subject, (connection.scalar(wanted) or "") if saved_query else "")


def _no_tenant(tenant: str) -> NotFound:
    return NotFound(f"No tenant {tenant[:64]!r}.", hint="Leave tenant_id out for your own.")
