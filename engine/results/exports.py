"""Exports: a stored result as one file, encoded piece by piece, read by range."""

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass

from core.context import Cancellation, JobRun, Principal
from core.errors import Cancelled, Conflict, NotFound
from engine.results.formats import Compression, Encoder, Format, file_ending, open_encoder
from engine.results.links import Links
from engine.results.manifests import EXPORTS, ExportManifest, ResultManifest, commit_export, find_exports, owned
from engine.results.objects import Upload
from engine.results.shelf import Shelf
from engine.results.sight import digest_sight
from engine.results.stored import SEAL_BYTES, StoredResults, frame_aad, too_large

PIECE_BYTES = 2 * 2**20  # of a file, sealed as a whole
PRESIGNED_S = 300.0


@dataclass(frozen=True, slots=True)
class Wish:
    """What kind of file is wanted."""

    format: Format
    compression: Compression
    is_defused: bool = False


Report = Callable[[int, int], Awaitable[None]]
"""Told how many of how many rows are written."""


class Exports:
    """Exports of one deployment. With `is_presigned` files lie open in the bucket, whose own URLs hand them out."""

    def __init__(self, shelf: Shelf, results: StoredResults, links: Links, *, is_presigned: bool = False):
        self._shelf = shelf
        self._results = results
        self._links = links
        self._is_presigned = is_presigned

    async def write(
        self, by: Principal, run: JobRun, job_id: str, wish: Wish, *, cancelled: Cancellation, report: Report
    ) -> ExportManifest:
        """Make an export of a result of the caller's own, once for a job however often it is started.

        Raises NotFound, Cancelled, and Conflict when store or cap allow no more."""
        known = (await find_exports(self._shelf.store, by.tenant, [run.job_id])).get(run.job_id)
        if known is not None:
            return known
        result = await self._results.open(by, job_id)
        path = f"{EXPORTS}/{by.tenant}/{run.job_id}/{run.fence}{file_ending(wish.format, wish.compression)}"
        size = 0
        async with Upload(self._shelf.objects, path) as upload:
            index = 0
            async for piece in _pieces(self._encoded(result, wish, report)):
                if cancelled:
                    raise Cancelled("The export was cancelled.")
                size += len(piece)
                if size > self._shelf.max_bytes:
                    raise too_large(self._shelf.max_bytes)
                await upload.write(await self._sealed(by.tenant, path, index, piece))
                index += 1
        manifest = await self._manifest(result, run, path, wish, size)
        await commit_export(self._shelf.store, run, manifest)
        return manifest

    async def write_file(self, by: Principal, run: JobRun, kind: str, parts: AsyncIterator[bytes]) -> ExportManifest:
        """Keep a file that is of no result, such as a ZIP, as an export of the caller's own, once for a job.

        Raises Conflict when store or cap allow no more."""
        known = (await find_exports(self._shelf.store, by.tenant, [run.job_id])).get(run.job_id)
        if known is not None:
            return known
        path = f"{EXPORTS}/{by.tenant}/{run.job_id}/{run.fence}.{kind.lower()}"
        size = index = 0
        async with Upload(self._shelf.objects, path) as upload:
            async for piece in _pieces(parts):
                size += len(piece)
                if size > self._shelf.max_bytes:
                    raise too_large(self._shelf.max_bytes)
                await upload.write(await self._sealed(by.tenant, path, index, piece))
                index += 1
        now = self._shelf.clock()
        manifest = ExportManifest(
            tenant=by.tenant,
            export_id=run.job_id,
            job_id=run.job_id,
            owner=by.subject,
            path=path,
            format=kind,
            compression="NONE",
            is_sealed=not self._is_presigned,
            size_bytes=size,
            row_count=0,
            connection_id="",
            tables=[],
            sight=await digest_sight(self._shelf.look, by, "", []) or "",
            ended_at=now,
            expires_at=now + await self._shelf.keep_s(by.tenant),
        )
        await commit_export(self._shelf.store, run, manifest)
        return manifest

    async def find(self, by: Principal, export_ids: list[str]) -> dict[str, ExportManifest]:
        """What is known of the caller's own finished exports, by id."""
        found = await find_exports(self._shelf.store, by.tenant, export_ids)
        now = self._shelf.clock()
        return {export_id: manifest for export_id, manifest in found.items() if owned(manifest, by, now)}

    def uri(self, manifest: ExportManifest) -> str:
        """The address of the export's object."""
        return self._shelf.objects.uri(manifest.path)

    async def link(self, by: Principal, manifest: ExportManifest, path: str = "") -> tuple[str, float]:
        """A URL that downloads an opened export without a token, and when it ends; `path` is our route to it."""
        if not manifest.is_sealed:
            lifetime_s = min(PRESIGNED_S, manifest.expires_at - self._shelf.clock())
            url = await self._shelf.objects.sign(manifest.path, lifetime_s)
            if url is not None:
                return url, self._shelf.clock() + lifetime_s
        path = path or f"/v1/exports/{manifest.export_id}/content"
        return self._links.make(by, path, until=manifest.expires_at)

    async def result_link(self, by: Principal, job_id: str, kind: Format) -> tuple[str, float]:
        """A URL that downloads a result without a token, and when it ends. Raises as `StoredResults.open` does."""
        result = await self._results.open(by, job_id)
        return self._links.make(by, f"/v1/query-jobs/{job_id}/content/{kind}", until=result.expires_at)

    async def open(self, by: Principal, export_id: str) -> ExportManifest:
        """The caller's own finished export. Raises NotFound, or Conflict when their view of its tables has changed."""
        manifest = (await self.find(by, [export_id])).get(export_id)
        if manifest is None:
            raise NotFound(f"No finished export {export_id[:64]!r}.", hint="list_exports shows those of a query job.")
        read = (manifest.connection_id, manifest.tables)
        if manifest.sight != await digest_sight(self._shelf.look, by, *read, versions=manifest.versions):
            raise Conflict("Your access to a table of this export has changed.", hint="Run the query again.")
        return manifest

    async def read(self, manifest: ExportManifest, start: int, end: int) -> AsyncIterator[bytes]:
        """Bytes of the file, from `start` up to `end`."""
        if not manifest.is_sealed:
            for low in range(start, end, PIECE_BYTES):
                yield await self._shelf.objects.read(manifest.path, low, min(end, low + PIECE_BYTES))
            return
        for index in range(start // PIECE_BYTES, -(-end // PIECE_BYTES)):
            low = index * PIECE_BYTES
            length = min(PIECE_BYTES, manifest.size_bytes - low) + SEAL_BYTES
            offset = index * (PIECE_BYTES + SEAL_BYTES)
            sealed = await self._shelf.objects.read(manifest.path, offset, offset + length)
            aad = frame_aad(manifest.path, index)
            piece = await asyncio.to_thread(self._shelf.unseal, manifest.tenant, sealed, aad)
            yield piece[max(0, start - low) : end - low]

    async def encode(self, by: Principal, job_id: str, wish: Wish) -> AsyncIterator[bytes]:
        """A result of the caller's own as a file that is not kept. Raises as `StoredResults.open` does."""
        result = await self._results.open(by, job_id)
        return _pieces(self._encoded(result, wish, _tell_nobody))

    async def _encoded(self, result: ResultManifest, wish: Wish, report: Report) -> AsyncIterator[bytes]:
        encoder: Encoder | None = None
        done = 0
        async for table in self._results.tables(result):
            if encoder is None:
                encoder = await asyncio.to_thread(
                    open_encoder, wish.format, wish.compression, table.schema, is_defused=wish.is_defused
                )
            yield await asyncio.to_thread(encoder.add, table)
            done += table.num_rows
            await report(done, result.row_count)
        assert encoder is not None, "a result has a piece, however empty"
        yield await asyncio.to_thread(encoder.end)

    async def _sealed(self, tenant: str, path: str, index: int, piece: bytes) -> bytes:
        if self._is_presigned:
            return piece
        return await asyncio.to_thread(self._shelf.seal, tenant, piece, frame_aad(path, index))

    async def _manifest(self, result: ResultManifest, run: JobRun, path: str, wish: Wish, size: int) -> ExportManifest:
        now = self._shelf.clock()
        return ExportManifest(
            tenant=result.tenant,
            export_id=run.job_id,
            job_id=result.job_id,
            owner=result.owner,
            path=path,
            format=wish.format,
            compression=wish.compression,
            is_sealed=not self._is_presigned,
            size_bytes=size,
            row_count=result.row_count,
            connection_id=result.outcome.connection_id,
            tables=result.outcome.tables,
            versions=result.outcome.versions,
            sight=result.sight,
            ended_at=now,
            expires_at=now + await self._shelf.keep_s(result.tenant),
        )


async def _pieces(parts: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The same bytes in pieces of one size, but for the last."""
    waiting, size = list[memoryview](), 0
    async for part in parts:
        rest = memoryview(part)
        while size + len(rest) >= PIECE_BYTES:
            yield b"".join([*waiting, rest[: PIECE_BYTES - size]])
            rest = rest[PIECE_BYTES - size :]
            waiting, size = [], 0
        if rest:
            waiting.append(rest)
            size += len(rest)
    if waiting:
        yield b"".join(waiting)


async def _tell_nobody(done: int, total: int) -> None:
    return None
