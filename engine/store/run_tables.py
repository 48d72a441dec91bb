"""Tables of what agents do: runs with their events, what people said of them, and the models that they may ask."""

from sqlalchemy import BigInteger, Column, Float, ForeignKeyConstraint, Index, Integer, LargeBinary, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

runs = Table(
    "run",
    metadata,
    tenant(),
    Column("owner", Id, primary_key=True),
    Column("kind", String(16), primary_key=True),  # workflow, agent or chat
    Column("run_id", Name, primary_key=True),  # callers may choose it
    Column("uid", Id, nullable=False, unique=True),
    Column("name", Name, nullable=False),  # the workflow's or agent's
    Column("agent_id", Id, nullable=False),
    Column("session_id", Name, nullable=False),
    Column("status", String(16), nullable=False),
    Column("request", LargeBinary, nullable=False),  # JSON, sealed with the tenant's key like the next ones
    Column("answer", LargeBinary),
    Column("error", LargeBinary),
    Column("steps", LargeBinary),
    Column("tokens_in", BigInteger, nullable=False),
    Column("tokens_out", BigInteger, nullable=False),
    Column("nano", BigInteger, nullable=False),  # nano-dollars
    Column("cancel_requested", Integer, nullable=False),
    Column("fence", BigInteger, nullable=False),  # raised by every holder; writes of an older one are refused
    Column("held_until", Float),  # somebody works on it; null: nobody does
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("finished_at", Float),
    Index(None, "tenant_id", "owner", "created_at"),
    Index(None, "updated_at"),
)

run_events = Table(
    "run_event",
    metadata,
    tenant(),
    Column("uid", Id, primary_key=True),
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    Column("at", Float, nullable=False),
    Column("kind", Id, nullable=False),
    Column("data", LargeBinary, nullable=False),  # JSON, sealed
    ForeignKeyConstraint(["uid"], ["run.uid"], ondelete="CASCADE"),
)

run_feedback = Table(
    "run_feedback",
    metadata,
    tenant(),
    Column("feedback_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("run_id", Name, nullable=False),
    Column("status", String(16), nullable=False),  # success or failed, as the person says
    Column("details", LargeBinary, nullable=False),  # JSON, sealed: question, SQL, corrected SQL, comment
    Column("review", String(16), nullable=False),  # pending, approved, rejected or none: nothing to review
    Column("reviewed_by", Id, nullable=False),
    Column("reviewed_at", Float),
    Column("created_at", Float, nullable=False),
    Index(None, "tenant_id", "review", "created_at"),
)

models = Table(
    "model",
    metadata,
    tenant(),
    Column("name", Id, primary_key=True),
    Column("document", Text, nullable=False),  # JSON, without the key
    Column("secret", LargeBinary),  # the key, sealed
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
)

model_choices = Table(
    "model_choice",
    metadata,
    tenant(),
    Column("name", Id, nullable=False),  # the tenant's default model; "none" answers without one
    Column("updated_at", Float, nullable=False),
)
