"""Every table of the platform store. Each row has its tenant; times are UTC seconds since the epoch."""

from sqlalchemy import (
    BigInteger,
    Column,
    Float,
    ForeignKeyConstraint,
    Index,
    Integer,
    LargeBinary,
    String,
    Table,
    Text,
    UniqueConstraint,
)

from engine.store.agent_tables import (
    agent_credentials,
    agent_limits,
    agent_pins,
    agent_prompts,
    agent_tasks,
    agents,
    project_agents,
)
from engine.store.approval_tables import (
    approval_comments,
    approval_rules,
    approvals,
    notice_destinations,
    notices,
)
from engine.store.asset_tables import assets, passages
from engine.store.audit_tables import audit_starts, audit_terms
from engine.store.conversation_tables import conversation_messages, conversations
from engine.store.dataset_tables import datasets, import_results, managed_tables, uploads
from engine.store.evaluation_tables import evaluation_cases, evaluation_runs
from engine.store.identity_tables import (
    clients,
    keys,
    one_time_links,
    passwords,
    roles,
    sessions,
    tenants,
    tokens,
    users,
)
from engine.store.lineage_tables import aggregate_budgets, lineage_columns, lineage_queries
from engine.store.oauth_tables import oauth_apps, oauth_codes, oauth_consents, oauth_devices
from engine.store.passkey_tables import passkeys
from engine.store.project_tables import projects, shares
from engine.store.result_tables import query_exports, query_results
from engine.store.run_tables import model_choices, models, run_events, run_feedback, runs
from engine.store.schema import Id, Name, metadata
from engine.store.schema import tenant as _tenant
from engine.store.semantic_tables import semantic_items, semantic_versions
from engine.store.served_tables import served_pushes, served_tasks
from engine.store.usage_tables import (
    query_costs,
    query_quotas,
    query_reservations,
    query_spending,
    usage_counters,
    usage_holds,
    usage_limits,
    usage_notices,
)

__all__ = ["aggregate_budgets", "datasets", "import_results", "lineage_columns", "lineage_queries", "managed_tables"]
__all__ += ["assets", "passages", "passkeys"]
__all__ += ["clients", "keys", "one_time_links", "passwords", "roles", "sessions", "tenants", "tokens", "users"]
__all__ += ["query_costs", "query_quotas", "query_reservations", "query_spending"]
__all__ += ["audit_starts", "audit_terms", "oauth_apps", "oauth_codes", "oauth_consents", "oauth_devices"]
__all__ += ["usage_counters", "usage_holds", "usage_limits", "usage_notices"]
__all__ += ["agent_credentials", "agent_limits", "agent_pins", "agent_prompts", "agent_tasks", "agents"]
__all__ += ["conversation_messages", "conversations", "project_agents"]
__all__ += ["evaluation_cases", "evaluation_runs"]
__all__ += ["model_choices", "models", "run_events", "run_feedback", "runs"]
__all__ += ["metadata", "query_exports", "query_results", "served_pushes", "served_tasks", "uploads"]
__all__ += ["approval_comments", "approval_rules", "approvals", "notice_destinations", "notices", "projects", "shares"]
__all__ += ["semantic_items", "semantic_versions"]

