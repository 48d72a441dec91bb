"""Conversations with agents, and the versions of what agents of our own are told."""

import sqlalchemy as sa
from alembic import op

revision = "0022"
down_revision = "0021"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def _number(name: str) -> "sa.Column[int]":
    return sa.Column(name, sa.Integer(), nullable=False)


def _time(name: str) -> "sa.Column[float]":
    return sa.Column(name, sa.Float(), nullable=False)


def upgrade() -> None:
    op.add_column("agent", sa.Column("model", sa.String(length=255), nullable=False, server_default=""))
    op.add_column("agent", sa.Column("budget", sa.Text(), nullable=False, server_default="{}"))
    op.create_table(
        "agent_prompt",
        _text("tenant_id", 64),
        _text("agent_id", 64),
        _number("prompt_version"),
        _text("system_prompt"),
        _text("author", 64),
        sa.Column("rolled_back_to", sa.Integer(), nullable=True),
        _time("created_at"),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "prompt_version", name="pk_agent_prompt"),
    )
    op.execute(
        "INSERT INTO agent_prompt (tenant_id, agent_id, prompt_version, system_prompt, author, created_at) "
        "SELECT tenant_id, agent_id, 1, system_prompt, owner, created_at FROM agent WHERE protocol = ''"
    )
    op.create_table(
        "conversation",
        _text("tenant_id", 64),
        _text("owner", 64),
        _text("agent_id", 64),
        _text("session_id", 255),
        _text("uid", 64),
        sa.Column("title", sa.LargeBinary(), nullable=False),
        _number("has_read"),
        _number("message_count"),
        _text("pending_id", 64),
        sa.Column("pending", sa.LargeBinary(), nullable=True),
        _time("created_at"),
        _time("updated_at"),
        sa.PrimaryKeyConstraint("tenant_id", "owner", "agent_id", "session_id", name="pk_conversation"),
        sa.UniqueConstraint("uid", name="uq_conversation_uid"),
    )
    op.create_index(
        "ix_conversation_tenant_id_owner_updated_at", "conversation", ["tenant_id", "owner", "updated_at"], unique=False
    )
    op.create_index("ix_conversation_updated_at", "conversation", ["updated_at"], unique=False)
    op.create_table(
        "conversation_message",
        _text("tenant_id", 64),
        _text("uid", 64),
        _number("seq"),
        _text("run_id", 255),
        _text("role", 16),
        sa.Column("content", sa.LargeBinary(), nullable=False),
        _time("created_at"),
        sa.ForeignKeyConstraint(
            ["uid"], ["conversation.uid"], name="fk_conversation_message_conversation", ondelete="CASCADE"
        ),
        sa.PrimaryKeyConstraint("tenant_id", "uid", "seq", name="pk_conversation_message"),
    )


def downgrade() -> None:
    op.drop_table("conversation_message")
    op.drop_index("ix_conversation_updated_at", table_name="conversation")
    op.drop_index("ix_conversation_tenant_id_owner_updated_at", table_name="conversation")
    op.drop_table("conversation")
    op.drop_table("agent_prompt")
    op.drop_column("agent", "budget")
    op.drop_column("agent", "model")
