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
)
Index("ix_user_external", users.c.tenant_id, users.c.issuer, users.c.external_subject)

roles = Table(
    "role",
    metadata,
    tenant(),
    Column("role", Id, primary_key=True),
    Column("permissions", Text, nullable=False),  # JSON list
    Column("description", Text, nullable=False),
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
