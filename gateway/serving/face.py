"""`/a2a/{agent_id}/` of our own agents over HTTP: through the gate first, then to the SDK's server."""

import asyncio
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qsl

from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from core.callers import CallerLeft, bearer, replayed
from core.errors import PlatformError
from engine.agents.registry import HEADWATER
from gateway.a2a_requests import CARD, SEND, Asked, body_of, read_rest, read_rpc
from gateway.door import About, Arrived, Door, Reply, address_of, parse_envelope
from gateway.faults import OUTSIDE, PARSE, STATUS, WrongEnvelope, a2a_rest_error, a2a_rpc_error, headers_of
from gateway.operations import Ctx, Passed
from gateway.serving.asks import Visit
from gateway.serving.cards import card_bytes
from gateway.serving.own import OwnAgents
from gateway.signing import CardSigner

FACE = "a2a"
OPERATIONS = ("gateway.serving.operations",)
CARDS = (".well-known/agent-card.json", ".well-known/agent.json")
JSON_TYPES = ("application/json", "application/a2a+json", "application/json-rpc")
WRONG_TYPE = -32005
PUBLIC, PRIVATE = "public, max-age=300", "private, max-age=60"


def own_routes(door: Door, own: OwnAgents, others: ASGIApp) -> list[BaseRoute]:
    """The addresses of all A2A agents, `others` for those that are not our own; and the card at the root."""
    face = OwnFace(door, own)
    chooser = Chooser(own, face, others)
    root = [Route(f"/{path}", _at_root(face), methods=["GET"]) for path in CARDS]
    return [Route("/a2a/{agent_id}", chooser), Route("/a2a/{agent_id}/{path:path}", chooser), *root]


def _at_root(face: "OwnFace") -> ASGIApp:
    """The well-known place of the whole server shows Headwater."""

    async def show(scope: Scope, receive: Receive, send: Send) -> None:
        params = {"agent_id": HEADWATER, "path": CARDS[0]}
        await face({**scope, "path_params": params}, receive, send)

    return _Asgi(show)


class _Asgi:
    """Starlette takes a plain function for an endpoint of its own kind."""

    def __init__(self, app: Callable[[Scope, Receive, Send], Awaitable[None]]):
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        await self._app(scope, receive, send)


class Chooser:
    """ASGI: our own agents here, all others through the gateway."""

    def __init__(self, own: OwnAgents, face: "OwnFace", others: ASGIApp):
        self._own = own
        self._face = face
        self._others = others

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        headers = dict(scope["headers"])
        token = bearer(headers.get(b"authorization", b"").decode("latin-1"))
        is_own = await self._own.is_own(scope["path_params"]["agent_id"], token, address_of(scope))
        await (self._face if is_own else self._others)(scope, receive, send)


class OwnFace:
    """ASGI: one of our own agents' address."""

    def __init__(self, door: Door, own: OwnAgents):
        self._door = door
        self._own = own

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        path = scope["path_params"].get("path", "").strip("/")
        reply = Reply(send, "")
        rpc_id: Any = None
        is_rpc = scope["method"] == "POST" and not path
        try:
            arrived = await self._door.arrive(scope, receive, path)
            if arrived is None:
                return
            reply.request_id = arrived.request_id
            if is_rpc and arrived.body:
                _check_type(arrived)
                message = parse_envelope(arrived.body)
                rpc_id = message.get("id")
                await self._go(scope, receive, arrived, reply, read_rpc(message), is_rpc=True)
            elif arrived.method == "GET" and path in CARDS:
                await self._show_card(receive, arrived, reply)
            else:
                await self._go(scope, receive, arrived, reply, _asked(arrived, is_rpc=is_rpc), is_rpc=is_rpc)
        except CallerLeft:
            return
        except PlatformError as error:
            if reply.has_started:
                await reply.break_off(a2a_rpc_error(error, rpc_id, reply.request_id))
                return
            _refuse(reply, error, scope, rpc_id if is_rpc else ...)
        await reply.finish()

    async def _show_card(self, receive: Receive, arrived: Arrived, reply: Reply) -> None:
        if arrived.agent_id == HEADWATER:
            card = self._own.public_card(arrived.base_url)
            body, tag = card_bytes(await self._door.signer.signed(card, arrived.base_url))
            _keep_card(reply, arrived, body, tag, PUBLIC)
            reply.headers["last-modified"] = self._own.started_at
            return
        shown = CardExchange(self._own, self._door.signer, arrived, reply)
        await self._door.pass_on(arrived, receive, shown, "read_own_agent_card", face=FACE, about=About("card"))

    async def _go(
        self, scope: Scope, receive: Receive, arrived: Arrived, reply: Reply, asked: Asked, *, is_rpc: bool
    ) -> None:
        exchange = OwnExchange(self._own, arrived, reply, asked, scope, is_rpc)
        operation = "read_from_own_agent" if asked.is_read else "send_to_own_agent"
        about = About(asked.method, (asked.tasks or [""])[0], streams=True)
        await self._door.pass_on(arrived, receive, exchange, operation, face=FACE, about=about)


