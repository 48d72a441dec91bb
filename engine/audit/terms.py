"""Blind terms: keyed digests of what a record is about, so that the store finds records that it cannot read."""

from collections.abc import Iterator
from functools import lru_cache
from hashlib import blake2b

from core.ports import AuditRecord

MAX_KEPT = 20_000
ALLOWED = "allowed"


class Terms:
    """Terms under a key that is not in the store. Equal words of two tenants have different terms."""

    def __init__(self, key: bytes):
        self._key = blake2b(b"terms", key=key, digest_size=32).digest()
        self.of = lru_cache(MAX_KEPT)(self._of)

    def of_record(self, record: AuditRecord, chain: str) -> set[int]:
        """Every term of a record that goes into a tenant's chain."""
        return {self.of(chain, word) for word in words(record)}

    def _of(self, tenant: str, word: str) -> int:
        digest = blake2b(f"{tenant}\0{word}".encode(), key=self._key, digest_size=8).digest()
        return int.from_bytes(digest, signed=True)


def words(record: AuditRecord) -> Iterator[str]:
    """What a record can be found by: who, what, which; and of those that were not allowed also that and the request."""
    yield f"subject:{record.subject}"
    yield f"tool:{record.tool}"
    yield from (f"resource:{resource}" for resource in record.resources)
    if record.decision != ALLOWED:
        yield f"decision:{record.decision}"
        yield f"code:{record.code}"
        yield f"request:{record.request_id}"
