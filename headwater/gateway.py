"""The wiring of the gateway: its addresses on the REST and MCP ports, or in a process that serves nothing else."""

import asyncio
import contextlib
import gc
import os
import signal
import uuid
from collections.abc import AsyncIterator, Callable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic_core import to_json

from core.dispatch import Call
from core.errors import PlatformError
from core.registry import Registry
from core.settings import Settings
from headwater.build import Platform, build

if TYPE_CHECKING:
    from grpc import GenericRpcHandler
    from starlette.routing import BaseRoute

    from gateway.serving.own import OwnAgents

RUN_S = 900.0  # of one message to an agent of ours, whose caller need not wait


def agent_addresses(platform: Platform) -> "Sequence[BaseRoute]":
    """`/a2a/{agent_id}/` and `/mcp/agents/{agent_id}`."""
    from gateway.routes import agent_routes, open_door

    server = platform.settings.server
    return agent_routes(open_door(platform.dispatcher, platform.engine.agents, server), own_agents(platform), server)


def beside_mcp(platform: Platform, own: Any) -> "Sequence[BaseRoute]":
    """The same on the port of MCP, and the servers of projects, which go on from our own."""
    from gateway.routes import agent_routes, open_door, project_routes

    server = platform.settings.server
    door = open_door(platform.dispatcher, platform.engine.agents, server)
    return [*agent_routes(door, own_agents(platform), server), *project_routes(door, own)]


def own_agents(platform: Platform) -> "OwnAgents | None":
    """Our own agents, one for all faces of a platform; none where the tools that answer for them are not there."""
    from gateway.serving.agent_answers import AgentAnswers
    from gateway.serving.answers import NEEDED, PlannedAnswers, ToolAnswers, Tools
    from gateway.serving.own import OwnAgents
    from gateway.serving.workflow_answers import RUN_WORKFLOW, WorkflowAnswers

    if platform.own_agents is None and all(name in platform.dispatcher.registry for name in NEEDED):
        # Read when the SDK is imported. Calls have spans of ours; those of the SDK's queues outlive their contexts.
        os.environ.setdefault("OTEL_INSTRUMENTATION_A2A_SDK_ENABLED", "false")
        registry = platform.dispatcher.registry
        tools = Tools(platform.dispatcher.beside(registry, platform.engine, RUN_S))
        workflows = WorkflowAnswers(tools) if tools.has(RUN_WORKFLOW) else PlannedAnswers(tools)
        answers = ToolAnswers(workflows, AgentAnswers(tools))
        platform.own_agents = OwnAgents(
            platform.dispatcher, platform.engine.agents, answers, version=platform.engine.version
        )
    return platform.own_agents


def a2a_service(platform: Platform) -> "Sequence[GenericRpcHandler[bytes, bytes]]":
    """A2A's gRPC services, where our own agents are served."""
    from gateway.routes import rpc_services

    own = own_agents(platform)
    return [] if own is None else rpc_services(own)


@contextlib.asynccontextmanager
async def serving_agents(settings: Settings) -> AsyncIterator[tuple[Platform, int]]:
    """The addresses of agents alone, on the port of MCP: no tools of ours, no other faces, no jobs: a small process."""
    from headwater.listeners import HttpServer, bind, port_of
    from headwater.serve import check_exposure

    check_exposure(settings)
    free = dict.fromkeys(("rest_port", "grpc_web_port", "grpc_port", "admin_port"), 0)
    sockets = bind(settings.server.model_copy(update=free))
    opened = sockets.pop("mcp")
    for other in sockets.values():
        other.close()
    async with contextlib.AsyncExitStack() as stack:
        stack.callback(opened.close)
        platform = await build(settings, registry=Registry.walk(["tools.system"]))
        stack.push_async_callback(platform.close)
        server = HttpServer(_app(platform), opened, settings.server)
        stack.push_async_callback(server.stop)
        await server.start()
        gc.freeze()
        yield platform, port_of(opened)


def _app(platform: Platform) -> Any:
    from starlette.applications import Starlette
    from starlette.middleware import Middleware
    from starlette.requests import Request
    from starlette.responses import Response
    from starlette.routing import Route

    from api.guards import HostOriginGuard, allowed_hosts, allowed_origins
    from gateway.signing import JWKS

    async def health(request: Request) -> Response:
        """For whoever shares calls between processes."""
        try:
            found = await platform.dispatcher.call(Call("health", {}, "gateway", uuid.uuid4().hex))
        except PlatformError as error:
            return Response(to_json({"error": error.body("")}), 503, media_type="application/json")
        return Response(to_json(found), media_type="application/json")

    async def keys(request: Request) -> Response:
        """What our signature under a card is checked with."""
        return Response(to_json(platform.engine.identity.jwks()), media_type="application/json")

    server = platform.settings.server
    guard = Middleware(HostOriginGuard, hosts=allowed_hosts(server), origins=allowed_origins(server))
    return Starlette(
        routes=[Route("/health", health), Route(JWKS, keys), *agent_addresses(platform)], middleware=[guard]
    )


async def run_gateway(settings: Settings, announce: Callable[[str], None]) -> None:
    """Serve until SIGINT or SIGTERM."""
    stopped = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, stopped.set)
    async with serving_agents(settings) as (_, port):
        scheme = "https" if settings.server.tls_cert else "http"
        base = f"{scheme}://{settings.server.host}:{port}"
        announce(f"Agents are reached at {base}/a2a/AGENT_ID/ and {base}/mcp/agents/AGENT_ID")
        await stopped.wait()
