"""Processor time of statements that run side by side in one process.

No engine tells it per statement truly (DuckDB's profile counts rows twice and cached bytes not at all), so what the
process used while several ran is parted equally between them."""

import time
from collections.abc import Callable


class CpuMeter:
    """Call it from one thread."""

    def __init__(self, clock: Callable[[], float] = time.process_time):
        self._clock = clock
        self._read_at = clock()
        self._used: dict[object, float] = {}

    def enter(self, statement: object) -> None:
        self._share_out()
        self._used[statement] = 0.0

    def leave(self, statement: object) -> float:
        """Seconds of the statement since it entered; 0 for one that is not inside."""
        self._share_out()
        return self._used.pop(statement, 0.0)

    def _share_out(self) -> None:
        now = self._clock()
        for statement in self._used:
            self._used[statement] += (now - self._read_at) / len(self._used)
        self._read_at = now
