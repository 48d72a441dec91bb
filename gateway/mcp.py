"""`/mcp/agents/{agent_id}`: an MCP server's own face, passed through, in both eras of the protocol."""

import re
from dataclasses import dataclass
from typing import Any

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from core.callers import CallerLeft
from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unavailable
from engine.agents.agents import Agents
from engine.agents.frames import EVENTS, Events, parse_object
from engine.agents.live import Live
from engine.agents.mcp_client import NAMED, READS, header_value
from engine.agents.pins import differs
from engine.agents.registry import MCP
from engine.agents.routing import NotOffered, check_pinned
from engine.agents.upstream import MAX_ANSWER_BYTES, MAX_STREAM_BYTES, Outgoing
from engine.egress.client import Incoming
from gateway.door import About, Arrived, Door, Reply, keep_whole, parse_envelope, patience
from gateway.faults import STATUS, headers_of, mcp_error
from gateway.operations import Ctx, Passed

FACE = "mcp-gateway"
SESSION = "mcp-session-id"
PASSED_ON = ("content-type", "accept", "mcp-protocol-version", "mcp-method", "last-event-id", "traceparent")
LONG = frozenset({"listen", "subscriptions/listen", "tools/call"})
LISTS = {"tools/list": ("tools", "tool"), "prompts/list": ("prompts", "prompt")}
GREETINGS = frozenset({"initialize", "server/discover"})
PARTS = {"tools/call": "tool", "prompts/get": "prompt"}
QUIET = frozenset({*READS, *GREETINGS, "notifications/initialized", "subscriptions/listen", "resources/subscribe"})


def mcp_routes(door: Door) -> list[BaseRoute]:
    """The addresses of every MCP agent."""
    endpoint = McpDoor(door)
    return [Route(f"/mcp/agents/{{agent_id}}{end}", endpoint) for end in ("", "/")]


@dataclass(frozen=True, slots=True)
class Spoken:
    """One message of a client: a request, a notification, an answer; or none, to listen or to end a session."""

    method: str
    name: str
    rpc_id: Any
    is_request: bool

    @classmethod
    def read(cls, arrived: Arrived) -> "Spoken":
        """Raises WrongEnvelope, and InvalidArgument where header and body name different things."""
        if arrived.method != "POST" or not arrived.body:
            return cls({"GET": "listen", "DELETE": "end"}.get(arrived.method, "nothing"), "", None, is_request=False)
        message = parse_envelope(arrived.body)
        method, params = message.get("method", "answer"), message.get("params") or {}
        name = params.get(NAMED[method]) if method in NAMED else ""
        spoken = cls(method, name if isinstance(name, str) else "", message.get("id"), "id" in message)
        spoken._check_headers(arrived)
        return spoken

    @property
    def is_read(self) -> bool:
        return self.method in QUIET or self.method in ("listen", "end")

    def _check_headers(self, arrived: Arrived) -> None:
        """Headers are what others go by on the way; they must not say anything else than the body."""
        sent = arrived.headers
        wrong = [
            header
            for header, value in (("mcp-method", self.method), ("mcp-name", header_value(self.name)))
            if header in sent and self.is_request and sent[header] != value
        ]
        if wrong:
            raise InvalidArgument(f"The header {wrong[0]} names something else than the body.")


class McpDoor:
    """ASGI: one agent's address."""

    def __init__(self, door: Door):
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        reply, rpc_id = Reply(send, ""), None
        try:
            if scope["method"] not in ("GET", "POST", "DELETE"):
                raise InvalidArgument("This method is not allowed here.", hint="POST one JSON-RPC message.")
            arrived = await self._door.arrive(scope, receive, "")
            if arrived is None:
                return
            reply.request_id = arrived.request_id
            spoken = Spoken.read(arrived)
            rpc_id = spoken.rpc_id
            await self._pass(arrived, spoken, reply, receive)
        except CallerLeft:
            return
        except PlatformError as error:
            if reply.has_started:
                await reply.break_off(mcp_error(error, rpc_id, reply.request_id))
                return
            refuse(reply, error, scope, rpc_id)
        await reply.finish()

    async def _pass(self, arrived: Arrived, spoken: Spoken, reply: Reply, receive: Receive) -> None:
        exchange = McpExchange(self._door.agents, arrived, reply, spoken)
        operation = "read_from_agent" if spoken.is_read else "send_to_agent"
        about = About(spoken.method, spoken.name, spoken.method in LONG)
        await self._door.pass_on(arrived, receive, exchange, operation, face=FACE, about=about)


def refuse(reply: Reply, error: PlatformError, scope: Scope, rpc_id: Any) -> None:
    """Answer with an error: in JSON-RPC, and with the HTTP status that clients go by."""
    reply.request_id = reply.request_id or scope.get("headwater.request_id", "")
    reply.status = 200 if rpc_id is not None and _is_answer(error) else STATUS[error.code]
    token_was_sent = any(name == b"authorization" for name, _ in scope["headers"])
    reply.headers = {"content-type": "application/json", **headers_of(error, token_was_sent=token_was_sent)}
    if "www-authenticate" in reply.headers and _ADDRESS.fullmatch(scope.get("headwater.base", "")):
        where = f"{scope['headwater.base']}/.well-known/oauth-protected-resource{scope['path'].rstrip('/')}"
        reply.headers["www-authenticate"] += f', resource_metadata="{where}"'
    reply.body = mcp_error(error, rpc_id, reply.request_id)


