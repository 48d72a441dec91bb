"""Imports for callers: who may write what, where the file comes from, and what is kept of a run."""

import asyncio
import json
import shutil
import time
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from sqlalchemy import delete, insert, select

from core.context import Cancellation, JobRun, Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized, Unavailable
from core.ports import Download
from engine.catalog.catalog import Catalog
from engine.catalog.connections import LAKEHOUSE
from engine.connectors.places import Places
from engine.datasets.datasets import Datasets
from engine.egress.client import ANY_TYPE, EgressClient
from engine.lake.names import split_name
from engine.policy.rules import Governed
from engine.sql.filters import SOURCE, print_filter
from engine.store.db import Store
from engine.store.tables import import_results
from engine.transfer.sources import Format, open_source
from engine.transfer.uploads import Upload, Uploads

if TYPE_CHECKING:  # pyiceberg and DuckDB come with the first import
    from pyiceberg.catalog.sql import SqlCatalog

    from engine.transfer.importing import Imported, Wish
    from engine.transfer.sifting import Reject

KEEP_S = 7 * 24 * 3600.0  # for bad rows
FETCH_S = 1800.0
PLAIN_TIMES = 16  # the largest upload: what a compressed file may grow to
LEFT_S = 24 * 3600.0
SHOWN = 100
PIECE_BYTES = 2**20


@dataclass(frozen=True, slots=True)
class From:
    """Where a file comes from: one of the two."""

    upload_id: str | None = None
    uri: str | None = None
    format: Format | None = None


@dataclass(frozen=True, slots=True)
class Result:
    """What an import did."""

    job_id: str
    row_count: int
    bad_row_count: int
    snapshot_id: int | None
    ended_at: float


@dataclass(frozen=True, slots=True)
class Ground:
    """What imports stand on."""

    datasets: Datasets
    catalog: Catalog
    uploads: Uploads
    egress: EgressClient
    places: Places


