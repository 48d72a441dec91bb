"""A2A's own gRPC service for every agent: ours through the SDK, others' translated to what their cards name.

Which agent is meant stands in the request's `tenant`, as cards tell clients, or in the metadata `headwater-agent`.
Without either it is Headwater."""

import asyncio
import re
import secrets
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import TYPE_CHECKING, Any, NoReturn, Protocol

import grpc
from google.protobuf.message import DecodeError, Message
from google.protobuf.message_factory import GetMessageClass

from core.callers import bearer
from core.dispatch import Call, Dispatcher
from core.errors import InvalidArgument, NotFound, PlatformError
from core.registry import Registry
from gateway.a2a_requests import READS, RPC, Asked
from gateway.door import STREAM_S
from gateway.grpc_faults import Fault, platform_fault
from gateway.operations import Exchange

if TYPE_CHECKING:
    _GenericRpcHandler = grpc.GenericRpcHandler[bytes, bytes]
    Servicer = grpc.aio.ServicerContext[bytes, bytes]
else:
    _GenericRpcHandler = grpc.GenericRpcHandler

AGENT_KEY, VERSION_KEY, REQUEST_ID_KEY = "headwater-agent", "a2a-version", "x-request-id"
FACE = "a2a"
STREAMS = ("SendStreamingMessage", "SubscribeToTask")
_OLD_NAMES = {
    "TaskSubscription": "SubscribeToTask",
    "ListTaskPushNotificationConfig": "ListTaskPushNotificationConfigs",
    "GetAgentCard": "GetExtendedAgentCard",
}
_OLD_TASK = re.compile(r"tasks/([^/]+)")
_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")
Write = Callable[[Message], Awaitable[None]]


@dataclass(frozen=True)
class Spoken:
    """A version of the protocol: its service, and what is read and written there."""

    service: str
    methods: tuple[str, ...]
    versions: tuple[str, ...]
    is_old: bool
    load: Callable[[], Any]

    @cached_property
    def types(self) -> dict[str, type[Message]]:
        """The request of each method; the descriptors are loaded with the first of them."""
        described = self.load().DESCRIPTOR.services_by_name["A2AService"]
        return {method.name: GetMessageClass(method.input_type) for method in described.methods}


def _new() -> Any:
    from a2a.types import a2a_pb2  # lazily: the SDK is loaded with the first request

    return a2a_pb2


def _old() -> Any:
    from a2a.compat.v0_3 import a2a_v0_3_pb2  # lazily: see above

    return a2a_v0_3_pb2


_PUSHES = ("CreateTaskPushNotificationConfig", "GetTaskPushNotificationConfig", "DeleteTaskPushNotificationConfig")
_BOTH = ("SendMessage", "SendStreamingMessage", "GetTask", "CancelTask", *_PUSHES)
NEW = Spoken(
    "lf.a2a.v1.A2AService",
    (*_BOTH, "SubscribeToTask", "ListTasks", "ListTaskPushNotificationConfigs", "GetExtendedAgentCard"),
    ("1",),
    False,
    _new,
)
OLD = Spoken("a2a.v1.A2AService", (*_BOTH, *_OLD_NAMES), ("0.3",), True, _old)


@dataclass(frozen=True, slots=True)
class RpcAsked:
    """A request over gRPC: the method, what was sent, who sent it, and the way back for parts of a stream."""

    method: str
    is_old: bool
    request: Any
    agent_id: str
    token: str | None
    metadata: Mapping[str, str]
    request_id: str
    write: Write

    @property
    def at(self) -> str:
        """The address that a token may be for alone: the same as over HTTP."""
        return f"a2a/{self.agent_id}"

    @property
    def name(self) -> str:
        """The method as 1.0 names it."""
        return _OLD_NAMES.get(self.method, self.method) if self.is_old else self.method

    @property
    def streams(self) -> bool:
        return self.name in STREAMS

    def asked(self) -> Asked:
        """What it is about, in the gateway's terms."""
        request = self.request
        message = getattr(request, "request" if self.is_old else "message", None)
        named = [getattr(request, "task_id", ""), getattr(message, "task_id", "")]
        if self.is_old:
            named += _OLD_TASK.findall(f"{getattr(request, 'name', '')} {getattr(request, 'parent', '')}")
        elif self.method in ("GetTask", "CancelTask", "SubscribeToTask"):
            named.append(request.id)
        named += list(getattr(message, "reference_task_ids", ()))
        contexts = [getattr(request, "context_id", ""), getattr(message, "context_id", "")]
        push = getattr(getattr(request, "configuration", None), "task_push_notification_config", None)
        urls = [getattr(request, "url", ""), getattr(push, "url", "")]
        return Asked(
            RPC[self.name],
            self.name,
            self.is_old,
            [each for each in named if each],
            [each for each in contexts if each],
            [each for each in urls if each],
        )


