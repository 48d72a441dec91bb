"""`/a2a/{agent_id}/`: an agent's own face, passed through: JSON-RPC, REST and streams, in 1.0 and 0.3."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote

from starlette.routing import BaseRoute, Route
from starlette.types import Receive, Scope, Send

from core.callers import CallerLeft
from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized, Unavailable
from engine.agents.a2a_client import JSONRPC, REST, Interface, interfaces
from engine.agents.agents import Agents
from engine.agents.frames import EVENTS, Events, parse_object
from engine.agents.live import Live
from engine.agents.ownership import ids_of
from engine.agents.registry import A2A
from engine.agents.upstream import MAX_ANSWER_BYTES, MAX_STREAM_BYTES, Outgoing
from engine.egress.client import Incoming
from gateway.a2a_requests import CARD, LIST, SEND, Asked, body_of, read_rest, read_rpc
from gateway.cards import served_card
from gateway.door import About, Arrived, Door, Reply, keep_whole, parse_envelope, patience
from gateway.faults import OUTSIDE, STATUS, a2a_rest_error, a2a_rpc_error, headers_of
from gateway.operations import Ctx, Passed
from gateway.signing import CardSigner

FACE = "a2a"
CARDS = (".well-known/agent-card.json", ".well-known/agent.json")
SIGNED = "signed-card.json"
PASSED_ON = ("content-type", "accept", "a2a-version", "a2a-extensions", "x-a2a-extensions", "last-event-id")
PASSED_BACK = ("a2a-version", "a2a-extensions", "x-a2a-extensions")


def a2a_routes(door: Door) -> list[BaseRoute]:
    """The addresses of every A2A agent."""
    endpoint = A2aDoor(door)
    return [Route("/a2a/{agent_id}", endpoint), Route("/a2a/{agent_id}/{path:path}", endpoint)]


class A2aDoor:
    """ASGI: one agent's address."""

    def __init__(self, door: Door):
        self._door = door

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path_params"].get("path", "")
        reply = Reply(send, "")
        rpc_id: Any = None
        is_rpc = scope["method"] == "POST" and not path
        try:
            arrived = await self._door.arrive(scope, receive, path)
            if arrived is None:
                return
            reply.request_id = arrived.request_id
            if is_rpc and arrived.body:
                message = parse_envelope(arrived.body)
                rpc_id = message.get("id")
                await self._pass_rpc(arrived, message, reply, receive)
            else:
                await self._pass_other(arrived, reply, receive, is_rpc=is_rpc)
        except CallerLeft:
            return
        except PlatformError as error:
            if reply.has_started:
                await reply.break_off(a2a_rpc_error(error, rpc_id, reply.request_id))
                return
            _refuse(
                reply, error, scope, rpc_id if is_rpc else ..., has_token=b"authorization" in dict(scope["headers"])
            )
        await reply.finish()

    async def _pass_rpc(self, arrived: Arrived, message: dict[str, Any], reply: Reply, receive: Receive) -> None:
        asked = read_rpc(message)
        exchange = A2aExchange(self._door.agents, arrived, reply, asked, JSONRPC, message.get("id"), self._door.signer)
        await self._go(arrived, receive, exchange, asked)

    async def _pass_other(self, arrived: Arrived, reply: Reply, receive: Receive, *, is_rpc: bool) -> None:
        path = arrived.path.strip("/")
        if arrived.method == "GET" and path in (*CARDS, SIGNED):
            grpc = self._door.grpc_at(arrived.base_url)
            shown = CardExchange(
                self._door.agents, arrived, reply, self._door.signer, is_signed=path == SIGNED, grpc=grpc
            )
            await self._door.pass_on(arrived, receive, shown, "read_agent_card", face=FACE, about=About("card"))
            return
        is_old = path.startswith("v1/")
        given = body_of(arrived.body) if arrived.body else {}
        asked = (
            Asked(SEND, "SendMessage", is_old=False)  # without a body, for the gate to refuse strangers
            if is_rpc
            else read_rest(arrived.method, path.removeprefix("v1/"), given, is_old=is_old)
        )
        exchange = A2aExchange(self._door.agents, arrived, reply, asked, REST, None, self._door.signer)
        await self._go(arrived, receive, exchange, asked)

    async def _go(self, arrived: Arrived, receive: Receive, exchange: "A2aExchange", asked: Asked) -> None:
        operation = "read_from_agent" if asked.is_read else "send_to_agent"
        about = About(asked.method, (asked.tasks or [""])[0], asked.streams)
        await self._door.pass_on(arrived, receive, exchange, operation, face=FACE, about=about)


