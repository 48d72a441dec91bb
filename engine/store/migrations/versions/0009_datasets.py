"""Datasets, managed tables, uploads and imports."""

import sqlalchemy as sa
from alembic import op

revision = "0009"
down_revision = "0007"
branch_labels = None
depends_on = None


def upgrade() -> None:
    op.create_table(
        "dataset",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=512), nullable=False),
        sa.Column("taken_name", sa.String(length=512), nullable=True),
        sa.Column("description", sa.Text(), nullable=False),
        sa.Column("project_id", sa.String(length=64), nullable=True),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("target", sa.String(length=512), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float(), nullable=True),
        sa.UniqueConstraint("tenant_id", "taken_name", name="uq_dataset_tenant_id_taken_name"),
        sa.PrimaryKeyConstraint("tenant_id", "dataset_id", name="pk_dataset"),
    )
    op.create_table(
        "managed_table",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("table_id", sa.String(length=64), nullable=False),
        sa.Column("dataset_id", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("taken_name", sa.String(length=512), nullable=True),
        sa.Column("identity", sa.String(length=64), nullable=True),
        sa.Column("columns", sa.Text(), nullable=False),
        sa.Column("state", sa.String(length=16), nullable=False),
        sa.Column("target", sa.Text(), nullable=False),
        sa.Column("archived_with", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("updated_at", sa.Float(), nullable=False),
        sa.Column("archived_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "table_id", name="pk_managed_table"),
        sa.UniqueConstraint("tenant_id", "taken_name", name="uq_managed_table_tenant_id_taken_name"),
        sa.UniqueConstraint("tenant_id", "identity", name="uq_managed_table_tenant_id_identity"),
    )
    op.create_index("ix_managed_table_dataset", "managed_table", ["tenant_id", "dataset_id"], unique=False)
    op.create_table(
        "upload",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("upload_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("name", sa.String(length=255), nullable=False),
        sa.Column("media_type", sa.String(length=255), nullable=False),
        sa.Column("size_bytes", sa.BigInteger(), nullable=False),
        sa.Column("received_bytes", sa.BigInteger(), nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("is_complete", sa.Integer(), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "upload_id", name="pk_upload"),
    )
    op.create_index("ix_upload_expires_at", "upload", ["expires_at"], unique=False)
    op.create_table(
        "import_result",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("job_id", sa.String(length=64), nullable=False),
        sa.Column("table_id", sa.String(length=64), nullable=False),
        sa.Column("owner", sa.String(length=64), nullable=False),
        sa.Column("row_count", sa.BigInteger(), nullable=False),
        sa.Column("bad_row_count", sa.BigInteger(), nullable=False),
        sa.Column("snapshot_id", sa.BigInteger(), nullable=True),
        sa.Column("ended_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "job_id", name="pk_import_result"),
    )
    op.create_index("ix_import_result_expires_at", "import_result", ["expires_at"], unique=False)


def downgrade() -> None:
    op.drop_table("import_result")
    op.drop_table("upload")
    op.drop_table("managed_table")
    op.drop_table("dataset")
