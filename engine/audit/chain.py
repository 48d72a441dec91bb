"""The hash chain of one tenant's audit: how a record hangs on the one before, and how the end is sealed."""

import hashlib
import hmac
import struct
from collections.abc import Iterable
from dataclasses import dataclass

GENESIS = bytes(32)
NO_MAC = b""  # a head whose seal was found broken is never sealed again: the evidence stays


@dataclass(frozen=True, slots=True)
class Head:
    """The end of a chain: the newest record's number and hash."""

    seq: int = 0
    hash: bytes = GENESIS


@dataclass(frozen=True, slots=True)
class SealedRecord:
    """One row of a chain as stored; `record` is encrypted."""

    seq: int
    at: float
    previous_hash: bytes
    hash: bytes
    record: bytes


@dataclass(frozen=True, slots=True)
class AuditVerification:
    """What walking a chain found. `reason` is empty when it is valid."""

    is_valid: bool
    checked: int
    first_bad_seq: int | None
    head_seq: int
    head_hash: str
    reason: str = ""


def link(previous: bytes, tenant: str, seq: int, at: float, sealed: bytes) -> bytes:
    """The hash of a record: of the previous hash, tenant, number, time and sealed bytes."""
    name = tenant.encode()
    return hashlib.sha256(previous + struct.pack(">Hqd", len(name), seq, at) + name + sealed).digest()


def seal_head(key: bytes, tenant: str, head: Head) -> bytes:
    """A MAC over a head: who can write to the store, but lacks the key, cannot move the end of a chain."""
    data = struct.pack(">q", head.seq) + head.hash + tenant.encode()
    return hashlib.blake2b(data, key=key, digest_size=32, person=b"audit-head").digest()


def seal_start(key: bytes, tenant: str, start: Head) -> bytes:
    """A MAC over the last record that retention removed: only who has the key moves the beginning of a chain."""
    data = struct.pack(">q", start.seq) + start.hash + tenant.encode()
    return hashlib.blake2b(data, key=key, digest_size=32, person=b"audit-start").digest()


def is_start_sealed(key: bytes, tenant: str, start: Head, mac: bytes) -> bool:
    return hmac.compare_digest(mac, seal_start(key, tenant, start))


def is_sealed(key: bytes, tenant: str, head: Head, mac: bytes) -> bool:
    return hmac.compare_digest(mac, seal_head(key, tenant, head))


def extend(tenant: str, head: Head, sealed: Iterable[tuple[float, bytes]]) -> list[SealedRecord]:
    """Hang records, given as time and sealed bytes, on the end of a chain."""
    rows = []
    seq, previous = head.seq, head.hash
    for at, record in sealed:
        seq += 1
        digest = link(previous, tenant, seq, at, record)
        rows.append(SealedRecord(seq, at, previous, digest, record))
        previous = digest
    return rows


def find_fault(tenant: str, head: Head, rows: Iterable[SealedRecord]) -> tuple[Head, tuple[int, str] | None]:
    """Walk rows that should follow `head`: how far it held, and the first bad number with the reason."""
    for row in rows:
        expected = head.seq + 1
        if row.seq != expected:
            return head, (expected, "A record is missing.")
        if row.previous_hash != head.hash:
            return head, (expected, "The record does not follow the one before it.")
        if row.hash != link(head.hash, tenant, row.seq, row.at, row.record):
            return head, (expected, "The record was changed.")
        head = Head(row.seq, row.hash)
    return head, None
