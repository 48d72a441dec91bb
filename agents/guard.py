"""What an agent may call by itself, what it must ask a person for, and what no agent ever does."""

from collections.abc import Iterable
from dataclasses import dataclass, field, replace
from typing import Any

from pydantic import BaseModel

from core.context import JobRun, Principal
from core.errors import Unauthorized
from core.ports import Approvals
from core.tool import Tool

OUTBOUND = frozenset({"route_to_agent", "route_to_project_agents", "test_agent_connection", "get_agent_tools"})
"""What sends something to others, whatever its effect here."""

ASKED_ALWAYS = frozenset({"create_knowledge", "create_verified_query", "update_knowledge", "update_verified_query"})
"""What an agent would remember: only what a person has agreed to."""

NOT_FOR_AGENTS = frozenset(
    {
        "cancel_agent_run",
        "create_schedule",  # would call later, where nobody asks
        "create_upload",
        "delete_agent_session",
        "download_export",
        "download_query_result",
        "execute_query_stream",
        "get_upload",
        "set_catalog_config",
        "watch_job",
    }
)
DOMAINS_OF_PEOPLE = frozenset({"admin", "approvals", "agents", "evals"})
"""Where people say who may do what: agents read there and change nothing."""

STARTING = frozenset({"chat", "run_agent", "run_agent_stream"})


def is_for_agents(tool: Tool) -> bool:
    """Whether an agent may call it at all: agents never approve, grant, mint, or change policies and agents."""
    if tool.mcp_only or tool.delegates or tool.name in NOT_FOR_AGENTS | STARTING:
        return False
    is_theirs = tool.domain in DOMAINS_OF_PEOPLE
    return tool.effect == "read" or not is_theirs or tool.name in OUTBOUND | {"run_workflow"}


class Waits(Unauthorized):
    """This call waits for a person's yes."""

    def __init__(self, about: str, tool: Tool, arguments: dict[str, Any], why: str):
        super().__init__(f"{tool.name} waits for a person's yes: {why}.", hint="Tell the person what it would do.")
        self.about = about
        self.tool = tool
        self.arguments = arguments
        self.why = why


@dataclass
class Guard:
    """Stands before each call of one run. `agreed` holds what a person said yes to, each good for one call."""

    person: Approvals | None = None
    has_read: bool = False
    agreed: set[str] = field(default_factory=set)
    declined: set[str] = field(default_factory=set)

    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        """Return when the call may go on. Raises Waits, or what the person's own client says."""
        why = self.why(tool, request)
        if not why:
            return False
        about = f"{tool.name}:{argument_digest}"
        if about in self.agreed:
            self.agreed.discard(about)
            return True
        if about in self.declined:
            raise Unauthorized(f"The person said no to {tool.name}.", hint="Do not try it again.")
        if self.person is not None:  # a client that asks the person itself: only what it hears there counts
            return await self.person.check(principal, replace(tool, effect="destroy"), request, argument_digest)
        raise Waits(about, tool, request.model_dump(mode="json", exclude_defaults=True), why)

    def why(self, tool: Tool, request: BaseModel) -> str:
        """Why a person must agree; empty where nobody must."""
        if getattr(request, "dry_run", False) and tool.name not in OUTBOUND:
            return ""  # changes nothing
        if tool.effect == "destroy":
            return "it destroys something"
        if tool.name in ASKED_ALWAYS:
            return "it would be remembered"
        if not self.has_read:
            return ""
        if tool.name in OUTBOUND:
            return "it sends something out after reading data"
        return "it changes something after reading data" if tool.effect == "write" else ""


def for_agents(tools: Iterable[Tool]) -> list[Tool]:
    return [tool for tool in tools if is_for_agents(tool)]
