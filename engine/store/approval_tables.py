"""Tables of approvals: what waits for a decision, what is said about it, and which calls need one."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text, UniqueConstraint

from engine.store.schema import Id, Name, metadata, tenant

approvals = Table(
    "approval",
    metadata,
    tenant(),  # of whoever asked
    Column("approval_id", Id, primary_key=True),
    Column("kind", String(32), nullable=False),
    Column("status", String(16), nullable=False),
    Column("decider_tenant", Id),  # the side asked; null where there is none, so that nobody can decide
    Column("requested_by", Id, nullable=False),  # empty: the platform itself
    Column("title", Text, nullable=False),
    Column("subject", Text, nullable=False),  # JSON object: what it is about
    Column("tool", Id, nullable=False),
    Column("argument_digest", String(128), nullable=False),
    Column("arguments", LargeBinary),  # JSON, sealed with the tenant's key
    Column("snapshot", Text, nullable=False),  # the plan or state that the decision is about
    Column("request_reason", Text, nullable=False),
    Column("pending_key", String(128)),  # one pending request of a kind; null once decided
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("reviewed_by", Id),
    Column("reviewer_tenant", Id),
    Column("reviewed_at", Float),
    Column("reason", Text, nullable=False),
    Column("used_at", Float),  # an approved call passes once
    UniqueConstraint("tenant_id", "pending_key"),
    Index("ix_approval_decider", "decider_tenant", "status", "created_at"),
    Index("ix_approval_call", "tenant_id", "tool", "argument_digest"),
    Index("ix_approval_status", "status", "expires_at"),
)

approval_comments = Table(
    "approval_comment",
    metadata,
    tenant(),  # of the approval
    Column("approval_id", Id, primary_key=True),
    Column("comment_id", Id, primary_key=True),
    Column("author", Id, nullable=False),
    Column("author_tenant", Id, nullable=False),
    Column("content", Text, nullable=False),
    Column("created_at", Float, nullable=False),
)

approval_rules = Table(
    "approval_rule",
    metadata,
    tenant(),
    Column("rules", Text, nullable=False),  # JSON list
    Column("version", Integer, nullable=False),
    Column("updated_by", Id, nullable=False),
    Column("updated_at", Float, nullable=False),
)

notice_destinations = Table(
    "notice_destination",
    metadata,
    tenant(),
    Column("destination_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("kind", String(16), nullable=False),  # webhook or email
    Column("target", Text, nullable=False),  # a URL, or a JSON list of addresses
    Column("events", Text, nullable=False),  # JSON list; empty: all
    Column("secret", LargeBinary),  # of a webhook, sealed with the tenant's key
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

notices = Table(
    "notice",
    metadata,
    tenant(),
    Column("notice_id", Id, primary_key=True),
    Column("destination_id", Id, nullable=False),  # empty: a mail to one person
    Column("event", String(64), nullable=False),
    Column("payload", LargeBinary, nullable=False),  # JSON, sealed with the tenant's key
    Column("status", String(16), nullable=False),
    Column("attempt", Integer, nullable=False),
    Column("due_at", Float),  # null once sent or given up
    Column("error", Text, nullable=False),
    Column("created_at", Float, nullable=False),
    Index("ix_notice_due", "due_at"),
    Index("ix_notice_created", "tenant_id", "created_at"),
)
