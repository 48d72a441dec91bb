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

usage_counters = Table(
    "usage_counter",
    metadata,
    tenant(),
    Column("scope", String(8), primary_key=True),  # tenant, project or user
    Column("scope_id", Id, primary_key=True),  # empty: the tenant itself
    Column("period", String(10), primary_key=True),  # 2026-11 or 2026-11-22, in UTC
    Column("requests", BigInteger, nullable=False),
    Column("queries", BigInteger, nullable=False),
    Column("rows_scanned", BigInteger, nullable=False),
    Column("bytes_scanned", BigInteger, nullable=False),
    Column("query_nano", BigInteger, nullable=False),
    Column("model_tokens", BigInteger, nullable=False),
    Column("model_nano", BigInteger, nullable=False),
)

usage_limits = Table(
    "usage_limit",
    metadata,
    tenant(),
    Column("scope", String(8), primary_key=True),
    Column("scope_id", Id, primary_key=True),  # *: each of the kind
    Column("metric", String(16), primary_key=True),
    Column("span", String(8), primary_key=True),  # day or month
    Column("soft", BigInteger),  # passing it is told; null: not
    Column("hard", BigInteger),  # nothing passes it
)

usage_holds = Table(
    "usage_hold",
    metadata,
    tenant(),
    Column("hold_id", Id, primary_key=True),
    Column("subject", Id, nullable=False),
    Column("project_id", Id, nullable=False),
    Column("rows_scanned", BigInteger, nullable=False),
    Column("bytes_scanned", BigInteger, nullable=False),
    Column("query_nano", BigInteger, nullable=False),
    Column("model_tokens", BigInteger, nullable=False),
    Column("model_nano", BigInteger, nullable=False),
    Column("expires_at", Float, nullable=False),  # should the process die that runs what it is for
)

usage_notices = Table(
    "usage_notice",
    metadata,
    tenant(),
    Column("scope", String(8), primary_key=True),
    Column("scope_id", Id, primary_key=True),
    Column("metric", String(16), primary_key=True),
    Column("period", String(10), primary_key=True),
    Column("soft", BigInteger, nullable=False),  # the limit that was passed
    Column("at", Float, nullable=False),
)
