"""Circuit breakers: an agent that keeps failing is left alone for a while, then tried with one call."""

import time
from collections.abc import Callable
from dataclasses import dataclass

from core.errors import Unavailable

FAILURES = 5  # one after another
OPEN_S = 5.0
MAX_OPEN_S = 120.0
PROBE_S = 90.0  # after which a probe that never reported counts as lost
MAX_KEPT = 10_000


@dataclass(slots=True)
class _State:
    failures: int = 0
    open_s: float = OPEN_S
    closed_at: float = 0.0  # when it may be tried again; 0: closed
    probe_until: float = 0.0


class Breakers:
    """One breaker for each agent, in this process."""

    def __init__(self, *, clock: Callable[[], float] = time.monotonic):
        self._clock = clock
        self._states: dict[tuple[str, str], _State] = {}

    def admit(self, key: tuple[str, str]) -> None:
        """Let a call go to an agent, or raise Unavailable while it rests."""
        state = self._states.get(key)
        if state is None or not state.closed_at:
            return
        now = self._clock()
        if now < state.closed_at or now < state.probe_until:
            left = max(state.closed_at - now, state.probe_until - now if state.closed_at <= now else 0.0)
            raise Unavailable(
                "The agent has failed several times and is left alone for a moment.",
                hint=f"Retry in {max(1, round(left))} s.",
                retry_after_s=max(0.5, min(left, MAX_OPEN_S)),
            )
        state.probe_until = now + PROBE_S

    def succeed(self, key: tuple[str, str]) -> None:
        self._states.pop(key, None)

    def fail(self, key: tuple[str, str]) -> None:
        """Note a failure that is the agent's: it did not answer, or not in time, or with an error of its own."""
        if len(self._states) >= MAX_KEPT:
            self._states.clear()
        state = self._states.setdefault(key, _State())
        state.failures += 1
        if state.closed_at:  # the probe failed
            state.open_s = min(MAX_OPEN_S, state.open_s * 2)
        if state.failures >= FAILURES:
            state.closed_at, state.probe_until = self._clock() + state.open_s, 0.0

    def release(self, key: tuple[str, str]) -> None:
        """Take back a probe that said nothing about the agent: its caller went away."""
        if (state := self._states.get(key)) is not None:
            state.probe_until = 0.0

    def state(self, key: tuple[str, str]) -> str:
        """closed, open or half-open."""
        state = self._states.get(key)
        if state is None or not state.closed_at:
            return "closed"
        return "open" if self._clock() < state.closed_at else "half-open"
