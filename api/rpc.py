"""One method of the gRPC faces, whatever carries it: bytes and metadata in, bytes out."""

import asyncio
import logging
import re
import secrets
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Protocol

from google.protobuf import message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message
from pydantic import BaseModel

from api.descriptors import (
    PACKAGE,
    Accepted,
    MethodSpec,
    Schema,
    build_schema,
    camel,
    file_descriptor,
    message_pool,
    renewed_lock,
)
from api.proto_fields import fields_of
from api.protolock import read_lock
from api.wire import Decoder, Encoder
from core.context import Emit, discard
from core.dispatch import DEFAULT_WAIT_S, Call
from core.errors import Internal, InvalidArgument
from core.jobs import Job, JobEvent
from core.registry import Registry
from core.tool import Tool

log = logging.getLogger("headwater.grpc")
COMPRESSION_KEY = "x-arrow-compression"
REQUEST_ID_KEY = "x-request-id"
IDEMPOTENCY_KEY = "idempotency-key"
MAX_WAIT_S = 300.0
COMPRESSIONS = ("lz4", "zstd", "none")
Metadata = Mapping[str, str | bytes]


class Gate(Protocol):
    """The dispatcher, as much of it as these faces use."""

    async def call(self, call: Call) -> BaseModel: ...


class Unreadable(Mapping[str, Any]):
    """Arguments that could not be read: the gate meets the error where it checks arguments.

    So who is calling, limits and permission are decided first, and the audit has a record, as on every face."""

    def __init__(self, error: InvalidArgument):
        self._error = error

    def __getitem__(self, name: str) -> Any:
        raise self._error

    def __iter__(self) -> Iterator[str]:
        raise self._error

    def __len__(self) -> int:
        raise self._error


@dataclass(frozen=True, slots=True)
class Rpc:
    """A method ready to be called."""

    name: str
    service: str
    tool: Tool
    is_streaming: bool
    request: type[Message]
    response: type[Message]
    decode: Decoder
    encode_result: Encoder
    encode_part: Encoder | None
    encode_job: Encoder | None
    takes_stream: bool = False

    @property
    def path(self) -> str:
        return f"/{self.service}/{self.name}"

    def call(
        self, raw: bytes, metadata: Metadata, *, face: str, timeout_s: float | None = None, emit: Emit = discard
    ) -> Call:
        """The call that the bytes and metadata ask for. It never raises: what is wrong, the gate finds."""
        wait_s = None
        try:
            _check_options(metadata)
            arguments: Mapping[str, Any] = self.decode(raw)
            if self.tool.job:
                wait_s = _wait_s(arguments, timeout_s)
                arguments = {name: value for name, value in arguments.items() if name != "wait_s"}
        except InvalidArgument as error:
            arguments = Unreadable(error)
        return Call(
            tool=self.tool.name,
            arguments=arguments,
            face=face,
            request_id=request_id(metadata),
            token=bearer_token(metadata),
            timeout_s=timeout_s,
            wait_s=wait_s,
            idempotency_key=_text(metadata, IDEMPOTENCY_KEY),
            traceparent=_text(metadata, "traceparent"),
            emit=emit,
        )

    async def answer(self, gate: Gate, call: Call, metadata: Metadata) -> bytes:
        """Run the call; the bytes of its result. Raises PlatformError."""
        result = await gate.call(call)
        encode = self.encode_result
        if self.encode_job and isinstance(result, Job) and self.tool.result is not Job:
            encode, result = self.encode_job, Accepted(job=result)
        if encode.has_rows:  # compressing megabytes would hold up every other call
            return await asyncio.to_thread(self._encoded, encode, result, metadata, call.request_id)
        return self._encoded(encode, result, metadata, call.request_id)

    def part(self, part: BaseModel, metadata: Metadata, request: str) -> bytes | None:
        """The bytes of an emitted part, or None for what a nested tool emitted on its own account."""
        kind = self.tool.emits
        if kind is None or self.encode_part is None:
            return None
        if isinstance(part, JobEvent) and part.kind.lower() == kind.__name__.lower():
            part = kind.model_validate(part.data)
        return self._encoded(self.encode_part, part, metadata, request) if isinstance(part, kind) else None

    def _encoded(self, encode: Encoder, model: BaseModel, metadata: Metadata, request: str) -> bytes:
        try:
            return encode(model, _compression(metadata))
        except (LookupError, TypeError, ValueError) as error:
            log.error("%s %s: the answer does not fit its message: %s", request, self.tool.name, type(error).__name__)
            raise Internal(hint="Report the request id; the details are in the server's log.") from error


