"""The arithmetic of a limit: tokens that come back one window after they were last spendable.

Time is cut into slices of a 60th of the window (1 s of a minute). A lease takes tokens in one slice
and they may be spent until that slice ends; they count as used for the 60 slices that follow. So two
spends that are less than a window apart are always counted together: **no more than `limit` pass in
any span of `seconds`, wherever it starts**. Who is alone can spend all `limit` at once, and `limit`
again after 61 slices at the latest. (A bucket that refills while it is emptied would let almost twice
the limit pass in its first minute.) Between machines it holds as far as their clocks agree."""

import math
from dataclasses import dataclass

SLICES = 60
MARGIN_S = 0.001  # a caller who comes back to the moment must not fall short by rounding

Grants = list[tuple[int, int]]
"""Slice and tokens given out in it, oldest first."""


@dataclass(frozen=True, slots=True)
class Window:
    """At most `limit` in any span of `seconds`."""

    limit: int
    seconds: float = 60.0
    slices: int = SLICES  # fewer for short windows, whose slices would pass before a lease is used up

    @property
    def slice_s(self) -> float:
        return self.seconds / self.slices


@dataclass(frozen=True, slots=True)
class Ask:
    """Tokens needed now, and how many more would be welcome; `unspent` ones of a slice come back."""

    needed: int
    welcome: int = 0
    unspent_slice: int = 0
    unspent: int = 0


@dataclass(frozen=True, slots=True)
class Lease:
    """Tokens that a process may spend until `expires_at`; `retry_at` is when the next one is free."""

    granted: int
    slice: int
    expires_at: float
    retry_at: float


def current_slice(window: Window, now: float) -> int:
    return math.floor(now / window.slice_s)


def settle(grants: Grants, slice_now: int, ask: Ask, slices: int = SLICES) -> Grants:
    """What still counts in a slice: unspent tokens given back, old slices gone.

    Slices ahead (a machine's clock ran fast, or was set back) count as of now, so that a wrong clock
    cannot lock a tenant out for longer than a window."""
    counts: dict[int, int] = {}
    for number, count in grants:
        if number == ask.unspent_slice:
            count -= min(count, ask.unspent)
        if count and number >= slice_now - slices:
            number = min(number, slice_now)
            counts[number] = counts.get(number, 0) + count
    return sorted(counts.items())


def grant(window: Window, used: int, ask: Ask) -> int:
    """How many tokens to give: those needed, and of the welcome ones at most an eighth of what is left.

    So the last tokens go out one by one, to whoever asks, and none idles in a process that is done."""
    free = max(0, window.limit - used)
    return min(free, max(ask.needed, min(ask.needed + ask.welcome, free // 8)))


def free_at(window: Window, grants: Grants, now: float) -> float:
    """When the next token is there, if nobody takes or returns any."""
    excess = sum(count for _, count in grants) - window.limit
    if window.limit <= 0:
        return now + window.seconds
    for number, count in grants:
        if excess < 0:
            break
        excess -= count
        if excess < 0:
            return max(now, (number + window.slices + 1) * window.slice_s) + MARGIN_S
    return now


def lease(window: Window, grants: Grants, now: float, ask: Ask) -> tuple[Lease, Grants]:
    """Take tokens out of a window: the lease, and the grants as they stand afterwards."""
    slice_now = current_slice(window, now)
    settled = settle(grants, slice_now, ask, window.slices)
    granted = grant(window, sum(count for _, count in settled), ask)
    after = settle([*settled, (slice_now, granted)], slice_now, Ask(0), window.slices)
    return describe(window, after, now, granted), after


def describe(window: Window, after: Grants, now: float, granted: int) -> Lease:
    slice_now = current_slice(window, now)
    return Lease(
        granted=granted,
        slice=slice_now,
        expires_at=(slice_now + 1) * window.slice_s,
        retry_at=free_at(window, after, now),
    )