def _asked(arrived: Arrived, *, is_rpc: bool) -> Asked:
    if is_rpc:  # without a body, for the gate to refuse strangers
        return Asked(SEND, "SendMessage", is_old=False)
    is_old = arrived.path.startswith("v1/")
    given = body_of(arrived.body) if arrived.body else dict(parse_qsl(arrived.query))
    return read_rest(arrived.method, arrived.path.removeprefix("v1/"), given, is_old=is_old)


def _check_type(arrived: Arrived) -> None:
    given = arrived.headers.get("content-type", "").partition(";")[0].strip().lower()
    if given not in JSON_TYPES:
        raise WrongEnvelope(WRONG_TYPE, "The body is not said to be JSON.", hint="Send content-type application/json.")


def _refuse(reply: Reply, error: PlatformError, scope: Scope, rpc_id: Any) -> None:
    reply.request_id = reply.request_id or scope.get("headwater.request_id", "")
    is_rpc = rpc_id is not ...
    has_token = any(name == b"authorization" for name, _ in scope["headers"])
    reply.status = STATUS[error.code] if not is_rpc or error.code in OUTSIDE else 200
    reply.headers = {"content-type": "application/json", **headers_of(error, token_was_sent=has_token)}
    show = a2a_rpc_error(error, rpc_id, reply.request_id) if is_rpc else a2a_rest_error(error, reply.request_id)
    reply.body = show


def _keep_card(reply: Reply, arrived: Arrived, body: bytes, tag: str, caching: str) -> None:
    reply.body = body
    reply.headers = {"content-type": "application/json", "cache-control": caching, "etag": tag}
    known = [each.strip().removeprefix("W/") for each in arrived.headers.get("if-none-match", "").split(",")]
    if "*" in known or tag.removeprefix("W/") in known:
        reply.status, reply.body = 304, b""


def visit(ctx: Ctx, arrived: Arrived, agent_id: str) -> Visit:
    """Who asks which agent, as the gate has found."""
    return Visit(ctx.principal, agent_id, arrived.request_id, arrived.base_url)


@dataclass(frozen=True, slots=True)
class CardExchange:
    """Shows the card of a tenant's own agent."""

    own: OwnAgents
    signer: CardSigner
    arrived: Arrived
    reply: Reply

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        card = await self.own.card(visit(ctx, self.arrived, agent_id))
        body, tag = card_bytes(await self.signer.signed(card, self.arrived.base_url))
        _keep_card(self.reply, self.arrived, body, tag, PRIVATE)
        return Passed(status=self.reply.status, size_bytes=len(self.reply.body))


@dataclass(slots=True)
class OwnExchange:
    """One request to one of our own agents, answered by the SDK's server."""

    own: OwnAgents
    arrived: Arrived
    reply: Reply
    asked: Asked
    scope: Scope
    is_rpc: bool

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        if not self.arrived.body and self.is_rpc:
            raise WrongEnvelope(PARSE, "The body is missing.", hint="POST one JSON-RPC 2.0 message.")
        await self.own.roster.find(ctx.principal, agent_id)
        if self.asked.kind != CARD:
            await self.own.agents.ownership.check(ctx.principal, agent_id, (), self.asked.contexts)
        host = await self.own.host()
        sent = Sent(self.reply)
        receive = replayed(self.arrived.body, _never)
        answer = host.answer_rpc if self.is_rpc else host.answer_rest
        await answer(self._inner(ctx, agent_id), receive, sent)
        return Passed(status=sent.status, size_bytes=sent.size_bytes)

    def _inner(self, ctx: Ctx, agent_id: str) -> Scope:
        """The request as the SDK gets it: no credentials, the path below the agent's address."""
        path = f"/{self.arrived.path}"
        raw = [(name, value) for name, value in self.scope["headers"] if name in PASSED_ON]
        return {
            "type": "http",
            "asgi": self.scope.get("asgi", {"version": "3.0"}),
            "http_version": self.scope.get("http_version", "1.1"),
            "method": self.scope["method"],
            "scheme": self.scope["scheme"],
            "server": self.scope.get("server"),
            "client": self.scope.get("client"),
            "path": path,
            "raw_path": path.encode(),
            "root_path": "",
            "query_string": self.scope["query_string"],
            "headers": raw,
            "headwater.visit": visit(ctx, self.arrived, agent_id),
        }


PASSED_ON = (b"content-type", b"accept", b"a2a-version", b"a2a-extensions", b"x-a2a-extensions", b"content-length")


async def _never() -> Message:
    await asyncio.Event().wait()
    return {"type": "http.disconnect"}


class Sent:
    """An ASGI `send` that takes note of what goes out, and adds what all our answers have."""

    def __init__(self, reply: Reply):
        self._reply = reply
        self.status = 0
        self.size_bytes = 0

    async def __call__(self, message: Message) -> None:
        if message["type"] == "http.response.start":
            self._reply.has_started = True
            self.status = message["status"]
            own = [(b"x-request-id", self._reply.request_id.encode()), (b"x-accel-buffering", b"no")]
            kept = [item for item in message.get("headers", ()) if item[0].lower() != b"x-accel-buffering"]
            await self._reply.send({**message, "headers": [*kept, *own]})
            return
        self.size_bytes += len(message.get("body", b""))
        await self._reply.send(message)
