"""Every address of the gateway, for the faces to serve beside their own."""

from typing import Any

from starlette.routing import BaseRoute

from core.dispatch import Dispatcher
from core.settings import ServerSettings
from engine.agents.agents import Agents
from gateway.a2a import a2a_routes
from gateway.door import Door
from gateway.mcp import mcp_routes
from gateway.project import project_routes


def open_door(dispatcher: Dispatcher[Any], agents: Agents, settings: ServerSettings) -> Door:
    """The way through the gate that all addresses share."""
    return Door(dispatcher, agents, max_body_bytes=settings.max_body_mb << 20, timeout_s=settings.timeout_s)


def agent_routes(door: Door) -> list[BaseRoute]:
    """`/a2a/{agent_id}/` and `/mcp/agents/{agent_id}`."""
    return [*a2a_routes(door), *mcp_routes(door)]


__all__ = ["agent_routes", "open_door", "project_routes"]
