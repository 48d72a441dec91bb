"""One data plane as a child of this process: started, watched, started again."""

import asyncio
import contextlib
import json
import logging
import os
import secrets
import shutil
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from core.errors import Unavailable
from headwater.edge import wire
from headwater.edge.client import Link

log = logging.getLogger("headwater.edge")

START_S = 20.0
STEADY_S = 5.0
CLOSING_S = 2.0  # calls that the end of a process has failed already need time to say so
PAUSES_S = (0.0, 0.2, 0.5, 1.0)
MAX_SOCKET_PATH = 100  # of 107 bytes
KEPT_VARIABLES = ("PATH", "LANG", "LC_ALL", "LD_LIBRARY_PATH", "TZ", "HOME", "SSL_CERT_FILE", "SSL_CERT_DIR")


class EdgeProcess:
    """Starts at `start`, not before; a process that ends is replaced until `close`.

    `told` is what each new process is given beside its token, socket and temp folder."""

    def __init__(self, name: str, folder: Path, told: Mapping[str, Any]):
        self.name = name
        self._folder = folder
        self._told = told
        self._sockets: Path | None = None
        self._link: asyncio.Future[Link] | None = None
        self._task: asyncio.Task[None] | None = None
        self._leaving: set[asyncio.Task[None]] = set()
        self.facts: dict[str, Any] = {}

    def start(self) -> None:
        if self._task is None:
            self._link = asyncio.get_running_loop().create_future()
            self._task = asyncio.create_task(self._supervise(), name=f"data plane {self.name}")

    async def link(self) -> Link:
        """The channel to the process that runs now; waits for one that starts. Raises Unavailable."""
        self.start()
        assert self._link is not None
        link = self._link
        await asyncio.wait({link}, timeout=START_S)
        if not link.done():
            raise Unavailable("The data plane does not start.", hint="The server's log says why.")
        return link.result()

    async def close(self) -> None:
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait([self._task])
        if self._leaving:
            await asyncio.wait(self._leaving)
        if self._sockets is not None:
            shutil.rmtree(self._sockets, ignore_errors=True)

    async def _supervise(self) -> None:
        failures = 0
        while True:
            await asyncio.sleep(PAUSES_S[min(failures, len(PAUSES_S) - 1)])
            started = time.monotonic()
            await self._run_one()
            failures = 0 if time.monotonic() - started > STEADY_S else failures + 1

    async def _run_one(self) -> None:
        """Start one and return when it has ended, or is about to, so that the next takes over."""
        temp = Path(tempfile.mkdtemp(prefix=f"{self.name}-", dir=self._folder))
        socket, token = self._socket(), secrets.token_urlsafe(32)
        told = {**self._told, "token": token, "socket": str(socket), "temp": str(temp)}
        process = await asyncio.create_subprocess_exec(
            *(sys.executable, "-P", "-m", "headwater.edge.child"),
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            env=_environment(temp),
        )
        ended = asyncio.create_task(_reap(process, temp, socket), name=f"end of data plane {self.name}")
        self._leaving.add(ended)
        ended.add_done_callback(self._leaving.discard)
        is_retiring = False
        try:
            is_retiring = await self._follow(process, told)
        except asyncio.CancelledError:
            _end(process)
            raise
        finally:
            self._retract(ended)
        if not is_retiring:
            await asyncio.shield(ended)
            log.warning("the data plane %s ended with code %s and starts again", self.name, process.returncode)

    async def _follow(self, process: asyncio.subprocess.Process, told: Mapping[str, Any]) -> bool:
        """Tell it what to be and hear what it says, until its end. True when it announced that end itself."""
        assert process.stdin is not None and process.stdout is not None
        process.stdin.write(json.dumps(told).encode() + b"\n")
        async for line in process.stdout:
            word, _, facts = line.decode().partition(" ")
            if word == "retiring":
                log.warning("the data plane %s gives up on a query that does not stop", self.name)
                return True
            if word == "ready":
                self.facts = json.loads(facts)
                self._publish(told["socket"], told["token"])
        return False

    def _publish(self, socket: str, token: str) -> None:
        import grpc.aio

        assert self._link is not None
        channel = grpc.aio.insecure_channel(f"unix:{socket}", options=wire.UNLIMITED)
        self._link.set_result(Link(channel, token))

    def _retract(self, ended: "asyncio.Task[None]") -> None:
        """Have new calls wait for the next process; the channel stays open for the calls of this one."""
        assert self._link is not None
        if self._link.done():
            link = self._link.result()
            self._link = asyncio.get_running_loop().create_future()
            ended.add_done_callback(lambda _: self._close_channel(link))

    def _close_channel(self, link: Link) -> None:
        closing = asyncio.ensure_future(link.channel.close(CLOSING_S))
        self._leaving.add(closing)
        closing.add_done_callback(self._leaving.discard)

    def _socket(self) -> Path:
        if self._sockets is None:
            self._sockets = Path(tempfile.mkdtemp(prefix="s-", dir=self._folder))
            if len(os.fsencode(self._sockets)) > MAX_SOCKET_PATH - 10:  # the path of a socket is bounded
                self._sockets.rmdir()
                self._sockets = Path(tempfile.mkdtemp(prefix="headwater-"))
        return self._sockets / secrets.token_hex(4)


async def _reap(process: asyncio.subprocess.Process, temp: Path, socket: Path) -> None:
    await process.wait()
    await asyncio.to_thread(shutil.rmtree, temp, ignore_errors=True)
    await asyncio.to_thread(socket.unlink, missing_ok=True)


def _end(process: asyncio.subprocess.Process) -> None:
    """Its standard input ends, and it with that; it is killed if it does not go."""
    if process.stdin is not None:
        process.stdin.close()
    with contextlib.suppress(ProcessLookupError):
        asyncio.get_running_loop().call_later(2.0, _kill, process)


def _kill(process: asyncio.subprocess.Process) -> None:
    with contextlib.suppress(ProcessLookupError):
        process.kill()


def _environment(temp: Path) -> dict[str, str]:
    """Without the settings and credentials of the serving process."""
    kept = {
        name: value
        for name, value in os.environ.items()
        if name in KEPT_VARIABLES or name.startswith(("PYTHON", "PGSSL", "COV_"))
    }
    return kept | {"TMPDIR": str(temp), "SQLITE_TMPDIR": str(temp)}
