"""The append-only log of a job: statements on its events."""

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from pydantic import BaseModel
from sqlalchemy import Connection, func, insert, select

from core.jobs import JobEvent, Progress
from engine.store.tables import job_events

STATUS = "status"
PAGE = 1000


@dataclass(frozen=True, slots=True)
class Line:
    """One event before it has its place in the log."""

    kind: str
    data: str  # JSON
    at: float
    progress: float | None = None


def status_line(at: float, status: str, **details: Any) -> Line:
    return Line(STATUS, json.dumps({"status": status, **details}), at)


def part_line(at: float, part: BaseModel) -> Line:
    """An emitted part as an event; a Progress also says which share is done."""
    share = None
    if isinstance(part, Progress) and part.total:
        share = min(1.0, max(0.0, part.done / part.total))
    return Line(kind_of(type(part)), part.model_dump_json(), at, share)


def kind_of(part: type[BaseModel]) -> str:
    return "progress" if part is Progress else part.__name__


def append(connection: Connection, tenant: str, job_id: str, lines: Sequence[Line]) -> None:
    """Write lines after the last one. The caller has locked the job's row, so that numbers stay unique."""
    if not lines:
        return
    of_job = (job_events.c.tenant_id == tenant, job_events.c.job_id == job_id)
    last = connection.execute(select(func.coalesce(func.max(job_events.c.seq), 0)).where(*of_job)).scalar_one()
    connection.execute(
        insert(job_events),
        [
            {"tenant_id": tenant, "job_id": job_id, "seq": seq, "at": line.at, "kind": line.kind, "data": line.data}
            for seq, line in enumerate(lines, last + 1)
        ],
    )


def read(connection: Connection, tenant: str, job_id: str, after_seq: int, limit: int = PAGE) -> list[JobEvent]:
    """The events after a cursor, oldest first."""
    rows = connection.execute(
        select(job_events)
        .where(job_events.c.tenant_id == tenant, job_events.c.job_id == job_id, job_events.c.seq > after_seq)
        .order_by(job_events.c.seq)
        .limit(limit)
    )
    return [
        JobEvent(seq=row.seq, at=datetime.fromtimestamp(row.at, UTC), kind=row.kind, data=json.loads(row.data))
        for row in rows
    ]
