"""What signed links hand out: exports as they lie, and results encoded on the way."""

from collections.abc import AsyncIterator, Awaitable, Callable
from typing import get_args

from core.context import Principal
from core.errors import NotFound, Unauthorized
from core.ports import Download
from engine.results.exports import Exports, Wish
from engine.results.formats import Format, file_ending, media_type
from engine.results.links import Links

PrincipalOf = Callable[[str, str, str, str], Awaitable[Principal]]
"""The rights that a subject has now: tenant, subject, via, credential. Raises Unauthorized when it is gone."""


class Contents:
    """Opens what a link names, after looking at the link and at its owner's present rights."""

    def __init__(self, *, links: Links, exports: Exports, principal_of: PrincipalOf):
        self._links = links
        self._exports = exports
        self._principal_of = principal_of

    async def admit(self, path: str, *, by: str, expires: str, signature: str) -> Principal:
        """Whom a link was made for, with the rights of now. Raises NotFound when it does not hold."""
        bearer = self._links.check(path, by=by, expires=expires, signature=signature)
        try:
            return await self._principal_of(bearer.tenant, bearer.subject, bearer.via, bearer.credential_id)
        except Unauthorized:
            raise NotFound(
                "This link does not work: whoever asked for it is gone.", hint="Ask for a new one."
            ) from None

    async def open_export(self, by: Principal, export_id: str) -> Download:
        """A finished export of the caller's own. Raises NotFound, Conflict."""
        manifest = await self._exports.open(by, export_id)

        def read(start: int, end: int) -> AsyncIterator[bytes]:
            return self._exports.read(manifest, start, end)

        return Download(
            name=export_name(export_id, manifest.format, manifest.compression),
            media_type=media_type(manifest.format, manifest.compression),
            size_bytes=manifest.size_bytes,
            read=read,
        )

    async def open_archive(self, by: Principal, export_id: str) -> Download:
        """A finished archive of a tenant that the caller has had made. Raises NotFound, Conflict."""
        manifest = await self._exports.open(by, export_id)
        if manifest.format != "ZIP":
            raise NotFound(f"No archive {export_id[:64]!r}.", hint="export_tenant_data makes one.")

        def read(start: int, end: int) -> AsyncIterator[bytes]:
            return self._exports.read(manifest, start, end)

        return Download(f"tenant-{export_id}.zip", "application/zip", manifest.size_bytes, read)

    async def open_result(self, by: Principal, job_id: str, format_name: str) -> Download:
        """The rows of a query job of the caller's own in an uncompressed format. Raises NotFound, Conflict."""
        known = [item for item in get_args(Format) if item == format_name]
        if not known:
            raise NotFound("There is no such format.", hint="download_query_result makes links.")
        kind: Format = known[0]
        encoded = await self._exports.encode(by, job_id, Wish(kind, "NONE"))
        return Download(
            name=f"result-{job_id}{file_ending(kind, 'NONE')}",
            media_type=media_type(kind, "NONE"),
            size_bytes=None,
            read=lambda start, end: encoded,
        )


def export_name(export_id: str, kind: str, compression: str) -> str:
    return f"export-{export_id}{file_ending(kind, compression)}"