def _is_answer(error: PlatformError) -> bool:
    """Whether an error answers the request. A 404 would tell clients that their session is gone, not that a tool is."""
    return error.code in ("CONFLICT", "UNAVAILABLE") or isinstance(error, NotOffered)


_ADDRESS = re.compile(r"https?://[A-Za-z0-9._:/\[\]-]{1,500}")


@dataclass(slots=True)
class McpExchange:
    """One message to an MCP agent. What it lists must be what was approved; only that can be called."""

    agents: Agents
    arrived: Arrived
    reply: Reply
    spoken: Spoken

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        live = await approved(self.agents, ctx.principal, agent_id)
        if self.spoken.method in PARTS:
            check_pinned(live, PARTS[self.spoken.method], self.spoken.name)
        out = Outgoing(
            self.arrived.method,
            live.agent.endpoint_url,
            self.arrived.body,
            self._headers(ctx.principal, agent_id) | patience(ctx),
            is_safe=self.spoken.method in READS,
            max_bytes=MAX_STREAM_BYTES if self.spoken.method == "listen" else MAX_ANSWER_BYTES,
        )
        async with self.agents.upstream.open(ctx.principal, live, out) as incoming:
            self._take_headers(ctx.principal, agent_id, incoming)
            if self.spoken.method in LISTS or self.spoken.method in GREETINGS:
                return await self._inspected(live, incoming)
            if incoming.media_type == EVENTS:
                self.reply.headers["content-type"] = "text/event-stream"
                size = await self.reply.stream(incoming.chunks)
                return Passed(status=200, size_bytes=size)
            body = await incoming.read()
            self._check_answer(incoming, body)
            return await keep_whole(self.reply, incoming, body)

    def _headers(self, by: Principal, agent_id: str) -> dict[str, str]:
        sent = self.arrived.only(*PASSED_ON)
        if self.arrived.body:
            sent["content-type"] = "application/json"
        if "mcp-name" in self.arrived.headers:
            sent["mcp-name"] = header_value(self.spoken.name)
        sealed = self.arrived.headers.get(SESSION)
        if sealed:
            sent[SESSION] = self.agents.open_session(by, agent_id, sealed)
        return sent | {"x-request-id": self.arrived.request_id}

    def _take_headers(self, by: Principal, agent_id: str, incoming: Incoming) -> None:
        session = incoming.headers.get(SESSION)
        if session:
            sealed = self.arrived.headers.get(SESSION)
            self.reply.headers[SESSION] = sealed or self.agents.seal_session(by, agent_id, session)
        if incoming.status in (401, 403):
            hint = "set_agent_credential sets another."
            raise Unavailable("The agent does not accept our credential.", hint=hint)

    def _check_answer(self, incoming: Incoming, body: bytes) -> None:
        """An answer to another request is none. Raises Unavailable."""
        if not self.spoken.is_request:
            return
        if incoming.status >= 300 and incoming.media_type != "application/json":
            raise Unavailable(f"The agent answers with HTTP status {incoming.status}.")
        if incoming.status >= 300:
            return
        found = parse_object(body)
        rpc_id = found.get("id")
        is_ours = rpc_id == self.spoken.rpc_id and type(rpc_id) is type(self.spoken.rpc_id)
        if found.get("jsonrpc") != "2.0" or not (is_ours or (rpc_id is None and "error" in found)):
            raise Unavailable("The agent has answered another request, or not in JSON-RPC.")

    async def _inspected(self, live: Live, incoming: Incoming) -> Passed:
        """A list, or what a server says of itself, read before the caller sees it."""
        body = await incoming.read()
        if incoming.status < 300:
            for data in Events().feed(body + b"\n\n") if incoming.media_type == EVENTS else [body]:
                await self._inspect(live, parse_object(data))
        return await keep_whole(self.reply, incoming, body)

    async def _inspect(self, live: Live, message: dict[str, Any]) -> None:
        result = message.get("result")
        if not isinstance(result, dict):
            return
        if self.spoken.method in LISTS:
            name, part = LISTS[self.spoken.method]
            items = result.get(name, [])
            is_new = not isinstance(items, list) or differs(live.pinned, part, items)
        else:
            is_new = (result.get("instructions") or "") != (live.pinned.data.get("instructions") or "")
        if is_new:
            await self.agents.looks.quarantine(live.agent.tenant, live.agent.agent_id)
            hint = "A person reads get_agent_changes and decides."
            raise Conflict("The agent says what nobody has approved; it is in quarantine now.", hint=hint)


async def approved(agents: Agents, by: Principal, agent_id: str) -> Live:
    """An MCP agent with what was approved of it. Raises NotFound, Conflict in quarantine, Unavailable."""
    live = await agents.live.get(by.tenant, agent_id)
    if live.agent.protocol != MCP:
        raise NotFound("This agent does not speak MCP.", hint="get_agent shows its gateway_url.")
    live.check_open()
    live = await agents.looks.pinned(by, live)
    live.check_open()
    return live