connections = Table(
    "connection",
    metadata,
    _tenant(),
    Column("connection_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("options", Text, nullable=False),  # JSON object, no secrets
    Column("secret", LargeBinary),  # JSON object, sealed with the tenant's key
    Column("description", Text, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    UniqueConstraint("tenant_id", "name"),
)

column_tags = Table(
    "column_tag",
    metadata,
    _tenant(),
    Column("connection_id", Id, primary_key=True),
    Column("table_name", String(512), primary_key=True),
    Column("column_name", String(255), primary_key=True),
    Column("tag", String(64), primary_key=True),
    Column("table_identity", String(64), nullable=False, server_default=""),  # with field_id: survives renames
    Column("field_id", Integer),
    Column("created_at", Float, nullable=False),
)

descriptions = Table(
    "description",
    metadata,
    _tenant(),
    Column("connection_id", Id, primary_key=True),
    Column("table_name", String(512), primary_key=True),
    Column("column_name", String(255), primary_key=True),  # empty: the table itself
    Column("text", Text, nullable=False),
    Column("updated_at", Float, nullable=False),
)

catalog_configs = Table(
    "catalog_config",
    metadata,
    _tenant(),
    Column("config", Text, nullable=False),  # JSON
    Column("secret", LargeBinary),
    Column("updated_at", Float, nullable=False),
)

jobs = Table(
    "job",
    metadata,
    _tenant(),
    Column("job_id", Id, primary_key=True),
    Column("tool", Id, nullable=False),
    Column("owner", Id, nullable=False),
    Column("principal", Text, nullable=False),  # JSON: who it runs as; rights are read again at start
    Column("request_id", Id, nullable=False),
    Column("request", Text, nullable=False),  # JSON
    Column("idempotency_key", Name, nullable=False),
    Column("status", String(16), nullable=False),
    Column("cancel_requested", Integer, nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),  # raised by every claim; writes of an older holder are refused
    Column("due_at", Float),  # when a worker may take it: its start, or the end of its lease; null once done
    Column("worker", Name, nullable=False),
    Column("progress", Float),
    Column("result", Text),
    Column("error", Text),  # JSON
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index(None, "due_at"),
    Index(None, "status", "updated_at"),
    Index(None, "tenant_id", "owner", "created_at"),
)
_has_key = jobs.c.idempotency_key != ""
Index(
    "uq_job_idempotency_key",
    *(jobs.c.tenant_id, jobs.c.owner, jobs.c.tool, jobs.c.idempotency_key),
    unique=True,
    sqlite_where=_has_key,
    postgresql_where=_has_key,
)

job_events = Table(
    "job_event",
    metadata,
    _tenant(),
    Column("job_id", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", Id, nullable=False),
    Column("data", Text, nullable=False),  # JSON
    ForeignKeyConstraint(["tenant_id", "job_id"], ["job.tenant_id", "job.job_id"], ondelete="CASCADE"),
)

job_steps = Table(
    "job_step",
    metadata,
    _tenant(),
    Column("job_id", Id, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("output", Text, nullable=False),  # JSON
    Column("fence", BigInteger, nullable=False),
    Column("at", Float, nullable=False),
    ForeignKeyConstraint(["tenant_id", "job_id"], ["job.tenant_id", "job.job_id"], ondelete="CASCADE"),
)

schedules = Table(
    "schedule",
    metadata,
    _tenant(),
    Column("schedule_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("tool", Id, nullable=False),
    Column("request", Text, nullable=False),  # JSON
    Column("cron", Name, nullable=False),
    Column("time_zone", String(64), nullable=False),
    Column("principal", Text, nullable=False),  # JSON: who it runs as
    Column("owner", Id, nullable=False),
    Column("next_at", Float, nullable=False),
    Column("claimed_until", Float),  # one ticker at a time turns a due schedule into a job
    Column("last_at", Float),
    Column("last_job_id", Id),
    Column("last_error", Text),
    Column("created_at", Float, nullable=False),
    Index(None, "next_at"),
)

idempotency = Table(
    "idempotency",
    metadata,
    _tenant(),
    Column("subject", Id, primary_key=True),
    Column("tool", Id, primary_key=True),
    Column("key", Name, primary_key=True),
    Column("argument_digest", String(128), nullable=False),
    Column("result", Text),  # JSON; null while the first call still runs
    Column("holder", Id, nullable=False),  # the running call, so that one that was taken over cannot answer
    Column("expires_at", Float, nullable=False),
    Index(None, "expires_at"),
)

audit = Table(
    "audit",
    metadata,
    _tenant(),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("previous_hash", LargeBinary, nullable=False),
    Column("hash", LargeBinary, nullable=False),  # of previous_hash, seq and the sealed record
    Column("record", LargeBinary, nullable=False),  # JSON, sealed with the tenant's key
)

audit_heads = Table(
    "audit_head",
    metadata,
    _tenant(),
    Column("seq", BigInteger, nullable=False),
    Column("hash", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),  # of tenant, seq and hash, under a key outside the store
)

windows = Table(
    "limit_window",
    metadata,
    _tenant(),
    Column("purpose", Id, primary_key=True),
    Column("grants", Text, nullable=False),  # JSON list of [slice of time, tokens given out]
    Column("updated_at", Float, nullable=False),
)

buckets = Table(
    "bucket",
    metadata,
    Column("bucket", Name, primary_key=True),  # tenant and purpose
    _tenant(primary_key=False),
    Column("level", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

slots = Table(
    "slot",
    metadata,
    _tenant(),
    Column("slot_id", Id, primary_key=True),
    Column("purpose", Id, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index(None, "tenant_id", "purpose"),
)

queries = Table(
    "query",
    metadata,
    _tenant(),
    Column("query_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("connection_id", Id, nullable=False),
    Column("sql_shape", Text, nullable=False),  # literals taken out
    Column("status", String(16), nullable=False),
    Column("cancel_requested", Integer, nullable=False),
    Column("row_count", BigInteger),
    Column("execution_time_ms", BigInteger),
    Column("error_code", String(32)),
    Column("started_at", Float, nullable=False),
    Column("ended_at", Float),
    Index(None, "tenant_id", "owner", "started_at"),
)

saved_queries = Table(
    "saved_query",
    metadata,
    _tenant(),
    Column("query_id", Id, primary_key=True),
    Column("project_id", Id),
    Column("name", Name, nullable=False),
    Column("description", Text, nullable=False),
    Column("connection_id", Id, nullable=False),
    Column("query_text", Text, nullable=False),
    Column("parameters", Text, nullable=False),  # JSON
    Column("owner", Id, nullable=False),
    Column("author", Id, nullable=False),  # who wrote the present text
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    Index(None, "tenant_id", "created_at"),
)

policies = Table(
    "policy",
    metadata,
    _tenant(),
    Column("policy_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("description", Text, nullable=False),
    Column("connection_id", Id, nullable=False),  # or *
    Column("table_name", String(512), nullable=False),  # beside the rule, so that an unreadable one still binds
    Column("tag", String(64), nullable=False),
    Column("rule", Text, nullable=False),  # JSON
    Column("is_enabled", Integer, nullable=False),
    Column("expires_at", Float),
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)
