"""Passkeys."""

import sqlalchemy as sa
from alembic import op

revision = "0025"
down_revision = "0024"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "passkey",
        _text("passkey_hash", 64),
        _text("tenant_id", 64),
        _text("passkey_id"),
        _text("user_id", 64),
        _text("site", 255),
        _text("name", 255),
        _text("public_key"),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("passkey_hash", name="pk_passkey"),
    )
    op.create_index("ix_passkey_tenant_id_user_id", "passkey", ["tenant_id", "user_id"], unique=False)


def downgrade() -> None:
    op.drop_table("passkey")
