"""The wiring: settings -> store -> engine -> registry -> gate, in one readable place."""

import asyncio
import json
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from functools import partial
from typing import TYPE_CHECKING

from agents.checkpoints import prune_checkpoints
from core.context import Cancellation, Emit, JobRun, Principal
from core.dispatch import Call, Dispatcher, Ports, is_permitted
from core.errors import Unauthorized
from core.registry import Registry
from core.settings import Settings
from engine.context import Engine
from engine.identity.identity import FirstStart, Identity
from engine.identity.seals import TenantSeals
from engine.jobs.idempotency import IdempotencyKeys
from engine.jobs.leases import Claim
from engine.jobs.worker import Worker
from engine.results.listing import EXPORT, IMPORT, RUN, TABLE_EXPORT, TENANT_EXPORT
from engine.runs.talks import find_talk
from engine.schedules.schedules import Schedule
from engine.schedules.ticker import Ticker
from engine.store.db import Store, sqlite_url
from engine.store.migrate import upgrade
from engine.telemetry.metrics import Metrics
from engine.telemetry.traces import Tracing
from engine.visibility.objects import ObjectVisibility
from headwater import __version__
from headwater.agent_changes import join_agents
from headwater.assembly import build_engine
from headwater.desk import build_gate
from headwater.edge.edges import Edges
from headwater.letters import mail_links
from headwater.settings import prepare_home

if TYPE_CHECKING:
    from gateway.serving.own import OwnAgents

TOOL_PACKAGES = ("tools", "agents", "evals")


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
    own_agents: "OwnAgents | None" = None
    _tasks: list["asyncio.Task[None]"] = field(default_factory=list)
    _stops: list[Callable[[], None]] = field(default_factory=list)

    async def start_workers(self, concurrency: int | None = None) -> None:
        """Run jobs and schedules in this process, unless the settings say that it runs none."""
        count = self.settings.jobs.embedded_workers if concurrency is None else concurrency
        if count == 0:
            return
        worker = make_worker(self, count)
        self.metrics.watch("headwater_jobs_running", "Jobs that run now.", "queue", lambda: {"jobs": worker.running})
        for part in (worker, make_ticker(self), self.engine.agents.watch, self.engine.desk.outbox):
            self._tasks.append(asyncio.create_task(part.serve()))
            self._stops.append(part.stop)

    async def close(self) -> None:
        for stop in self._stops:
            stop()
        await asyncio.gather(*self._tasks)
        if self.own_agents is not None:
            await self.own_agents.close()
        engine = self.engine
        await engine.retrieval.aclose()
        await engine.sql.close()
        await engine.lineage.close()
        await engine.results.close()
        await engine.connectors.close()
        if self.edges is not None:
            await self.edges.close()
        await engine.agents.close()
        await engine.models.close()
        await engine.quotas.close()
        await engine.usage.requests.close()
        await engine.egress.aclose()
        await engine.audit.close()
        if engine.audit_feed is not None:
            await engine.audit_feed.close()
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
    join_agents(engine.agents, engine.desk.approvals)
    mail_links(engine)
    made = await engine.identity.bootstrap()
    if engine.audit_feed is not None:
        engine.audit_feed.start()
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


def build_ports(engine: Engine) -> Ports:
    """The engine's side of the gate."""
    admin = engine.identity.admin
    return Ports(
        verify=engine.identity.verify if engine.settings.auth.enabled else _everyone_is_owner(engine.identity),
        limits=engine.quotas,
        visibility=ObjectVisibility(
            {
                "agent": engine.agents.get,
                "own_agent": engine.agents.see_own,
                "agent_run": partial(find_talk, engine.runs),
                "model": engine.models.get,
                "workflow_run": engine.runs.get,
                "feedback": engine.feedback.get,
                "approval": engine.desk.approvals.get,
                "asset": engine.documents.assets.get,
                "notice_destination": engine.desk.destinations.get,
                "project": engine.desk.projects.get,
                "own_project": engine.desk.projects.own,
                "share": engine.desk.shares.get,
                "tenant": admin.tenants.get,
                "user": admin.people.get,
                "role": admin.roles.get,
                "client": admin.clients.get,
                "session": admin.sessions.get,
                "connection": engine.catalog.connections.see,
                "job": engine.jobs.get,
                "schedule": engine.schedules.get,
                "query": engine.sql.queries.get,
                "saved_query": engine.saved.get,
                "metric": engine.semantic.definitions.metric,
                "semantic_model": engine.semantic.definitions.model,
                "verified_query": engine.semantic.verified.get,
                "knowledge": engine.semantic.knowledge.get,
                "eval_run": engine.evaluations.get,
                "query_job": lambda by, name: engine.query_jobs.own.get(by, RUN, name),
                "dataset": engine.datasets.get,
                "managed_table": engine.datasets.table,
                "import_job": lambda by, name: engine.query_jobs.own.get(by, IMPORT, name),
                "export_job": lambda by, name: engine.query_jobs.own.get(by, TABLE_EXPORT, name),
                "upload": engine.uploads.get,
                "export": lambda by, name: engine.query_jobs.own.get(by, EXPORT, name),
                "tenant_export": lambda by, name: engine.query_jobs.own.get(by, TENANT_EXPORT, name),
            }
        ),
        approvals=build_gate(engine),
        idempotency=keep_keys(engine),
        jobs=engine.jobs,
        audit=engine.audit,
        stay=engine.identity.presence.stay,
        is_open=not engine.settings.auth.enabled,
    )


def keep_keys(engine: Engine) -> IdempotencyKeys:
    """Idempotency keys; their results are sealed, for one may hold a token that is shown once."""
    seals = TenantSeals(engine.store, engine.vault)
    return IdempotencyKeys(
        engine.store, seal=partial(seals.seal, "idempotency"), unseal=partial(seals.open, "idempotency")
    )


def _everyone_is_owner(identity: Identity) -> Callable[[str, str], Awaitable[Principal]]:
    async def verify(token: str, face: str) -> Principal:
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
        chores=[
            keep_keys(engine).purge,
            engine.query_jobs.sweep,
            engine.datasets.settler.upkeep,
            engine.desk.approvals.expire,
            engine.tenancy.retention.keep,
            engine.uploads.sweep,
            engine.imports.sweep,
            engine.agents.ownership.purge,
            engine.runs.purge,
            partial(prune_checkpoints, engine.store),
            engine.conversations.purge,
            engine.agents.served.purge,
        ],
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
        started = await platform.dispatcher.call(call)
        return str(getattr(started, "job_id", ""))  # a repeated key may find the job done already

    return Ticker(platform.engine.schedules, fire)


async def present_rights(identity: Identity, then: Principal) -> Principal:
    """What somebody may do now, and at most what they could when they asked. Raises Unauthorized when gone."""
    now = await identity.principal_of(then.tenant, then.subject, then.via, then.credential_id)
    return replace(now, permissions=now.permissions & then.permissions, connections=then.connections)
