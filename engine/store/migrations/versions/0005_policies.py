"""Policies, and the identity of what tags are on."""

import sqlalchemy as sa
from alembic import op

revision = "0005"
down_revision = "0004"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "policy",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("policy_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=512), nullable=False),
        sa.Column("tag", sa.String(length=64), nullable=False),
        sa.Column("rule", sa.Text(), nullable=False),
        sa.Column("is_enabled", sa.Integer(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=True),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "policy_id", name="pk_policy"),
    )
    op.add_column(
        "column_tag", sa.Column("table_identity", sa.String(length=64), nullable=False, server_default="")
    )
    op.add_column("column_tag", sa.Column("field_id", sa.Integer(), nullable=True))


def downgrade() -> None:
    with op.batch_alter_table("column_tag") as table:
        table.drop_column("field_id")
        table.drop_column("table_identity")
    op.drop_table("policy")
