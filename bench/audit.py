"""What the audit costs: microseconds of CPU per record, all in (queue, JSON, seal, hash, insert)."""

import asyncio
import hashlib
import os
import sys
import tempfile
import time
from datetime import UTC, datetime
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.ports import AuditRecord
from engine.audit.log import AuditLog
from engine.store.db import Store, sqlite_url
from engine.store.tables import metadata

RECORDS = 20_000
ARGUMENTS = b'{"connection_id":"lakehouse","sql":"SELECT carrier, count(*) FROM flights GROUP BY 1","max_rows":1000}'


def sample() -> AuditRecord:
    return AuditRecord(
        request_id="req_0123456789abcdef",
        at=datetime.now(UTC),
        tenant="default",
        subject="alice",
        via="client",
        credential_id="analytics",
        face="mcp",
        tool="execute_query",
        effect="read",
        argument_digest="0" * 64,
        decision="allowed",
        code="OK",
        resources=("connection:lakehouse", "table:headwater.demo.flights"),
        duration_ms=12.345,
    )


async def measure(store: Store) -> dict[str, float]:
    """CPU of the process per record and per digest, in microseconds."""
    key = AESGCM(hashlib.sha256(b"bench").digest())

    def seal(tenant: str, data: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + key.encrypt(nonce, data, tenant.encode())

    audit = AuditLog(store, seal=seal, unseal=seal, digest_key=bytes(32))
    await audit.record(sample(), wait=True)
    record = sample()
    started = time.process_time()
    for index in range(RECORDS):
        await audit.record(record, wait=False)
        if index % 100 == 99:
            await asyncio.sleep(0)
    await audit.record(record, wait=True)
    recorded = time.process_time()
    for _ in range(RECORDS):
        audit.digest("default", ARGUMENTS)
    digested = time.process_time()
    verification = await audit.verify("default")
    verified = time.process_time()
    await audit.close()
    assert verification.is_valid
    assert verification.checked == RECORDS + 2
    times = {"record": recorded - started, "digest": digested - recorded, "verify": verified - digested}
    return {name: seconds / RECORDS * 1e6 for name, seconds in times.items()}


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(sys.argv[1] if len(sys.argv) > 1 else sqlite_url(Path(folder)))
        metadata.create_all(store.engine)
        for name, micros in asyncio.run(measure(store)).items():
            print(f"audit {name:<8} {micros:6.1f} us CPU")
        store.close()


if __name__ == "__main__":
    main()