@dataclass(frozen=True, slots=True)
class Rpcs:
    """All methods of a registry, with their descriptors in a pool of their own."""

    pool: DescriptorPool
    methods: Mapping[str, Rpc]
    streams: Mapping[str, Rpc]  # those that take a stream, which gRPC alone can carry

    @property
    def by_tool(self) -> dict[str, Rpc]:
        """The method of each tool; where it has two, the one that bears its name."""
        return {rpc.tool.name: rpc for rpc in self.methods.values() if rpc.name == camel(rpc.tool.name)}

    @property
    def services(self) -> list[str]:
        return sorted({rpc.service for rpc in self.methods.values()})


def build_rpcs(registry: Registry, lock_path: Path) -> Rpcs:
    """Methods for every tool but those of MCP alone, with the field numbers of the lock."""
    schema = build_schema(registry)
    lock = renewed_lock(schema, read_lock(lock_path))
    pool = message_pool(file_descriptor(schema, lock))
    rpcs = [
        _rpc(f"{PACKAGE}.{service}", method, schema, pool)
        for service, methods in schema.services.items()
        for method in methods
    ]
    return Rpcs(
        pool,
        methods={rpc.path: rpc for rpc in rpcs if not rpc.takes_stream},
        streams={rpc.path: rpc for rpc in rpcs if rpc.takes_stream},
    )


def _rpc(service: str, method: MethodSpec, schema: Schema, pool: DescriptorPool) -> Rpc:
    tool, messages = method.tool, schema.messages

    def message(name: str) -> type[Message]:
        return message_factory.GetMessageClass(pool.FindMessageTypeByName(f"{PACKAGE}.{name}"))

    request, response = message(method.request), message(method.response)
    return Rpc(
        name=method.name,
        service=service,
        tool=tool,
        is_streaming=method.is_streaming,
        request=request,
        response=response,
        decode=Decoder(request, messages[method.request], messages),
        encode_result=Encoder(response, fields_of(tool.result), messages),
        encode_part=Encoder(response, fields_of(tool.emits), messages) if tool.emits else None,
        encode_job=Encoder(response, fields_of(Accepted), messages) if tool.job else None,
        takes_stream=method.part is not None,
    )


def own_timeout_s(remaining_s: float) -> float:
    """Our limit for a caller's deadline: a little shorter, to say that it has passed instead of being cut off."""
    return max(remaining_s * 0.95, 0.001)


def bearer_token(metadata: Metadata) -> str | None:
    scheme, _, token = _text(metadata, "authorization").partition(" ")
    return token.strip() or None if scheme.lower() == "bearer" else None


def request_id(metadata: Metadata, new_id: Callable[[], str] = lambda: secrets.token_hex(12)) -> str:
    """The caller's own id where it is a harmless one, else a new one."""
    sent = _text(metadata, REQUEST_ID_KEY)
    return sent if sent and _REQUEST_ID.fullmatch(sent) else f"req_{new_id()}"


_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
_KEY = re.compile(r"[\x21-\x7e]{1,255}")


def _compression(metadata: Metadata) -> str:
    name = _text(metadata, COMPRESSION_KEY) or "lz4"
    if name not in COMPRESSIONS:
        raise InvalidArgument(f"{COMPRESSION_KEY} is not a known compression.", hint="Use lz4, zstd or none.")
    return name


def _check_options(metadata: Metadata) -> None:
    if COMPRESSION_KEY in metadata:
        _compression(metadata)
    if IDEMPOTENCY_KEY in metadata and not _KEY.fullmatch(_text(metadata, IDEMPOTENCY_KEY)):
        raise InvalidArgument(f"{IDEMPOTENCY_KEY} is not 1 to 255 visible ASCII characters.", hint="Send a UUID.")


def _wait_s(arguments: Mapping[str, Any], timeout_s: float | None) -> float:
    """How long to wait for a job: never past the caller's deadline, who shall get the job instead."""
    wait_s: float = arguments.get("wait_s", DEFAULT_WAIT_S)
    if not 0 <= wait_s <= MAX_WAIT_S:  # false for NaN too
        raise InvalidArgument(f"wait_s is not a number from 0 to {MAX_WAIT_S:g}.", hint="Send wait_s=0 for a job.")
    return wait_s if timeout_s is None else min(wait_s, timeout_s * 0.9)


def _text(metadata: Metadata, key: str) -> str:
    value = metadata.get(key, "")
    return value if isinstance(value, str) else ""
