"""The event loop of a serving process."""

import asyncio
from collections.abc import Callable, Coroutine
from typing import Any, TypeVar

T = TypeVar("T")


def run_fast(main: Coroutine[Any, Any, T]) -> T:
    """`asyncio.run` on uvloop where it is installed: about a tenth less CPU per request."""
    with asyncio.Runner(loop_factory=_fast_loop()) as runner:
        return runner.run(main)


def _fast_loop() -> Callable[[], asyncio.AbstractEventLoop] | None:
    try:
        import uvloop  # a server alone needs it, and not every platform has it
    except ImportError:
        return None
    return uvloop.new_event_loop
