"""People: configuration and suspension of tenants, versions, passwords, one-time links, sessions."""

import sqlalchemy as sa
from alembic import op

revision = "0010"
down_revision = "0009"
branch_labels = None
depends_on = None


def upgrade() -> None:
    _tenants()
    _users()
    _roles_and_clients()
    _passwords()
    _sessions()


def _tenants() -> None:
    op.add_column("tenant", _text("name_key", 255))
    op.add_column("tenant", sa.Column("configuration", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("tenant", _number("revision"))
    op.add_column("tenant", sa.Column("updated_at", sa.Float(), nullable=True))
    op.add_column("tenant", sa.Column("suspended_at", sa.Float(), nullable=True))
    op.add_column("tenant", sa.Column("suspended_reason", sa.Text(), nullable=False, server_default=""))
    op.create_index("ix_tenant_name_key", "tenant", ["name_key"], unique=False)
    op.execute("UPDATE tenant SET name_key = replace(replace(lower(name), '0', 'o'), '1', 'l')")


def _users() -> None:
    for name in ("deleted_at", "invited_at", "updated_at"):
        op.add_column("user", sa.Column(name, sa.Float(), nullable=True))
    op.add_column("user", _number("version"))
    op.add_column("user", _text("email_key", 255))
    op.add_column("user", _text("login_key", 255))
    op.add_column("user", sa.Column("profile", sa.Text(), nullable=False, server_default="{}"))
    op.create_index("ix_user_email_key", "user", ["tenant_id", "email_key"], unique=False)
    op.create_index("ix_user_login_key", "user", ["tenant_id", "login_key"], unique=False)
    op.execute('UPDATE "user" SET email_key = lower(email)')


def _roles_and_clients() -> None:
    op.add_column("role", _text("name", 255))
    op.add_column("role", sa.Column("profile", sa.Text(), nullable=False, server_default="{}"))
    op.add_column("role", _number("version"))
    op.add_column("role", sa.Column("created_at", sa.Float(), nullable=True))
    op.add_column("role", sa.Column("updated_at", sa.Float(), nullable=True))
    op.add_column("client", _text("name_key", 255))
    op.add_column("client", sa.Column("description", sa.Text(), nullable=False, server_default=""))
    op.add_column("client", _number("version"))
    for name in ("updated_at", "rotated_at", "previous_until"):
        op.add_column("client", sa.Column(name, sa.Float(), nullable=True))
    op.add_column("client", sa.Column("previous_hash", sa.Text(), nullable=True))
    op.create_index("ix_client_tenant_id", "client", ["tenant_id"], unique=False)
    op.execute("UPDATE client SET name_key = replace(replace(lower(name), '0', 'o'), '1', 'l')")


def _passwords() -> None:
    op.create_table(
        "password",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("secret_hash", sa.Text(), nullable=False),
        sa.Column("changed_at", sa.Float(), nullable=False),
        sa.Column("known_networks", sa.Text(), nullable=False),
        sa.PrimaryKeyConstraint("tenant_id", "user_id", name="pk_password"),
    )
    op.create_table(
        "one_time_link",
        sa.Column("token_hash", sa.String(length=64), nullable=False),
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("user_id", sa.String(length=64), nullable=False),
        sa.Column("purpose", sa.String(length=16), nullable=False),
        sa.Column("made_by", sa.String(length=64), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.PrimaryKeyConstraint("token_hash", name="pk_one_time_link"),
    )
    op.create_index("ix_one_time_link_tenant_id_user_id", "one_time_link", ["tenant_id", "user_id"], unique=False)
    op.create_index("ix_one_time_link_expires_at", "one_time_link", ["expires_at"], unique=False)


def _sessions() -> None:
    op.create_table(
        "session",
        sa.Column("tenant_id", sa.String(length=64), nullable=False),
        sa.Column("session_id", sa.String(length=64), nullable=False),
        sa.Column("subject", sa.String(length=64), nullable=False),
        sa.Column("client_id", sa.String(length=255), nullable=False),
        sa.Column("scopes", sa.Text(), nullable=False),
        sa.Column("refresh_hash", sa.String(length=64), nullable=True),
        sa.Column("address", sa.String(length=255), nullable=False),
        sa.Column("user_agent", sa.String(length=255), nullable=False),
        sa.Column("created_at", sa.Float(), nullable=False),
        sa.Column("last_used_at", sa.Float(), nullable=False),
        sa.Column("expires_at", sa.Float(), nullable=False),
        sa.Column("revoked_at", sa.Float(), nullable=True),
        sa.PrimaryKeyConstraint("tenant_id", "session_id", name="pk_session"),
    )
    op.create_index("ix_session_tenant_id_subject", "session", ["tenant_id", "subject"], unique=False)
    op.create_index("ix_session_expires_at", "session", ["expires_at"], unique=False)


def _text(name: str, length: int) -> sa.Column[str]:
    return sa.Column(name, sa.String(length=length), nullable=False, server_default="")


def _number(name: str) -> sa.Column[int]:
    return sa.Column(name, sa.Integer(), nullable=False, server_default="1")


def downgrade() -> None:
    for table in ("session", "one_time_link", "password"):
        op.drop_table(table)
    op.drop_index("ix_client_tenant_id", "client")
    for name in ("previous_hash", "previous_until", "rotated_at", "updated_at", "version", "description", "name_key"):
        op.drop_column("client", name)
    for name in ("updated_at", "created_at", "version", "profile", "name"):
        op.drop_column("role", name)
    op.drop_index("ix_user_login_key", "user")
    op.drop_index("ix_user_email_key", "user")
    for name in ("profile", "login_key", "email_key", "version", "updated_at", "invited_at", "deleted_at"):
        op.drop_column("user", name)
    op.drop_index("ix_tenant_name_key", "tenant")
    for name in ("suspended_reason", "suspended_at", "updated_at", "revision", "configuration", "name_key"):
        op.drop_column("tenant", name)
