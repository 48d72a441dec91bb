"""Evaluations: runs of suites and their judged cases."""

import sqlalchemy as sa
from alembic import op

revision = "0020"
down_revision = "0019"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "evaluation_run",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("suite", sa.String(length=64), nullable=False),
        sa.Column("facts", sa.Text(), nullable=False),
        sa.Column("status", sa.String(length=16), nullable=False),
        sa.Column("started_at", sa.Float(), nullable=False),
        sa.Column("finished_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", name="pk_evaluation_run"),
    )
    op.create_index(
        "ix_evaluation_run_tenant_id_owner_started_at", "evaluation_run", ["tenant_id", "owner", "started_at"]
    )
    op.create_table(
        "evaluation_case",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("run_id", sa.String(length=64), nullable=False),
        sa.Column("case_id", sa.String(length=64), nullable=False),
        sa.Column("seq", sa.Integer(), nullable=False),
        sa.Column("result", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "run_id", "case_id", name="pk_evaluation_case"),
    )


def downgrade() -> None:
    op.drop_table("evaluation_case")
    op.drop_table("evaluation_run")
