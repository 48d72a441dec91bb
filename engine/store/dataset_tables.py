"""Tables of datasets, managed tables, uploads and imports."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text, UniqueConstraint

from engine.store.schema import Id, Name, metadata, tenant

Path = String(512)

datasets = Table(
    "dataset",
    metadata,
    tenant(),
    Column("dataset_id", Id, primary_key=True),
    Column("name", Path, nullable=False),  # of the namespace, dotted
    Column("taken_name", Path),  # the name in lower case while nobody else may have it
    Column("description", Text, nullable=False),
    Column("project_id", Id),
    Column("state", String(16), nullable=False),
    Column("target", Path, nullable=False),  # the name that it is moving to
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    UniqueConstraint("tenant_id", "taken_name"),
    Index("ix_dataset_id", "dataset_id"),
)

managed_tables = Table(
    "managed_table",
    metadata,
    tenant(),
    Column("table_id", Id, primary_key=True),
    Column("dataset_id", Id, nullable=False),
    Column("name", Name, nullable=False),
    Column("taken_name", Path),  # dataset and name in lower case while nobody else may have them
    Column("identity", Id),  # the Iceberg table's uuid, once there is one
    Column("columns", Text, nullable=False),  # JSON, as asked for when it was made
    Column("state", String(16), nullable=False),
    Column("target", Text, nullable=False),  # JSON: where it is moving to, or what is left to delete
    Column("archived_with", Id, nullable=False),  # the dataset with which it was deleted
    Column("created_at", Float, nullable=False),
    Column("updated_at", Float, nullable=False),
    Column("archived_at", Float),
    UniqueConstraint("tenant_id", "taken_name"),
    UniqueConstraint("tenant_id", "identity"),
    Index("ix_managed_table_dataset", "tenant_id", "dataset_id"),
)

uploads = Table(
    "upload",
    metadata,
    tenant(),
    Column("upload_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("name", Name, nullable=False),
    Column("media_type", Name, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("received_bytes", BigInteger, nullable=False),
    Column("sha256", String(64), nullable=False),  # as announced; empty: none
    Column("is_complete", Integer, nullable=False),
    Column("created_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index(None, "expires_at"),
)

import_results = Table(
    "import_result",
    metadata,
    tenant(),
    Column("job_id", Id, primary_key=True),
    Column("table_id", Id, nullable=False),
    Column("owner", Id, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("bad_row_count", BigInteger, nullable=False),
    Column("snapshot_id", BigInteger),  # null: there was nothing to add
    Column("ended_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),  # of the file of bad rows
    Index(None, "expires_at"),
)
