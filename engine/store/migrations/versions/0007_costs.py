"""Costs of queries: their history, quotas in USD, what is spent and reserved."""

import sqlalchemy as sa
from alembic import op

revision = "0007"
down_revision = "0006"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "query_cost",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("query_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("at", sa.Float(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("rows_scanned", sa.BigInteger(), nullable=False),
        sa.Column("bytes_scanned", sa.BigInteger(), nullable=False),
        sa.Column("cpu_ms", sa.BigInteger(), nullable=False),
        sa.Column("execution_time_ms", sa.BigInteger(), nullable=False),
        sa.Column("from_cache", sa.Integer(), nullable=False),
        sa.Column("cost_nano", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "query_id", name="pk_query_cost"),
    )
    op.create_index("ix_query_cost_tenant_id_at", "query_cost", ["tenant_id", "at"], unique=False)
    op.create_table(
        "query_quota",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("daily_nano", sa.BigInteger(), nullable=True),
        sa.Column("monthly_nano", sa.BigInteger(), nullable=True),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", name="pk_query_quota"),
    )
    op.create_table(
        "query_spending",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("period", sa.String(length=10), nullable=False),
        sa.Column("spent_nano", sa.BigInteger(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "period", name="pk_query_spending"),
    )
    op.create_table(
        "query_reservation",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("query_id", sa.String(length=64), nullable=False),
        sa.Column("nano", sa.BigInteger(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "query_id", name="pk_query_reservation"),
    )


def downgrade() -> None:
    op.drop_table("query_reservation")
    op.drop_table("query_spending")
    op.drop_table("query_quota")
    op.drop_table("query_cost")
