"""A resource that is opened by its first user, in a thread, and closed once."""

import asyncio
from collections.abc import Callable
from typing import Generic, TypeVar

from core.errors import Unavailable
from engine.connectors.stream import in_thread

T = TypeVar("T")


class Opened(Generic[T]):
    def __init__(self, open_it: Callable[[], T], close_it: Callable[[T], None]):
        self._open = open_it
        self._close = close_it
        self._value: T | None = None
        self._is_closed = False
        self._turn = asyncio.Lock()

    async def get(self) -> T:
        """The resource; a failed opening is tried again by the next caller."""
        if self._value is None:
            async with self._turn:
                if self._is_closed:
                    raise Unavailable("The connection was replaced while it was used.", hint="Retry.")
                if self._value is None:
                    self._value = await in_thread(self._open)
        return self._value

    async def close(self) -> None:
        async with self._turn:
            self._is_closed = True
            value, self._value = self._value, None
            if value is not None:
                await in_thread(lambda: self._close(value))
