"""Tables of conversations with agents: who talks with which, what was said, and what waits for a person."""

from sqlalchemy import Column, Float, ForeignKeyConstraint, Index, Integer, LargeBinary, String, Table

from engine.store.schema import Id, Name, metadata, tenant

conversations = Table(
    "conversation",
    metadata,
    tenant(),
    Column("owner", Id, primary_key=True),
    Column("agent_id", Id, primary_key=True),  # empty: the chat
    Column("session_id", Name, primary_key=True),  # callers may choose it
    Column("uid", Id, nullable=False, unique=True),
    Column("title", LargeBinary, nullable=False),  # sealed with the tenant's key like the next ones
    Column("has_read", Integer, nullable=False),  # text from data was read in it
    Column("message_count", Integer, nullable=False),
    Column("pending_id", Id, nullable=False),  # of what waits for a person; empty: nothing does
    Column("pending", LargeBinary),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index(None, "tenant_id", "owner", "updated_at"),
    Index(None, "updated_at"),
)

conversation_messages = Table(
    "conversation_message",
    metadata,
    tenant(),
    Column("uid", Id, primary_key=True),
    Column("seq", Integer, primary_key=True, autoincrement=False),
    Column("run_id", Name, nullable=False),
    Column("role", String(16), nullable=False),  # user or assistant
    Column("content", LargeBinary, nullable=False),  # JSON, sealed
    Column("created_at", Float, nullable=False),
    ForeignKeyConstraint(["uid"], ["conversation.uid"], ondelete="CASCADE"),
)
