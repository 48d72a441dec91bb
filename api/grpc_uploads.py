"""Bytes of uploads as a gRPC client stream: checked as the PUT of the same bytes is, and resumed in the same way."""

from collections.abc import AsyncIterator
from contextlib import AbstractContextManager
from typing import Any, Protocol

from api.rpc import Metadata, Rpc, Unreadable, bearer_token, request_id
from core.context import Principal
from core.dispatch import Call
from core.errors import Conflict, InvalidArgument
from core.ports import Receiver

FACE = "upload"  # so that the audit tells bytes from a look at the upload


class Entrance(Protocol):
    """The dispatcher, as much of it as this needs."""

    async def call(self, call: Call) -> Any: ...

    async def authenticate(self, token: str | None) -> Principal: ...

    def stay(self, principal: Principal) -> AbstractContextManager[None]: ...


async def take_upload(
    entrance: Entrance, receiver: Receiver, rpc: Rpc, messages: AsyncIterator[bytes], metadata: Metadata
) -> bytes:
    """Store what a stream brings, in order; the bytes of the upload as it is then. What came before a break stays.

    Raises PlatformError."""
    first: dict[str, Any] = {}
    arguments: Any = {}
    try:
        first = rpc.decode(await anext(messages, b""))
        arguments = {"upload_id": first["upload_id"]} if "upload_id" in first else {}
    except InvalidArgument as error:
        arguments = Unreadable(error)
    call = Call(rpc.tool.name, arguments, FACE, request_id(metadata), token=bearer_token(metadata))
    await entrance.call(call)
    principal = await entrance.authenticate(call.token)
    upload_id, start = first["upload_id"], first.get("offset", 0)
    with entrance.stay(principal):
        await receiver.receive(principal, upload_id, start, _parts(rpc, first, messages), total=None)
    return await rpc.answer(entrance, call, metadata)


async def _parts(rpc: Rpc, first: dict[str, Any], messages: AsyncIterator[bytes]) -> AsyncIterator[bytes]:
    """The bytes of one message after the other. Raises Conflict where one is of another upload or place."""
    at, part = first.get("offset", 0), first
    while True:
        if part.get("upload_id", first["upload_id"]) != first["upload_id"]:
            raise Conflict("A stream fills one upload.", hint="Open another stream for the other upload.")
        if part.get("offset", at) != at:
            raise Conflict(f"The next byte is number {at}.", hint="Send the parts in order.")
        if data := part.get("data", b""):
            yield data
            at += len(data)
        raw = await anext(messages, None)
        if raw is None:
            return
        part = rpc.decode(raw)
