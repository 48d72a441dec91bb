"""Where to find records of the audit by what they are about, without opening them."""

from sqlalchemy import BigInteger, Column, Table

from engine.store.schema import metadata, tenant

audit_terms = Table(
    "audit_term",
    metadata,
    tenant(),
    Column("term", BigInteger, primary_key=True, autoincrement=False),  # a keyed digest of who, what or which
    Column("seq", BigInteger, primary_key=True, autoincrement=False),
    sqlite_with_rowid=False,
)
