"""Sign-in by OAuth: applications, codes, waiting devices, consents."""

import sqlalchemy as sa
from alembic import op

revision = "0015"
down_revision = "0014"
branch_labels = None
depends_on = None


def _text(name: str, length: int = 0) -> "sa.Column[str]":
    return sa.Column(name, sa.String(length=length) if length else sa.Text(), nullable=False)


def upgrade() -> None:
    op.create_table(
        "oauth_app",
        _text("client_id", 64),
        _text("tenant_id", 64),
        _text("name", 255),
        _text("redirect_uris"),
        _text("secret_hash", 64),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("client_id", name="pk_oauth_app"),
    )
    op.create_index("ix_oauth_app_used_at_created_at", "oauth_app", ["used_at", "created_at"], unique=False)
    op.create_table(
        "oauth_code",
        _text("code_hash", 64),
        _text("tenant_id", 64),
        _text("subject", 64),
        _text("client_id", 255),
        _text("redirect_uri"),
        _text("challenge", 64),
        _text("scopes"),
        _text("resource"),
        sa.Column("signed_in_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("used_at", sa.Float(), nullable=True),
        _text("session_id", 64),
        sa.PrimaryKeyConstraint("code_hash", name="pk_oauth_code"),
    )
    op.create_index("ix_oauth_code_expires_at", "oauth_code", ["expires_at"], unique=False)
    op.create_table(
        "oauth_device",
        _text("device_hash", 64),
        _text("tenant_id", 64),
        _text("user_code_hash", 64),
        _text("client_id", 255),
        _text("scopes"),
        _text("resource"),
        _text("address", 255),
        sa.Column("polled_at", sa.Float(), nullable=True),
        sa.Column("expires_at", sa.Float(), nullable=False),
        _text("subject", 64),
        sa.Column("is_allowed", sa.Boolean(), nullable=True),
        sa.PrimaryKeyConstraint("device_hash", name="pk_oauth_device"),
        sa.UniqueConstraint("user_code_hash", name="uq_oauth_device_user_code_hash"),
    )
    op.create_index("ix_oauth_device_expires_at", "oauth_device", ["expires_at"], unique=False)
    op.create_table(
        "oauth_consent",
        _text("tenant_id", 64),
        _text("subject", 64),
        _text("consent_id", 64),
        _text("client_id", 255),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "subject", "consent_id", name="pk_oauth_consent"),
    )


def downgrade() -> None:
    for name in ("oauth_consent", "oauth_device", "oauth_code", "oauth_app"):
        op.drop_table(name)
