"""What jobs that fill or read a managed table have in common."""

from datetime import UTC, datetime
from typing import Any

from pydantic import Field

from core.jobs import JobStatus
from core.portable import Model
from engine.context import Ctx
from engine.results.listing import OwnJob


class TableJob(Model):
    """One job of a managed table."""

    id: str = Field(description="Id of the job.")
    status: JobStatus = Field(description="Where it stands.")
    tenant_id: str = Field(description="Tenant it belongs to.")
    table_id: str = Field(description="Table that it fills or reads.")
    created_at: datetime = Field(description="When it was asked for.")
    archived_at: datetime | None = Field(None, description="Always null: jobs are not archived.")
    ended_at: datetime | None = Field(description="When it ended.")
    error_message: str | None = Field(description="Why it failed; nothing was changed then.")


def describe(ctx: Ctx, job: OwnJob, ended_at: float | None, status: JobStatus | None) -> dict[str, Any]:
    """The fields of a TableJob; `status` where the job itself asks, which has not ended."""
    ended_at = job.ended_at if ended_at is None else ended_at
    return {
        "id": job.job_id,
        "status": status or job.status,
        "tenant_id": ctx.principal.tenant,
        "table_id": job.request["table_id"],
        "created_at": datetime.fromtimestamp(job.created_at, UTC),
        "ended_at": None if ended_at is None else datetime.fromtimestamp(ended_at, UTC),
        "error_message": job.error.message if job.error else None,
    }
