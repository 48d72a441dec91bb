"""The HTTP side of the gateway: bodies and tokens in, bytes and streams out, callers who leave noticed."""

import hashlib
import re
import secrets
import time
from collections.abc import AsyncIterator, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json
from starlette.types import Receive, Scope, Send

from core.callers import bearer, read_body, watched
from core.dispatch import Call, Dispatcher
from core.errors import PlatformError
from core.registry import Registry
from engine.agents.agents import Agents
from engine.agents.upstream import PATIENCE
from engine.egress.client import Incoming
from gateway.faults import INVALID, PARSE, WrongEnvelope
from gateway.operations import Ctx, Exchange, Passed
from gateway.signing import CardSigner

OPERATIONS = ("gateway.operations",)
STREAM_S = 3600.0
_REQUEST_ID = re.compile(r"[A-Za-z0-9_.-]{1,64}")


@dataclass(frozen=True, slots=True)
class Arrived:
    """A request as it came in. Only the headers named by a door ever go further."""

    method: str
    agent_id: str
    path: str
    query: str
    headers: Mapping[str, str]
    body: bytes
    request_id: str
    base_url: str
    at: str = ""  # the address that a token may be for alone

    @property
    def token(self) -> str | None:
        return bearer(self.headers.get("authorization", ""))

    @property
    def digest(self) -> str:
        return hashlib.sha256(self.body).hexdigest() if self.body else ""

    def only(self, *names: str) -> dict[str, str]:
        """Those of the headers that are sent on."""
        return {name: self.headers[name] for name in names if name in self.headers}


@dataclass(frozen=True, slots=True)
class About:
    """What a request is about, for the audit; and whether it may go on for long."""

    method: str
    subject: str = ""
    streams: bool = False


@dataclass
class Reply:
    """What goes back: whole, or streamed as it comes."""

    send: Send
    request_id: str
    status: int = 200
    headers: dict[str, str] = field(default_factory=dict)
    body: bytes = b""
    has_started: bool = False

    async def finish(self) -> None:
        """Send what is whole; a stream has been sent already."""
        if not self.has_started:
            self.headers["content-length"] = str(len(self.body))
            await self._start()
            await self.send({"type": "http.response.body", "body": self.body})

    async def stream(self, chunks: AsyncIterator[bytes]) -> int:
        """Send chunks as they come; a slow caller holds the agent back. Says how many bytes they were."""
        size = 0
        self.headers["cache-control"] = "no-store"
        await self._start()
        async for chunk in chunks:
            size += len(chunk)
            await self.send({"type": "http.response.body", "body": chunk, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})
        return size

    async def break_off(self, data: bytes) -> None:
        """End a stream of events with an error, which nothing else could say any more."""
        event = b"event: error\ndata: " + data + b"\n\n"
        await self.send({"type": "http.response.body", "body": event, "more_body": True})
        await self.send({"type": "http.response.body", "body": b""})

    async def _start(self) -> None:
        self.has_started = True
        headers = {"x-request-id": self.request_id, **self.headers}
        raw = [(name.encode("latin-1"), value.encode("latin-1", "replace")) for name, value in headers.items()]
        await self.send({"type": "http.response.start", "status": self.status, "headers": raw})


