"""Tables of our own agents' tasks: conversations that others lead with them over A2A, and where to tell of them."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, LargeBinary, String, Table

from engine.store.schema import Id, Name, metadata, tenant

served_tasks = Table(
    "served_task",
    metadata,
    tenant(),
    Column("task_id", Id, primary_key=True),
    Column("agent_id", Id, nullable=False),
    Column("owner", Id, nullable=False),
    Column("context_id", Name, nullable=False),
    Column("state", String(32), nullable=False),
    Column("version", Integer, nullable=False),
    Column("changed_at_ns", BigInteger, nullable=False),  # when the state changed, as lists are ordered
    Column("document", LargeBinary, nullable=False),  # the task, sealed with the tenant's key
    Column("holder", Id, nullable=False),  # the process that runs it
    Column("held_until", Float),  # null: nobody runs it; past: whoever ran it is gone
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index(None, "tenant_id", "owner", "agent_id", "changed_at_ns"),
    Index(None, "holder"),
    Index(None, "updated_at"),
)

served_pushes = Table(
    "served_push",
    metadata,
    tenant(),
    Column("task_id", Id, primary_key=True),
    Column("config_id", Name, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("document", LargeBinary, nullable=False),  # address and credentials, sealed with the tenant's key
    Column("created_at", Float, nullable=False),
    Index(None, "created_at"),
)
