"""What makes a result or an export exist: one row of the store, written when all its bytes are safe."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, Table, delete, insert, select, update

from core.context import JobRun, Principal
from core.errors import Unavailable
from engine.store import tables
from engine.store.db import Store

RESULTS, EXPORTS = "results", "exports"


@dataclass(frozen=True, slots=True)
class Frame:
    """A piece of an object that is read as a whole: its stored bytes, and the rows in it."""

    size_bytes: int
    row_count: int


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a query's run said about itself. None: not known."""

    connection_id: str
    tables: list[str]
    columns: list[tuple[str, str]]
    column_privacy: dict[str, str] = field(default_factory=dict)
    private_row_count: int | None = None
    is_truncated: bool = False
    is_from_cache: bool = False
    execution_time_ms: int = 0
    bytes_scanned: int | None = None
    cpu_ms: int | None = None
    query_id: str = ""  # of the saved query
    versions: dict[str, str] = field(default_factory=dict)  # snapshots of tables that were read as they were


@dataclass(frozen=True, slots=True)
class ResultManifest:
    """The rows of one query job, and what its owner could see of their tables when it ran."""

    tenant: str
    job_id: str
    owner: str
    path: str
    frames: tuple[Frame, ...]
    outcome: Outcome
    sight: str
    ended_at: float
    expires_at: float

    @property
    def row_count(self) -> int:
        return sum(frame.row_count for frame in self.frames)

    @property
    def size_bytes(self) -> int:
        return sum(frame.size_bytes for frame in self.frames)


@dataclass(frozen=True, slots=True)
class ExportManifest:
    """One finished export."""

    tenant: str
    export_id: str
    job_id: str
    owner: str
    path: str
    format: str
    compression: str
    is_sealed: bool
    size_bytes: int  # of the file that is downloaded
    row_count: int
    connection_id: str
    tables: list[str]
    sight: str
    ended_at: float
    expires_at: float
    versions: dict[str, str] = field(default_factory=dict)  # as of the result


async def commit_result(store: Store, run: JobRun, manifest: ResultManifest) -> None:
    """Make a result exist. Raises Unavailable when the job is no longer this run's."""
    row = {
        "tenant_id": manifest.tenant,
        "job_id": manifest.job_id,
        "owner": manifest.owner,
        "path": manifest.path,
        "frames": json.dumps([[frame.size_bytes, frame.row_count] for frame in manifest.frames]),
        "outcome": json.dumps(_outcome_json(manifest.outcome)),
        "sight": manifest.sight,
        "ended_at": manifest.ended_at,
        "expires_at": manifest.expires_at,
    }
    await store.write(lambda connection: _commit(connection, tables.query_results, run, row, manifest.job_id))


async def commit_export(store: Store, run: JobRun, manifest: ExportManifest) -> None:
    """Make an export exist. Raises Unavailable when the job is no longer this run's."""
    texts = ("export_id", "job_id", "owner", "path", "format", "compression", "connection_id", "sight")
    numbers = ("size_bytes", "row_count", "ended_at", "expires_at")
    row = {name: getattr(manifest, name) for name in (*texts, *numbers)}
    row |= {"tenant_id": manifest.tenant, "is_sealed": int(manifest.is_sealed), "tables": _pack_tables(manifest)}
    await store.write(lambda connection: _commit(connection, tables.query_exports, run, row, manifest.export_id))


async def find_results(store: Store, tenant: str, job_ids: list[str]) -> dict[str, ResultManifest]:
    """The results of jobs, by job."""
    found = tables.query_results
    query = select(found).where(found.c.tenant_id == tenant, found.c.job_id.in_(job_ids))
    rows = await store.read(lambda connection: connection.execute(query).all())
    return {row.job_id: _result(row) for row in rows}


async def find_exports(store: Store, tenant: str, export_ids: list[str]) -> dict[str, ExportManifest]:
    """Finished exports, by id."""
    found = tables.query_exports
    query = select(found).where(found.c.tenant_id == tenant, found.c.export_id.in_(export_ids))
    rows = await store.read(lambda connection: connection.execute(query).all())
    return {row.export_id: _export(row) for row in rows}