class Door:
    """Lets requests through the gate, one exchange each."""

    def __init__(
        self,
        dispatcher: Dispatcher[Any],
        agents: Agents,
        *,
        max_body_bytes: int,
        timeout_s: float,
        operations: tuple[str, ...] = OPERATIONS,
    ):
        self.dispatcher = dispatcher
        self.agents = agents
        self.signer = CardSigner(agents.sign_document)
        self._registry = Registry.walk(operations)
        self._max_body_bytes = max_body_bytes
        self.grpc_at: Callable[[str], str] = lambda base_url: ""
        self._timeout_s = timeout_s

    async def arrive(self, scope: Scope, receive: Receive, path: str) -> Arrived | None:
        """The request, or None when its sender left. Raises InvalidArgument, Timeout."""
        headers = {name.decode("latin-1"): value.decode("latin-1") for name, value in scope["headers"]}
        sent = headers.get("x-request-id", "")
        known = scope.get("headwater.request_id")
        request_id = known or (sent if _REQUEST_ID.fullmatch(sent) else f"req_{secrets.token_hex(12)}")
        scope["headwater.request_id"] = request_id
        agent_id = scope["path_params"].get("agent_id", "")
        base = self.agents.public_url or f"{scope['scheme']}://{headers.get('host', '')}"
        scope["headwater.base"] = base
        body = b""
        if scope["method"] in ("POST", "PUT", "PATCH", "DELETE") and await self._is_known(headers, scope):
            read = await read_body(receive, limit_bytes=self._max_body_bytes)
            if read is None:
                return None
            body = read
        query = scope["query_string"].decode("latin-1")
        return Arrived(scope["method"], agent_id, path, query, headers, body, request_id, base, address_of(scope))

    async def _is_known(self, headers: Mapping[str, str], scope: Scope) -> bool:
        """Strangers' bodies are not read. The refusal is left to the gate, which also writes it down."""
        try:
            await self.dispatcher.authenticate(bearer(headers.get("authorization", "")), address_of(scope))
        except PlatformError:
            return False
        return True

    async def pass_on(
        self, arrived: Arrived, receive: Receive, exchange: Exchange, tool: str, *, face: str, about: About
    ) -> Passed:
        """Run an exchange behind the gate, and end it when its caller goes away. Raises what the gate does."""
        arguments = {"agent_id": arrived.agent_id, "body_digest": arrived.digest}
        call = Call(
            tool,
            arguments | {"operation": about.method[:128], "subject": about.subject[:1024]},
            face,
            arrived.request_id,
            token=arrived.token,
            at=arrived.at,
            timeout_s=_limit_s(arrived, STREAM_S if about.streams else self._timeout_s),
            traceparent=arrived.headers.get("traceparent", ""),
        )
        gate = self.dispatcher.beside(self._registry, exchange, STREAM_S)
        async with watched(receive, call):
            result = await gate.call(call)
        if not isinstance(result, Passed):
            raise TypeError("an operation of the gateway answers Passed")
        return result


def _limit_s(arrived: Arrived, limit_s: float) -> float:
    """Our own limit, or what the caller allows where that is less."""
    asked = arrived.headers.get(PATIENCE, "")
    if re.fullmatch(r"[0-9]{1,6}(\.[0-9]{1,3})?", asked) and float(asked) > 0:
        return min(float(asked), limit_s)
    return limit_s


def address_of(scope: Scope) -> str:
    """`a2a/ID`, `mcp/agents/ID` or `mcp/projects/ID`, whatever stands below it."""
    parts: list[str] = scope["path"].strip("/").split("/")
    return "/".join(parts[: 2 if parts[0] == "a2a" else 3])


def patience(ctx: Ctx) -> dict[str, str]:
    """How long the caller still waits, for the agent to know."""
    left = 0.0 if ctx.deadline is None else ctx.deadline - time.monotonic()
    return {PATIENCE: f"{left:.3f}"} if left > 0 else {}


def parse_envelope(body: bytes) -> dict[str, Any]:
    """A JSON-RPC message. Raises WrongEnvelope."""
    try:
        message = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise WrongEnvelope(PARSE, "The body is not JSON in UTF-8.", hint="POST one JSON-RPC 2.0 message.") from None
    if not isinstance(message, dict) or message.get("jsonrpc") != "2.0":
        raise WrongEnvelope(INVALID, "The body is no JSON-RPC 2.0 message.", hint="POST one message at a time.")
    if "id" in message and type(message["id"]) not in (str, int, type(None)):
        raise WrongEnvelope(INVALID, "id is neither a text nor a whole number.")
    if "method" in message and not isinstance(message["method"], str):
        raise WrongEnvelope(INVALID, "method is not a text.")
    if "method" not in message and "result" not in message and "error" not in message:
        raise WrongEnvelope(INVALID, "method is missing.")
    params = message.get("params", {})
    if not isinstance(params, dict):
        raise WrongEnvelope(INVALID, "params is not an object.")
    return message


async def keep_whole(reply: Reply, incoming: Incoming, body: bytes, *names: str) -> Passed:
    """Take an agent's whole answer over as it is, with those of its headers that are named."""
    reply.status, reply.body = incoming.status, body
    reply.headers |= {name: incoming.headers[name] for name in ("content-type", *names) if name in incoming.headers}
    return Passed(status=incoming.status, size_bytes=len(body))
