"""What an agent of our own may be made of."""

from collections.abc import Awaitable, Callable, Sequence

from core.context import Principal
from core.errors import Conflict
from core.tool import Tool
from engine.agents.capabilities import check_capabilities
from engine.agents.registry import Draft

See = Callable[[Principal, str], Awaitable[object]]
"""Raises NotFound for what does not exist for the caller."""


async def check_own(by: Principal, draft: Draft, tools: Sequence[Tool], see: See) -> None:
    """Refuse connections, toolsets and tools that the caller could not use. Raises NotFound, Conflict."""
    check_capabilities(draft.capabilities, tools)
    for connection_id in draft.connections or ():
        await see(by, connection_id)


def check_others(draft: Draft) -> None:
    """Refuse for an agent of others what only one of our own has. Raises Conflict."""
    if draft.model or draft.budget:
        raise Conflict("Only an agent of your own has a model and a budget.", hint="Leave model and budget out.")
