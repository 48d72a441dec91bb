"""Tables of tenants and of whoever may call."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

tenants = Table(
    "tenant",
    metadata,
    Column("tenant_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("tier", String(32), nullable=False),
    Column("max_requests_per_minute", Integer),  # null: the tier's own
    Column("max_concurrent_queries", Integer),
    Column("wrapped_key", LargeBinary, nullable=False),  # the tenant's data key, wrapped by the home's root key
    Column("version", Integer, nullable=False),  # raised by every change of roles, users or clients
    Column("created_at", Float, nullable=False),
    Column("archived_at", Float),
    Column("name_key", Name, nullable=False, server_default=""),  # equal for names that look alike
    Column("configuration", Text, nullable=False, server_default="{}"),  # JSON object
    Column("revision", Integer, nullable=False, server_default="1"),  # raised by changes of this row
    Column("updated_at", Float),
    Column("suspended_at", Float),
    Column("suspended_reason", Text, nullable=False, server_default=""),
    Index(None, "name_key"),
)

users = Table(
    "user",
    metadata,
    tenant(),
    Column("user_id", Id, primary_key=True),
    Column("email", Name, nullable=False),
    Column("name", Name, nullable=False),
    Column("roles", Text, nullable=False),  # JSON list of role names
    Column("attributes", Text, nullable=False),  # JSON object of strings
    Column("issuer", Name, nullable=False),  # with external_subject: the linked external identity
    Column("external_subject", Name, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("deactivated_at", Float),
    Column("deleted_at", Float),
    Column("invited_at", Float),  # until the invitation is accepted
    Column("updated_at", Float),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("email_key", Name, nullable=False, server_default=""),  # equal for addresses that mean the same
    Column("login_key", Name, nullable=False, server_default=""),  # the name that a directory knows the user by
    Column("profile", Text, nullable=False, server_default="{}"),  # JSON: what a directory says about the user
    Column("access_ended_at", Float),  # the last time it was deactivated or deleted: no token from before works again
)
Index("ix_user_external", users.c.tenant_id, users.c.issuer, users.c.external_subject)
Index("ix_user_email_key", users.c.tenant_id, users.c.email_key)
Index("ix_user_login_key", users.c.tenant_id, users.c.login_key)

roles = Table(
    "role",
    metadata,
    tenant(),
    Column("role", Id, primary_key=True),
    Column("permissions", Text, nullable=False),  # JSON list
    Column("description", Text, nullable=False),
    Column("name", Name, nullable=False, server_default=""),  # how a directory calls it; empty: as `role`
    Column("profile", Text, nullable=False, server_default="{}"),  # JSON: what a directory says about it
    Column("version", Integer, nullable=False, server_default="1"),
    Column("created_at", Float),
    Column("updated_at", Float),
)

clients = Table(
    "client",
    metadata,
    Column("client_id", Id, primary_key=True),
    tenant(primary_key=False),
    Column("name", Name, nullable=False),
    Column("secret_hash", Text, nullable=False),
    Column("roles", Text, nullable=False),  # JSON list of role names
    Column("created_at", Float, nullable=False),
    Column("disabled_at", Float),
    Column("name_key", Name, nullable=False, server_default=""),
    Column("description", Text, nullable=False, server_default=""),
    Column("version", Integer, nullable=False, server_default="1"),
    Column("updated_at", Float),
    Column("rotated_at", Float),
    Column("previous_hash", Text),  # the secret before, which works until previous_until
    Column("previous_until", Float),
    Index(None, "tenant_id"),
)

tokens = Table(
    "token",
    metadata,
    Column("token_id", Id, primary_key=True),
    tenant(primary_key=False),
    Column("subject", Id, nullable=False),
    Column("name", Name, nullable=False),
    Column("token_hash", String(64), nullable=False, unique=True),
    Column("permissions", Text),  # JSON list; null: all that the owner has
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Column("last_used_at", Float),
    Index(None, "tenant_id", "subject"),
)

keys = Table(
    "signing_key",
    metadata,
    Column("kid", Id, primary_key=True),
    Column("algorithm", String(16), nullable=False),
    Column("public_jwk", Text, nullable=False),
    Column("wrapped_private", LargeBinary, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("retired_at", Float),  # no new tokens; still verifies until removed_at
    Column("removed_at", Float),
)

passwords = Table(
    "password",
    metadata,
    tenant(),
    Column("user_id", Id, primary_key=True),
    Column("secret_hash", Text, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("known_networks", Text, nullable=False),  # JSON list of digests: where the user has signed in from
)

one_time_links = Table(
    "one_time_link",
    metadata,
    Column("token_hash", String(64), primary_key=True),
    tenant(primary_key=False),
    Column("user_id", Id, nullable=False),
    Column("purpose", String(16), nullable=False),  # invitation or password
    Column("made_by", Id, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index(None, "tenant_id", "user_id"),
    Index(None, "expires_at"),
)

sessions = Table(
    "session",
    metadata,
    tenant(),
    Column("session_id", Id, primary_key=True),
    Column("subject", Id, nullable=False),
    Column("client_id", Name, nullable=False),  # the application that was signed in to
    Column("scopes", Text, nullable=False),  # JSON list of permissions, or null: all that the user has
    Column("refresh_hash", String(64)),  # of the one refresh token that may be used next
    Column("address", Name, nullable=False),
    Column("user_agent", Name, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("last_used_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("revoked_at", Float),
    Index(None, "tenant_id", "subject"),
    Index(None, "expires_at"),
)
