"""The wiring: settings -> store -> engine -> registry -> gate, in one readable place."""

import asyncio
import contextlib
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from core.context import Cancellation, Emit, JobRun, Principal
from core.dispatch import Call, Dispatcher, Ports
from core.errors import NotFound
from core.pages import PageSigner
from core.registry import Registry
from core.settings import Settings
from engine.approvals.none import NoApprovals
from engine.audit.log import AuditLog
from engine.catalog.catalog import Catalog
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.context import Check, Engine
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.seals import TenantSeals
from engine.identity.vault import Vault, load_root_key
from engine.jobs.idempotency import IdempotencyKeys
from engine.jobs.leases import Claim
from engine.jobs.queue import JobQueue
from engine.jobs.worker import Worker
from engine.lake.warehouse import Lake
from engine.quotas.quotas import Quotas
from engine.results.kept import KeptResults
from engine.schedules.schedules import Schedules
from engine.schedules.ticker import Ticker
from engine.sql.run import SqlService
from engine.store.db import Store, sqlite_url
from engine.store.migrate import upgrade
from engine.telemetry.metrics import observe
from engine.visibility import ObjectVisibility
from headwater import __version__

TOOL_PACKAGES = ("tools",)


@dataclass
class Platform:
    """A built platform. `start_workers` makes it run jobs; `close` ends everything in order."""

    settings: Settings
    engine: Engine
    dispatcher: Dispatcher[Engine]
    first_start: list[str]
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _stops: list[Callable[[], None]] = field(default_factory=list)

    async def start_workers(self, concurrency: int | None = None) -> None:
        """Run jobs and schedules in this process, unless the settings say that it runs none."""
        count = self.settings.jobs.embedded_workers if concurrency is None else concurrency
        if count == 0:
            return
        worker = make_worker(self, count)
        ticker = make_ticker(self)
        for part in (worker, ticker):
            self._tasks.append(asyncio.create_task(part.serve()))
            self._stops.append(part.stop)

    async def close(self) -> None:
        for stop in self._stops:
            stop()
        await asyncio.gather(*self._tasks)
        engine = self.engine
        await engine.connectors.close()
        await engine.quotas.close()
        await engine.egress.aclose()
        await engine.audit.close()
        engine.store.close()


async def build(settings: Settings) -> Platform:
    """Everything but the faces. The first start makes a tenant, an administrator and keys."""
    settings.home.mkdir(parents=True, exist_ok=True)
    url = store_url(settings)
    await asyncio.to_thread(upgrade, url)
    registry = Registry.walk(TOOL_PACKAGES)
    engine = build_engine(settings, Store(url, pool_size=settings.store.pool_size), registry)
    made = await engine.identity.bootstrap()
    dispatcher = Dispatcher(
        registry, engine, build_ports(engine), timeout_s=settings.server.timeout_s, observe=observe
    )
    return Platform(settings, engine, dispatcher, first_start=made)


def store_url(settings: Settings) -> str:
    return settings.store.url.get_secret_value() or sqlite_url(settings.home)
