"""The rows of query jobs: written as sealed pieces of Arrow while the query streams, read a page at a time."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from dataclasses import dataclass
from itertools import accumulate
from typing import TYPE_CHECKING

from core.context import JobRun, Principal
from core.errors import Conflict, NotFound
from engine.results.manifests import RESULTS, Frame, Outcome, ResultManifest, commit_result, find_results, owned
from engine.results.objects import Upload
from engine.results.shelf import Shelf
from engine.results.sight import digest_sight
from engine.results.sweep import sweep

if TYPE_CHECKING:
    import pyarrow as pa

SEAL_BYTES = 28  # what a seal adds: nonce and tag

Send = Callable[[bytes], Awaitable[None]]
Produce = Callable[[Send], Awaitable[Outcome]]
"""Sends rows as self-contained Arrow IPC streams, at least one, and says what it knows of them at the end."""


@dataclass(frozen=True, slots=True)
class Page:
    """Some rows of a result."""

    schema: "pa.Schema"
    batches: "list[pa.RecordBatch]"
    manifest: ResultManifest


class StoredResults:
    """Results of one deployment. Every read is authorised again."""

    def __init__(self, shelf: Shelf):
        self._shelf = shelf

    async def write(
        self,
        by: Principal,
        run: JobRun,
        tables: list[str],
        connection_id: str,
        produce: Produce,
        *,
        versions: Mapping[str, str] | None = None,
    ) -> ResultManifest:
        """Run `produce` and keep its rows, once for a job however often it is started.

        `tables` are those that it will read, `versions` the snapshots of those that it reads as they were.
        Raises Conflict when the store or the cap allows no more."""
        known = (await find_results(self._shelf.store, by.tenant, [run.job_id])).get(run.job_id)
        if known is not None:
            return known
        sight = await self._sight(by, connection_id, tables, versions)
        path, frames = f"{RESULTS}/{by.tenant}/{run.job_id}/{run.fence}.arrows", list[Frame]()
        async with Upload(self._shelf.objects, path) as upload:

            async def send(chunk: bytes) -> None:
                if upload.size_bytes + len(chunk) > self._shelf.max_bytes:
                    raise too_large(self._shelf.max_bytes)
                aad = frame_aad(path, len(frames))
                sealed, rows = await asyncio.to_thread(lambda: (self._shelf.seal(by.tenant, chunk, aad), _rows(chunk)))
                await upload.write(sealed)
                frames.append(Frame(len(sealed), rows))

            outcome = await produce(send)
            # Rules that changed meanwhile may have been applied, or not: nobody could tell later.
            if sight is None or sight != await self._sight(by, connection_id, tables, versions):
                raise Conflict("Access to a table changed while the query ran.", hint="Run the query again.")
        now = self._shelf.clock()
        manifest = ResultManifest(
            tenant=by.tenant,
            job_id=run.job_id,
            owner=by.subject,
            path=path,
            frames=tuple(frames),
            outcome=outcome,
            sight=sight,
            ended_at=now,
            expires_at=now + await self._shelf.keep_s(by.tenant),
        )
        await commit_result(self._shelf.store, run, manifest)
        return manifest

    async def open(self, by: Principal, job_id: str) -> ResultManifest:
        """The caller's own result. Raises NotFound, or Conflict when their view of its tables has changed."""
        manifest = (await self.find(by, [job_id])).get(job_id)
        if manifest is None:
            raise NotFound(f"No result of job {job_id[:64]!r}.", hint="Results are kept for some days; run it again.")
        if not await self.still_allowed(by, manifest):
            raise Conflict("Your access to a table of this result has changed.", hint="Run the query again.")
        return manifest

    async def sweep(self) -> int:
        """Delete results and exports that have expired, and what killed runs have left; says how many objects."""
        return await sweep(self._shelf)

    async def find(self, by: Principal, job_ids: list[str]) -> dict[str, ResultManifest]:
        """What is known of the caller's own results, by job; nothing of it is a row."""
        found = await find_results(self._shelf.store, by.tenant, job_ids)
        now = self._shelf.clock()
        return {job_id: manifest for job_id, manifest in found.items() if owned(manifest, by, now)}

    async def still_allowed(self, by: Principal, manifest: ResultManifest) -> bool:
        """Whether the caller sees each table that was read, under the rules of that time."""
        outcome = manifest.outcome
        return manifest.sight == await self._sight(by, outcome.connection_id, outcome.tables, outcome.versions)

    async def page(self, by: Principal, job_id: str, *, offset: int, size: int) -> Page:
        """Rows from `offset` on; reads only the pieces that hold them. Raises as `open` does."""
        manifest = await self.open(by, job_id)
        ends = list(accumulate(frame.row_count for frame in manifest.frames))
        batches: list[pa.RecordBatch] = []
        schema: pa.Schema | None = None
        for index, end in enumerate(ends):
            start = end - manifest.frames[index].row_count
            if end > offset and start < offset + size:
                table = await self._table(manifest, index)
                schema = table.schema
                low = max(0, offset - start)
                batches += table.slice(low, min(end, offset + size) - start - low).to_batches()
        if schema is None:
            schema = (await self._table(manifest, 0)).schema
        return Page(schema, batches, manifest)

    async def tables(self, manifest: ResultManifest) -> "AsyncIterator[pa.Table]":
        """The rows of an opened result, piece by piece; at least one, which may be empty."""
        for index in range(len(manifest.frames)):
            yield await self._table(manifest, index)

    async def _table(self, manifest: ResultManifest, index: int) -> "pa.Table":
        start = sum(frame.size_bytes for frame in manifest.frames[:index])
        sealed = await self._shelf.objects.read(manifest.path, start, start + manifest.frames[index].size_bytes)
        aad = frame_aad(manifest.path, index)
        return await asyncio.to_thread(lambda: _read(self._shelf.unseal(manifest.tenant, sealed, aad)))

    async def _sight(
        self, by: Principal, connection_id: str, tables: list[str], versions: Mapping[str, str] | None
    ) -> str | None:
        return await digest_sight(self._shelf.look, by, connection_id, tables, versions=versions)


def frame_aad(path: str, index: int) -> bytes:
    """Where a sealed piece belongs, so that pieces cannot be exchanged."""
    return f"{path}#{index}".encode()


def too_large(max_bytes: int) -> Conflict:
    return Conflict(
        f"The result is larger than {max_bytes // 2**20} MB.",
        hint="Ask for fewer rows or columns, aggregate, or have the operator raise results.max_mb.",
    )


def _read(stream: bytes) -> "pa.Table":
    import pyarrow as pa  # 40 MB that a start does not need

    return pa.ipc.open_stream(stream).read_all()


def _rows(stream: bytes) -> int:
    import pyarrow as pa

    return sum(batch.num_rows for batch in pa.ipc.open_stream(stream))
