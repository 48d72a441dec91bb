"""The audit log: one hash chain per tenant over sealed records, written by group commit.

What it proves. Every record hangs on the one before it, so a changed, missing, re-ordered or
re-sealed record breaks the chain from there on. The chain's end (head) is kept beside it under a
MAC whose key is not in the store: rewriting all following hashes, cutting records off the end, or
adding some, is found unless the writer also holds that key. A broken head is never sealed anew.
Where a tenant keeps its audit for some time only, the chain begins after the last record that was
removed; that one's number and hash are kept under a MAC too, so nobody else can cut off a beginning.
What it cannot prove alone: that the records *and* the head were not both put back to an earlier
state that was once real, or both removed. A running process notices that (it remembers the heads it
wrote), and so does whoever noted a head outside the store and gives it to `verify`."""

import asyncio
import json
import logging
from collections.abc import Callable
from dataclasses import dataclass, fields
from datetime import datetime
from hashlib import blake2b
from itertools import takewhile

from pydantic_core import to_json
from sqlalchemy import Connection

from core.errors import NotFound, PlatformError
from core.ports import AuditRecord
from engine.audit import rows
from engine.audit.chain import (
    NO_MAC,
    AuditVerification,
    Head,
    SealedRecord,
    extend,
    find_fault,
    is_sealed,
    is_start_sealed,
    seal_head,
    seal_start,
)
from engine.audit.group import GroupCommit
from engine.audit.terms import Terms
from engine.store.db import Store

Transform = Callable[[str, bytes], bytes]
"""Seals or opens bytes with the key of a tenant; the tenant "" stands for the platform itself."""

Sink = Callable[[list[AuditRecord]], None]
"""Takes records that are durable, in the writer's thread; must not raise."""

Chains = dict[str, list[tuple[float, bytes, set[int]]]]
"""By tenant what goes to the end of its chain: time, sealed record, and the terms that it is found by."""

log = logging.getLogger("headwater.audit")

PLATFORM = ""
CHUNK = 2_000
MAX_DIGEST_KEYS = 4_096
FIELDS = tuple(field.name for field in fields(AuditRecord))


@dataclass(frozen=True, slots=True)
class AuditEntry:
    """One record read back; `record` is None when its tenant's key is gone."""

    seq: int
    at: float
    record: AuditRecord | None


