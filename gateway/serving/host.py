"""The SDK's server for all our own agents, made with the first request: its import takes half a second."""

import asyncio
import contextlib
import logging
import uuid
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

from a2a.extensions.common import HTTP_EXTENSION_HEADER, get_requested_extensions
from a2a.server.context import ServerCallContext
from a2a.server.routes import create_rest_routes
from a2a.server.routes.common import ServerCallContextBuilder
from a2a.server.routes.jsonrpc_dispatcher import JsonRpcDispatcher
from a2a.types import AgentCard
from google.protobuf.json_format import ParseDict
from starlette.requests import Request
from starlette.routing import Router
from starlette.types import Receive, Scope, Send

from core.errors import PlatformError
from engine.agents.agents import Agents
from gateway.serving.asks import Answerer, Visit
from gateway.serving.executor import OwnExecutor, Reader
from gateway.serving.pushes import OwnPushes, OwnSender, may_push
from gateway.serving.requests import OwnRequests
from gateway.serving.sdk import VISIT, context_of, visit_of
from gateway.serving.tasks import OwnTasks, Unshared

log = logging.getLogger("headwater.a2a")

BEAT_S = 5.0
PARKED_S = 60.0
PLACEHOLDER = {
    "name": "Headwater",
    "description": "Every agent of ours; what each is called stands in its card.",
    "version": "1",
    "capabilities": {"streaming": True, "pushNotifications": True, "extendedAgentCard": True},
    "supportedInterfaces": [{"url": "/", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
    "defaultInputModes": ["text/plain"],
    "defaultOutputModes": ["text/plain"],
    "skills": [{"id": "nl2sql", "name": "Ask the data", "description": "Answers questions.", "tags": ["sql"]}],
}
ShowCard = Callable[[Visit], Awaitable[Mapping[str, Any]]]


@dataclass(frozen=True, slots=True)
class Contexts(ServerCallContextBuilder):
    """Makes the SDK's context of a request that the gate has let through."""

    def build(self, request: Request) -> ServerCallContext:
        headers = {name: request.headers[name] for name in ("a2a-version",) if name in request.headers}
        asked = get_requested_extensions(request.headers.getlist(HTTP_EXTENSION_HEADER))
        return context_of(request.scope[VISIT], headers, asked)


class Host:
    """One handler behind the three bindings. `beat` keeps what runs here from counting as lost."""

    def __init__(self, agents: Agents, answerer: Answerer, show_card: ShowCard, *, executor: OwnExecutor | None = None):
        self._served = agents.served
        self.holder = uuid.uuid4().hex
        self._show_card = show_card
        self.executor = executor or OwnExecutor(answerer)
        tasks = OwnTasks(agents.served, agents.ownership, self.holder)
        pushes = OwnPushes(agents.served, tasks.owners)
        self._sender = OwnSender(pushes, agents.egress)
        card = ParseDict(PLACEHOLDER, AgentCard())
        self.handler = OwnRequests(
            agent_executor=self.executor,
            task_store=tasks,
            agent_card=card,
            push_config_store=pushes,
            push_sender=self._sender,
            request_context_builder=Reader(answerer, tasks),
            extended_agent_card=card,
            extended_card_modifier=self._extended,
            push_url_validator=lambda url: may_push(agents.egress, url),
            event_stream=Unshared(),
            interrupted_task_timeout=PARKED_S,
        )
        self._rpc = JsonRpcDispatcher(self.handler, Contexts(), enable_v0_3_compat=True)
        self._rest = Router(create_rest_routes(self.handler, Contexts(), enable_v0_3_compat=True))
        self._beating: asyncio.Task[None] | None = None

    async def answer_rpc(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of JSON-RPC; its scope has the visit."""
        self._begin()
        response = await self._rpc.handle_requests(Request(scope, receive))
        await response(scope, _silence(receive), send)

    async def answer_rest(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A request of REST, whose path is the one below the agent's address."""
        self._begin()
        await self._rest(scope, receive, send)

    def begin(self) -> OwnRequests:
        """The handler itself, for gRPC."""
        self._begin()
        return self.handler

    async def close(self) -> None:
        """End what runs here; what did not end by itself has failed for whoever reads it."""
        if self._beating is not None:
            self._beating.cancel()
        await self.handler.aclose()
        await self._sender.close()
        with contextlib.suppress(PlatformError):
            await self._served.release(self.holder)

    def _begin(self) -> None:
        if self._beating is None:
            self._beating = asyncio.create_task(self._beat())

    async def _beat(self) -> None:
        while True:
            await asyncio.sleep(BEAT_S)
            try:
                held = await self._served.hold(self.holder) if self.executor.running else set()
            except PlatformError as error:
                log.warning("tasks that run here could not be held: %s", error.message)
                continue
            self.stop_what_ended_elsewhere(held)

    def stop_what_ended_elsewhere(self, held: set[str]) -> None:
        for task_id, running in list(self.executor.running.items()):
            running.beats += 1
            if task_id not in held and running.beats > 1 and running.task is not None:
                running.cancelled.set()
                running.task.cancel()

    async def _extended(self, card: AgentCard, context: ServerCallContext) -> AgentCard:
        shown = await self._show_card(visit_of(context))
        return ParseDict(dict(shown), AgentCard(), ignore_unknown_fields=True)


def _silence(receive: Receive) -> Receive:
    """Nothing more comes: the door watches for callers that leave, and ends the whole exchange."""

    async def never() -> Any:
        await asyncio.Event().wait()

    return never
