"""Whole results kept for a while behind a handle: sealed files, read only by the principal they were made for."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from core.context import Principal
from core.errors import NotFound

LIFETIME_S = 3600.0
MAX_PER_TENANT = 500
SWEEP_EVERY_S = 60.0

Transform = Callable[[str, bytes, bytes], bytes]
"""Seals or opens bytes for a tenant; the last argument names what the bytes belong to."""


@dataclass(frozen=True, slots=True)
class KeptResult:
    """A result's JSON, and the tool whose permission a reader still needs."""

    tool: str
    result_json: bytes


class KeptResults:
    """Results as files under one folder, one sub-folder per tenant; the oldest go first."""

    def __init__(self, folder: Path, *, seal: Transform, unseal: Transform, clock: Callable[[], float] = time.time):
        self._folder = folder
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._swept: dict[str, float] = {}

    async def save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        """Keep a result for an hour and return its id, which nobody can guess."""
        return await asyncio.to_thread(self._save, principal, tool, result_json)

    async def load(self, principal: Principal, result_id: str) -> KeptResult:
        """The result, for its owner while it lasts. Raises NotFound otherwise."""
        return await asyncio.to_thread(self._load, principal, result_id)

    def _save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        folder = self._folder / principal.tenant
        folder.mkdir(parents=True, exist_ok=True, mode=0o700)
        self._sweep(principal.tenant, folder)
        result_id = secrets.token_urlsafe(24)
        head = json.dumps({"subject": principal.subject, "tool": tool, "until": self._clock() + LIFETIME_S}).encode()
        sealed = self._seal(principal.tenant, head + b"\n" + result_json, result_id.encode())
        partial = folder / f"{result_id}.partial"
        partial.write_bytes(sealed)
        partial.replace(folder / result_id)
        return result_id

    def _load(self, principal: Principal, result_id: str) -> KeptResult:
        gone = NotFound(f"No result {result_id[:64]!r}.", hint="Results are kept for an hour; run the call again.")
        if not result_id.replace("-", "").replace("_", "").isalnum() or len(result_id) > 64:
            raise gone
        try:
            sealed = (self._folder / principal.tenant / result_id).read_bytes()
        except FileNotFoundError:
            raise gone from None
        head, _, result_json = self._unseal(principal.tenant, sealed, result_id.encode()).partition(b"\n")
        facts = json.loads(head)
        if facts["subject"] != principal.subject or facts["until"] < self._clock():
            raise gone
        return KeptResult(facts["tool"], result_json)

    def _sweep(self, tenant: str, folder: Path) -> None:
        """Delete what has expired, and the oldest beyond the cap."""
        if self._clock() - self._swept.get(tenant, 0) < SWEEP_EVERY_S:
            return
        self._swept[tenant] = self._clock()
        found = sorted(folder.iterdir(), key=lambda path: path.stat().st_mtime, reverse=True)
        for rank, path in enumerate(found):
            if rank >= MAX_PER_TENANT or path.stat().st_mtime < self._clock() - LIFETIME_S:
                path.unlink(missing_ok=True)
