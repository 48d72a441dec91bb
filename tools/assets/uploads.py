"""Uploads: files on their way in, for imports and documents."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.transfer.uploads import Announced
from engine.transfer.uploads import Upload as Found


class CreateUpload(Model):
    """What will be sent."""

    name: str = Field(
        pattern=r"^[^/\\\x00-\x1f\x7f]{1,255}$", description="File name; its ending tells the format: `orders.csv.gz`."
    )
    size_bytes: int = Field(ge=0, le=2**50, description="Size of the whole file.")
    media_type: str = Field("", max_length=255, pattern=r"^[ -~]*$", description="Media type, where known.")
    sha256: str = Field("", pattern=r"^([0-9a-fA-F]{64})?$", description="SHA-256 in hex, checked at the end.")
    upload_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id to give it; default new.")


class GetUpload(Model):
    """Which upload."""

    upload_id: Annotated[
        str, Refers("upload"), Field(min_length=1, max_length=64, description="Id, as create_upload answered.")
    ]


class Upload(Model):
    """One upload; callers see their own."""

    upload_id: str = Field(description="Id, for create_import_job and for the bytes.")
    url: str = Field(description="Where the bytes go, by PUT with your token.")
    name: str = Field(description="File name.")
    media_type: str = Field(description="Media type.")
    size_bytes: int = Field(description="Size of the whole file.")
    received_bytes: int = Field(description="Bytes that have come; the next range starts here.")
    status: str = Field(description="`open`, or `complete` when it can be used.")
    created_at: datetime = Field(description="When it was announced.")
    expires_at: datetime = Field(description="When it is deleted.")


@tool("POST /uploads", needs="records.write", effect="write", status=201, location="/uploads/{upload_id}")
async def create_upload(ctx: Ctx, request: CreateUpload) -> Upload:
    """Announce a file and get the address for its bytes.

    Send them with `PUT` to `url`, whole or in parts with `Content-Range: bytes 0-1048575/5000000`, in order. After a
    break get_upload says where to go on. It is kept for two days."""
    announced = Announced(request.name, request.size_bytes, request.media_type, request.sha256)
    return _show(ctx, await ctx.engine.uploads.create(ctx.principal, announced, upload_id=request.upload_id))


@tool("GET /uploads/{upload_id}", needs="records.write", effect="read")
async def get_upload(ctx: Ctx, request: GetUpload) -> Upload:
    """Fetch an upload of yours: how many bytes have come, and whether it is complete."""
    return _show(ctx, await ctx.engine.uploads.get(ctx.principal, request.upload_id))


def _show(ctx: Ctx, found: Found) -> Upload:
    base = ctx.engine.settings.server.public_url.rstrip("/")
    return Upload(
        upload_id=found.upload_id,
        url=f"{base}/v1/uploads/{found.upload_id}",
        name=found.name,
        media_type=found.media_type,
        size_bytes=found.size_bytes,
        received_bytes=found.received_bytes,
        status="complete" if found.is_complete else "open",
        created_at=datetime.fromtimestamp(found.created_at, UTC),
        expires_at=datetime.fromtimestamp(found.expires_at, UTC),
    )
