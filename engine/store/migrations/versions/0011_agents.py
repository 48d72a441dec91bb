"""Agents: the registry, what was approved of each, credentials, limits, projects, tasks."""

import sqlalchemy as sa
from alembic import op

revision = "0011"
down_revision = "0010"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "agent",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("protocol", sa.String(length=16), nullable=False),
        sa.Column("endpoint_url", sa.Text(), nullable=False),
        sa.Column("system_prompt", sa.Text(), nullable=False),
        sa.Column("connections", sa.Text(), nullable=False),
        sa.Column("capabilities", sa.Text(), nullable=False),
        sa.Column("agent_metadata", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("health", sa.String(length=16), nullable=False),
        sa.Column("health_at", sa.Float(), nullable=True),
        sa.Column("check_due_at", sa.Float(), nullable=True),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", name="pk_agent"),
    )
    op.create_index("ix_agent_check_due_at", "agent", ["check_due_at"], unique=False)
    op.create_table(
        "agent_pin",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("document", sa.Text(), nullable=False),
        sa.Column("digest", sa.String(length=64), nullable=False),
        sa.Column("seen_document", sa.Text(), nullable=False),
        sa.Column("seen_digest", sa.String(length=64), nullable=False),
        sa.Column("seen_at", sa.Float(), nullable=True),
        sa.Column("approved_by", sa.String(length=64), nullable=False),
        sa.Column("approved_at", sa.Float(), nullable=True),
        sa.Column("rejected_digest", sa.String(length=64), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", name="pk_agent_pin"),
    )
    op.create_table(
        "agent_credential",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("kind", sa.String(length=32), nullable=False),
        sa.Column("secret", sa.LargeBinary(), nullable=False),
        sa.Column("updated_by", sa.String(length=64), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "user_id", name="pk_agent_credential"),
    )
    op.create_table(
        "agent_limit",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("limit_id", sa.String(length=64), nullable=False),
        sa.Column("per_second", sa.String(length=64), nullable=False),
        sa.Column("per_minute", sa.String(length=64), nullable=False),
        sa.Column("per_hour", sa.String(length=64), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", name="pk_agent_limit"),
    )
    op.create_table(
        "project_agent",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("role", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "project_id", "agent_id", name="pk_project_agent"),
    )
    op.create_index("ix_project_agent_tenant_id_agent_id", "project_agent", ["tenant_id", "agent_id"], unique=False)
    op.create_table(
        "agent_task",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("agent_id", sa.String(length=64), nullable=False),
        sa.Column("task_key", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "agent_id", "task_key", name="pk_agent_task"),
    )
    op.create_index("ix_agent_task_created_at", "agent_task", ["created_at"], unique=False)
    op.create_table(
        "agent_rule",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("quarantine_new", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_agent_rule"),
    )


def downgrade() -> None:
    op.drop_table("agent_rule")
    op.drop_table("agent_task")
    op.drop_table("project_agent")
    op.drop_table("agent_limit")
    op.drop_table("agent_credential")
    op.drop_table("agent_pin")
    op.drop_table("agent")
