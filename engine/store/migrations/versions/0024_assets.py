"""Assets, and the passages of documents."""

import sqlalchemy as sa
from alembic import op

revision = "0024"
down_revision = "0023"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "asset",
        _text("tenant_id", 64),
        _text("asset_id", 64),
        _text("name", 255),
        _text("kind", 32),
        _text("description"),
        _text("uri"),
        _text("details"),
        _text("tags"),
        _text("visibility", 16),
        _text("owner", 64),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("content_version", sa.Integer(), nullable=False),
        _text("content"),
        sa.Column("version", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "asset_id", name="pk_asset"),
    )
    op.create_index("ix_asset_order", "asset", ["tenant_id", "created_at", "asset_id"], unique=False)
    op.create_table(
        "asset_passage",
        _text("tenant_id", 64),
        _text("asset_id", 64),
        sa.Column("number", sa.Integer(), nullable=False),
        sa.Column("content_version", sa.Integer(), nullable=False),
        sa.Column("page", sa.Integer(), nullable=False),
        sa.Column("sealed", sa.LargeBinary(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "asset_id", "number", name="pk_asset_passage"),
    )


def downgrade() -> None:
    op.drop_table("asset_passage")
    op.drop_index("ix_asset_order", table_name="asset")
    op.drop_table("asset")
