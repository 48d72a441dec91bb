"""Bytes of uploads, `PUT /v1/uploads/{upload_id}`, whole or by range; and rows that imports set aside."""

import json
import re
from collections.abc import AsyncIterator
from typing import Any

from starlette.requests import ClientDisconnect, Request
from starlette.responses import Response
from starlette.routing import Route

from api.content import answer
from api.errors import error_body, error_headers, request_id_of, status_of
from core.context import Principal
from core.dispatch import Call, Dispatcher
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError
from core.ports import Receiver

FACE = "upload"  # so that the audit tells bytes from a look at the upload
_RANGE = re.compile(r"bytes ([0-9]{1,18})-([0-9]{1,18})/([0-9]{1,18})")


def upload_routes(dispatcher: Dispatcher[Any], receiver: Receiver) -> list[Route]:
    """The route that takes bytes."""

    async def rejects(request: Request) -> Response:
        job_id, request_id = request.path_params["job_id"], request_id_of(request.scope)
        try:
            principal = await sign_in(request)
            await dispatcher.call(Call("get_import_job", {"job_id": job_id}, FACE, request_id, principal=principal))
            return answer(request, await receiver.open_rejects(principal, job_id), dispatcher.stay(principal))
        except InvalidArgument:
            return refusal(request, NotFound(f"No import job {job_id[:64]!r}.", hint="list_import_jobs shows yours."))
        except PlatformError as error:
            return refusal(request, error)

    async def sign_in(request: Request) -> Principal:
        scheme, _, token = request.headers.get("authorization", "").partition(" ")
        return await dispatcher.authenticate(token.strip() if scheme.lower() == "bearer" else None)

    async def put(request: Request) -> Response:
        upload_id = request.path_params["upload_id"]
        request_id = request_id_of(request.scope)
        try:
            principal = await sign_in(request)
            arguments = {"upload_id": upload_id}
            await dispatcher.call(Call("get_upload", arguments, FACE, request_id, principal=principal))
            start, size, total = read_content_range(request.headers.get("content-range", ""))
            with dispatcher.stay(principal):
                found = await receiver.receive(principal, upload_id, start, _exactly(request, size), total=total)
        except InvalidArgument:  # ids of other lengths are none
            return refusal(
                request,
                NotFound(f"No upload {upload_id[:64]!r}.", hint="create_upload makes one; they go after two days."),
            )
        except PlatformError as error:
            return refusal(request, error)
        body = {"upload_id": upload_id, "received_bytes": found.received_bytes}
        body["status"] = "complete" if found.is_complete else "open"
        return Response(json.dumps(body), 200, {"upload-offset": str(found.received_bytes)}, "application/json")

    return [
        Route("/v1/uploads/{upload_id}", put, methods=["PUT"]),
        Route("/api/uploads/{upload_id}", put, methods=["PUT"]),
        Route("/v1/import-jobs/{job_id}/rejects", rejects, methods=["GET"]),
    ]


def refusal(request: Request, error: PlatformError) -> Response:
    """An error in the shape of all errors."""
    headers = {name.decode(): value.decode() for name, value in error_headers(error)}
    return Response(error_body(error, request_id_of(request.scope)), status_of(error), headers, "application/json")


def read_content_range(header: str) -> tuple[int, int | None, int | None]:
    """Start, length and total of a range; a whole body where there is none. Raises Conflict."""
    if not header:
        return 0, None, None
    found = _RANGE.fullmatch(header.strip())
    if found is None or not int(found[1]) <= int(found[2]) < int(found[3]):
        raise Conflict("The Content-Range is none.", hint="Write it as `bytes 0-1048575/5000000`.")
    return int(found[1]), int(found[2]) - int(found[1]) + 1, int(found[3])


async def _exactly(request: Request, size: int | None) -> AsyncIterator[bytes]:
    """The body as it comes; a client that goes away leaves what it has sent. Raises Conflict for another length."""
    count = 0
    try:
        async for chunk in request.stream():
            count += len(chunk)
            if size is not None and count > size:
                raise Conflict("The body is longer than its Content-Range.", hint="Send exactly the range.")
            if chunk:
                yield chunk
    except ClientDisconnect:
        return
    if size is not None and count != size:
        raise Conflict("The body is shorter than its Content-Range.", hint="get_upload says where to go on.")
