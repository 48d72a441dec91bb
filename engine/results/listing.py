"""A caller's own query jobs and exports, as the queue's table knows them."""

import json
from dataclasses import dataclass
from typing import Any

from pydantic_core import to_json
from sqlalchemy import ColumnElement, Connection, false, func, or_, select

from core.context import Principal
from core.errors import Conflict, NotFound
from core.jobs import JobError, JobStatus
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import job_events, jobs

RUN, EXPORT = "run_query", "create_export"
IMPORT, TABLE_EXPORT = "create_import_job", "create_export_job"
TENANT_EXPORT = "export_tenant_data"
ENDED = ("succeeded", "failed", "cancelled")
MAX_OF_MANY = 1000


@dataclass(frozen=True, slots=True)
class OwnJob:
    """One job of the caller. Times are UTC seconds since the epoch."""

    job_id: str
    status: JobStatus
    request: dict[str, Any]
    error: JobError | None
    created_at: float
    started_at: float | None
    updated_at: float

    @property
    def ended_at(self) -> float | None:
        return self.updated_at if self.status in ENDED else None


class OwnJobs:
    """Reads the queue's table; nobody sees another's jobs here, whatever they may."""

    def __init__(self, store: Store):
        self._store = store

    async def get(self, by: Principal, tool: str, job_id: str) -> OwnJob:
        """One job of the caller and tool. Raises NotFound."""
        found, _ = await self._find(by, tool, jobs.c.job_id == job_id, Window(0, 1))
        if not found:
            raise NotFound(f"No {_NOUN[tool]} {job_id[:64]!r}.", hint=_HINT[tool])
        return found[0]

    async def page(self, by: Principal, tool: str, window: Window) -> tuple[list[OwnJob], int]:
        """A slice of the caller's jobs, newest first, and how many there are."""
        return await self._find(by, tool, jobs.c.tool == tool, window)

    async def page_by(
        self, by: Principal, tool: str, name: str, values: list[str], window: Window
    ) -> tuple[list[OwnJob], int]:
        """Those whose request begins with one of these values: the field that the tool's request model names first."""
        starts = ["{" + to_json(name).decode() + ":" + to_json(value).decode() for value in values]
        begins = or_(false(), *(jobs.c.request.startswith(start, autoescape=True) for start in starts))
        return await self._find(by, tool, begins, window)

    async def of_many(self, by: Principal, tool: str, name: str, values: list[str]) -> list[OwnJob]:
        """The newest of those for any of these values."""
        return (await self.page_by(by, tool, name, values, Window(0, MAX_OF_MANY)))[0] if values else []

    async def check_rows(self, by: Principal, job_id: str) -> None:
        """Refuse a query job of the caller that has no rows to read. Raises NotFound, Conflict."""
        job = await self.get(by, RUN, job_id)
        if job.status == "failed" and job.error is not None:
            raise Conflict(f"The query failed: {job.error.message}", hint=job.error.hint)
        if job.status == "cancelled":
            raise Conflict("The query was cancelled.", hint="Run it again.")
        if job.status != "succeeded":
            raise Conflict("The query has not ended yet.", hint="Ask get_query_job until its status is `succeeded`.")

    async def _find(
        self, by: Principal, tool: str, extra: ColumnElement[bool], window: Window
    ) -> tuple[list[OwnJob], int]:
        where = (jobs.c.tenant_id == by.tenant, jobs.c.owner == by.subject, jobs.c.tool == tool, extra)

        def work(connection: Connection) -> tuple[list[OwnJob], int]:
            total = connection.execute(select(func.count()).select_from(jobs).where(*where)).scalar_one()
            query = select(jobs).where(*where).order_by(jobs.c.created_at.desc(), jobs.c.job_id)
            rows = connection.execute(query.offset(window.offset).limit(window.size)).all()
            started = _starts(connection, by.tenant, [row.job_id for row in rows])
            return [_own(row, started.get(row.job_id)) for row in rows], total

        return await self._store.read(work)


def _starts(connection: Connection, tenant: str, job_ids: list[str]) -> dict[str, float]:
    events = job_events.c
    query = (
        select(events.job_id, func.max(events.at))
        .where(events.tenant_id == tenant, events.job_id.in_(job_ids), events.kind == "status")
        .where(events.data.startswith('{"status": "running"', autoescape=True))
        .group_by(events.job_id)
    )
    return {row[0]: row[1] for row in connection.execute(query)}


def _own(row: Any, started_at: float | None) -> OwnJob:
    return OwnJob(
        job_id=row.job_id,
        status=row.status,
        request=json.loads(row.request),
        error=None if row.error is None else JobError.model_validate_json(row.error),
        created_at=row.created_at,
        started_at=started_at,
        updated_at=row.updated_at,
    )


_NOUN = {RUN: "query job", EXPORT: "export", IMPORT: "import job", TABLE_EXPORT: "export job", TENANT_EXPORT: "export"}
_HINT = {
    RUN: "list_query_jobs shows yours.",
    EXPORT: "list_exports shows those of a query job.",
    IMPORT: "list_import_jobs shows yours.",
    TABLE_EXPORT: "list_export_jobs shows yours.",
    TENANT_EXPORT: "export_tenant_data makes one.",
}
