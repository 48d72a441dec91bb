"""Statements on the chains and their heads."""

from collections.abc import Iterable, Sequence

from sqlalchemy import Connection, bindparam, delete, insert, select, text, update

from engine.audit.chain import Head, SealedRecord
from engine.store.tables import audit, audit_heads, audit_starts, audit_terms

HeadRow = tuple[Head, bytes]

INSERT_RECORDS = (
    "INSERT INTO audit (tenant_id, seq, at, previous_hash, hash, record) VALUES ({0}, {0}, {0}, {0}, {0}, {0})"
)
INSERT_TERMS = "INSERT INTO audit_term (tenant_id, term, seq) VALUES ({0}, {0}, {0}) ON CONFLICT DO NOTHING"
INSERT_HEAD = text(
    "INSERT INTO audit_head (tenant_id, seq, hash, mac) VALUES (:tenant_id, :seq, :hash, :mac) ON CONFLICT DO NOTHING"
)
UPDATE_HEAD = (
    update(audit_heads)
    .where(audit_heads.c.tenant_id == bindparam("of_tenant"))
    .values(seq=bindparam("new_seq"), hash=bindparam("new_hash"), mac=bindparam("new_mac"))
)
LAST_RECORD = (
    select(audit.c.seq, audit.c.hash)
    .where(audit.c.tenant_id == bindparam("of_tenant"))
    .order_by(audit.c.seq.desc())
    .limit(1)
)
# The lock that serialises appends of several processes to one chain; on SQLite the whole transaction is one.
SELECT_HEAD = (
    select(audit_heads.c.seq, audit_heads.c.hash, audit_heads.c.mac)
    .where(audit_heads.c.tenant_id == bindparam("of_tenant"))
    .with_for_update()
)


def lock_head(connection: Connection, tenant: str) -> HeadRow | None:
    """The stored head and its MAC, locked until the transaction ends."""
    row = connection.execute(SELECT_HEAD, {"of_tenant": tenant}).one_or_none()
    return None if row is None else (Head(row.seq, bytes(row.hash)), bytes(row.mac))


def read_head(connection: Connection, tenant: str) -> HeadRow | None:
    statement = select(audit_heads.c.seq, audit_heads.c.hash, audit_heads.c.mac)
    row = connection.execute(statement.where(audit_heads.c.tenant_id == tenant)).one_or_none()
    return None if row is None else (Head(row.seq, bytes(row.hash)), bytes(row.mac))


def insert_head(connection: Connection, tenant: str, head: Head, mac: bytes) -> None:
    """Add a head unless another process has just done so."""
    connection.execute(INSERT_HEAD, {"tenant_id": tenant, "seq": head.seq, "hash": head.hash, "mac": mac})


def update_head(connection: Connection, tenant: str, head: Head, mac: bytes) -> None:
    values = {"of_tenant": tenant, "new_seq": head.seq, "new_hash": head.hash, "new_mac": mac}
    connection.execute(UPDATE_HEAD, values)


def insert_records(connection: Connection, tenant: str, rows: Iterable[SealedRecord]) -> None:
    # By the driver itself: SQLAlchemy spends more on the values of a row than the database on storing it.
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    values = [(tenant, row.seq, row.at, row.previous_hash, row.hash, row.record) for row in rows]
    connection.exec_driver_sql(INSERT_RECORDS.format(mark), values)


def insert_terms(connection: Connection, tenant: str, found_by: Iterable[tuple[int, int]]) -> None:
    """What records are found by: terms, and the number of a record."""
    mark = "?" if connection.dialect.paramstyle == "qmark" else "%s"
    values = [(tenant, term, seq) for term, seq in sorted(found_by)]  # in the index's order: it is faster
    connection.exec_driver_sql(INSERT_TERMS.format(mark), values)


def last_record(connection: Connection, tenant: str) -> Head:
    """The newest record by number, whatever the head says."""
    row = connection.execute(LAST_RECORD, {"of_tenant": tenant}).one_or_none()
    return Head() if row is None else Head(row.seq, bytes(row.hash))


def read_records(connection: Connection, tenant: str, *, after_seq: int, limit: int) -> Sequence[SealedRecord]:
    statement = (
        select(audit.c.seq, audit.c.at, audit.c.previous_hash, audit.c.hash, audit.c.record)
        .where(audit.c.tenant_id == tenant, audit.c.seq > after_seq)
        .order_by(audit.c.seq)
        .limit(limit)
    )
    return [
        SealedRecord(seq, at, bytes(previous), bytes(digest), bytes(record))
        for seq, at, previous, digest, record in connection.execute(statement)
    ]


def read_start(connection: Connection, tenant: str) -> HeadRow | None:
    """The last record that was removed, and its MAC; None where the chain begins with its first record."""
    row = connection.execute(select(audit_starts).where(audit_starts.c.tenant_id == tenant)).one_or_none()
    return None if row is None else (Head(row.seq, bytes(row.hash)), bytes(row.mac))


def write_start(connection: Connection, tenant: str, start: Head, mac: bytes) -> None:
    connection.execute(delete(audit_starts).where(audit_starts.c.tenant_id == tenant))
    connection.execute(insert(audit_starts).values(tenant_id=tenant, seq=start.seq, hash=start.hash, mac=mac))


def delete_records(connection: Connection, tenant: str, up_to: int, terms: Iterable[int]) -> None:
    """Remove the oldest records, and by what they were found."""
    connection.execute(delete(audit).where(audit.c.tenant_id == tenant, audit.c.seq <= up_to))
    term = audit_terms.c
    for item in sorted(terms):
        connection.execute(delete(audit_terms).where(term.tenant_id == tenant, term.term == item, term.seq <= up_to))