def _refuse(reply: Reply, error: PlatformError, scope: Scope, rpc_id: Any, *, has_token: bool) -> None:
    reply.request_id = reply.request_id or scope.get("headwater.request_id", "")
    is_rpc = rpc_id is not ...
    status = STATUS[error.code] if not is_rpc or error.code in OUTSIDE else 200
    reply.status = status
    reply.headers = {"content-type": "application/json", **headers_of(error, token_was_sent=has_token)}
    if is_rpc:
        reply.body = a2a_rpc_error(error, rpc_id, reply.request_id)
    else:
        reply.body = a2a_rest_error(error, reply.request_id)


@dataclass(frozen=True, slots=True)
class CardExchange:
    """Shows the card that was approved: with our addresses and our signature, or as its agent has signed it."""

    agents: Agents
    arrived: Arrived
    reply: Reply
    signer: CardSigner | None
    is_signed: bool
    grpc: str = ""

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        live = await approved(self.agents, ctx.principal, agent_id)
        card = live.pinned.data["card"]
        if not self.is_signed:
            base_url = self.arrived.base_url
            card = served_card(card, live.agent.endpoint_url, f"{base_url}/a2a/{agent_id}", self.grpc)
            card = card if self.signer is None else await self.signer.signed(card, base_url)
        self.reply.body = json.dumps(card, ensure_ascii=False).encode("utf-8", "replace")
        tag = f'W/"{live.pinned.digest[:32]}"'
        self.reply.headers = {"content-type": "application/json", "cache-control": "private, max-age=60", "etag": tag}
        if self.arrived.headers.get("if-none-match", "") == tag:
            self.reply.status, self.reply.body = 304, b""
        return Passed(status=self.reply.status, size_bytes=len(self.reply.body))


