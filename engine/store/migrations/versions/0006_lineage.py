"""Lineage by column, and the budget of groupings over aggregate-only columns."""

import sqlalchemy as sa
from alembic import op

revision = "0006"
down_revision = "0005"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "lineage_query",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("shape_hash", sa.String(length=64), nullable=False),
        sa.Column("reader", sa.String(length=128), nullable=False),
        sa.Column("sql_shape", sa.Text(), nullable=False),
        sa.Column("target", sa.String(length=512), nullable=False),
        sa.Column("run_count", sa.BigInteger(), nullable=False),
        sa.Column("last_run_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection_id", "shape_hash", "reader", name="pk_lineage_query"),
    )
    op.create_index("ix_lineage_query_last_run_at", "lineage_query", ["last_run_at"], unique=False)
    op.create_table(
        "lineage_column",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("shape_hash", sa.String(length=64), nullable=False),
        sa.Column("position", sa.Integer(), nullable=False),
        sa.Column("table_name", sa.String(length=512), nullable=False),
        sa.Column("column_name", sa.String(length=512), nullable=False),
        sa.Column("output", sa.String(length=512), nullable=False),
        sa.Column("is_direct", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "connection_id", "shape_hash", "position", name="pk_lineage_column"),
    )
    op.create_index(
        "ix_lineage_column_source",
        "lineage_column",
        ["tenant_id", "connection_id", "table_name", "column_name"],
        unique=False,
    )
    op.create_table(
        "aggregate_budget",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("connection_id", sa.String(length=64), nullable=False),
        sa.Column("table_name", sa.String(length=512), nullable=False),
        sa.Column("day", sa.String(length=10), nullable=False),
        sa.Column("used", sa.Integer(), nullable=False),
        sa.PrimaryKeyConstraint(
            "tenant_id", "subject", "connection_id", "table_name", "day", name="pk_aggregate_budget"
        ),
    )


def downgrade() -> None:
    op.drop_table("aggregate_budget")
    op.drop_table("lineage_column")
    op.drop_table("lineage_query")
