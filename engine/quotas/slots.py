"""Slots: how many of something may run at once, across processes, surviving the death of one of them."""

import asyncio
import logging
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from core.errors import PlatformError
from engine.quotas.ledger import Ledger

log = logging.getLogger("headwater.quotas")

LEASE_S = 30.0
BEAT_S = 10.0


class Slots:
    """Slots held by this process. A heartbeat renews them; those of a killed process lapse after `lease_s`.

    A process that is suspended for longer than that loses its slots and may then run beside others."""

    def __init__(
        self,
        ledger: Ledger,
        *,
        lease_s: float = LEASE_S,
        beat_s: float = BEAT_S,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._ledger = ledger
        self._lease_s = lease_s
        self._beat_s = beat_s
        self._new_id = new_id
        self._held: dict[tuple[str, str], set[str]] = {}
        self._heart: asyncio.Task[None] | None = None
        self._releasing: set[asyncio.Task[None]] = set()

    @asynccontextmanager
    async def hold(self, tenant: str, purpose: str, cap: int) -> AsyncIterator[bool]:
        """Hold one of `cap` slots while inside; yields false, holding none, when all are taken."""
        slot_id = self._new_id()
        claim = asyncio.create_task(
            self._ledger.claim(tenant, purpose, slot_id, cap=cap, lease_s=self._lease_s), name="claim slot"
        )
        try:
            is_held = await asyncio.shield(claim)
            if is_held:
                self._keep(tenant, purpose, slot_id)
            yield is_held
        finally:
            self._held.get((tenant, purpose), set()).discard(slot_id)
            # In a task of its own: a cancelled caller must not leave its slot behind.
            release = asyncio.create_task(self._release(claim, tenant, purpose, slot_id))
            self._releasing.add(release)
            release.add_done_callback(self._releasing.discard)
            await asyncio.shield(release)

    async def close(self) -> None:
        if self._heart is not None:
            self._heart.cancel()
            await asyncio.wait([self._heart])
        await asyncio.gather(*self._releasing)

    def _keep(self, tenant: str, purpose: str, slot_id: str) -> None:
        self._held.setdefault((tenant, purpose), set()).add(slot_id)
        if self._heart is None or self._heart.done():
            self._heart = asyncio.create_task(self._beat(), name="slots' heartbeat")

    async def _release(self, claim: "asyncio.Task[bool]", tenant: str, purpose: str, slot_id: str) -> None:
        try:
            if await claim:
                await self._ledger.release(tenant, purpose, slot_id)
        except PlatformError:
            log.warning("a slot could not be given back; it lapses in %g s", self._lease_s)

    async def _beat(self) -> None:
        """Renew what is held; ends when nothing is."""
        while True:
            await asyncio.sleep(self._beat_s)
            held = [(key, frozenset(slot_ids)) for key, slot_ids in self._held.items() if slot_ids]
            self._held = {key: slot_ids for key, slot_ids in self._held.items() if slot_ids}
            if not held:
                return
            for (tenant, purpose), slot_ids in held:
                try:
                    await self._ledger.renew(tenant, purpose, slot_ids, lease_s=self._lease_s)
                except PlatformError:
                    log.warning("slots could not be renewed; another try follows")
