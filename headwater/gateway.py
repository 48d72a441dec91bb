"""The wiring of the gateway: its addresses on the REST and on the MCP port."""

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from headwater.build import Platform

if TYPE_CHECKING:
    from starlette.routing import BaseRoute


def agent_addresses(platform: Platform) -> "Sequence[BaseRoute]":
    """`/a2a/{agent_id}/` and `/mcp/agents/{agent_id}`."""
    from gateway.routes import agent_routes, open_door

    return agent_routes(open_door(platform.dispatcher, platform.engine.agents, platform.settings.server))


def beside_mcp(platform: Platform, own: Any) -> "Sequence[BaseRoute]":
    """The same on the port of MCP, and the servers of projects, which go on from our own."""
    from gateway.routes import agent_routes, open_door, project_routes

    door = open_door(platform.dispatcher, platform.engine.agents, platform.settings.server)
    return [*agent_routes(door), *project_routes(door, own)]
