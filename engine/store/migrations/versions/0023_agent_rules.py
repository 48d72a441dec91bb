"""Whether a tenant's new agents wait for a person is part of its configuration, no table of its own."""

import sqlalchemy as sa
from alembic import op

revision = "0023"
down_revision = "0022"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.drop_table("agent_rule")


def downgrade() -> None:
    op.create_table(
        "agent_rule",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("quarantine_new", sa.Integer(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_agent_rule"),
    )
