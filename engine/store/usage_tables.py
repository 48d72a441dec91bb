"""Tables of what queries cost and may cost."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table

from engine.store.schema import Id, metadata, tenant

query_costs = Table(
    "query_cost",
    metadata,
    tenant(),
    Column("query_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("connection_id", Id, nullable=False),
    Column("at", Float, nullable=False),  # when it ended; its day and month are those of the counters
    Column("status", String(16), nullable=False),
    Column("rows_scanned", BigInteger, nullable=False),
    Column("bytes_scanned", BigInteger, nullable=False),
    Column("cpu_ms", BigInteger, nullable=False),
    Column("execution_time_ms", BigInteger, nullable=False),
    Column("from_cache", Integer, nullable=False),
    Column("cost_nano", BigInteger, nullable=False),  # nano-dollars
    Index(None, "tenant_id", "at"),
)

query_quotas = Table(
    "query_quota",
    metadata,
    tenant(),
    Column("daily_nano", BigInteger),  # null: without limit
    Column("monthly_nano", BigInteger),
    Column("updated_at", Float, nullable=False),
)

query_spending = Table(
    "query_spending",
    metadata,
    tenant(),
    Column("period", String(10), primary_key=True),  # 2026-11 or 2026-11-22, in UTC
    Column("spent_nano", BigInteger, nullable=False),
)

query_reservations = Table(
    "query_reservation",
    metadata,
    tenant(),
    Column("query_id", Id, primary_key=True),
    Column("nano", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),  # should the process die that runs the query
)
