"""Downloads by signed link: the caller is whoever the link was made for, and passes the gate like any other."""

import re
from collections.abc import AsyncIterator
from contextlib import AbstractContextManager, suppress
from typing import Any
from urllib.parse import quote

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse
from starlette.routing import Route

from api.errors import RangeNotSatisfiable, error_body, error_headers, request_id_of, status_of
from core.dispatch import Call, Dispatcher
from core.errors import NotFound, PlatformError
from core.ports import Content, Download

FACE = "download"  # so that the audit tells a download from the making of its link
_EXPIRES = re.compile(r"[0-9]{1,12}")
_RANGE = re.compile(r"bytes=([0-9]{0,18})-([0-9]{0,18})")
_SAFE = {
    "cache-control": "private, no-store",
    "content-security-policy": "default-src 'none'; sandbox",
    "cross-origin-resource-policy": "same-origin",
}


def content_routes(dispatcher: Dispatcher[Any], content: Content) -> list[Route]:
    """The routes that signed links lead to, for GET and HEAD."""

    async def export(request: Request) -> Response:
        export_id = request.path_params["export_id"]
        principal = await admit(request, "download_export", {"export_id": export_id})
        return answer(request, await content.open_export(principal, export_id), dispatcher.stay(principal))

    async def table_export(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        principal = await admit(request, "get_export_job", {"job_id": job_id})
        if not principal.may("query.export"):
            raise NotFound("This link does not work any more.", hint="Ask for a new one.")
        return answer(request, await content.open_export(principal, job_id), dispatcher.stay(principal))

    async def archive(request: Request) -> Response:
        job_id = request.path_params["job_id"]
        principal = await admit(request, "get_tenant_export", {"job_id": job_id})
        return answer(request, await content.open_archive(principal, job_id), dispatcher.stay(principal))

    async def result(request: Request) -> Response:
        job_id, kind = request.path_params["job_id"], request.path_params["format"]
        principal = await admit(request, "download_query_result", {"job_id": job_id, "format": kind})
        return answer(request, await content.open_result(principal, job_id, kind), dispatcher.stay(principal))

    async def admit(request: Request, tool: str, arguments: dict[str, str]) -> Any:
        query, request_id = request.query_params, request_id_of(request.scope)
        values = [query.getlist(name) for name in ("by", "expires", "signature")]
        try:
            if any(len(found) != 1 for found in values) or not _EXPIRES.fullmatch(values[1][0]):
                raise NotFound("This link is not complete.", hint="Copy it whole, or ask for a new one.")
            by, expires, signature = (found[0] for found in values)
            principal = await content.admit(request.url.path, by=by, expires=expires, signature=signature)
        except NotFound:
            with suppress(PlatformError):  # refused there too, and so in the audit
                await dispatcher.call(Call(tool, {}, FACE, request_id, token="forged link"))  # noqa: S106
            raise
        await dispatcher.call(Call(tool, arguments, FACE, request_id, principal=principal))
        return principal

    return [
        Route("/v1/exports/{export_id}/content", _guarded(export), methods=["GET"]),
        Route("/v1/export-jobs/{job_id}/content", _guarded(table_export), methods=["GET"]),
        Route("/v1/tenant-exports/{job_id}/content", _guarded(archive), methods=["GET"]),
        Route("/v1/query-jobs/{job_id}/content/{format}", _guarded(result), methods=["GET"]),
    ]


def _guarded(serve: Any) -> Any:
    async def guarded(request: Request) -> Response:
        try:
            found: Response = await serve(request)
        except PlatformError as error:
            request_id = request_id_of(request.scope)
            headers = {name.decode(): value.decode() for name, value in error_headers(error)}
            if isinstance(error, RangeNotSatisfiable):
                headers["content-range"] = f"bytes */{error.size_bytes}"
            return Response(error_body(error, request_id), status_of(error), headers, "application/json")
        return found

    return guarded


def answer(request: Request, download: Download, stay: AbstractContextManager[None]) -> Response:
    """The file, or the part of it that was asked for, for as long as the caller may `stay`.

    Raises RangeNotSatisfiable."""
    headers = {**_SAFE, "content-disposition": disposition(download.name)}
    size = download.size_bytes
    if size is None:
        headers["accept-ranges"] = "none"
        return _stream(request, download, stay, 200, headers, (0, 0))
    start, end = read_range(request.headers.get("range", ""), size)
    headers |= {"accept-ranges": "bytes", "content-length": str(end - start)}
    if (start, end) == (0, size):
        return _stream(request, download, stay, 200, headers, (start, end))
    headers["content-range"] = f"bytes {start}-{end - 1}/{size}"
    return _stream(request, download, stay, 206, headers, (start, end))


def _stream(
    request: Request,
    download: Download,
    stay: AbstractContextManager[None],
    status: int,
    headers: dict[str, str],
    part: tuple[int, int],
) -> Response:
    if request.method == "HEAD":
        return Response(status_code=status, headers=headers, media_type=download.media_type)

    async def body() -> AsyncIterator[bytes]:
        with stay:
            async for piece in download.read(*part):
                yield piece

    return StreamingResponse(body(), status, headers, download.media_type)


def read_range(header: str, size: int) -> tuple[int, int]:
    """Start and end of the one range that a header names; the whole for anything else. Raises RangeNotSatisfiable."""
    found = _RANGE.fullmatch(header.strip())
    if found is None or not (found[1] or found[2]):
        return 0, size
    if not found[1]:
        start, end = max(0, size - int(found[2])), size
    else:
        start, end = int(found[1]), min(size, int(found[2]) + 1 if found[2] else size)
    if start >= end:
        raise RangeNotSatisfiable(size)
    return start, end


def disposition(name: str) -> str:
    """The header that makes a browser save a file, whatever its name holds."""
    plain = re.sub(r"[^A-Za-z0-9._-]", "_", name)
    return f"attachment; filename=\"{plain}\"; filename*=UTF-8''{quote(name, safe='')}"
