"""The gRPC face: every tool as a method, with reflection and health, on one grpc.aio server."""

from collections.abc import AsyncIterator, Awaitable, Callable, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

import grpc
from google.protobuf.descriptor_pool import DescriptorPool
from grpc_health.v1 import health, health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection, reflection_pb2
from pydantic import BaseModel

from api.grpc_errors import status_code, status_of
from api.grpc_uploads import Entrance, take_upload
from api.protolock import shipped_lock
from api.rpc import REQUEST_ID_KEY, Gate, Metadata, Rpc, Rpcs, build_rpcs, own_timeout_s, request_id
from core.errors import PlatformError, Unavailable
from core.registry import Registry
from core.settings import ServerSettings

if TYPE_CHECKING:
    from core.ports import Receiver

    Servicer = grpc.aio.ServicerContext[bytes, bytes]

FACE = "grpc"
DETAILS_KEY = "grpc-status-details-bin"
GRACE_S = 10.0
SERVING = health_pb2.HealthCheckResponse.SERVING
# Headers of up to 16 KB: tokens of external issuers are long.
MAX_METADATA_BYTES = 16 * 1024


class GrpcServer:
    """One server on one port. `start` answers with the port; `stop` lets running calls finish.

    Reflection and health need no token: they tell what the committed .proto tells, and load balancers have none."""

    def __init__(
        self,
        gate: Gate,
        rpcs: Rpcs,
        *,
        settings: ServerSettings,
        shared: bool = False,
        uploads: "tuple[Entrance, Receiver] | None" = None,
        beside: Sequence["grpc.GenericRpcHandler[bytes, bytes]"] = (),
    ):
        self._gate = gate
        self._uploads = uploads
        self._beside = beside
        self._rpcs = rpcs
        self._settings = settings
        self._shared = shared or settings.workers > 1
        self._server: grpc.aio.Server | None = None
        self._health = health.aio.HealthServicer()  # type: ignore[attr-defined]

    async def start(self) -> int:
        """Listen, and say on which port. Raises Unavailable when the port is taken."""
        self._server = server = grpc.aio.server(options=self._options())
        server.add_generic_rpc_handlers((_Methods(self._gate, self._rpcs, self._uploads), *self._beside))
        health_pb2_grpc.add_HealthServicer_to_server(self._health, server)
        names = [*self._rpcs.services, health.SERVICE_NAME]
        _describe_known_services(self._rpcs.pool)
        reflection.enable_server_reflection((*names, reflection.SERVICE_NAME), server, pool=self._rpcs.pool)
        for name in ("", *names):
            await self._health.set(name, SERVING)
        port = self._bind(server)
        await server.start()
        return port

    async def stop(self, grace_s: float = GRACE_S) -> None:
        """Refuse new calls, give running ones `grace_s` seconds, then cancel them."""
        if self._server is not None:
            await self._health.enter_graceful_shutdown()
            await self._server.stop(grace_s)
            self._server = None

    def _options(self) -> list[tuple[str, Any]]:
        return [
            ("grpc.max_receive_message_length", self._settings.max_body_mb * 2**20),
            ("grpc.max_send_message_length", -1),
            ("grpc.max_metadata_size", MAX_METADATA_BYTES),
            ("grpc.so_reuseport", int(self._shared)),
        ]

    def _bind(self, server: grpc.aio.Server) -> int:
        settings = self._settings
        host = f"[{settings.host}]" if ":" in settings.host else settings.host
        address = f"{host}:{settings.grpc_port}"
        try:
            if settings.tls_cert and settings.tls_key:
                return server.add_secure_port(address, _credentials(settings.tls_cert, settings.tls_key))
            return server.add_insecure_port(address)
        except RuntimeError:
            raise Unavailable(
                f"Port {settings.grpc_port} on {settings.host} is taken.",
                hint="Choose another with --grpc-port, or stop what uses it.",
            ) from None


