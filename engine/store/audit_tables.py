"""Where to find records of the audit by what they are about, without opening them, and where a chain begins."""

from sqlalchemy import BigInteger, Column, LargeBinary, Table

from engine.store.schema import metadata, tenant

audit_terms = Table(
    "audit_term",
    metadata,
    tenant(),
    Column("term", BigInteger, primary_key=True, autoincrement=False),  # a keyed digest of who, what or which
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)

audit_starts = Table(
    "audit_start",
    metadata,
    tenant(),
    Column("seq", BigInteger, nullable=False),  # of the last record that retention has removed
    Column("hash", LargeBinary, nullable=False),
    Column("mac", LargeBinary, nullable=False),  # as of a head
)
