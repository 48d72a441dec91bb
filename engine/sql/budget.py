"""How often one caller may group a table's aggregate-only columns: what bounds learning by differences."""

import time
from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta

from sqlalchemy import Connection, bindparam, delete, select, text, update

from core.context import Principal
from core.errors import QuotaExceeded
from engine.store.db import Store
from engine.store.lineage_tables import aggregate_budgets

GROUPINGS_PER_DAY = 200
KEPT_DAYS = 7
T = aggregate_budgets.c

_OPEN = text(
    "INSERT INTO aggregate_budget (tenant_id, subject, connection_id, table_name, day, used)"
    " VALUES (:tenant, :who, :connection, :relation, :day, 0) ON CONFLICT DO NOTHING"
)
_TAKE = (
    update(aggregate_budgets)
    .where(
        *(T.tenant_id == bindparam("tenant"), T.subject == bindparam("who"), T.day == bindparam("today")),
        *(T.connection_id == bindparam("connection"), T.table_name == bindparam("relation")),
        T.used + bindparam("wanted") <= bindparam("most"),
    )
    .values(used=T.used + bindparam("wanted"))
)


class GroupingBudget:
    """Counts exactly, in the store, for any number of processes; a day is one in UTC."""

    def __init__(self, store: Store, *, per_day: int = GROUPINGS_PER_DAY, clock: Callable[[], float] = time.time):
        self._store = store
        self._per_day = per_day
        self._clock = clock

    async def charge_aggregate_budget(self, by: Principal, connection_id: str, tables: Mapping[str, int]) -> None:
        """Take a number of groupings for each table, all or none. Raises QuotaExceeded."""
        if tables:
            now = datetime.fromtimestamp(self._clock(), UTC)
            await self._store.write(lambda connection: self._take(connection, by, connection_id, tables, now))

    async def carry(self, tenant: str, connection_id: str, table: str, then: str) -> None:
        """What was used of a table counts under its new name as well."""

        def work(connection: Connection) -> None:
            of = (T.tenant_id == tenant, T.connection_id == connection_id)
            for row in connection.execute(select(aggregate_budgets).where(*of, T.table_name == table[:512])).all():
                key = {"tenant": tenant, "connection": connection_id, "relation": then[:512]}
                connection.execute(_OPEN, {**key, "who": row.subject, "day": row.day})
                where = (*of, T.table_name == then[:512], T.subject == row.subject, T.day == row.day, T.used < row.used)
                connection.execute(update(aggregate_budgets).where(*where).values(used=row.used))

        await self._store.write(work)

    def _take(
        self, connection: Connection, by: Principal, connection_id: str, tables: Mapping[str, int], now: datetime
    ) -> None:
        day = now.date().isoformat()
        for table, wanted in sorted(tables.items()):  # in one order, so that no two wait for each other
            key = {"tenant": by.tenant, "who": by.subject, "connection": connection_id, "relation": table[:512]}
            if connection.execute(_OPEN, {**key, "day": day}).rowcount == 1:
                oldest = (now - timedelta(days=KEPT_DAYS)).date().isoformat()
                connection.execute(delete(aggregate_budgets).where(T.tenant_id == by.tenant, T.day < oldest))
            asked = {**key, "today": day, "wanted": wanted, "most": self._per_day}
            if connection.execute(_TAKE, asked).rowcount != 1:
                raise self._used_up(connection, by, connection_id, table, wanted, now)

    def _used_up(
        self, connection: Connection, by: Principal, connection_id: str, table: str, wanted: int, now: datetime
    ) -> QuotaExceeded:
        where = (
            *(T.tenant_id == by.tenant, T.subject == by.subject, T.day == now.date().isoformat()),
            *(T.connection_id == connection_id, T.table_name == table[:512]),
        )
        used = connection.execute(select(T.used).where(*where)).scalar_one()
        until = (now + timedelta(days=1)).strftime("%Y-%m-%dT00:00:00Z")
        return QuotaExceeded(
            f"{used} of {self._per_day} groupings of aggregate-only columns of {table} are used today; "
            f"this query needs {wanted}.",
            hint=f"The budget is whole again at {until}. Ask for several aggregates in one GROUP BY: it counts once.",
        )
