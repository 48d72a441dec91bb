"""The data plane's own side of a query: the connections it holds open, and who may use them now."""

import asyncio
import json
import os
import time
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from pathlib import Path

from core.errors import Unauthorized, Unavailable
from core.settings import QuerySettings
from engine.connectors.connector import ConnectionSpec, Connector
from engine.connectors.ipc import load_arrow
from engine.connectors.places import Places, real_path, touches
from engine.connectors.pool import Connectors
from engine.connectors.shared import OWNER, PATHS, SHARE
from engine.connectors.stream import stuck_s
from engine.lake.sites import Site
from engine.lake.storage import is_remote, local_path
from engine.lake.warehouse import CHECK_AGAIN_S, Lake, check_endpoint
from headwater.edge.share import FairShare

SLOTS = max(16, 4 * (os.cpu_count() or 1))
SLOTS_OF_ONE_TENANT = SLOTS // 2
MIN_ENGINES = 2


@dataclass(frozen=True, slots=True)
class PlaneSettings:
    """What one data plane may read and use."""

    home: Path
    roots: tuple[Path, ...]
    private_hosts: tuple[str, ...]
    query: QuerySettings
    memory_mb: int
    temp: Path

    @property
    def engines(self) -> int:
        return max(MIN_ENGINES, self.memory_mb // self.query.memory_mb)


class Plane:
    """Opens what a serving process names, after checking it once more."""

    def __init__(self, settings: PlaneSettings):
        self._settings = settings
        self._home = real_path(settings.home)
        self._roots = [real_path(root) for root in settings.roots]
        self._sites: dict[str, Site] = {}
        self.share = FairShare(slots=SLOTS, per_tenant=SLOTS_OF_ONE_TENANT, engines=settings.engines)
        self._places = Places(
            home=settings.home,
            roots=settings.roots,
            private_hosts=settings.private_hosts,
            lakehouses=lambda: [Path(site.root) for site in list(self._sites.values()) if not site.is_remote],
        )
        self.connectors = Connectors(
            lake=Lake(settings.home / "warehouse", site_of=self._site_of, gate=self._places),
            places=self._places,
            settings=settings.query,
            temp_directory=settings.temp,
        )
        self.is_retiring = False
        self._checked_at = 0.0
        self._loading: asyncio.Task[None] | None = None

    def warm(self) -> None:
        """Load the engine while nobody waits for it yet."""
        self._loading = asyncio.create_task(asyncio.to_thread(_load))

    @asynccontextmanager
    async def open(self, spec: ConnectionSpec, place: str, *, patience_s: float) -> AsyncIterator[Connector]:
        """The connector, and a slot to use it. Raises Unavailable, Unauthorized."""
        if self.is_retiring:
            raise Unavailable("The data plane starts again.", hint="Retry at once.", retry_after_s=0.1)
        if self._loading is not None:
            await asyncio.shield(self._loading)
        key = (spec.tenant, spec.connection_id)
        if spec.kind == SHARE:
            await self._check_share(spec, place)
            spec = replace(spec, secret={})
        elif place:
            self._sites[spec.tenant] = await self._site(spec.tenant, spec, place)
            spec = replace(spec, secret={})
        async with self.share.turn(key, patience_s=patience_s):
            await self.connectors.make_room(key, keep=self.share.busy, at_most=self._settings.engines)
            yield await self.connectors.get(spec)

    def _checked(self, tenant: str, place: str) -> Path:
        """A lakehouse's folder: the built-in one of this tenant, or one below an allowed root."""
        folder = real_path(place)
        own = real_path(self._settings.home / "warehouse" / tenant)
        is_allowed = any(folder.is_relative_to(root) for root in self._roots) and not touches(folder, self._home)
        if folder != own and not is_allowed:
            raise Unauthorized("The lakehouse is outside the folders that this data plane may read.")
        return folder

    async def _check_share(self, spec: ConnectionSpec, place: str) -> None:
        """Every folder lies in the owner's lakehouse, and none is all of it. Raises Unauthorized."""
        owner = spec.options.get(OWNER, "")
        if not owner.isascii() or not owner.replace("-", "").replace("_", "").isalnum():
            raise Unauthorized("A share without an owner.")
        if is_remote(place):  # the connector narrows its keys to the tables, and refuses what is not below
            self._sites[owner] = await self._site(owner, spec, place)
            return
        root = self._checked(owner, place)
        for path in map(real_path, map(local_path, json.loads(spec.options.get(PATHS, "[]")))):
            if path == root or not path.is_relative_to(root):
                raise Unauthorized("A shared table is outside its owner's lakehouse.")

    async def _site(self, tenant: str, spec: ConnectionSpec, place: str) -> Site:
        own = self._settings.home / "warehouse" / tenant
        if not is_remote(place):
            return Site.local(self._checked(tenant, place))
        site = Site(place, own, properties=tuple(sorted(spec.secret.items())))
        if self._sites.get(tenant) != site or time.monotonic() - self._checked_at > CHECK_AGAIN_S:
            await asyncio.to_thread(check_endpoint, site.open_storage(), self._places)
            self._checked_at = time.monotonic()
        return site

    def _site_of(self, tenant: str) -> Site:
        return self._sites.get(tenant) or Site.local(self._settings.home / "warehouse" / tenant)


def _load() -> None:
    import duckdb  # noqa: F401

    load_arrow()


async def watch_stuck(
    plane: Plane, *, most_s: float, grace_s: float, told: Callable[[], None], poll_s: float = 0.2
) -> None:
    """Returns when a statement outlived its interrupts by `most_s`, and the others had `grace_s` to end.

    No thread can be ended from outside, so the process has to go: the caller sees to that."""
    await _until(lambda: stuck_s() >= most_s, poll_s)
    plane.is_retiring = True
    told()
    ends_at = time.monotonic() + grace_s
    await _until(lambda: not plane.share.running or time.monotonic() > ends_at, poll_s)


async def _until(holds: Callable[[], bool], poll_s: float) -> None:
    while not holds():  # noqa: ASYNC110 - it depends on the clock, which sets no event
        await asyncio.sleep(poll_s)