@dataclass(slots=True)
class A2aExchange:
    """One request to an A2A agent, as its caller, who sees only its own tasks."""

    agents: Agents
    arrived: Arrived
    reply: Reply
    asked: Asked
    binding: str
    rpc_id: Any
    signer: CardSigner | None = None

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        live = await approved(self.agents, ctx.principal, agent_id)
        if self.asked.kind == CARD:
            return await self._card(ctx, agent_id)
        await self.agents.ownership.check(ctx.principal, agent_id, self.asked.tasks, self.asked.contexts)
        await self._check_push()
        where = self._where(live)
        out = Outgoing(
            self.arrived.method,
            self._url(where),
            self.arrived.body,
            self._headers(where) | patience(ctx),
            is_safe=self.asked.is_read and not self.asked.streams,
            max_bytes=MAX_STREAM_BYTES if self.asked.streams else MAX_ANSWER_BYTES,
        )
        async with self.agents.upstream.open(ctx.principal, live, out) as incoming:
            if incoming.media_type == EVENTS and self.asked.streams:
                return await self._stream(ctx.principal, agent_id, incoming)
            return await self._whole(ctx.principal, agent_id, incoming)

    async def _card(self, ctx: Ctx, agent_id: str) -> Passed:
        """The extended card is the approved one: there is no other that a person has read."""
        shown = await CardExchange(self.agents, self.arrived, self.reply, self.signer, is_signed=False).run(
            ctx, agent_id
        )
        if self.binding == JSONRPC:
            head = json.dumps({"jsonrpc": "2.0", "id": self.rpc_id})[:-1].encode()
            self.reply.body = head + b', "result": ' + self.reply.body + b"}"
        return shown

    async def _check_push(self) -> None:
        """The agent will call these addresses: none of them may lead inside."""
        for url in self.asked.push_urls:
            try:
                await self.agents.egress.check_address(url)
            except InvalidArgument as error:
                raise Unauthorized(error.message, hint="Notifications go to public https addresses.") from None

    def _where(self, live: Live) -> Interface:
        card = live.pinned.data.get("card") or {}
        found = [each for each in interfaces(card, live.agent.endpoint_url) if each.binding == self.binding]
        if not found:
            raise Conflict(f"The agent does not speak {self.binding}.", hint="Its card lists what it speaks.")
        return min(found, key=lambda each: each.is_old != self.asked.is_old)

    def _url(self, where: Interface) -> str:
        if self.binding == JSONRPC:
            return where.url
        query = f"?{self.arrived.query}" if self.arrived.query else ""
        return f"{where.url.rstrip('/')}/{quote(self.arrived.path, safe='/:')}{query}"

    def _headers(self, where: Interface) -> dict[str, str]:
        sent = self.arrived.only(*PASSED_ON, "traceparent")
        sent.setdefault("a2a-version", "0.3" if self.asked.is_old else "1.0")
        sent.setdefault("accept", "application/json, text/event-stream")
        return sent | {"x-request-id": self.arrived.request_id}

    async def _whole(self, by: Principal, agent_id: str, incoming: Incoming) -> Passed:
        body = await incoming.read()
        if incoming.status >= 300 and not incoming.media_type.endswith("json"):
            raise Unavailable(f"The agent answers with HTTP status {incoming.status}.")
        result: Any = None
        if incoming.status < 300 and (body or self.binding == JSONRPC):
            result = self._result(parse_object(body))
        if self.asked.kind == SEND:
            await self.agents.ownership.claim(by, agent_id, result)
        if self.asked.kind == LIST and isinstance(result, dict):
            body = await self._only_own(by, agent_id, result)
        return await keep_whole(self.reply, incoming, body, *PASSED_BACK)

    def _result(self, answer: dict[str, Any]) -> Any:
        """What the agent answered; of JSON-RPC only an answer to this very request counts. Raises Unavailable."""
        if self.binding != JSONRPC:
            return answer
        is_ours = answer.get("id") == self.rpc_id and type(answer.get("id")) is type(self.rpc_id)
        if answer.get("jsonrpc") != "2.0" or not (is_ours or ("error" in answer and answer.get("id") is None)):
            raise Unavailable("The agent has answered another request, or not in JSON-RPC.")
        return answer.get("result")

    async def _only_own(self, by: Principal, agent_id: str, result: dict[str, Any]) -> bytes:
        """A list of tasks without those of other callers."""
        tasks = [item for item in result.get("tasks") or () if isinstance(item, dict)]
        ids = [item["id"] for item in tasks if isinstance(item.get("id"), str)]
        own = await self.agents.ownership.owned(by, agent_id, ids)
        kept = [item for item in tasks if item.get("id") in own]
        shown = {**result, "tasks": kept, **({"totalSize": len(kept)} if "totalSize" in result else {})}
        body = shown if self.binding != JSONRPC else {"jsonrpc": "2.0", "id": self.rpc_id, "result": shown}
        return json.dumps(body, ensure_ascii=False).encode("utf-8", "replace")

    async def _stream(self, by: Principal, agent_id: str, incoming: Incoming) -> Passed:
        """Events as they come. Whose task it is, is written down before the caller hears of it."""
        self.reply.headers["content-type"] = incoming.headers["content-type"]
        self.reply.headers |= {name: incoming.headers[name] for name in PASSED_BACK if name in incoming.headers}
        size = await self.reply.stream(self._claimed(by, agent_id, incoming))
        return Passed(status=200, size_bytes=size)

    async def _claimed(self, by: Principal, agent_id: str, incoming: Incoming) -> Any:
        events, is_known = Events(), False
        async for chunk in incoming.chunks:
            for data in () if is_known else events.feed(chunk):
                message = parse_object(data)
                found = message.get("result", message)
                is_known = all(ids_of(found))
                await self.agents.ownership.claim(by, agent_id, found)
            yield chunk


async def approved(agents: Agents, by: Principal, agent_id: str) -> Live:
    """An A2A agent with its approved card. Raises NotFound, Conflict in quarantine, Unavailable."""
    live = await agents.live.get(by.tenant, agent_id)
    if live.agent.protocol != A2A:
        raise NotFound("This agent does not speak A2A.", hint="get_agent shows its gateway_url.")
    live.check_open()
    live = await agents.looks.pinned(by, live)
    live.check_open()
    return live