class AuditLog:
    """Implements the gate's `Audit`. `seal` runs in the writer's thread, so it may block.

    `digest_key` is secret and the same in every process. `seal` raises NotFound for a tenant whose
    key is gone; such late records go to the platform's own chain."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Transform,
        unseal: Transform,
        digest_key: bytes,
        sink: Sink | None = None,
    ):
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._sink = sink
        self._digest_key = blake2b(b"digests", key=digest_key, digest_size=32).digest()
        self._head_key = blake2b(b"heads", key=digest_key, digest_size=32).digest()
        self.terms = Terms(digest_key)
        self._keyed: dict[str, blake2b] = {}
        self._written: dict[str, Head] = {}
        self._group: GroupCommit[AuditRecord] | None = None

    @property
    def backlog(self) -> int:
        """Records that are not yet durable."""
        return self._group.backlog if self._group else 0

    def digest(self, tenant: str, data: bytes) -> str:
        """A digest under the tenant's own key: equal data of two tenants differs."""
        keyed = self._keyed.get(tenant) or self._key(tenant)
        state = keyed.copy()
        state.update(data)
        return state.hexdigest()

    async def record(self, record: AuditRecord, *, wait: bool) -> None:
        """Queue a record (50 ms behind at most); with `wait` return only when it is durable."""
        if self._group is None:
            self._group = GroupCommit(self._commit)
        await self._group.add(record, wait=wait)

    async def close(self) -> None:
        """Write what is queued. Later records are refused."""
        if self._group is not None:
            await self._group.close()

    async def verify(self, tenant: str, *, noted: Head | None = None) -> AuditVerification:
        """Walk a tenant's chain from its first record to its head.

        `noted` is a head that somebody wrote down earlier: the chain must still pass through it."""
        # The chain may grow meanwhile, so what must be reached is read before the end is.
        least_seq = max(self._written.get(tenant, Head()).seq, noted.seq if noted else 0)
        last, stored = await self._store.read(lambda c: (rows.last_record(c, tenant), rows.read_head(c, tenant)))
        head, mac = stored or (Head(), NO_MAC)
        at, doubt = await self._start(tenant, noted)
        skipped = at.seq
        if doubt is not None:
            return _found(at, head, at.seq, doubt, skipped)
        while at.seq < head.seq:
            at, seen, fault = await self._store.read(_walk(tenant, at, head, noted))
            if fault is None and not seen:
                fault = (at.seq + 1, "Records are missing at the end.")
            if fault is not None:
                moved, doubt = await self._start(tenant, noted)
                if doubt is None and moved.seq > at.seq:  # retention went on meanwhile
                    skipped += moved.seq - at.seq
                    at = moved
                    continue
                return _found(at, head, *fault, skipped)
        reason = _doubt(stored, last, least_seq)
        if reason is None and (head.seq or stored) and not is_sealed(self._head_key, tenant, head, mac):
            reason = "The seal of the chain's end is broken."
        if reason is None and at != head:
            reason = "The last record is not the one that the chain's end names."
        return _found(at, head, None, reason or "", skipped)

    async def _start(self, tenant: str, noted: Head | None = None) -> tuple[Head, str | None]:
        """Where a chain begins, and why that may not be true."""
        found = await self._store.read(lambda connection: rows.read_start(connection, tenant))
        if found is None:
            return Head(), None
        start, mac = found
        if not is_start_sealed(self._head_key, tenant, start, mac):
            return start, "The seal of the chain's beginning is broken."
        if noted and (noted.seq < start.seq or (noted.seq == start.seq and noted.hash != start.hash)):
            return start, "The record noted earlier is not kept any more, so that it cannot be held against the log."
        return start, None

    async def trim(self, tenant: str, *, before: float) -> int:
        """Remove the oldest records, of before a time, as far as they hang together; says how many.

        The newest always stays, and where the chain is broken the evidence does."""
        count = 0
        while True:
            start, doubt = await self._start(tenant)
            if doubt is not None:
                log.warning("the audit of %s is not trimmed: %s", tenant, doubt)
                return count
            found = await self._store.read(lambda c: rows.read_records(c, tenant, after_seq=start.seq, limit=CHUNK))  # noqa: B023
            old = list(takewhile(lambda row: row.at < before, found[:-1]))
            reached, fault = find_fault(tenant, start, old)
            if fault is not None:
                log.warning("the audit of %s is not trimmed: record %d: %s", tenant, *fault)
            if reached.seq > start.seq:
                terms = await self._terms_of(tenant, old[: reached.seq - start.seq])
                count += await self._store.write(self._cut(tenant, start, reached, terms))
            if fault is not None or len(old) < CHUNK - 1:
                return count

    async def _terms_of(self, tenant: str, old: list[SealedRecord]) -> set[int]:
        def work() -> set[int]:
            opened = (self.opened(tenant, row.record) for row in old)
            return {term for record in opened if record is not None for term in self.terms.of_record(record, tenant)}

        return await asyncio.to_thread(work)

    def _cut(self, tenant: str, start: Head, reached: Head, terms: set[int]) -> Callable[[Connection], int]:
        def work(connection: Connection) -> int:
            rows.lock_head(connection, tenant)
            present = rows.read_start(connection, tenant)
            if (present[0] if present else Head()) != start:
                return 0  # another process was faster
            rows.delete_records(connection, tenant, reached.seq, terms)
            rows.write_start(connection, tenant, reached, seal_start(self._head_key, tenant, reached))
            return reached.seq - start.seq

        return work

    async def read(self, tenant: str, *, after_seq: int = 0, limit: int = 100) -> list[AuditEntry]:
        """Opened records in the order of the chain."""
        found = await self._store.read(lambda c: rows.read_records(c, tenant, after_seq=after_seq, limit=limit))
        return await asyncio.to_thread(
            lambda: [AuditEntry(row.seq, row.at, self.opened(tenant, row.record)) for row in found]
        )

    def _key(self, tenant: str) -> "blake2b":
        if len(self._keyed) >= MAX_DIGEST_KEYS:
            self._keyed.clear()
        key = blake2b(tenant.encode(), key=self._digest_key, digest_size=32).digest()
        self._keyed[tenant] = blake2b(key=key, digest_size=32)
        return self._keyed[tenant]

    def _commit(self, records: list[AuditRecord]) -> None:
        chains: Chains = {}
        for record in records:
            tenant, sealed = self._sealed(record)
            found_by = self.terms.of_record(record, tenant)
            chains.setdefault(tenant, []).append((record.at.timestamp(), sealed, found_by))
        self._written.update(self._store.write_now(lambda connection: self._append(connection, chains)))
        if self._sink is not None:
            self._sink(records)

    def _sealed(self, record: AuditRecord) -> tuple[str, bytes]:
        data = to_json(record)
        try:
            return record.tenant, self._seal(record.tenant, data)
        except NotFound:
            return PLATFORM, self._seal(PLATFORM, data)

    def _append(self, connection: Connection, chains: Chains) -> dict[str, Head]:
        heads = {}
        for tenant in sorted(chains):  # one order everywhere, so that two processes cannot deadlock
            head, is_sound = self._take_head(connection, tenant)
            added = extend(tenant, head, ((at, sealed) for at, sealed, _ in chains[tenant]))
            rows.insert_records(connection, tenant, added)
            found_by = [(term, row.seq) for row, item in zip(added, chains[tenant], strict=True) for term in item[2]]
            rows.insert_terms(connection, tenant, found_by)
            heads[tenant] = Head(added[-1].seq, added[-1].hash)
            mac = seal_head(self._head_key, tenant, heads[tenant]) if is_sound else NO_MAC
            rows.update_head(connection, tenant, heads[tenant], mac)
        return heads

    def _take_head(self, connection: Connection, tenant: str) -> tuple[Head, bool]:
        """Lock the end of a chain. Says whether it is as it was left; if not, it stays unsealed.

        New records always go after all that is there, never over it."""
        stored = rows.lock_head(connection, tenant)
        last = rows.last_record(connection, tenant)
        if stored is None:
            rows.insert_head(connection, tenant, last, NO_MAC if last.seq else seal_head(self._head_key, tenant, last))
            return self._take_head(connection, tenant)  # another process may have been first: take the lock
        head, mac = stored
        is_sound = (
            is_sealed(self._head_key, tenant, head, mac)
            and last.seq <= head.seq
            and self._written.get(tenant, head).seq <= head.seq
        )
        return (last if last.seq > head.seq else head), is_sound

    def opened(self, tenant: str, sealed: bytes) -> AuditRecord | None:
        """A stored record; None when its tenant's key is gone. May read the store."""
        try:
            values = json.loads(self._unseal(tenant, sealed))
        except PlatformError:
            return None
        values["at"] = datetime.fromisoformat(values["at"])
        values["resources"] = tuple(values["resources"])
        return AuditRecord(**{name: values[name] for name in FIELDS if name in values})