class Imports:
    """Runs imports in workers, and knows what became of them. Everybody sees their own."""

    def __init__(
        self,
        store: Store,
        ground: Ground,
        *,
        folder: Path,
        max_bytes: int,
        memory_mb: int,
        threads: int,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._ground = ground
        self._folder = folder
        self._max_bytes = max_bytes
        self._memory_mb = memory_mb
        self._threads = threads
        self._clock = clock

    async def run(
        self, by: Principal, job: JobRun, table_id: str, source: From, wish: "Wish", cancelled: Cancellation
    ) -> Result:
        """Import a file once, however often the job is started. Raises NotFound, Conflict, Unauthorized."""
        row = await self._ground.datasets.table(by, table_id)
        name = split_name(await self._ground.datasets.full_name(row))
        governed = (await self._ground.catalog.view(by, LAKEHOUSE)).find(name)
        if governed is None:
            raise NotFound("There is no such table.", hint="list_managed_tables shows those you can see.")
        check_mode(governed, wish.mode)
        work = self._folder / "work" / job.job_id
        await asyncio.to_thread(_fresh, work, self._folder)
        try:
            path, file_name = await self._fetch(by, source, work)
            done = await self._import(by, job, name, (path, file_name, source.format), wish, governed, cancelled)
        finally:
            await asyncio.to_thread(shutil.rmtree, work, ignore_errors=True)
        return await self._keep(by, job, table_id, done)

    async def find(self, by: Principal, job_ids: Sequence[str]) -> dict[str, Result]:
        """What became of the caller's own imports, by job."""
        c = import_results.c
        query = select(import_results).where(c.tenant_id == by.tenant, c.owner == by.subject, c.job_id.in_(job_ids))
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        return {row.job_id: _result(row) for row in rows}

    async def bad_rows(self, by: Principal, job_id: str, count: int = SHOWN) -> list[dict[str, Any]]:
        """The first bad rows of an import of the caller's own; none where there are no longer any."""
        if job_id not in await self.find(by, [job_id]):
            return []
        return await asyncio.to_thread(_first, self._rejects(by.tenant, job_id), count)

    async def rejects(self, by: Principal, job_id: str) -> Path:
        """The file of bad rows of an import of the caller's own. Raises NotFound."""
        path = self._rejects(by.tenant, job_id)
        if job_id not in await self.find(by, [job_id]) or not path.is_file():
            raise NotFound(
                "There is no file of bad rows.", hint="It is kept for seven days, where rows were set aside."
            )
        return path

    async def receive(
        self, by: Principal, upload_id: str, start: int, chunks: AsyncIterator[bytes], *, total: int | None
    ) -> Upload:
        """Bytes of an upload. Raises NotFound, Conflict."""
        return await self._ground.uploads.receive(by, upload_id, start, chunks, total=total)

    async def open_rejects(self, by: Principal, job_id: str) -> Download:
        """The rows that an import of the caller's own has set aside. Raises NotFound."""
        path = await self.rejects(by, job_id)
        size = path.stat().st_size

        async def read(start: int, end: int) -> AsyncIterator[bytes]:
            for low in range(start, end, PIECE_BYTES):
                yield await asyncio.to_thread(_piece, path, low, min(end, low + PIECE_BYTES))

        return Download(f"rejects-{job_id}.jsonl", "application/x-ndjson", size, read)

    async def sweep(self) -> int:
        """Delete old files of bad rows, and what killed imports have left; says how many."""
        now = self._clock()
        query = select(import_results).where(import_results.c.expires_at <= now).limit(1000)
        rows = await self._store.read(lambda connection: connection.execute(query).all())
        for row in rows:
            await asyncio.to_thread(self._rejects(row.tenant_id, row.job_id).unlink, missing_ok=True)
            c = import_results.c
            gone = delete(import_results).where(c.tenant_id == row.tenant_id, c.job_id == row.job_id)
            await self._store.write(lambda connection, gone=gone: connection.execute(gone))  # type: ignore[misc]
        await asyncio.to_thread(_remove_old, self._folder / "work", now - LEFT_S)
        return len(rows)

    async def _fetch(self, by: Principal, source: From, work: Path) -> tuple[Path, str]:
        if (source.upload_id is None) == (source.uri is None):
            raise Conflict("There is nothing to import.", hint="Give upload_id or uri, one of the two.")
        if source.upload_id is not None:
            upload, path = await self._ground.uploads.source(by, source.upload_id)
            return path, upload.name
        uri = source.uri or ""
        if uri.startswith(("/", "file:")):
            if not by.may("catalog.manage"):
                raise Unauthorized(
                    "Files of the server need the permission catalog.manage.", hint="Send the file with create_upload."
                )
            path = self._ground.places.check_path(uri.removeprefix("file://").removeprefix("file:"))
            if not path.is_file():
                raise Conflict("That is not a file.", hint="Name one file.")
            return path, path.name
        return await self._download(uri, work / "fetched"), uri.partition("?")[0].rpartition("/")[2]

    async def _download(self, uri: str, target: Path) -> Path:
        with target.open("wb") as out:
            try:
                answer = await self._ground.egress.request(
                    "GET", uri, max_bytes=self._max_bytes, timeout_s=FETCH_S, sinks={ANY_TYPE: out.write}
                )
            except InvalidArgument as error:
                raise Unauthorized(error.message, hint=error.hint) from None
            except Unavailable as error:
                raise Conflict(f"The file could not be fetched: {error.message}", hint=error.hint) from None
        if answer.status != 200:
            raise Conflict(f"The other side answered {answer.status}.", hint="Check the URI.")
        return target

    async def _import(
        self,
        by: Principal,
        job: JobRun,
        name: tuple[str, ...],
        file: tuple[Path, str, Format | None],
        wish: "Wish",
        governed: Governed,
        cancelled: Cancellation,
    ) -> "Imported":
        from engine.transfer.importing import Limits, Run, run_import

        work = self._folder / "work" / job.job_id
        run = Run(
            job_id=job.job_id,
            attempt=f"{job.fence}-{job.attempt}",
            now=self._clock(),
            keep=lambda rejects: self._write_rejects(by.tenant, job.job_id, rejects),
            on_start=cancelled.on_set,
            is_cancelled=lambda: bool(cancelled),
        )
        limits = Limits(self._memory_mb, self._threads, work)

        def start(catalog: "SqlCatalog") -> "Imported":
            plain = open_source(
                file[0], file[1], file[2], spool=work / "plain", max_bytes=PLAIN_TIMES * self._max_bytes
            )
            return run_import(catalog.load_table(name), plain, wish, _rules(governed), limits, run)

        return await self._ground.datasets.settler.commit(by.tenant, start)

    async def _keep(self, by: Principal, job: JobRun, table_id: str, done: "Imported") -> Result:
        path = self._rejects(by.tenant, job.job_id)
        bad = len(done.rejects) or await asyncio.to_thread(_count_lines, path)
        now = self._clock()
        row = {
            "tenant_id": by.tenant,
            "job_id": job.job_id,
            "table_id": table_id,
            "owner": by.subject,
            "row_count": done.row_count,
            "bad_row_count": bad,
            "snapshot_id": done.snapshot_id or None,
            "ended_at": now,
            "expires_at": now + KEEP_S,
        }
        c = import_results.c
        gone = delete(import_results).where(c.tenant_id == by.tenant, c.job_id == job.job_id)
        await self._store.write(
            lambda connection: (connection.execute(gone), connection.execute(insert(import_results).values(**row)))
        )
        return Result(job.job_id, done.row_count, bad, done.snapshot_id or None, now)

    def _rejects(self, tenant: str, job_id: str) -> Path:
        return self._folder / "rejects" / tenant / f"{job_id}.jsonl"

    def _write_rejects(self, tenant: str, job_id: str, rejects: "list[Reject]") -> None:
        from engine.transfer.rejects import dump

        path = self._rejects(tenant, job_id)
        path.parent.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.touch(mode=0o600)
        path.write_text(dump(rejects), encoding="utf-8")


def check_mode(governed: Governed, mode: str) -> None:
    """Refuse to change rows that the writer may not see. Raises Conflict."""
    if mode != "append" and not governed.is_open:
        raise Conflict(
            f"Policies bind you on this table, so {mode} is not possible.", hint="Append, or ask who sees all of it."
        )


def _rules(governed: Governed) -> Any:
    from engine.transfer.importing import Rules

    if governed.is_open:
        return Rules()
    public = (column.name for column in governed.relation.columns if governed.privacy(column.name) == "public")
    conditions = [print_filter(item, governed.source, governed.facts, "duckdb") for item in governed.filters]
    return Rules(frozenset(name.lower() for name in public), " AND ".join(conditions), SOURCE)


def _piece(path: Path, start: int, end: int) -> bytes:
    with path.open("rb") as file:
        file.seek(start)
        return file.read(end - start)


def _fresh(work: Path, root: Path) -> None:
    root.mkdir(parents=True, exist_ok=True, mode=0o700)
    shutil.rmtree(work, ignore_errors=True)
    work.mkdir(parents=True, mode=0o700)


def _remove_old(folder: Path, before: float) -> None:
    for path in folder.iterdir() if folder.is_dir() else ():
        if path.stat().st_mtime < before:
            shutil.rmtree(path, ignore_errors=True)


def _first(path: Path, count: int) -> list[dict[str, Any]]:
    if not path.is_file():
        return []
    with path.open(encoding="utf-8") as file:
        return [json.loads(line) for _, line in zip(range(count), file, strict=False)]


def _count_lines(path: Path) -> int:
    if not path.is_file():
        return 0
    with path.open(encoding="utf-8") as file:
        return sum(1 for _ in file)


def _result(row: Any) -> Result:
    return Result(row.job_id, row.row_count, row.bad_row_count, row.snapshot_id, row.ended_at)
