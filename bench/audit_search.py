"""What it costs to find calls in the audit log: of 100,000 records and of 1,000,000, on SQLite or PostgreSQL."""

import asyncio
import hashlib
import os
import statistics
import sys
import tempfile
import time
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from core.ports import AuditRecord
from engine.audit.log import AuditLog
from engine.audit.search import AuditSearch, Wanted
from engine.store.db import Store, sqlite_url
from engine.store.tables import metadata

SIZES = (100_000, 1_000_000)
BATCH = 5_000
ROUNDS = 41
BEGAN = datetime(2026, 1, 1, tzinfo=UTC)


def record_at(number: int, tenant: str) -> AuditRecord:
    """A record of a day with 200 people, 40 tools and 500 tables; one of 50 is refused."""
    is_refused = number % 50 == 49
    return AuditRecord(
        request_id=f"req_{number:016x}",
        at=BEGAN + timedelta(seconds=number),
        tenant=tenant,
        subject=f"user{number * 7 % 200}",
        via="client",
        credential_id="analytics",
        face="mcp",
        tool=f"tool{number * 11 % 40}",
        effect="read",
        argument_digest="0" * 64,
        decision="refused" if is_refused else "allowed",
        code="QUERY_UNAUTHORIZED" if is_refused else "OK",
        resources=("connection:lakehouse", f"table:lakehouse/shop.t{number * 13 % 500}"),
        duration_ms=12.345,
    )


def searches(count: int) -> dict[str, Wanted]:
    middle = BEGAN + timedelta(seconds=count // 2)
    wanted = Wanted()
    return {
        "newest": wanted,
        "who": replace(wanted, subject="user3"),
        "who and what": replace(wanted, subject="user21", tool="tool33"),
        "table": replace(wanted, resource="table:lakehouse/shop.t40"),
        "refused": replace(wanted, decision="refused", subject="user43"),
        "request": replace(wanted, request_id=f"req_{count // 2 // 50 * 50 + 49:016x}"),
        "half-way": replace(wanted, since=middle.timestamp(), until=(middle + timedelta(hours=1)).timestamp()),
        "not there": replace(wanted, subject="nobody"),
    }


async def measure(store: Store) -> dict[int, dict[str, float]]:
    """Median milliseconds of a page of 50, by size and search."""
    key = AESGCM(hashlib.sha256(b"bench").digest())

    def seal(tenant: str, data: bytes) -> bytes:
        nonce = os.urandom(12)
        return nonce + key.encrypt(nonce, data, tenant.encode())

    def unseal(tenant: str, data: bytes) -> bytes:
        return key.decrypt(data[:12], data[12:], tenant.encode())

    log = AuditLog(store, seal=seal, unseal=unseal, digest_key=bytes(32))
    search = AuditSearch(store, log)
    for size in SIZES:
        for begin in range(0, size, BATCH):
            log._commit([record_at(number, f"of{size}") for number in range(begin, begin + BATCH)])
    if store.dialect == "postgresql":
        with store.engine.connect() as connection:  # as it is some minutes later
            plain = connection.execution_options(isolation_level="AUTOCOMMIT")
            plain.exec_driver_sql("VACUUM ANALYZE")
            plain.exec_driver_sql("CHECKPOINT")
    found: dict[int, dict[str, float]] = {size: {} for size in SIZES}
    for name in searches(1):
        times = await _times_ms(search, {size: searches(size)[name] for size in SIZES})
        for size in SIZES:
            found[size][name] = statistics.median(times[size])
    await log.close()
    return found


async def _times_ms(search: AuditSearch, wanted: dict[int, Wanted]) -> dict[int, list[float]]:
    """By turns, so that whatever else the machine does slows both."""
    times: dict[int, list[float]] = {size: [] for size in wanted}
    for _ in range(ROUNDS):
        for size, asked in wanted.items():
            started = time.perf_counter()
            await search.find(f"of{size}", asked, size=50)
            times[size].append((time.perf_counter() - started) * 1000)
    return times


def main() -> None:
    with tempfile.TemporaryDirectory() as folder:
        store = Store(sys.argv[1] if len(sys.argv) > 1 else sqlite_url(Path(folder)))
        metadata.create_all(store.engine)
        found = asyncio.run(measure(store))
        store.close()
    few, many = SIZES
    for name, small in found[few].items():
        large = found[many][name]
        print(f"audit search {name:<13} {small:7.2f} ms of {few:,}  {large:7.2f} ms of {many:,}  {large / small:5.2f}x")
    few_ms, many_ms = (statistics.mean(found[size].values()) for size in SIZES)
    print(
        f"audit search all           {few_ms:7.2f} ms           {many_ms:7.2f} ms              {many_ms / few_ms:5.2f}x"
    )


if __name__ == "__main__":
    main()
