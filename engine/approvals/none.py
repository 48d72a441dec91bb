"""The approval hook of the gate while no tool needs an approval."""

from pydantic import BaseModel

from core.context import JobRun, Principal
from core.tool import Tool


class NoApprovals:
    """Lets every call pass: permissions and an MCP client's `confirm()` are what holds it back."""

    async def check(
        self, principal: Principal, tool: Tool, request: BaseModel, argument_digest: str, *, job: JobRun | None = None
    ) -> bool:
        return False
