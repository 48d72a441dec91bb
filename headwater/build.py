"""The wiring: settings -> store -> engine -> registry -> gate, in one readable place."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial

from core.context import Cancellation, Emit, JobRun, Principal
from core.dispatch import Call, Dispatcher, Ports, is_permitted
from core.errors import Unauthorized
from core.jobs import Job
from core.pages import PageSigner
from core.registry import Registry
from core.settings import LimitSettings, QuerySettings, Settings
from engine.approvals.none import NoApprovals
from engine.audit.log import AuditLog
from engine.catalog.catalog import Catalog
from engine.catalog.warehouses import Warehouses
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.context import Check, Engine
from engine.egress.client import EgressClient
from engine.identity.identity import OWN_ISSUER, FirstStart, Identity
from engine.identity.seals import TenantSeals
from engine.identity.vault import Vault, load_root_key
from engine.jobs.idempotency import IdempotencyKeys
from engine.jobs.leases import Claim
from engine.jobs.queue import JobQueue
from engine.jobs.worker import Worker
from engine.lake.warehouse import Lake
from engine.maintenance.care import TableCare
from engine.queries import SavedQueries
from engine.quotas.ledger import Ledger, SqlLedger
from engine.quotas.quotas import Quotas
from engine.quotas.redis import RedisLedger
from engine.results.kept import KeptResults
from engine.results.listing import EXPORT, RUN
from engine.schedules.schedules import Schedule, Schedules
from engine.schedules.ticker import Ticker
from engine.sql.budget import GroupingBudget
from engine.sql.builder import QueryBuilder
from engine.sql.lineage import LineageLog
from engine.sql.rulebook import Rulebook
from engine.sql.run import SqlService
from engine.store.db import Store, sqlite_url
from engine.store.migrate import upgrade
from engine.telemetry.metrics import Metrics
from engine.telemetry.traces import Tracing
from engine.usage.prices import Prices
from engine.usage.usage import Usage
from engine.visibility.objects import ObjectVisibility
from headwater import __version__
from headwater.edge.edges import Edges
from headwater.results import Reading, build_results
from headwater.settings import prepare_home

TOOL_PACKAGES = ("tools",)
CARE_MEMORY_MB = 256  # of the DuckDB that rewrites files, in a worker


@dataclass
class Platform:
    """A built platform. `start_workers` makes it run jobs; `close` ends everything in order."""

    settings: Settings
    engine: Engine
    dispatcher: Dispatcher[Engine]
    metrics: Metrics
    tracing: Tracing
    first_start: list[str]
    edges: Edges | None = None
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _stops: list[Callable[[], None]] = field(default_factory=list)

    async def start_workers(self, concurrency: int | None = None) -> None:
        """Run jobs and schedules in this process, unless the settings say that it runs none."""
        count = self.settings.jobs.embedded_workers if concurrency is None else concurrency
        if count == 0:
            return
        worker = make_worker(self, count)
        self.metrics.watch("headwater_jobs_running", "Jobs that run now.", "queue", lambda: {"jobs": worker.running})
        for part in (worker, make_ticker(self)):
            self._tasks.append(asyncio.create_task(part.serve()))
            self._stops.append(part.stop)

    async def close(self) -> None:
        for stop in self._stops:
            stop()
        await asyncio.gather(*self._tasks)
        engine = self.engine
        await engine.sql.close()
        await engine.lineage.close()
        await engine.results.close()
        await engine.connectors.close()
        if self.edges is not None:
            await self.edges.close()
        await engine.quotas.close()
        await engine.egress.aclose()
        await engine.audit.close()
        engine.identity.close()
        engine.lake.close()
        engine.store.close()
        await asyncio.to_thread(self.tracing.close)


async def build(settings: Settings, *, registry: Registry | None = None, isolated: bool = False) -> Platform:
    """Everything but the faces, over all tools unless told otherwise.

    The first start makes a tenant, an administrator and keys. With `isolated`, which is for what stays, statements
    run in data planes unless the settings keep them here."""
    prepare_home(settings.home)
    url = store_url(settings)
    await asyncio.to_thread(upgrade, url)
    registry = Registry.walk(TOOL_PACKAGES) if registry is None else registry
    edges = Edges(settings) if settings.edge.url or (isolated and settings.edge.isolation == "process") else None
    try:
        return await _build(settings, Store(url, pool_size=settings.store.pool_size), registry, edges)
    except BaseException:
        if edges is not None:
            await edges.close()
        raise


async def _build(settings: Settings, store: Store, registry: Registry, edges: Edges | None) -> Platform:
    engine = build_engine(settings, store, registry, edges)
    made = await engine.identity.bootstrap()
    metrics, tracing = Metrics(), Tracing(settings.telemetry, version=__version__)
    metrics.watch(
        "headwater_audit_backlog", "Audit records not yet durable.", "queue", lambda: {"audit": engine.audit.backlog}
    )
    dispatcher = Dispatcher(
        registry,
        engine,
        build_ports(engine),
        timeout_s=settings.server.timeout_s,
        observe=metrics.observe,
        scope=tracing.scope,
    )
    return Platform(settings, engine, dispatcher, metrics, tracing, first_start=_describe(made), edges=edges)


def _describe(made: FirstStart) -> list[str]:
    """What the person who started the platform for the first time should know."""
    if not made.made_tenant:
        return []
    return ["First start: made the tenant `default`, its administrator `admin` and signing keys."]


def store_url(settings: Settings) -> str:
    return settings.store.url.get_secret_value() or sqlite_url(settings.home)


def build_engine(settings: Settings, store: Store, registry: Registry, edges: Edges | None = None) -> Engine:
    """Every part of the engine, lowest first. Statements run in `edges`, or in this process where there are none."""
    home, query = settings.home, settings.query
    vault = Vault(load_root_key(home))
    seals = TenantSeals(store, vault)
    egress = EgressClient(settings.egress)
    warehouses = Warehouses(store, folder=home / "warehouse", home=home, roots=query.allowed_roots)
    lake = Lake(home / "warehouse", locate=warehouses.locate)
    connectors = open_connectors(settings, warehouses, lake, edges)
    catalog = Catalog(
        store=store,
        connectors=connectors,
        seal=partial(seals.seal, "connections"),
        open=partial(seals.open, "connections"),
        validate=connectors.build,
        warehouses=warehouses,
        schema_ttl_s=query.schema_ttl_s,
        mask_key=lambda tenant: seals.purpose_key("masks", tenant).hex(),
    )
    results = KeptResults(
        home / "results",
        seal=partial(seals.seal, "results"),
        unseal=partial(seals.open, "results"),
        look=catalog.view,
    )
    usage = Usage(store, Prices(query.usd_per_tb, query.usd_per_cpu_hour))
    builder = QueryBuilder(catalog)
    identity = build_identity(settings, store, vault, egress)
    quotas = Quotas(store, open_ledger(store, settings.limits))
    sql, lineage = build_sql(query, store, catalog, usage, results)
    saved = SavedQueries(store, reader=builder)
    return Engine(
        settings=settings,
        version=__version__,
        store=store,
        vault=vault,
        egress=egress,
        identity=identity,
        audit=AuditLog(
            store,
            seal=partial(seals.seal, "audit"),
            unseal=partial(seals.open, "audit"),
            digest_key=vault.purpose_key("audit"),
        ),
        quotas=quotas,
        jobs=JobQueue(store, part_of=lambda name: registry.get(name).emits),
        schedules=Schedules(store),
        lake=lake,
        care=TableCare(
            lake=lake,
            catalog=catalog,
            memory_mb=CARE_MEMORY_MB,
            threads=query.threads or 2,
            temp_directory=home / "tmp",
        ),
        connectors=connectors,
        catalog=catalog,
        rulebook=Rulebook(catalog),
        sql=sql,
        lineage=lineage,
        usage=usage,
        builder=builder,
        saved=saved,
        query_jobs=build_results(settings, store, vault, Reading(catalog.view, identity, sql, quotas, saved)),
        results=results,
        pages=PageSigner(vault.purpose_key("pages")),
        checks={"store": store_check(store)} | ({} if edges is None else {"data_plane": edges.check}),
    )


def build_sql(
    settings: QuerySettings, store: Store, catalog: Catalog, usage: Usage, results: KeptResults
) -> tuple[SqlService, LineageLog]:
    """The way from SQL to data, with what it is charged to and what takes note of it."""
    lineage = LineageLog(store)
    sql = SqlService(
        catalog=catalog,
        store=store,
        settings=settings,
        usage=usage,
        results=results,
        charge=GroupingBudget(store).charge_aggregate_budget,
        record=lineage.record,
    )
    return sql, lineage


def build_identity(settings: Settings, store: Store, vault: Vault, egress: EgressClient) -> Identity:
    """Who callers are."""
    return Identity(
        store=store,
        vault=vault,
        egress=egress,
        settings=settings.auth,
        home=settings.home,
        issuer=settings.server.public_url or OWN_ISSUER,
    )


def open_connectors(settings: Settings, warehouses: Warehouses, lake: Lake, edges: Edges | None) -> Connectors:
    """Connections to what the operator allows; their statements run in `edges`, or here where there are none."""
    return Connectors(
        lake=lake,
        places=Places(
            home=settings.home,
            roots=settings.query.allowed_roots,
            private_hosts=settings.egress.allowed_private_hosts,
            lakehouses=warehouses.folders,
        ),
        settings=settings.query,
        temp_directory=settings.home / "tmp",
        wrap=None if edges is None else edges.wrap(lake),
    )


def open_ledger(store: Store, limits: LimitSettings) -> Ledger:
    """Where limits are counted: Redis where the settings name one, else the store."""
    url = limits.redis_url.get_secret_value()
    return RedisLedger(url) if url else SqlLedger(store)


def store_check(store: Store) -> Check:
    async def check() -> None:
        await store.read(lambda connection: connection.exec_driver_sql("SELECT 1"))

    return check


def build_ports(engine: Engine) -> Ports:
    """The engine's side of the gate."""
    return Ports(
        verify=engine.identity.verify if engine.settings.auth.enabled else _everyone_is_owner(engine.identity),
        limits=engine.quotas,
        visibility=ObjectVisibility(
            {
                "connection": lambda by, name: engine.catalog.connections.get(by.tenant, name),
                "job": engine.jobs.get,
                "schedule": engine.schedules.get,
                "query": engine.sql.queries.get,
                "saved_query": engine.saved.get,
                "query_job": lambda by, name: engine.query_jobs.own.get(by, RUN, name),
                "export": lambda by, name: engine.query_jobs.own.get(by, EXPORT, name),
            }
        ),
        approvals=NoApprovals(),
        idempotency=keep_keys(engine),
        jobs=engine.jobs,
        audit=engine.audit,
        is_open=not engine.settings.auth.enabled,
    )


