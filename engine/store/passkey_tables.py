"""The table of passkeys."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

passkeys = Table(
    "passkey",
    metadata,
    Column("passkey_hash", String(64), primary_key=True),  # of the id that the device gave it
    tenant(primary_key=False),
    Column("passkey_id", Text, nullable=False),
    Column("user_id", Id, nullable=False),
    Column("site", Name, nullable=False),  # the host that it was made for
    Column("name", Name, nullable=False),
    Column("public_key", Text, nullable=False),  # SPKI in base64url
    Column("uses", Integer, nullable=False),  # as the device counts them; many do not
    Column("created_at", Float, nullable=False),
    Column("used_at", Float, nullable=False),
    Index(None, "tenant_id", "user_id"),
)
