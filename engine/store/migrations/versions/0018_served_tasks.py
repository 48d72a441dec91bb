"""Tasks of our own agents over A2A, and where to tell of them."""

import sqlalchemy as sa
from alembic import op

revision = "0018"
down_revision = "0017"
branch_labels = None
depends_on = None


def _text(name: str, length: int) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length), nullable=False)


def upgrade() -> None:
    op.create_table(
        "served_task",
        _text("tenant_id", 64),
        _text("task_id", 64),
        _text("agent_id", 64),
        _text("owner", 64),
        _text("context_id", 255),
        _text("state", 32),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("changed_at_ns", sa.BigInteger(), nullable=False),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        _text("holder", 64),
        sa.Column("held_until", sa.Float(), nullable=True),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "task_id", name="pk_served_task"),
    )
    listed = ["tenant_id", "owner", "agent_id", "changed_at_ns"]
    op.create_index("ix_served_task_tenant_id_owner_agent_id_changed_at_ns", "served_task", listed, unique=False)
    op.create_index("ix_served_task_holder", "served_task", ["holder"], unique=False)
    op.create_index("ix_served_task_updated_at", "served_task", ["updated_at"], unique=False)
    op.create_table(
        "served_push",
        _text("tenant_id", 64),
        _text("task_id", 64),
        _text("config_id", 255),
        _text("owner", 64),
        sa.Column("document", sa.LargeBinary(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "task_id", "config_id", name="pk_served_push"),
    )
    op.create_index("ix_served_push_created_at", "served_push", ["created_at"], unique=False)


def downgrade() -> None:
    op.drop_table("served_push")
    op.drop_table("served_task")
