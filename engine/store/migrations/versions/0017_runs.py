"""Runs of agents, what people said of them, and models."""

import sqlalchemy as sa
from alembic import op

revision = "0017"
down_revision = "0016"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def _time(name: str, *, nullable: bool = False) -> "sa.Column[float]":
    return sa.Column(name, sa.Float(), nullable=nullable)


def _count(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.BigInteger(), nullable=False)


def _sealed(name: str, *, nullable: bool = True) -> "sa.Column[bytes]":
    return sa.Column(name, sa.LargeBinary(), nullable=nullable)


def upgrade() -> None:
    _make_runs()
    op.create_table(
        "run_event",
        _text("tenant_id", 64),
        _text("uid", 64),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        _time("at"),
        _text("kind", 64),
        _sealed("data", nullable=False),
        sa.ForeignKeyConstraint(["uid"], ["run.uid"], name="fk_run_event_run", ondelete="CASCADE"),
        sa.PrimaryKeyConstraint("tenant_id", "uid", "seq", name="pk_run_event"),
    )
    op.create_table(
        "run_feedback",
        _text("tenant_id", 64),
        _text("feedback_id", 64),
        _text("owner", 64),
        _text("run_id", 255),
        _text("status", 16),
        _sealed("details", nullable=False),
        _text("review", 16),
        _text("reviewed_by", 64),
        _time("reviewed_at", nullable=True),
        _time("created_at"),
        sa.PrimaryKeyConstraint("tenant_id", "feedback_id", name="pk_run_feedback"),
    )
    columns = ["tenant_id", "review", "created_at"]
    op.create_index("ix_run_feedback_tenant_id_review_created_at", "run_feedback", columns, unique=False)
    op.create_table(
        "model",
        _text("tenant_id", 64),
        _text("name", 64),
        _text("document"),
        _sealed("secret"),
        sa.Column("version", sa.Integer(), nullable=False),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "name", name="pk_model"),
    )
    op.create_table(
        "model_choice",
        _text("tenant_id", 64),
        _text("name", 64),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_model_choice"),
    )


def _make_runs() -> None:
    op.create_table(
        "run",
        _text("tenant_id", 64),
        _text("owner", 64),
        _text("kind", 16),
        _text("run_id", 255),
        _text("uid", 64),
        _text("name", 255),
        _text("agent_id", 64),
        _text("session_id", 255),
        _text("status", 16),
        _sealed("request", nullable=False),
        _sealed("answer"),
        _sealed("error"),
        _sealed("steps"),
        _count("tokens_in"),
        _count("tokens_out"),
        _count("nano"),
        sa.Column("cancel_requested", sa.Integer(), nullable=False),
        _count("fence"),
        _time("held_until", nullable=True),
        _time("created_at"),
        _time("updated_at"),
        _time("finished_at", nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "owner", "kind", "run_id", name="pk_run"),
        sa.UniqueConstraint("uid", name="uq_run_uid"),
    )
    op.create_index("ix_run_tenant_id_owner_created_at", "run", ["tenant_id", "owner", "created_at"], unique=False)
    op.create_index("ix_run_updated_at", "run", ["updated_at"], unique=False)


def downgrade() -> None:
    for name in ("model_choice", "model", "run_feedback", "run_event", "run"):
        op.drop_table(name)
