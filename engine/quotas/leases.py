"""Spending leased tokens in memory: a process asks the ledger for blocks, not for every call."""

import asyncio
import time
from collections.abc import Callable
from dataclasses import dataclass, field

from core.errors import PlatformError, RateLimited, Unavailable
from engine.quotas.ledger import Ledger
from engine.quotas.windows import Ask, Window

MAX_BLOCK = 512
RECHECK_S = 0.25  # how long a refusal is believed before the ledger is asked again
MAX_BLOCKS = 10_000
Key = tuple[str, str]


@dataclass(slots=True)
class _Block:
    """Tokens of one tenant and purpose that this process holds."""

    window: Window
    tokens: int = 0
    slice: int = 0
    expires_at: float = 0.0
    owed: int = 0  # of the tokens, those leased for callers already waiting: theirs even if the slice ends
    size: int = 0  # welcome beyond what is needed; grows while blocks are used up in time
    waiting: int = 0
    refused_until: float = 0.0
    retry_at: float = 0.0
    failures: int = 0
    failure: PlatformError | None = None
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    timer: asyncio.TimerHandle | None = None

    def is_refused(self, now: float) -> bool:
        """Whether the last refusal still stands; one that reaches further than any is of a clock that was put back."""
        return self.refused_until - RECHECK_S <= now < self.refused_until

    def spend(self, now: float) -> bool:
        if self.tokens and (now < self.expires_at or self.owed):
            self.tokens -= 1
            self.owed = max(0, self.owed - 1)
            return True
        return False


class Leases:
    """Tokens in memory, each leased from the ledger and spent once.

    A block grows while it is used up before its slice ends and shrinks when it is not; unspent tokens
    go back when their slice ends, with the next lease, or in `close`."""

    def __init__(self, ledger: Ledger, *, clock: Callable[[], float] = time.time):
        self._ledger = ledger
        self._clock = clock
        self._blocks: dict[Key, _Block] = {}
        self._returning: set[asyncio.Task[None]] = set()

    async def take(self, tenant: str, purpose: str, window: Window) -> None:
        """Spend one token. Raises RateLimited, or Unavailable when the ledger is."""
        block = self._blocks.get((tenant, purpose))
        if block is None or block.window != window:
            block = self._open((tenant, purpose), window)
        now = self._clock()
        if not block.owed and block.spend(now):
            return
        if block.is_refused(now):
            raise refusal(window, block.retry_at - now)
        await self._queue(tenant, purpose, block)

    async def close(self) -> None:
        """Give back what is not spent."""
        for (tenant, purpose), block in list(self._blocks.items()):
            if block.timer is not None:
                block.timer.cancel()
            async with block.lock:
                await self._give_back(tenant, purpose, block)
        self._blocks.clear()
        await asyncio.gather(*self._returning)

    def _open(self, key: Key, window: Window) -> _Block:
        if len(self._blocks) >= MAX_BLOCKS:
            self._blocks.clear()  # what they held lapses with its window: fewer pass, never more
        return self._blocks.setdefault(key, _Block(window)) if key not in self._blocks else self._reopen(key, window)

    def _reopen(self, key: Key, window: Window) -> _Block:
        """A tenant whose limit was changed keeps its tokens, which were counted, but no refusal."""
        block = self._blocks[key]
        block.window, block.refused_until = window, 0.0
        return block

    async def _queue(self, tenant: str, purpose: str, block: _Block) -> None:
        """Wait for one's turn: the first one leases for all who wait by then."""
        failures = block.failures
        block.waiting += 1
        try:
            async with block.lock:
                if block.spend(self._clock()):
                    return
                if block.failures != failures and block.failure is not None:
                    again_s = block.failure.retry_after_s
                    raise Unavailable(block.failure.message, hint=block.failure.hint, retry_after_s=again_s)
                if block.is_refused(now := self._clock()):
                    raise refusal(block.window, block.retry_at - now)
                await self._lease(tenant, purpose, block)
                block.owed = min(block.tokens, block.waiting)
                if not block.spend(self._clock()):
                    raise refusal(block.window, block.retry_at - self._clock())
        finally:
            block.waiting -= 1
            if not block.waiting:
                block.owed = 0

    async def _lease(self, tenant: str, purpose: str, block: _Block) -> None:
        window, now = block.window, self._clock()
        was_used_up = not block.tokens and now < block.expires_at + window.slice_s
        block.size = min(MAX_BLOCK, block.size * 2 + 1) if was_used_up else block.size // 2
        ask = Ask(block.waiting, block.size, block.slice, block.tokens)
        block.tokens = 0  # should the ledger fail half-way, they count as spent
        try:
            leased = await self._ledger.lease(tenant, purpose, window, ask)
        except PlatformError as error:
            block.failures, block.failure = block.failures + 1, error
            raise
        block.tokens, block.slice, block.expires_at = leased.granted, leased.slice, leased.expires_at
        if leased.granted < ask.needed:
            now = self._clock()
            block.retry_at = leased.retry_at
            block.refused_until = min(leased.retry_at, now + RECHECK_S)
        elif leased.granted > ask.needed:
            self._return_later(tenant, purpose, block)

    def _return_later(self, tenant: str, purpose: str, block: _Block) -> None:
        if block.timer is not None:
            block.timer.cancel()

        def start() -> None:
            task = asyncio.get_running_loop().create_task(self._return(tenant, purpose, block))
            self._returning.add(task)
            task.add_done_callback(self._returning.discard)

        delay_s = max(0.0, block.expires_at - self._clock())
        block.timer = asyncio.get_running_loop().call_later(delay_s, start)

    async def _return(self, tenant: str, purpose: str, block: _Block) -> None:
        async with block.lock:
            if self._clock() >= block.expires_at and not block.owed:
                await self._give_back(tenant, purpose, block)

    async def _give_back(self, tenant: str, purpose: str, block: _Block) -> None:
        ask = Ask(0, 0, block.slice, block.tokens)
        block.tokens = 0
        if ask.unspent:
            try:
                await self._ledger.lease(tenant, purpose, block.window, ask)
            except PlatformError:  # the window forgets them anyway, only later
                return


def refusal(window: Window, retry_after_s: float) -> RateLimited:
    retry_after_s = max(0.0, retry_after_s)
    span = "minute" if window.seconds == 60 else f"{window.seconds:g} s"
    return RateLimited(
        f"The limit of {window.limit} requests per {span} is reached.",
        hint=f"Retry in {max(1, round(retry_after_s))} s, or ask for a higher tier.",
        retry_after_s=retry_after_s,
    )
