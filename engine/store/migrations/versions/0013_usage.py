"""Usage: counters by tenant, project and user, limits on them, what is set aside, and limits that were passed."""

import sqlalchemy as sa
from alembic import op

revision = "0013"
down_revision = "0012"
branch_labels = None
depends_on = None

COUNTED = ("rows_scanned", "bytes_scanned", "query_nano", "model_tokens", "model_nano")


def upgrade() -> None:
    op.create_table(
        "usage_counter",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("scope_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in ("requests", "queries", *COUNTED)),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "scope_id", "period", name="pk_usage_counter"),
    )
    op.create_table(
        "usage_limit",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("scope_id", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("span", sa.String(length=8), nullable=False),
        sa.Column("soft", sa.BigInteger(), nullable=True),
        sa.Column("hard", sa.BigInteger(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "scope_id", "metric", "span", name="pk_usage_limit"),
    )
    op.create_table(
        "usage_hold",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("hold_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=False),
        *(sa.Column(name, sa.BigInteger(), nullable=False) for name in COUNTED),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "hold_id", name="pk_usage_hold"),
    )
    op.create_table(
        "usage_notice",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("scope", sa.String(length=8), nullable=False),
        sa.Column("scope_id", sa.String(length=64), nullable=False),
        sa.Column("metric", sa.String(length=16), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("soft", sa.BigInteger(), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "scope", "scope_id", "metric", "period", name="pk_usage_notice"),
    )


def downgrade() -> None:
    for name in ("usage_notice", "usage_hold", "usage_limit", "usage_counter"):
        op.drop_table(name)
