"""How long a tenant keeps what grows by itself: results, history, notices, ended sessions, and its audit."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from sqlalchemy import Column, ColumnElement, Connection, Table, delete, exists, select

from core.ports import AuditRecord
from engine.audit.log import AuditLog
from engine.store.db import Store
from engine.store.flights import TenantCache
from engine.store.tables import (
    agent_tasks,
    conversations,
    evaluation_cases,
    evaluation_runs,
    jobs,
    lineage_columns,
    lineage_queries,
    notices,
    queries,
    query_costs,
    query_exports,
    query_results,
    run_feedback,
    runs,
    served_pushes,
    served_tasks,
    sessions,
    tenants,
)

RESULTS, HISTORY, NOTICES, SESSIONS, AUDIT = "results", "history", "notices", "sessions", "audit"
TOPICS = (RESULTS, HISTORY, NOTICES, SESSIONS, AUDIT)
DAY_S = 86_400.0
MOST_DAYS: Mapping[str, int] = {HISTORY: 400, NOTICES: 30, SESSIONS: 30}  # the audit stays unless told
BATCH = 1_000
DONE = ("succeeded", "failed", "cancelled")


@dataclass(frozen=True, slots=True)
class Ageing:
    """A table whose rows grow old: since when, and which may go. Its `parts` go with their last row."""

    topic: str
    table: Table
    since: "Column[Any]"
    is_over: ColumnElement[bool] | None = None
    parts: Sequence[tuple[Table, Sequence[str]]] = ()


def _without_rows() -> ColumnElement[bool]:
    """Jobs whose rows are still there stay, or those could not be found."""
    of_result = (query_results.c.tenant_id == jobs.c.tenant_id) & (query_results.c.job_id == jobs.c.job_id)
    of_export = (query_exports.c.tenant_id == jobs.c.tenant_id) & (query_exports.c.job_id == jobs.c.job_id)
    return ~exists().where(of_result) & ~exists().where(of_export)


AGEING = (
    Ageing(RESULTS, query_results, query_results.c.ended_at),  # their bytes are swept as orphans are
    Ageing(RESULTS, query_exports, query_exports.c.ended_at),
    Ageing(HISTORY, queries, queries.c.started_at, queries.c.status != "running"),
    Ageing(HISTORY, query_costs, query_costs.c.at),
    Ageing(HISTORY, jobs, jobs.c.updated_at, jobs.c.status.in_(DONE) & _without_rows()),
    Ageing(
        HISTORY,
        lineage_queries,
        lineage_queries.c.last_run_at,
        parts=[(lineage_columns, ("tenant_id", "connection_id", "shape_hash"))],
    ),
    Ageing(HISTORY, runs, runs.c.updated_at, runs.c.finished_at.is_not(None)),
    Ageing(HISTORY, run_feedback, run_feedback.c.created_at, run_feedback.c.review != "pending"),
    Ageing(HISTORY, conversations, conversations.c.updated_at),
    Ageing(HISTORY, agent_tasks, agent_tasks.c.created_at),
    Ageing(
        HISTORY,
        served_tasks,
        served_tasks.c.updated_at,
        served_tasks.c.held_until.is_(None),
        parts=[(served_pushes, ("tenant_id", "task_id"))],
    ),
    Ageing(
        HISTORY,
        evaluation_runs,
        evaluation_runs.c.started_at,
        evaluation_runs.c.finished_at.is_not(None),
        parts=[(evaluation_cases, ("tenant_id", "run_id"))],
    ),
    Ageing(NOTICES, notices, notices.c.created_at, notices.c.due_at.is_(None)),
    Ageing(SESSIONS, sessions, sessions.c.expires_at),
    Ageing(SESSIONS, sessions, sessions.c.revoked_at),
)
"""A table that grows by itself belongs here, or among those of which a test says why they do not."""


class Retention:
    """Removes what is older than a tenant keeps it. What a tenant says can only be shorter than what holds for all."""

    def __init__(self, store: Store, audit: AuditLog, *, results_days: float, clock: Callable[[], float] = time.time):
        self._store = store
        self.audit = audit
        self._most = {**MOST_DAYS, RESULTS: results_days}
        self._clock = clock
        self._said: TenantCache[Mapping[str, int]] = TenantCache(self._load)

    async def keep_s(self, tenant: str, topic: str) -> float | None:
        """Seconds for which something is kept; None is for ever. It follows a change within 2 s."""
        said, most = (await self._said.get(tenant)).get(topic), self._most.get(topic)
        days = [value for value in (said, most) if value is not None]
        return min(days) * DAY_S if days else None

    async def keep(self) -> int:
        """Remove what is too old, of every tenant; says how many rows. Several processes may do it at once."""
        said = await self._store.read(_all_said)
        count = 0
        for item in AGEING:
            own = {tenant: days[item.topic] for tenant, days in said.items() if item.topic in days}
            most = self._most[item.topic]
            count += await self._remove(item, self._clock() - most * DAY_S, None)
            for tenant, days in own.items():
                if days < most:
                    count += await self._remove(item, self._clock() - days * DAY_S, tenant)
        return count + sum([await self._trim(tenant, days[AUDIT]) for tenant, days in said.items() if AUDIT in days])

    async def _remove(self, item: Ageing, before: float, tenant: str | None) -> int:
        keys = list(item.table.primary_key.columns)
        old = select(*keys).where(item.since < before).limit(BATCH)
        if item.is_over is not None:
            old = old.where(item.is_over)
        if tenant is not None:
            old = old.where(item.table.c.tenant_id == tenant)

        def work(connection: Connection) -> int:
            found = connection.execute(old).all()
            for row in found:
                where = [key == value for key, value in zip(keys, row, strict=True)]
                connection.execute(delete(item.table).where(*where))
            for part, names in item.parts if found else ():
                whole = exists().where(*(item.table.c[name] == part.c[name] for name in names))
                of_these = part.c.tenant_id.in_({row.tenant_id for row in found})
                connection.execute(delete(part).where(of_these, ~whole))
            return len(found)

        total = 0
        while True:
            count = await self._store.write(work)
            total += count
            if count < BATCH:
                return total

    async def _trim(self, tenant: str, days: int) -> int:
        count = await self.audit.trim(tenant, before=self._clock() - days * DAY_S)
        if count:
            await self.audit.record(self._note(tenant, count), wait=True)
        return count

    def _note(self, tenant: str, count: int) -> AuditRecord:
        """The audit says itself that its beginning was removed."""
        return AuditRecord(
            request_id="retention",
            at=datetime.fromtimestamp(self._clock(), UTC),
            tenant=tenant,
            subject="",
            via="",
            credential_id="",
            face="upkeep",
            tool="trim_audit",
            effect="destroy",
            argument_digest="",
            decision="allowed",
            code="OK",
            resources=(f"audit:{count} records",),
        )

    async def _load(self, tenant: str, previous: Mapping[str, int] | None) -> Mapping[str, int]:
        query = select(tenants.c.configuration).where(tenants.c.tenant_id == tenant)
        return _days(await self._store.read(lambda connection: connection.scalar(query)))


def _all_said(connection: Connection) -> dict[str, Mapping[str, int]]:
    """What tenants say, of those that say something."""
    has_some = tenants.c.configuration.contains('"retention"')
    query = select(tenants.c.tenant_id, tenants.c.configuration).where(has_some)
    return {row.tenant_id: _days(row.configuration) for row in connection.execute(query)}


def _days(configuration: str | None) -> Mapping[str, int]:
    said = json.loads(configuration or "{}").get("retention") or {}
    return {topic: int(said[f"{topic}_days"]) for topic in TOPICS if said.get(f"{topic}_days")}
