"""Tables of sign-in by OAuth: applications, codes, devices that wait, and what people agreed to."""

from sqlalchemy import Boolean, Column, Float, Index, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

oauth_apps = Table(
    "oauth_app",
    metadata,
    Column("client_id", Id, primary_key=True),
    tenant(primary_key=False),  # empty: whoever registers an application belongs to no tenant yet
    Column("name", Name, nullable=False),
    Column("redirect_uris", Text, nullable=False),  # JSON list
    Column("secret_hash", String(64), nullable=False),  # empty: a public application, which has no secret
    Column("created_at", Float, nullable=False),
    Column("used_at", Float),  # when somebody last signed in to it
    Index(None, "used_at", "created_at"),
)

oauth_codes = Table(
    "oauth_code",
    metadata,
    Column("code_hash", String(64), primary_key=True),
    tenant(primary_key=False),
    Column("subject", Id, nullable=False),
    Column("client_id", Name, nullable=False),
    Column("redirect_uri", Text, nullable=False),
    Column("challenge", String(64), nullable=False),  # of PKCE, S256
    Column("scopes", Text, nullable=False),  # JSON list of permissions, or null: all
    Column("resource", Text, nullable=False),
    Column("signed_in_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Column("used_at", Float),
    Column("session_id", Id, nullable=False),  # empty until it is used; a second use ends that session
    Index(None, "expires_at"),
)

oauth_devices = Table(
    "oauth_device",
    metadata,
    Column("device_hash", String(64), primary_key=True),
    tenant(primary_key=False),  # empty until somebody answers
    Column("user_code_hash", String(64), nullable=False, unique=True),
    Column("client_id", Name, nullable=False),
    Column("scopes", Text, nullable=False),
    Column("resource", Text, nullable=False),
    Column("address", Name, nullable=False),
    Column("polled_at", Float),
    Column("expires_at", Float, nullable=False),
    Column("subject", Id, nullable=False),  # empty until somebody answers
    Column("is_allowed", Boolean),
    Index(None, "expires_at"),
)

oauth_consents = Table(
    "oauth_consent",
    metadata,
    tenant(),
    Column("subject", Id, primary_key=True),
    Column("consent_id", String(64), primary_key=True),  # made of all that was agreed to
    Column("client_id", Name, nullable=False),
    Column("created_at", Float, nullable=False),
)
