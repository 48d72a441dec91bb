"""Tables of what query jobs and exports leave behind."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from engine.store.schema import Id, Name, metadata, tenant

query_results = Table(
    "query_result",
    metadata,
    tenant(),
    Column("job_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("path", Name, nullable=False),  # of the object that holds the rows
    Column("frames", Text, nullable=False),  # JSON list of [stored bytes, rows], in order
    Column("outcome", Text, nullable=False),  # JSON: columns, tables, and what the run said of itself
    Column("sight", String(64), nullable=False),  # digest of what the owner could see of the tables
    Column("ended_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index(None, "expires_at"),
)

query_exports = Table(
    "query_export",
    metadata,
    tenant(),
    Column("export_id", Id, primary_key=True),
    Column("job_id", Id, nullable=False),  # the query job whose rows it holds
    Column("owner", Id, nullable=False),
    Column("path", Name, nullable=False),
    Column("format", String(16), nullable=False),
    Column("compression", String(16), nullable=False),
    Column("is_sealed", Integer, nullable=False),
    Column("size_bytes", BigInteger, nullable=False),
    Column("row_count", BigInteger, nullable=False),
    Column("connection_id", Id, nullable=False),
    Column("tables", Text, nullable=False),  # JSON list of those that the query read
    Column("sight", String(64), nullable=False),
    Column("ended_at", Float, nullable=False),
    Column("expires_at", Float, nullable=False),
    Index(None, "expires_at"),
)