async def forget(store: Store, kind: str, tenant: str, object_id: str) -> None:
    """Make a result or an export not exist."""
    table, key = _table(kind)
    gone = delete(table).where(table.c.tenant_id == tenant, table.c[key] == object_id)
    await store.write(lambda connection: connection.execute(gone))


async def expired(store: Store, kind: str, now: float, limit: int) -> list[tuple[str, str, str]]:
    """Tenant, id and path of what has expired."""
    table, key = _table(kind)
    query = select(table.c.tenant_id, table.c[key], table.c.path).where(table.c.expires_at <= now).limit(limit)
    rows = await store.read(lambda connection: connection.execute(query).all())
    return [(row[0], row[1], row[2]) for row in rows]


async def is_wanted(store: Store, kind: str, tenant: str, object_id: str, path: str, fence: int) -> bool:
    """Whether an object belongs to something committed, or to a run that still writes it."""
    table, key = _table(kind)
    jobs = tables.jobs.c
    kept = select(table.c.path).where(table.c.tenant_id == tenant, table.c[key] == object_id)
    running = select(jobs.job_id).where(
        jobs.tenant_id == tenant, jobs.job_id == object_id, jobs.fence == fence, jobs.status == "running"
    )

    def work(connection: Connection) -> bool:
        # The run first: one that commits between the two looks is found by the second.
        return connection.execute(running).first() is not None or connection.scalar(kept) == path

    return await store.read(work)


def _table(kind: str) -> tuple[Table, str]:
    return (tables.query_results, "job_id") if kind == RESULTS else (tables.query_exports, "export_id")


def _commit(connection: Connection, table: Table, run: JobRun, row: Mapping[str, Any], object_id: str) -> None:
    jobs = tables.jobs
    is_held = (jobs.c.tenant_id == row["tenant_id"], jobs.c.job_id == run.job_id, jobs.c.fence == run.fence)
    locked = update(jobs).where(*is_held, jobs.c.status == "running").values(updated_at=row["ended_at"])
    if connection.execute(locked).rowcount != 1:
        raise Unavailable("Another worker has this job now.", hint="Nothing is lost; ask for the job again.")
    key = _table(RESULTS if table is tables.query_results else EXPORTS)[1]
    connection.execute(delete(table).where(table.c.tenant_id == row["tenant_id"], table.c[key] == object_id))
    connection.execute(insert(table).values(**row))


def _outcome_json(outcome: Outcome) -> dict[str, Any]:
    return {name: getattr(outcome, name) for name in Outcome.__dataclass_fields__}


def _result(row: Any) -> ResultManifest:
    outcome = json.loads(row.outcome)
    outcome["columns"] = [(name, kind) for name, kind in outcome["columns"]]
    return ResultManifest(
        tenant=row.tenant_id,
        job_id=row.job_id,
        owner=row.owner,
        path=row.path,
        frames=tuple(Frame(size, rows) for size, rows in json.loads(row.frames)),
        outcome=Outcome(**outcome),
        sight=row.sight,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
    )


def _pack_tables(manifest: ExportManifest) -> str:
    """A list of names, unless some were read as they were: then what their snapshots are too."""
    listed = {"tables": manifest.tables, "versions": manifest.versions}
    return json.dumps(listed if manifest.versions else manifest.tables)


def _export(row: Any) -> ExportManifest:
    listed = json.loads(row.tables)
    read = listed if isinstance(listed, dict) else {"tables": listed, "versions": {}}
    return ExportManifest(
        tenant=row.tenant_id,
        export_id=row.export_id,
        job_id=row.job_id,
        owner=row.owner,
        path=row.path,
        format=row.format,
        compression=row.compression,
        is_sealed=bool(row.is_sealed),
        size_bytes=row.size_bytes,
        row_count=row.row_count,
        connection_id=row.connection_id,
        tables=read["tables"],
        versions=read["versions"],
        sight=row.sight,
        ended_at=row.ended_at,
        expires_at=row.expires_at,
    )


def owned(manifest: ResultManifest | ExportManifest, by: Principal, now: float) -> bool:
    """Whether it is the caller's own, and not yet expired."""
    return (manifest.tenant, manifest.owner) == (by.tenant, by.subject) and now < manifest.expires_at