class RpcExchange(Exchange, Protocol):
    """One request; `answer` is what goes back, `fault` what went wrong in the protocol's own terms."""

    answer: Message | None
    fault: Fault | None


@dataclass(frozen=True, slots=True)
class Way:
    """How requests to a kind of agents go: operations to declare them as, and exchanges to make of them."""

    registry: Registry
    read: str
    write: str
    make: Callable[[RpcAsked], RpcExchange]


class A2aService(_GenericRpcHandler):
    """The service's methods on our own gRPC port. `choose` goes by the agent, once it is known who asks."""

    def __init__(self, dispatcher: Dispatcher[Any], choose: Callable[[RpcAsked], Awaitable[Way]], spoken: Spoken = NEW):
        self._dispatcher = dispatcher
        self._choose = choose
        self._spoken = spoken
        self._methods = {f"/{spoken.service}/{name}": self._method(name) for name in spoken.methods}

    def service(self, handler_call_details: grpc.HandlerCallDetails) -> Any:
        return self._methods.get(handler_call_details.method)

    def _method(self, name: str) -> Any:
        async def unary(raw: bytes, context: "Servicer") -> bytes:
            answer = await self._answer(name, raw, context)
            return b"" if answer is None else answer.SerializeToString()

        async def stream(raw: bytes, context: "Servicer") -> None:
            await self._answer(name, raw, context)

        if name in STREAMS or name == "TaskSubscription":
            return grpc.unary_stream_rpc_method_handler(stream)
        return grpc.unary_unary_rpc_method_handler(unary)

    async def _answer(self, name: str, raw: bytes, context: "Servicer") -> Message | None:
        metadata = {key: value for key, value in context.invocation_metadata() or () if isinstance(value, str)}
        sent = metadata.get(REQUEST_ID_KEY, "")
        request_id = sent if _ID.fullmatch(sent) else f"req_{secrets.token_hex(12)}"
        try:
            return await self._pass(name, raw, metadata, request_id, context)
        except PlatformError as error:
            await _abort(context, platform_fault(error, request_id), request_id)
        except Fault as fault:
            await _abort(context, fault, request_id)

    async def _pass(
        self, name: str, raw: bytes, metadata: Mapping[str, str], request_id: str, context: "Servicer"
    ) -> Message | None:
        async def write(part: Message) -> None:
            await context.write(part.SerializeToString())

        request = await asyncio.to_thread(_parse, self._spoken, name, raw)
        asked = RpcAsked(
            name,
            self._spoken.is_old,
            request,
            _agent_of(request, metadata),
            bearer(metadata.get("authorization", "")),
            metadata,
            request_id,
            write,
        )
        check_version(metadata, self._spoken)
        way = await self._choose(asked)
        exchange = way.make(asked)
        about = asked.asked()
        call = Call(
            way.read if asked.name in READS else way.write,
            {"agent_id": asked.agent_id, "operation": name, "subject": (about.tasks or [""])[0][:1024]},
            FACE,
            request_id,
            token=asked.token,
            at=asked.at,
            timeout_s=context.time_remaining() or STREAM_S,
        )
        await self._dispatcher.beside(way.registry, exchange, STREAM_S).call(call)
        if exchange.fault is not None:
            raise exchange.fault
        return exchange.answer


async def _abort(context: "Servicer", fault: Fault, request_id: str) -> NoReturn:
    await context.abort(fault.code, fault.message, ((REQUEST_ID_KEY, request_id), *fault.trailers()))


def check_version(metadata: Mapping[str, str], spoken: Spoken) -> None:
    """Refuse versions that a service is not of; none named is the service's own. Raises Fault."""
    version = metadata.get(VERSION_KEY, "").strip()
    if version and not any(version == each or version.startswith(f"{each}.") for each in spoken.versions):
        code = grpc.StatusCode.UNIMPLEMENTED
        raise Fault(code, f"A2A {version[:16]!r} is not spoken by this service.", "VERSION_NOT_SUPPORTED")


def _agent_of(request: Any, metadata: Mapping[str, str]) -> str:
    named, tenant = metadata.get(AGENT_KEY, ""), getattr(request, "tenant", "")
    if named and tenant and named != tenant:
        raise InvalidArgument(f"tenant and {AGENT_KEY} name different agents.", hint="Send one of them.")
    agent_id: str = named or tenant or "headwater"
    if not _ID.fullmatch(agent_id):
        raise NotFound("No such agent.", hint="list_agents shows yours.")
    return agent_id


def _parse(spoken: Spoken, name: str, raw: bytes) -> Message:
    try:
        return spoken.types[name].FromString(raw)
    except DecodeError:
        raise InvalidArgument("The request is not of the form that this method takes.") from None
