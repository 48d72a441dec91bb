"""Tables of evaluation runs and their cases."""

from sqlalchemy import Column, Float, Index, Integer, String, Table, Text

from engine.store.schema import Id, metadata, tenant

evaluation_runs = Table(
    "evaluation_run",
    metadata,
    tenant(),
    Column("run_id", Id, primary_key=True),
    Column("owner", Id, nullable=False),
    Column("suite", Id, nullable=False),
    Column("facts", Text, nullable=False),  # JSON: digests, arm, model, number of cases
    Column("status", String(16), nullable=False),
    Column("started_at", Float, nullable=False),
    Column("finished_at", Float),
    Index(None, "tenant_id", "owner", "started_at"),
)

evaluation_cases = Table(
    "evaluation_case",
    metadata,
    tenant(),
    Column("run_id", Id, primary_key=True),
    Column("case_id", Id, primary_key=True),
    Column("seq", Integer, nullable=False),
    Column("result", Text, nullable=False),  # JSON, without rows of data
)
