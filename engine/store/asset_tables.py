"""Tables of assets: what a tenant registers beside its tables, and the passages of documents."""

from sqlalchemy import Column, Float, Index, Integer, LargeBinary, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

assets = Table(
    "asset",
    metadata,
    tenant(),
    Column("asset_id", Id, primary_key=True),
    Column("name", Name, nullable=False),
    Column("kind", String(32), nullable=False),
    Column("description", Text, nullable=False),
    Column("uri", Text, nullable=False),
    Column("details", Text, nullable=False),  # what else its owner says of it, as JSON
    Column("tags", Text, nullable=False),  # as JSON
    Column("visibility", String(16), nullable=False),  # tenant or private
    Column("owner", Id, nullable=False),
    Column("project_id", Id),
    Column("content_version", Integer, nullable=False),  # of the passages that count; 0: there are none
    Column("content", Text, nullable=False),  # what was attached: name, format, sizes, as JSON
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Index("ix_asset_order", "tenant_id", "created_at", "asset_id"),
)

passages = Table(
    "asset_passage",
    metadata,
    tenant(),
    Column("asset_id", Id, primary_key=True),
    Column("number", Integer, primary_key=True),
    Column("content_version", Integer, nullable=False),
    Column("page", Integer, nullable=False),  # 0 where the format has none
    Column("sealed", LargeBinary, nullable=False),  # headings and text, as JSON
)