def _walk(
    tenant: str, at: Head, head: Head, noted: Head | None
) -> Callable[[Connection], tuple[Head, int, tuple[int, str] | None]]:
    """Check the next chunk in the store's thread: how far it held, rows seen, and the fault if any."""

    def work(connection: Connection) -> tuple[Head, int, tuple[int, str] | None]:
        limit = min(CHUNK, head.seq - at.seq)
        found = rows.read_records(connection, tenant, after_seq=at.seq, limit=limit)
        reached, fault = find_fault(tenant, at, found)
        if noted and fault is None:
            for row in found:
                if row.seq == noted.seq and row.hash != noted.hash:
                    return reached, len(found), (row.seq, "The record is not the one noted earlier.")
        return reached, len(found), fault

    return work


def _found(at: Head, head: Head, first_bad_seq: int | None, reason: str, skipped: int) -> AuditVerification:
    return AuditVerification(
        is_valid=not reason,
        checked=at.seq - skipped,
        first_bad_seq=first_bad_seq,
        head_seq=head.seq,
        head_hash=head.hash.hex(),
        reason=reason,
    )


def _doubt(stored: rows.HeadRow | None, last: Head, least_seq: int) -> str | None:
    """Why the end of a chain is not where it must be, or None."""
    head = stored[0] if stored else Head()
    if stored is None and last.seq:
        return "The chain's end was removed."
    if last.seq > head.seq:
        return "There are records after the chain's end."
    if head.seq < least_seq:
        return "The chain is shorter than it once was."
    return None
