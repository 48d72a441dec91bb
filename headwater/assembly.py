"""The engine put together from its parts, lowest first."""

from dataclasses import dataclass
from functools import partial

from core.pages import PageSigner
from core.registry import Registry
from core.settings import LimitSettings, Settings
from engine.agents.agents import Agents
from engine.agents.agents import Ground as AgentGround
from engine.audit.log import AuditLog
from engine.audit.otlp import AuditFeed
from engine.audit.search import AuditSearch
from engine.catalog.catalog import Catalog
from engine.catalog.warehouses import Warehouses
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.connectors.writers import Writers
from engine.context import Check, Engine
from engine.conversations.conversations import Conversations
from engine.datasets.datasets import Datasets
from engine.egress.client import EgressClient
from engine.evaluations.history import Evaluations
from engine.identity.identity import OWN_ISSUER, Identity
from engine.identity.seals import TenantSeals
from engine.identity.vault import Vault, load_root_key
from engine.jobs.queue import JobQueue
from engine.lake.warehouse import Lake
from engine.maintenance.care import TableCare, open_care
from engine.maintenance.table_jobs import Workshop
from engine.projects.projects import Projects
from engine.quotas.ledger import Ledger, SqlLedger
from engine.quotas.quotas import Quotas
from engine.quotas.redis import RedisLedger
from engine.records.records import Means, Records
from engine.runs.feedback import FeedbackBook
from engine.runs.runs import Runs
from engine.schedules.schedules import Schedules
from engine.sql.rulebook import Rulebook
from engine.store.db import Store
from engine.tenancy.archive import Archive
from engine.tenancy.belongings import Folders
from engine.tenancy.purge import Purge
from engine.tenancy.retention import Retention
from engine.tenancy.tenancy import Tenancy
from engine.transfer.imports import Ground as ImportGround
from engine.transfer.imports import Imports
from engine.usage.prices import Prices
from engine.usage.usage import Usage
from headwater import __version__
from headwater.answering import Answers, build_answers
from headwater.desk import build_desk, build_outbox
from headwater.edge.edges import Edges
from headwater.models import build_models, read_models
from headwater.results import Reading, build_results, open_objects

IMPORT_MEMORY_MB = 512  # of the DuckDB that reads files, in a worker
CARE_MEMORY_MB = 256  # of the DuckDB that rewrites files, in a worker


@dataclass(frozen=True, slots=True)
class Ground:
    """What every other part stands on."""

    settings: Settings
    store: Store
    vault: Vault
    seals: TenantSeals
    egress: EgressClient


def open_ground(settings: Settings, store: Store) -> Ground:
    """Keys, seals and the way out."""
    vault = Vault(load_root_key(settings.home))
    return Ground(settings, store, vault, TenantSeals(store, vault), EgressClient(settings.egress))


def build_engine(settings: Settings, store: Store, registry: Registry, edges: Edges | None = None) -> Engine:
    """Every part of the engine. Statements run in `edges`, or in this process where there are none."""
    ground = open_ground(settings, store)
    warehouses, lake = build_lake(ground)
    places = build_places(settings, warehouses)
    connectors = open_connectors(settings, places, lake, edges)
    catalog = build_catalog(ground, warehouses, connectors)
    identity = build_identity(ground)
    ledger = open_ledger(store, settings.limits)
    usage = build_usage(ground, lake)
    answers = build_answers(settings, store, ground.seals, catalog, usage)
    audit, feed = build_audit(ground)
    retention = Retention(store, audit, results_days=settings.results.keep_days)
    quotas = Quotas(store, ledger, count=usage.admit)
    datasets = Datasets(store, lake=lake, catalog=catalog)
    reading = Reading(catalog.view, identity, answers.sql, quotas, answers.saved, retention)
    return Engine(
        settings=settings,
        version=__version__,
        store=store,
        vault=ground.vault,
        egress=ground.egress,
        identity=identity,
        audit=audit,
        audit_feed=feed,
        audit_search=AuditSearch(store, audit),
        quotas=quotas,
        jobs=JobQueue(store, part_of=lambda name: registry.get(name).emits),
        schedules=Schedules(store),
        lake=lake,
        care=build_care(settings, lake, catalog),
        connectors=connectors,
        catalog=catalog,
        datasets=datasets,
        uploads=answers.uploads,
        documents=answers.documents,
        imports=build_imports(ground, ImportGround(datasets, catalog, answers.uploads, ground.egress, places)),
        records=build_records(settings, places, lake, catalog),
        rulebook=Rulebook(catalog),
        sql=answers.sql,
        lineage=answers.lineage,
        usage=usage,
        builder=answers.builder,
        questions=answers.questions,
        semantic=answers.semantic,
        saved=answers.saved,
        query_jobs=build_results(settings, store, ground.vault, reading),
        results=answers.results,
        retrieval=answers.retrieval,
        evaluations=Evaluations(store),
        models=build_models(settings, store, ground.seals, egress=ground.egress, file=read_models(settings)),
        conversations=build_conversations(ground),
        runs=build_runs(ground, settings.jobs.lease_s),
        feedback=build_feedback(ground),
        agents=build_agents(ground, identity, ledger),
        desk=build_desk(ground.seals, build_outbox(settings, store, ground), catalog=catalog, identity=identity),
        tenancy=build_tenancy(ground, lake, retention, answers),
        pages=PageSigner(ground.vault.purpose_key("pages")),
        checks={"store": store_check(store)} | ({} if edges is None else {"data_plane": edges.check}),
    )


def build_places(settings: Settings, warehouses: Warehouses) -> Places:
    """Where connections may point."""
    return Places(
        home=settings.home,
        roots=settings.query.allowed_roots,
        private_hosts=settings.egress.allowed_private_hosts,
        lakehouses=warehouses.folders,
        writable=settings.query.writable_roots,
    )