def grpc_server(
    gate: Gate,
    registry: Registry,
    *,
    settings: ServerSettings,
    lock_path: Path | None = None,
    shared: bool = False,
    uploads: "tuple[Entrance, Receiver] | None" = None,
    beside: Sequence["grpc.GenericRpcHandler[bytes, bytes]"] = (),
) -> GrpcServer:
    """A server of a registry's tools, with the field numbers of the shipped lock unless told otherwise.

    `uploads`: who lets bytes of uploads in, and who takes them. `beside`: services of other protocols."""
    rpcs = build_rpcs(registry, lock_path or shipped_lock())
    return GrpcServer(gate, rpcs, settings=settings, shared=shared, uploads=uploads, beside=beside)


def _credentials(cert: Path, key: Path) -> grpc.ServerCredentials:
    return grpc.ssl_server_credentials([(key.read_bytes(), cert.read_bytes())])


def _describe_known_services(pool: DescriptorPool) -> None:
    """Reflection answers from our pool alone, so it must know these two services as well."""
    for known in (health_pb2, reflection_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)


class _Methods(grpc.GenericRpcHandler):  # type: ignore[type-arg]
    """Finds the method of a path. Bytes go in and out raw, so that a bad message is our error, not gRPC's."""

    def __init__(self, gate: Gate, rpcs: Rpcs, uploads: "tuple[Entrance, Receiver] | None" = None):
        self._handlers = {path: _method_of(gate, rpc) for path, rpc in rpcs.methods.items()}
        if uploads is not None:
            take = grpc.stream_unary_rpc_method_handler
            self._handlers |= {path: take(_intake(*uploads, rpc)) for path, rpc in rpcs.streams.items()}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._handlers.get(handler_call_details.method)


def _method_of(gate: Gate, rpc: Rpc) -> Any:
    make = grpc.unary_stream_rpc_method_handler if rpc.is_streaming else grpc.unary_unary_rpc_method_handler
    return make((_stream if rpc.is_streaming else _unary)(gate, rpc))


def _unary(gate: Gate, rpc: Rpc) -> Callable[[bytes, "Servicer"], Awaitable[bytes]]:
    async def answer(raw: bytes, context: "Servicer") -> bytes:
        metadata = dict(context.invocation_metadata() or ())
        call = rpc.call(raw, metadata, face=FACE, timeout_s=_timeout_s(context))
        # With the answer, not ahead of it: on its own it costs a sixth of the whole call.
        context.set_trailing_metadata(((REQUEST_ID_KEY, call.request_id),))
        try:
            return await rpc.answer(gate, call, metadata)
        except PlatformError as error:
            await _abort(context, error, call.request_id)

    return answer


def _stream(gate: Gate, rpc: Rpc) -> Callable[[bytes, "Servicer"], Awaitable[None]]:
    async def answer(raw: bytes, context: "Servicer") -> None:
        metadata: Metadata = dict(context.invocation_metadata() or ())

        async def emit(part: BaseModel) -> None:
            content = rpc.part(part, metadata, call.request_id)
            if content is not None:
                await context.write(content)

        call = rpc.call(raw, metadata, face=FACE, timeout_s=_timeout_s(context), emit=emit)
        await context.send_initial_metadata(((REQUEST_ID_KEY, call.request_id),))
        try:
            await context.write(await rpc.answer(gate, call, metadata))
        except PlatformError as error:
            await _abort(context, error, call.request_id)

    return answer


def _intake(
    entrance: Entrance, receiver: "Receiver", rpc: Rpc
) -> Callable[[AsyncIterator[bytes], "Servicer"], Awaitable[bytes]]:
    async def answer(requests: AsyncIterator[bytes], context: "Servicer") -> bytes:
        metadata = dict(context.invocation_metadata() or ())
        known = request_id(metadata)
        context.set_trailing_metadata(((REQUEST_ID_KEY, known),))
        try:
            return await take_upload(entrance, receiver, rpc, aiter(requests), {**metadata, REQUEST_ID_KEY: known})
        except PlatformError as error:
            await _abort(context, error, known)

    return answer


def _timeout_s(context: "Servicer") -> float | None:
    remaining = context.time_remaining()
    return None if remaining is None else own_timeout_s(remaining)


async def _abort(context: "Servicer", error: PlatformError, request_id: str) -> NoReturn:
    status = status_of(error, request_id)
    trailers = ((REQUEST_ID_KEY, request_id), (DETAILS_KEY, status.SerializeToString()))
    await context.abort(status_code(error), status.message, trailers)
