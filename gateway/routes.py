"""Every address of the gateway, for the faces to serve beside their own."""

from typing import TYPE_CHECKING, Any

from starlette.routing import BaseRoute

from core.dispatch import Dispatcher
from core.settings import ServerSettings
from engine.agents.agents import Agents
from gateway.a2a import A2aDoor, a2a_routes
from gateway.door import Door
from gateway.mcp import mcp_routes
from gateway.project import project_routes
from gateway.serving.face import OPERATIONS, own_routes
from gateway.serving.own import OwnAgents

if TYPE_CHECKING:
    from grpc import GenericRpcHandler


def open_door(
    dispatcher: Dispatcher[Any],
    agents: Agents,
    settings: ServerSettings,
    operations: tuple[str, ...] = ("gateway.operations",),
) -> Door:
    """The way through the gate that all addresses share."""
    max_body_bytes = settings.max_body_mb << 20
    return Door(dispatcher, agents, max_body_bytes=max_body_bytes, timeout_s=settings.timeout_s, operations=operations)


def agent_routes(door: Door, own: OwnAgents | None = None, settings: ServerSettings | None = None) -> list[BaseRoute]:
    """`/a2a/{agent_id}/` and `/mcp/agents/{agent_id}`; with `own`, our own agents are served there too."""
    if own is None or settings is None:
        return [*a2a_routes(door), *mcp_routes(door)]
    door.grpc_at = own.grpc_at
    inside = open_door(own.dispatcher, own.agents, settings, OPERATIONS)
    return [*own_routes(inside, own, A2aDoor(door)), *mcp_routes(door)]


def rpc_services(own: OwnAgents) -> "list[GenericRpcHandler[bytes, bytes]]":
    """A2A's gRPC services, for our own agents and for those of others."""
    from gateway.grpc_ways import A2aWays  # lazily: gRPC has a port of its own, where it is served

    return [*A2aWays(own).services()]


__all__ = ["agent_routes", "open_door", "project_routes"]