def build_lake(ground: Ground) -> tuple[Warehouses, Lake]:
    """Where the tenants' lakehouses lie, and what is in them."""
    settings = ground.settings
    warehouses = Warehouses(
        ground.store,
        folder=settings.home / "warehouse",
        home=settings.home,
        roots=settings.query.allowed_roots,
        private_hosts=settings.egress.allowed_private_hosts,
        unseal=partial(ground.seals.open, "connections"),
    )
    lake = Lake(
        settings.home / "warehouse",
        site_of=warehouses.site,
        gate=warehouses.gate,
    )
    return warehouses, lake


def build_catalog(ground: Ground, warehouses: Warehouses, connectors: Connectors) -> Catalog:
    """Connections, schemas and what of them each caller sees."""
    seals = ground.seals
    return Catalog(
        store=ground.store,
        connectors=connectors,
        seal=partial(seals.seal, "connections"),
        open=partial(seals.open, "connections"),
        validate=connectors.build,
        warehouses=warehouses,
        schema_ttl_s=ground.settings.query.schema_ttl_s,
        mask_key=lambda tenant: seals.purpose_key("masks", tenant).hex(),
    )


def build_tenancy(ground: Ground, lake: Lake, retention: Retention, answers: Answers) -> Tenancy:
    """Export and deletion of all that a tenant has."""
    folders = Folders(ground.settings.home)
    return Tenancy(
        Archive(
            ground.store,
            lake=lake,
            audit_log=retention.audit,
            folders=folders,
            opened={"documents.jsonl": answers.documents.archived},
        ),
        Purge(
            ground.store,
            lake=lake,
            objects=open_objects(ground.settings),
            folders=folders,
            forget=(answers.sql.forget, answers.results.forget, answers.retrieval.forget, ground.seals.forget),
            drop=(answers.retrieval.drop,),
        ),
        retention,
    )


def build_audit(ground: Ground) -> tuple[AuditLog, AuditFeed | None]:
    """The record of every call, and what sends it elsewhere where the settings name a place."""
    settings = ground.settings
    endpoint = settings.telemetry.audit_endpoint
    feed = AuditFeed(endpoint, settings.egress, version=__version__) if endpoint else None
    log = AuditLog(
        ground.store,
        seal=partial(ground.seals.seal, "audit"),
        unseal=partial(ground.seals.open, "audit"),
        digest_key=ground.vault.purpose_key("audit"),
        sink=None if feed is None else feed.put,
    )
    return log, feed


def build_usage(ground: Ground, lake: Lake) -> Usage:
    """What everything is charged to."""
    query = ground.settings.query
    return Usage(ground.store, Prices(query.usd_per_tb, query.usd_per_cpu_hour), warehouse=lake.tenant_folder)


def build_records(settings: Settings, places: Places, lake: Lake, catalog: Catalog) -> Records:
    """Rows written one by one, in this process."""
    means = Means(CARE_MEMORY_MB, settings.query.threads or 2, settings.home / "tmp")
    return Records(catalog=catalog, lake=lake, writers=Writers(places), means=means)


def build_feedback(ground: Ground) -> FeedbackBook:
    """What people say of answers."""
    return FeedbackBook(
        ground.store, seal=partial(ground.seals.seal, "feedback"), unseal=partial(ground.seals.open, "feedback")
    )


def build_conversations(ground: Ground) -> Conversations:
    """What was said to agents."""
    return Conversations(
        ground.store,
        seal=partial(ground.seals.seal, "conversations"),
        unseal=partial(ground.seals.open, "conversations"),
    )


def build_runs(ground: Ground, lease_s: float) -> Runs:
    """Runs of workflows and agents."""
    seal, unseal = partial(ground.seals.seal, "runs"), partial(ground.seals.open, "runs")
    return Runs(ground.store, seal=seal, unseal=unseal, lease_s=lease_s)


def build_care(settings: Settings, lake: Lake, catalog: Catalog) -> TableCare:
    """Care of the lakehouse's tables, which runs in workers."""
    workshop = Workshop(CARE_MEMORY_MB, settings.query.threads or 2, settings.home / "tmp")
    return open_care(lake, catalog, workshop)


def build_identity(ground: Ground) -> Identity:
    """Who callers are."""
    return Identity(
        store=ground.store,
        vault=ground.vault,
        egress=ground.egress,
        settings=ground.settings.auth,
        home=ground.settings.home,
        issuer=ground.settings.server.public_url or OWN_ISSUER,
    )


def build_agents(ground: Ground, identity: Identity, ledger: Ledger) -> Agents:
    """Agents of others, and the way to them."""
    return Agents(
        AgentGround(
            store=ground.store,
            egress=ground.egress,
            ledger=ledger,
            seal=partial(ground.seals.seal, "agents"),
            unseal=partial(ground.seals.open, "agents"),
            assertion=identity.assertion,
            sign_document=identity.sign_document,
            check_project=Projects(ground.store).get,
            public_url=ground.settings.server.public_url,
        )
    )


def build_imports(ground: Ground, parts: ImportGround) -> Imports:
    """Files made into rows."""
    settings = ground.settings
    return Imports(
        ground.store,
        parts,
        folder=settings.home / "imports",
        max_bytes=settings.results.max_mb * 2**20,
        memory_mb=IMPORT_MEMORY_MB,
        threads=settings.query.threads or 2,
    )


def open_connectors(settings: Settings, places: Places, lake: Lake, edges: Edges | None) -> Connectors:
    """Connections to what the operator allows; their statements run in `edges`, or here where there are none."""
    return Connectors(
        lake=lake,
        places=places,
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