def keep_keys(engine: Engine) -> IdempotencyKeys:
    """Idempotency keys; their results are sealed, for one may hold a token that is shown once."""
    seals = TenantSeals(engine.store, engine.vault)
    return IdempotencyKeys(
        engine.store, seal=partial(seals.seal, "idempotency"), unseal=partial(seals.open, "idempotency")
    )


def _everyone_is_owner(identity: Identity) -> Callable[[str], Awaitable[Principal]]:
    async def verify(token: str) -> Principal:
        return await identity.local_owner()

    return verify


def make_worker(platform: Platform, concurrency: int) -> Worker:
    """A worker whose jobs pass the gate like any other call, with rights read afresh."""
    engine, jobs = platform.engine, platform.settings.jobs

    async def run(claim: Claim, job: JobRun, emit: Emit, cancelled: Cancellation) -> str:
        call = Call(
            tool=claim.tool,
            arguments=json.loads(claim.request),
            form="json",
            face="job",
            request_id=claim.request_id,
            principal=await present_rights(engine.identity, claim.principal),
            emit=emit,
            cancelled=cancelled,
            job=job,
        )
        return (await platform.dispatcher.call(call)).model_dump_json()

    async def admit(claim: Claim) -> None:
        now = await present_rights(engine.identity, claim.principal)
        if not is_permitted(platform.dispatcher.registry.get(claim.tool), now):
            raise Unauthorized(f"{claim.principal.subject} may no longer call {claim.tool}.")

    return Worker(
        engine.jobs,
        run,
        concurrency=concurrency,
        lease_s=jobs.lease_s,
        max_attempts=jobs.max_attempts,
        admit=admit,
        chores=[keep_keys(engine).purge, engine.query_jobs.sweep],
    )


def make_ticker(platform: Platform) -> Ticker:
    """A ticker whose jobs are submitted as the schedule's owner, with rights read afresh at each tick."""

    async def fire(schedule: Schedule, key: str) -> str:
        call = Call(
            tool=schedule.tool,
            arguments=json.loads(schedule.request),
            form="json",
            face="schedule",
            request_id=f"tick_{schedule.schedule_id}",
            principal=await present_rights(platform.engine.identity, schedule.principal),
            wait_s=0,
            idempotency_key=key,
        )
        job = await platform.dispatcher.call(call)
        return job.job_id if isinstance(job, Job) else ""  # a repeated key may find the job done already

    return Ticker(platform.engine.schedules, fire)


async def present_rights(identity: Identity, then: Principal) -> Principal:
    """What somebody may do now, and at most what they could when they asked. Raises Unauthorized when gone."""
    now = await identity.principal_of(then.tenant, then.subject, then.via, then.credential_id)
    return replace(now, permissions=now.permissions & then.permissions)
