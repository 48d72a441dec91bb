"""How much a tenant has stored: results, exports and uploads as the store says, tables by their files."""

import asyncio
import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from sqlalchemy import Connection, func, select

from core.errors import PlatformError, QuotaExceeded
from engine.store.db import Store
from engine.store.tables import query_exports, query_results, uploads
from engine.usage.amounts import said
from engine.usage.limits import read_usage_limits

FRESH_S = 60.0
MAX_KNOWN = 10_000


@dataclass(frozen=True, slots=True)
class Stored:
    """Bytes that a tenant has stored. `tables` is None where they lie in a bucket."""

    results: int
    exports: int
    uploads: int
    tables: int | None

    @property
    def total(self) -> int:
        return self.results + self.exports + self.uploads + (self.tables or 0)


class Storage:
    """Measures what tenants have stored, at most once a minute for each."""

    def __init__(
        self, store: Store, *, warehouse: Callable[[str], Path | None], clock: Callable[[], float] = time.monotonic
    ):
        self._store = store
        self._warehouse = warehouse
        self._clock = clock
        self._known: dict[str, tuple[float, Stored]] = {}

    async def measure(self, tenant: str, *, fresh: bool = False) -> Stored:
        """What a tenant has stored now, or within the last minute."""
        known = self._known.get(tenant)
        if known is not None and not fresh and self._clock() - known[0] < FRESH_S:
            return known[1]
        found = await asyncio.to_thread(self._measure_now, tenant)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        self._known[tenant] = (self._clock(), found)
        return found

    async def check(self, tenant: str) -> None:
        """Raises QuotaExceeded when a tenant with a limit has stored all that it may."""
        limits = await self._store.read(lambda connection: read_usage_limits(connection, tenant))
        caps = [item.hard for item in limits if item.metric == "storage_bytes" and item.scope == "tenant"]
        cap = min((item for item in caps if item is not None), default=None)
        if cap is None:
            return
        held = (await self.measure(tenant)).total
        if held >= cap:
            raise QuotaExceeded(
                f"Your tenant may store {said('bytes', cap)} and has stored {said('bytes', held)}.",
                hint="Delete tables, results or uploads; results go by themselves when they expire.",
            )

    def _measure_now(self, tenant: str) -> Stored:
        sizes = self._store.read_now(lambda connection: _sizes(connection, tenant))
        return Stored(*sizes, tables=_folder_size(self._folder(tenant)))

    def _folder(self, tenant: str) -> Path | None:
        try:
            return self._warehouse(tenant)
        except PlatformError:  # a place that is no longer allowed
            return None


def _sizes(connection: Connection, tenant: str) -> tuple[int, int, int]:
    r, e, u = query_results.c, query_exports.c, uploads.c
    frames = connection.execute(select(r.frames).where(r.tenant_id == tenant)).scalars()
    results = sum(size for text in frames for size, _ in json.loads(text))
    exports = connection.scalar(select(func.coalesce(func.sum(e.size_bytes), 0)).where(e.tenant_id == tenant))
    received = connection.scalar(select(func.coalesce(func.sum(u.received_bytes), 0)).where(u.tenant_id == tenant))
    return results, int(exports or 0), int(received or 0)


def _folder_size(folder: Path | None) -> int | None:
    if folder is None:
        return None
    total = 0
    for path in folder.rglob("*") if folder.is_dir() else ():
        try:
            total += path.lstat().st_size if path.is_file() else 0
        except OSError:  # gone meanwhile
            continue
    return total
