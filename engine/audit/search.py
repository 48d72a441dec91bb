"""Finding records: newest first, by blind terms and time, at a cost that does not grow with the chain."""

import asyncio
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from sqlalchemy import Connection, select

from core.ports import AuditRecord
from engine.audit.log import AuditEntry, AuditLog
from engine.store.db import Store
from engine.store.tables import audit, audit_terms

A, T = audit.c, audit_terms.c
CHUNK = 500
MAX_EXAMINED = 5_000  # records that one page looks at; then it ends early and says where to go on
SKEW_S = 120.0  # by how much the time of a record may be out of its chain's order


Sealed = tuple[int, float, bytes]
"""Number, time and bytes of a record."""

Chunk = tuple[list[Sealed], int | None]
"""Records that may match, newest first, and the number down to which was looked; None when nothing is left."""


@dataclass(frozen=True, slots=True)
class Wanted:
    """What records must have; empty is anything. Times are UTC seconds: from `since` on, before `until`."""

    subject: str = ""
    tool: str = ""
    resource: str = ""
    decision: str = ""
    code: str = ""
    request_id: str = ""
    face: str = ""
    since: float | None = None
    until: float | None = None

    @property
    def words(self) -> list[str]:
        """What the index knows of this, the rarest first."""
        is_refused = self.decision not in ("", "allowed")
        found = [
            ("request", self.request_id),
            ("code", self.code if self.code != "OK" else ""),
            ("decision", self.decision if is_refused else ""),
            ("resource", self.resource),
            ("tool", self.tool),
            ("subject", self.subject),
        ]
        return [f"{kind}:{value}" for kind, value in found if value]

    def matches(self, record: AuditRecord) -> bool:
        at = record.at.timestamp()
        pairs = (
            (self.subject, record.subject),
            (self.tool, record.tool),
            (self.decision, record.decision),
            (self.code, record.code),
            (self.request_id, record.request_id),
            (self.face, record.face),
        )
        return (
            all(wanted in ("", found) for wanted, found in pairs)
            and (not self.resource or self.resource in record.resources)
            and (self.since is None or at >= self.since)
            and (self.until is None or at < self.until)
        )


@dataclass(frozen=True, slots=True)
class AuditPage:
    """Records, newest first; `before` is where the next page begins, None at the end."""

    entries: list[AuditEntry]
    before: int | None


class AuditSearch:
    """Searches one tenant's chain at a time."""

    def __init__(self, store: Store, log: AuditLog):
        self._store = store
        self._log = log

    async def find(self, tenant: str, wanted: Wanted, *, size: int, before: int | None = None) -> AuditPage:
        """A page of what is wanted. A page may be short, or empty, before the last one."""
        first, last = await self._store.read(lambda connection: _range(connection, tenant, wanted))
        terms = [self._log.terms.of(tenant, word) for word in wanted.words]
        at = last + 1 if before is None else min(before, last + 1)
        found: list[AuditEntry] = []
        examined, step = 0, min(CHUNK, size + 1)
        while examined < MAX_EXAMINED:
            rows, reached = await self._store.read(_chunk(tenant, terms, (first, at), step))
            opened = await asyncio.to_thread(self._open, tenant, rows, wanted)
            room = size - len(found)
            found += opened[:room]
            if len(opened) >= room and (len(opened) > room or reached is not None):
                return AuditPage(found, found[-1].seq)
            if reached is None:
                return AuditPage(found, None)
            at, examined, step = reached, examined + step, min(CHUNK, 2 * step)
        return AuditPage(found, at)

    async def count(self, tenant: str) -> int:
        """How many records a tenant has."""
        first, last = await self._store.read(lambda connection: _ends(connection, tenant))
        return last - first + 1

    def _open(self, tenant: str, rows: Sequence[Sealed], wanted: Wanted) -> list[AuditEntry]:
        opened = [AuditEntry(seq, at, self._log.opened(tenant, record)) for seq, at, record in rows]
        return [entry for entry in opened if entry.record is not None and wanted.matches(entry.record)]


def _chunk(tenant: str, terms: Sequence[int], within: tuple[int, int], step: int) -> Callable[[Connection], Chunk]:
    first, before = within

    def work(connection: Connection) -> Chunk:
        if terms:
            driver = select(T.seq).where(T.tenant_id == tenant, T.term == terms[0], T.seq >= first, T.seq < before)
            numbers = list(connection.execute(driver.order_by(T.seq.desc()).limit(step)).scalars())
        else:
            newest = select(A.seq).where(A.tenant_id == tenant, A.seq >= first, A.seq < before)
            numbers = list(connection.execute(newest.order_by(A.seq.desc()).limit(step)).scalars())
        reached = numbers[-1] if len(numbers) == step else None
        for term in terms[1:]:
            both = select(T.seq).where(T.tenant_id == tenant, T.term == term, T.seq.in_(numbers))
            numbers = list(connection.execute(both).scalars()) if numbers else []
        rows = select(A.seq, A.at, A.record).where(A.tenant_id == tenant, A.seq.in_(numbers)).order_by(A.seq.desc())
        found = connection.execute(rows).all() if numbers else []
        return [(seq, at, bytes(record)) for seq, at, record in found], reached

    return work


def _range(connection: Connection, tenant: str, wanted: Wanted) -> tuple[int, int]:
    """The numbers between which everything of that time lies."""
    first, last = _ends(connection, tenant)
    begin = first if wanted.since is None else _first_at(connection, tenant, wanted.since - SKEW_S, first, last)
    end = last if wanted.until is None else _first_at(connection, tenant, wanted.until + SKEW_S, first, last)
    return begin, min(end, last)


def _ends(connection: Connection, tenant: str) -> tuple[int, int]:
    """The numbers of the oldest and the newest record; the first is one higher where there is none."""
    of_tenant = select(A.seq).where(A.tenant_id == tenant).limit(1)
    last = int(connection.scalar(of_tenant.order_by(A.seq.desc())) or 0)
    return int(connection.scalar(of_tenant.order_by(A.seq)) or last + 1), last


def _first_at(connection: Connection, tenant: str, at: float, first: int, last: int) -> int:
    """By halving: the number of about the first record at or after a time; one past the last if there is none."""
    low, high = first, last + 1
    while low < high:
        middle = (low + high) // 2
        found = connection.scalar(select(A.at).where(A.tenant_id == tenant, A.seq == middle))
        if found is None or found >= at:
            high = middle
        else:
            low = middle + 1
    return low
