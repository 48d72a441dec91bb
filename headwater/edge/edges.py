"""The data planes that a serving process uses: its own two, or the one that the settings name."""

import contextlib
import fcntl
import os
import secrets
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from core.errors import Unavailable
from core.settings import Settings
from engine.connectors.connector import ConnectionSpec, Connector
from engine.connectors.pool import Wrap
from engine.connectors.shared import OWNER, SHARE
from engine.lake.buckets import read_bucket
from engine.lake.warehouse import Lake
from headwater.edge.address import FarLink, total_memory_mb
from headwater.edge.client import GetLink, Link, RemoteConnector, RemoteLakehouse
from headwater.edge.process import EdgeProcess
from headwater.edge.sandbox import prepare_warehouse

LAKEHOUSE, BUCKET = "lakehouse", "bucket"
NEEDS_NETWORK = frozenset({"postgresql", BUCKET})


class Edges:
    """One without any network, started with the server; one with, started by the first query that needs it."""

    def __init__(self, settings: Settings):
        self._home = settings.home
        self._folder = settings.home / "tmp" / f"edge-{secrets.token_hex(4)}"
        self._lock: int | None = None
        self._far = FarLink(settings.edge) if settings.edge.url else None
        self._own = {
            needs_network: EdgeProcess("online" if needs_network else "offline", self._folder, told)
            for needs_network in (False, True)
            for told in [_told(settings, needs_network=needs_network)]
        }

    def start(self) -> None:
        """Begin to start what the first query will need; that query would do it too."""
        if self._far is None:
            self._take_folder()
            self._own[False].start()

    def wrap(self, lake: Lake) -> Wrap:
        """Gives connections whose statements run in a data plane."""

        def wrapped(spec: ConnectionSpec, connector: Connector) -> Connector:
            if spec.kind not in (LAKEHOUSE, SHARE):
                return RemoteConnector(spec, connector, self._link(spec.kind), "")
            site = lake.site(spec.options[OWNER] if spec.kind == SHARE else spec.tenant)
            if not site.is_remote:
                return RemoteLakehouse(spec, connector, self._link(spec.kind), site.root)
            # Keys of the bucket, and none of the catalog, which is read here.
            keys = read_bucket(site.root, site.given).properties
            return RemoteLakehouse(replace(spec, secret=keys), connector, self._link(BUCKET), site.root)

        return wrapped

    async def check(self) -> None:
        """Raises Unavailable when queries cannot run."""
        await self.link(LAKEHOUSE)

    async def link(self, kind: str) -> Link:
        """The way to the data plane for a kind of connection; waits while it starts. Raises Unavailable."""
        return await self._link(kind)()

    @property
    def facts(self) -> Mapping[str, Any]:
        """What holds in the data plane without network."""
        return self._own[False].facts

    async def close(self) -> None:
        if self._far is not None:
            await self._far.close()
        for process in self._own.values():
            await process.close()
        if self._lock is not None:
            shutil.rmtree(self._folder, ignore_errors=True)
            os.close(self._lock)

    def _link(self, kind: str) -> GetLink:
        if self._far is not None:
            return self._far.link
        process = self._own[kind in NEEDS_NETWORK]

        async def link() -> Link:
            self._take_folder()
            return await process.link()

        return link

    def _take_folder(self) -> None:
        """A folder of this process; those of processes that were killed are removed."""
        if self._lock is not None:
            return
        try:
            self._folder.mkdir(mode=0o700, parents=True)
            prepare_warehouse(self._home)
            self._lock = os.open(self._folder, os.O_RDONLY | os.O_CLOEXEC)
            fcntl.flock(self._lock, fcntl.LOCK_EX)
            for other in self._folder.parent.glob("edge-*"):
                if other != self._folder:
                    _remove_abandoned(other)
        except OSError as error:
            hint = "Choose another folder with --home or HEADWATER_HOME."
            raise Unavailable(f"The home cannot be written: {error.strerror}.", hint=hint) from None


def _remove_abandoned(folder: Path) -> None:
    with contextlib.suppress(OSError):
        opened = os.open(folder, os.O_RDONLY | os.O_CLOEXEC)
        try:
            fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
            shutil.rmtree(folder, ignore_errors=True)
        finally:
            os.close(opened)


def _told(settings: Settings, *, needs_network: bool) -> dict[str, Any]:
    query = settings.query
    return {
        "home": str(settings.home),
        "roots": [str(root) for root in query.allowed_roots],
        "private_hosts": list(settings.egress.allowed_private_hosts),
        "query": query.model_dump(mode="json"),
        "memory_mb": total_memory_mb(settings),
        "needs_network": needs_network,
    }
