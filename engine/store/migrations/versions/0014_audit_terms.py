"""Terms that records of the audit are found by. Records from before have none and are found by time."""

import sqlalchemy as sa
from alembic import op

revision = "0014"
down_revision = "0013"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "audit_term",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("term", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.Column("seq", sa.BigInteger(), autoincrement=False, nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "term", "seq", name="pk_audit_term"),
        sqlite_with_rowid=False,
    )


def downgrade() -> None:
    op.drop_table("audit_term")
