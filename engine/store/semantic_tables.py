"""Tables of the semantic layer: models, metrics, verified queries and knowledge, and every version of each."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

Kind = String(16)

semantic_items = Table(
    "semantic_item",
    metadata,
    tenant(),
    Column("kind", Kind, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("connection_id", Id, nullable=False),  # empty: of no connection
    Column("status", Kind, nullable=False),  # draft or active
    Column("subject_path", String(200), nullable=False),
    Column("definition", Text, nullable=False),  # JSON
    Column("author", Id, nullable=False),  # who wrote the present version
    Column("version", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("deleted_at", Float),  # its row stays, so that versions are never counted twice
)

semantic_versions = Table(
    "semantic_version",
    metadata,
    tenant(),
    Column("kind", Kind, primary_key=True),
    Column("name", Name, primary_key=True),
    Column("version", Integer, primary_key=True),
    Column("connection_id", Id, nullable=False),
    Column("status", Kind, nullable=False),
    Column("subject_path", String(200), nullable=False),
    Column("definition", Text, nullable=False),
    Column("author", Id, nullable=False),
    Column("changed_at", Float, nullable=False),
    Column("is_deleted", Integer, nullable=False),
    Index("ix_semantic_version_changed_at", "tenant_id", "changed_at"),
)
