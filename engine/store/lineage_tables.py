"""Tables of what queries read: lineage by column, and how often aggregate-only columns were grouped."""

from sqlalchemy import BigInteger, Column, Float, Index, Integer, String, Table, Text

from engine.store.schema import Id, metadata, tenant

Relation = String(512)

lineage_queries = Table(
    "lineage_query",
    metadata,
    tenant(),
    Column("connection_id", Id, primary_key=True),
    Column("shape_hash", Id, primary_key=True),  # statements that differ only in literals are one
    Column("reader", String(128), primary_key=True),  # what ran it, such as a saved query's id; else empty
    Column("sql_shape", Text, nullable=False),
    Column("target", Relation, nullable=False),  # the table that it filled; empty when it answered someone
    Column("run_count", BigInteger, nullable=False),
    Column("last_run_at", Float, nullable=False),
    Index(None, "last_run_at"),
)

lineage_columns = Table(
    "lineage_column",
    metadata,
    tenant(),
    Column("connection_id", Id, primary_key=True),
    Column("shape_hash", Id, primary_key=True),
    Column("position", Integer, primary_key=True),
    Column("table_name", Relation, nullable=False),
    Column("column_name", Relation, nullable=False),
    Column("output", Relation, nullable=False),  # empty: read without being part of any output
    Column("is_direct", Integer, nullable=False),
    Index("ix_lineage_column_source", "tenant_id", "connection_id", "table_name", "column_name"),
)

aggregate_budgets = Table(
    "aggregate_budget",
    metadata,
    tenant(),
    Column("subject", Id, primary_key=True),
    Column("connection_id", Id, primary_key=True),
    Column("table_name", Relation, primary_key=True),
    Column("day", String(10), primary_key=True),  # in UTC
    Column("used", Integer, nullable=False),
)
