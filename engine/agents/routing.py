"""Messages to agents: one agent's answer, or that of all agents of a project, each of them named."""

import asyncio
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, Timeout
from core.pages import Window
from engine.agents.a2a_client import A2aClient
from engine.agents.live import Live, LiveAgents
from engine.agents.looks import Looks
from engine.agents.mcp_client import READS, AgentFault, McpClient
from engine.agents.ownership import Ownership
from engine.agents.places import MAX_IN_PROJECT, ProjectAgents
from engine.agents.registry import MCP, read_agent

ALL_TOGETHER_S = 45.0
METHODS = READS | {"tools/call"}
MESSAGE_HINT = 'For A2A send {"text": "..."} or parts; for MCP {"name": "a_tool", "arguments": {...}}.'


@dataclass(frozen=True, slots=True)
class Routed:
    """How one agent answered: with a result or with an error."""

    id: str
    agent_id: str
    agent_name: str
    result: dict[str, Any] | None
    error: dict[str, Any] | None


class Routing:
    """Sends messages as a caller, who sees only its own tasks and conversations."""

    def __init__(
        self,
        live: LiveAgents,
        looks: Looks,
        clients: tuple[A2aClient, McpClient],
        ownership: Ownership,
        places: ProjectAgents,
    ):
        self._live = live
        self._looks = looks
        self._a2a, self._mcp = clients
        self._ownership = ownership
        self._places = places

    async def route(self, by: Principal, agent_id: str, message: Mapping[str, Any]) -> Routed:
        """Send a message to one agent. Its own error is in the answer; what keeps it from being asked is raised."""
        live = await self._live.get(by.tenant, agent_id)
        try:
            result = await self._ask(by, live, message)
        except AgentFault as fault:
            return _routed(live, error=fault.error)
        return _routed(live, result=result)

    async def call(self, by: Principal, live: Live, message: Mapping[str, Any]) -> dict[str, Any]:
        """An agent's result. Raises AgentFault where it answers with an error."""
        return await self._ask(by, live, message)

    async def route_to_project(
        self, by: Principal, project_id: str, message: Mapping[str, Any], *, limit_s: float = ALL_TOGETHER_S
    ) -> list[Routed]:
        """Send a message to every agent of a project at once. Nobody's failure keeps the others' answers back."""
        found, _ = await self._places.page(by.tenant, project_id, Window(0, MAX_IN_PROJECT))
        asked = [read_agent(row) for row, _ in found]
        tasks = [
            asyncio.create_task(self._within(by, agent.agent_id, message, limit_s), name="routed message")
            for agent in asked
        ]
        try:
            answers = await asyncio.gather(*tasks)
        finally:
            for task in tasks:
                task.cancel()
        return [
            answer if isinstance(answer, Routed) else _failed(agent.agent_id, agent.name, answer)
            for agent, answer in zip(asked, answers, strict=True)
        ]

    async def _within(
        self, by: Principal, agent_id: str, message: Mapping[str, Any], limit_s: float
    ) -> Routed | PlatformError:
        try:
            async with asyncio.timeout(limit_s):
                return await self.route(by, agent_id, message)
        except TimeoutError:
            return Timeout(f"The agent did not answer within {limit_s:g} s.")
        except PlatformError as error:
            return error

    async def _ask(self, by: Principal, live: Live, message: Mapping[str, Any]) -> dict[str, Any]:
        if not live.agent.is_external:
            raise Conflict("This agent is our own.", hint="run_agent runs it.")
        live.check_open()
        live = await self._looks.pinned(by, live)
        live.check_open()
        if live.agent.protocol == MCP:
            method, params = _mcp_request(message, live)
            return await self._mcp.request(by, live, method, params)
        params = dict(message) if isinstance(message.get("message"), Mapping) else {"message": dict(message)}
        _check_push(params)
        sent = params["message"]
        tasks = [value for value in (sent.get("taskId"), *_texts(sent.get("referenceTaskIds"))) if value]
        contexts = [sent["contextId"]] if sent.get("contextId") else []
        await self._ownership.check(by, live.agent.agent_id, map(str, tasks), map(str, contexts))
        result = await self._a2a.send(by, live, params)
        await self._ownership.claim(by, live.agent.agent_id, result)
        return result


class NotOffered(NotFound):
    """An agent that is there offers nothing by that name."""


def check_pinned(live: Live, part: str, name: str) -> None:
    """Only what was approved can be called. Raises NotOffered."""
    if (part, name) not in live.pinned.parts:
        raise NotOffered(f"The agent has no {part} {name[:64]!r}.", hint="get_agent_tools lists them.")


def _mcp_request(message: Mapping[str, Any], live: Live) -> tuple[str, dict[str, Any]]:
    method, params = message.get("method"), message.get("params", {})
    if method is None:
        name = message.get("name", message.get("tool"))
        method, params = "tools/call", {"name": name, "arguments": message.get("arguments", {})}
    if method not in METHODS or not isinstance(params, Mapping):
        raise Conflict("The message is none that an MCP agent takes.", hint=MESSAGE_HINT)
    if method == "tools/call":
        if not isinstance(params.get("name"), str) or not isinstance(params.get("arguments", {}), Mapping):
            raise Conflict("The message names no tool, or its arguments are no object.", hint=MESSAGE_HINT)
        check_pinned(live, "tool", params["name"])
    return str(method), dict(params)


def _check_push(params: Mapping[str, Any]) -> None:
    configuration = params.get("configuration")
    wanted = ("pushNotificationConfig", "taskPushNotificationConfig")
    if isinstance(configuration, Mapping) and any(name in configuration for name in wanted):
        raise Conflict("Notifications are asked for at the agent's gateway_url.", hint="Send it there.")


def _texts(value: Any) -> list[str]:
    return [item for item in value if isinstance(item, str)] if isinstance(value, list) else []


def _routed(live: Live, *, result: dict[str, Any] | None = None, error: dict[str, Any] | None = None) -> Routed:
    return Routed(uuid.uuid4().hex, live.agent.agent_id, live.agent.name, result, error)


def _failed(agent_id: str, name: str, error: PlatformError) -> Routed:
    body = {"code": error.code, "message": error.message, "hint": error.hint}
    return Routed(uuid.uuid4().hex, agent_id, name, None, body)
