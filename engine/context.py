"""What a tool finds behind `ctx.engine`: every part of the engine, put together by the wiring."""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import TYPE_CHECKING

from core.context import Context

if TYPE_CHECKING:  # a tool that is declared needs no engine; the wiring brings it
    from core.pages import PageSigner
    from core.settings import Settings
    from engine.agents.agents import Agents
    from engine.approvals.desk import Desk
    from engine.audit.log import AuditLog
    from engine.audit.otlp import AuditFeed
    from engine.audit.search import AuditSearch
    from engine.catalog.catalog import Catalog
    from engine.connectors.pool import Connectors
    from engine.conversations.conversations import Conversations
    from engine.datasets.datasets import Datasets
    from engine.documents.documents import Documents
    from engine.egress.client import EgressClient
    from engine.evaluations.history import Evaluations
    from engine.identity.identity import Identity
    from engine.identity.vault import Vault
    from engine.jobs.queue import JobQueue
    from engine.lake.warehouse import Lake
    from engine.maintenance.care import TableCare
    from engine.models.models import Models
    from engine.planner.questions import Questions
    from engine.queries import SavedQueries
    from engine.quotas.quotas import Quotas
    from engine.records.records import Records
    from engine.results.kept import KeptResults
    from engine.retrieval.retrieval import Retrieval
    from engine.runs.feedback import FeedbackBook
    from engine.runs.runs import Runs
    from engine.schedules.schedules import Schedules
    from engine.semantic.service import Semantic
    from engine.sql.background import QueryJobs
    from engine.sql.builder import QueryBuilder
    from engine.sql.lineage import LineageLog
    from engine.sql.rulebook import Rulebook
    from engine.sql.run import SqlService
    from engine.store.db import Store
    from engine.tenancy.tenancy import Tenancy
    from engine.transfer.imports import Imports
    from engine.transfer.uploads import Uploads
    from engine.usage.usage import Usage

Check = Callable[[], Awaitable[None]]
"""Raises Unavailable when a part does not work."""


@dataclass(frozen=True, slots=True)
class Engine:
    """All parts. None of them knows a protocol."""

    settings: Settings
    version: str
    store: Store
    vault: Vault
    egress: EgressClient
    identity: Identity
    audit: AuditLog
    audit_search: AuditSearch
    audit_feed: AuditFeed | None
    quotas: Quotas
    jobs: JobQueue
    schedules: Schedules
    lake: Lake
    care: TableCare
    connectors: Connectors
    catalog: Catalog
    datasets: Datasets
    uploads: Uploads
    documents: Documents
    imports: Imports
    records: Records
    sql: SqlService
    lineage: LineageLog
    rulebook: Rulebook
    builder: QueryBuilder
    questions: Questions
    semantic: Semantic
    saved: SavedQueries
    query_jobs: QueryJobs
    usage: Usage
    results: KeptResults
    retrieval: Retrieval
    runs: Runs
    feedback: FeedbackBook
    conversations: Conversations
    models: Models
    evaluations: Evaluations
    agents: Agents
    desk: Desk
    tenancy: Tenancy
    pages: PageSigner
    checks: Mapping[str, Check]


Ctx = Context[Engine]
