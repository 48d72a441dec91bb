"""A whole server with every face, in a thread of its own, for tests that speak to it in a blocking way."""

import asyncio
import contextlib
import threading
from collections.abc import Awaitable, Callable, Coroutine, Iterator
from concurrent.futures import Future
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, TypeVar

from core.settings import Settings
from headwater.build import Platform, build
from headwater.listeners import Ports
from headwater.serve import serving
from tests.fixtures_store import migrated

ResultT = TypeVar("ResultT")
Prepare = Callable[[Platform], Awaitable[dict[str, str]]]

START_S = 60
DEADLINE_S = 20.0


@dataclass
class Served:
    """A running server: its parts, its ports, and what the preparation left (tokens, by name)."""

    platform: Platform
    ports: Ports
    tokens: dict[str, str]
    loop: asyncio.AbstractEventLoop
    paths: list[str] = field(default_factory=list)  # of this machine: no answer may show them

    def run(self, work: Coroutine[Any, Any, ResultT], *, timeout_s: float = DEADLINE_S) -> ResultT:
        """Run something on the server's own loop."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(timeout_s)

    def url(self, face: str) -> str:
        return f"http://127.0.0.1:{getattr(self.ports, face)}"


@contextlib.contextmanager
def served(settings: Settings, prepare: Prepare) -> Iterator[Served]:
    """Serve a home until the block ends. `prepare` fills it before the faces open."""
    ready: Future[tuple[Served, asyncio.Event]] = Future()
    thread = threading.Thread(target=lambda: _run(settings, prepare, ready), name="served", daemon=True)
    thread.start()
    running, stop = ready.result(START_S)
    try:
        yield running
    finally:
        running.loop.call_soon_threadsafe(stop.set)
        thread.join(START_S)
        assert not thread.is_alive(), "the server did not stop"


def _run(settings: Settings, prepare: Prepare, ready: "Future[tuple[Served, asyncio.Event]]") -> None:
    try:
        asyncio.run(_serve(settings, prepare, ready))
    except BaseException as error:  # whoever waits for the server shall see why it is not there
        if ready.done():
            raise
        ready.set_exception(error)


async def _serve(settings: Settings, prepare: Prepare, ready: "Future[tuple[Served, asyncio.Event]]") -> None:
    migrated(settings.home)
    first = await build(settings)
    try:
        tokens = await prepare(first)
    finally:
        await first.close()
    stop = asyncio.Event()
    async with serving(settings) as (platform, ports):
        paths = [str(settings.home), *map(str, settings.query.allowed_roots), str(Path.cwd())]
        ready.set_result((Served(platform, ports, tokens, asyncio.get_running_loop(), paths), stop))
        await stop.wait()
