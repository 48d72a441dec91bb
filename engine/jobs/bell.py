"""Wakes whoever in this process waits for a job, so that only other processes have to poll."""

import asyncio
import threading
from collections.abc import Iterator
from contextlib import contextmanager

WORK = "work"  # a job became due, a worker got a free place, or a worker is to stop
CANCEL = "cancel"  # somebody asked to cancel a running job


class Listener:
    """One waiting coroutine. A ring between two waits is not lost: the next wait returns at once."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._rung = asyncio.Event()

    async def wait(self, timeout_s: float) -> None:
        """Return when rung, or after the time."""
        try:
            await asyncio.wait_for(self._rung.wait(), timeout_s)
        except TimeoutError:
            return
        self._rung.clear()

    def rouse(self) -> None:
        if not self._loop.is_closed():
            self._loop.call_soon_threadsafe(self._rung.set)


class Bell:
    """Rings by key; safe from any thread and event loop."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._listeners: dict[str, set[Listener]] = {}

    def ring(self, key: str) -> None:
        with self._lock:
            listeners = list(self._listeners.get(key, ()))
        for listener in listeners:
            listener.rouse()

    @contextmanager
    def listen(self, key: str) -> Iterator[Listener]:
        """Hear the rings of `key` from now on. Listen first and look then, and nothing is missed."""
        listener = Listener()
        with self._lock:
            self._listeners.setdefault(key, set()).add(listener)
        try:
            yield listener
        finally:
            with self._lock:
                self._listeners[key].discard(listener)
                if not self._listeners[key]:
                    del self._listeners[key]
