"""Tables of agents: who they are, what was approved of them, what they may do, and whose their tasks are."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

agents = Table(
    "agent",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("description", Text, nullable=False),
    Column("protocol", String(16), nullable=False),  # A2A, MCP, or empty: an agent of our own
    Column("endpoint_url", Text, nullable=False),
    Column("system_prompt", Text, nullable=False),
    Column("connections", Text, nullable=False),  # JSON list
    Column("capabilities", Text, nullable=False),  # JSON list or object
    Column("agent_metadata", Text, nullable=False),  # JSON object
    Column("model", Name, nullable=False, server_default=""),  # which an agent of our own asks; empty: the tenant's
    Column("budget", Text, nullable=False, server_default="{}"),  # JSON, of one run of an agent of our own
    Column("status", String(16), nullable=False),
    Column("health", String(16), nullable=False),
    Column("health_at", Float),
    Column("check_due_at", Float),  # when somebody looks at it next; null for our own
    Column("owner", Id, nullable=False),
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    Index(None, "check_due_at"),
)

agent_pins = Table(
    "agent_pin",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("document", Text, nullable=False),  # JSON, what was approved; empty: nothing yet
    Column("digest", String(64), nullable=False),
    Column("seen_document", Text, nullable=False),  # what the agent says now, where that differs
    Column("seen_digest", String(64), nullable=False),
    Column("seen_at", Float),
    Column("approved_by", Id, nullable=False),  # empty: first seen, and trusted for that
    Column("approved_at", Float),
    Column("rejected_digest", String(64), nullable=False),
)

agent_credentials = Table(
    "agent_credential",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("user_id", Id, primary_key=True),  # empty: for everybody without one of their own
    Column("kind", String(32), nullable=False),
    Column("secret", LargeBinary, nullable=False),  # JSON object, sealed with the tenant's key
    Column("updated_by", Id, nullable=False),
    Column("updated_at", Float, nullable=False),
)

agent_limits = Table(
    "agent_limit",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("limit_id", Id, nullable=False),
    Column("per_second", String(64), nullable=False),  # exact numbers, as text
    Column("per_minute", String(64), nullable=False),
    Column("per_hour", String(64), nullable=False),
    Column("updated_at", Float, nullable=False),
)

project_agents = Table(
    "project_agent",
    metadata,
    tenant(),
    Column("project_id", Id, primary_key=True),
    Column("agent_id", Id, primary_key=True),
    Column("role", Name, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("archived_at", Float),
    Index(None, "tenant_id", "agent_id"),
)

agent_tasks = Table(
    "agent_task",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("task_key", String(64), primary_key=True),  # digest of kind and id, which the agent makes up
    Column("owner", Id, nullable=False),
    Column("created_at", Float, nullable=False),
    Index(None, "created_at"),
)

agent_prompts = Table(
    "agent_prompt",
    metadata,
    tenant(),
    Column("agent_id", Id, primary_key=True),
    Column("prompt_version", Integer, primary_key=True, autoincrement=False),  # from 1
    Column("system_prompt", Text, nullable=False),
    Column("author", Id, nullable=False),
    Column("rolled_back_to", Integer),  # the version that it repeats
    Column("created_at", Float, nullable=False),
)
