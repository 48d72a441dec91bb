"""Uploads: files that callers send in parts, kept closed to others for two days and read by imports."""

import asyncio
import fcntl
import hashlib
import os
import time
import uuid
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound, QuotaExceeded, Unavailable
from engine.store.db import Store
from engine.store.tables import uploads

KEEP_S = 2 * 24 * 3600.0
TENANT_SHARE = 4  # times the largest upload: what one tenant's uploads may hold together
HASH_BYTES = 4 * 2**20


@dataclass(frozen=True, slots=True)
class Upload:
    """A file that was announced, and how much of it has come."""

    tenant: str
    upload_id: str
    owner: str
    name: str
    media_type: str
    size_bytes: int
    received_bytes: int
    sha256: str
    is_complete: bool
    created_at: float
    expires_at: float


@dataclass(frozen=True, slots=True)
class Announced:
    """What a caller says of a file beforehand."""

    name: str
    size_bytes: int
    media_type: str = ""
    sha256: str = ""


class Uploads:
    """Uploads of one deployment, as files below one folder that only the server's user can read."""

    def __init__(
        self,
        store: Store,
        *,
        folder: Path,
        max_bytes: int,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._folder = folder
        self._max_bytes = max_bytes
        self._clock = clock
        self._new_id = new_id

    async def create(self, by: Principal, announced: Announced, *, upload_id: str | None = None) -> Upload:
        """Make room for a file. Raises Conflict when it is too large or the id is taken, QuotaExceeded."""
        if announced.size_bytes > self._max_bytes:
            raise Conflict(
                f"An upload holds at most {self._max_bytes // 2**20} MB.", hint="Split or compress the file."
            )
        now = self._clock()
        upload_id = upload_id or self._new_id()
        row = {
            "tenant_id": by.tenant,
            "upload_id": upload_id,
            "owner": by.subject,
            "name": announced.name,
            "media_type": announced.media_type,
            "size_bytes": announced.size_bytes,
            "received_bytes": 0,
            "sha256": announced.sha256.lower(),
            "is_complete": 0,
            "created_at": now,
            "expires_at": now + KEEP_S,
        }

        def work(connection: Connection) -> Any:
            held = select(func.coalesce(func.sum(uploads.c.size_bytes), 0)).where(
                uploads.c.tenant_id == by.tenant, uploads.c.expires_at > now
            )
            if (connection.scalar(held) or 0) + announced.size_bytes > TENANT_SHARE * self._max_bytes:
                raise QuotaExceeded(
                    "The tenant's uploads take all the room that they may.", hint="Old ones go after two days."
                )
            connection.execute(insert(uploads).values(**row))
            return connection.execute(select(uploads).where(_is(by.tenant, upload_id))).one()

        try:
            made = _upload(await self._store.write(work))
        except IntegrityError:
            raise Conflict("That upload id is taken.", hint="Choose another.") from None
        if made.size_bytes == 0:
            return await self._complete(made)
        return made

    async def get(self, by: Principal, upload_id: str) -> Upload:
        """An upload of the caller's own. Raises NotFound."""
        query = select(uploads).where(_is(by.tenant, upload_id), uploads.c.owner == by.subject)
        row = await self._store.read(lambda connection: connection.execute(query).first())
        if row is None or row.expires_at <= self._clock():
            raise NotFound(f"No upload {upload_id[:64]!r}.", hint="create_upload makes one; they go after two days.")
        return _upload(row)

    async def receive(
        self, by: Principal, upload_id: str, start: int, chunks: AsyncIterator[bytes], *, total: int | None = None
    ) -> Upload:
        """Take bytes from `start` on, which is where the last part ended; what came before a break stays.

        Raises NotFound, Conflict."""
        upload = await self.get(by, upload_id)
        if upload.is_complete:
            raise Conflict("The upload is complete.", hint="Make another with create_upload.")
        if total is not None and total != upload.size_bytes:
            raise Conflict(f"The upload was announced with {upload.size_bytes} bytes.", hint="The total must be that.")
        descriptor = await asyncio.to_thread(_open, self.path(upload), self._folder)
        try:
            upload = await self.get(by, upload_id)  # with the file locked nobody else moves the offset
            if start != upload.received_bytes:
                raise Conflict(
                    f"The next byte is number {upload.received_bytes}.", hint="Send the range that starts there."
                )
            await self._write(descriptor, upload, chunks)
        finally:
            os.close(descriptor)
        upload = await self.get(by, upload_id)
        return await self._complete(upload) if upload.received_bytes == upload.size_bytes else upload

    def path(self, upload: Upload) -> Path:
        """Where the bytes lie."""
        return self._folder / upload.tenant / upload.upload_id

    async def source(self, by: Principal, upload_id: str) -> tuple[Upload, Path]:
        """A complete upload of the caller's own, and its file. Raises NotFound, Conflict."""
        upload = await self.get(by, upload_id)
        if not upload.is_complete:
            raise Conflict(
                f"The upload has {upload.received_bytes} of {upload.size_bytes} bytes.",
                hint="Send the rest with PUT /v1/uploads/{upload_id} first.",
            )
        return upload, self.path(upload)

    async def sweep(self) -> int:
        """Delete what has expired; says how many uploads."""
        query = select(uploads).where(uploads.c.expires_at <= self._clock()).limit(1000)
        found = [_upload(row) for row in await self._store.read(lambda connection: connection.execute(query).all())]
        for upload in found:
            await asyncio.to_thread(self.path(upload).unlink, missing_ok=True)
            gone = delete(uploads).where(_is(upload.tenant, upload.upload_id))
            await self._store.write(lambda connection, gone=gone: connection.execute(gone))  # type: ignore[misc]
        return len(found)

    async def _write(self, descriptor: int, upload: Upload, chunks: AsyncIterator[bytes]) -> None:
        at = upload.received_bytes
        try:
            async for chunk in chunks:
                if at + len(chunk) > upload.size_bytes:
                    raise Conflict(
                        f"The upload was announced with {upload.size_bytes} bytes, and more came.",
                        hint="Announce the file's size with create_upload.",
                    )
                await asyncio.to_thread(_write_at, descriptor, chunk, at)
                at += len(chunk)
        except OSError as error:
            raise Unavailable("The upload could not be stored.", hint="Retry in a moment.") from error
        finally:
            await asyncio.shield(self._note(upload, received_bytes=at))

    async def _complete(self, upload: Upload) -> Upload:
        if upload.sha256:
            found = await asyncio.to_thread(_digest, self.path(upload))
            if found != upload.sha256:
                await self._note(upload, received_bytes=0)
                raise Conflict("The bytes do not have the SHA-256 that was announced.", hint="Send all of them again.")
        elif upload.size_bytes == 0:
            os.close(await asyncio.to_thread(_open, self.path(upload), self._folder))
        await self._note(upload, is_complete=1)
        query = select(uploads).where(_is(upload.tenant, upload.upload_id))
        return _upload(await self._store.read(lambda connection: connection.execute(query).one()))

    async def _note(self, upload: Upload, **values: int) -> None:
        query = update(uploads).where(_is(upload.tenant, upload.upload_id)).values(**values)
        await self._store.write(lambda connection: connection.execute(query))


def _open(path: Path, root: Path) -> int:
    """The file, locked for this writer alone. Raises Conflict when another has it."""
    try:
        root.mkdir(parents=True, exist_ok=True, mode=0o700)
        path.parent.mkdir(exist_ok=True, mode=0o700)
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_NOFOLLOW, 0o600)
    except OSError as error:
        raise Unavailable("Uploads cannot be stored.", hint="Have the operator look at the home folder.") from error
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError:
        os.close(descriptor)
        raise Conflict("Another part of this upload is being received.", hint="Send one part at a time.") from None
    return descriptor


def _write_at(descriptor: int, data: bytes, at: int) -> None:
    rest = memoryview(data)
    while rest:
        count = os.pwrite(descriptor, rest, at)
        rest, at = rest[count:], at + count


def _digest(path: Path) -> str:
    found = hashlib.sha256()
    try:
        with path.open("rb") as file:
            while piece := file.read(HASH_BYTES):
                found.update(piece)
    except FileNotFoundError:
        return hashlib.sha256().hexdigest()
    return found.hexdigest()


def _is(tenant: str, upload_id: str) -> ColumnElement[bool]:
    return and_(uploads.c.tenant_id == tenant, uploads.c.upload_id == upload_id)


def _upload(row: Any) -> Upload:
    return Upload(
        tenant=row.tenant_id,
        upload_id=row.upload_id,
        owner=row.owner,
        name=row.name,
        media_type=row.media_type,
        size_bytes=row.size_bytes,
        received_bytes=row.received_bytes,
        sha256=row.sha256,
        is_complete=bool(row.is_complete),
        created_at=row.created_at,
        expires_at=row.expires_at,
    )
