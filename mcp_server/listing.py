"""Declared tools as FastMCP tools: everything that goes on the wire is made once, when the server starts."""

from typing import Any

from fastmcp.server.dependencies import FastMCPRequestContext, fastmcp_request_ctx
from fastmcp.tools.base import Tool, ToolResult
from mcp_types import Tool as WireTool
from mcp_types import ToolAnnotations
from pydantic import PrivateAttr

from core.errors import Unauthenticated
from core.tool import Tool as Declared
from mcp_server.calls import Calls
from mcp_server.schemas import request_schema, result_schema


def current_request() -> FastMCPRequestContext:
    """The request that FastMCP is serving, which it keeps in a context variable only.

    It is read where the call enters and passed on as an argument. Raises Unauthenticated."""
    incoming = fastmcp_request_ctx.get()
    if incoming is None:
        raise Unauthenticated("This call came with no MCP request.")
    return incoming


class GateTool(Tool):
    """A name that can be called: the gate decides what becomes of it, also when nobody declared it."""

    _calls: Calls = PrivateAttr()

    @classmethod
    def unknown(cls, name: str, calls: Calls) -> "GateTool":
        """A name that nobody declared, so that its refusal is audited and reads like every other."""
        made = cls.model_construct(name=name, parameters={})
        made._calls = calls
        return made

    async def run(self, arguments: dict[str, Any]) -> ToolResult:
        return await self._calls.run(self.name, arguments, current_request())


class RegistryTool(GateTool):
    """One declared tool."""

    _declared: Declared = PrivateAttr()
    _wire: WireTool = PrivateAttr()
    _chars: int = PrivateAttr()

    @classmethod
    def of(cls, declared: Declared, calls: Calls) -> "RegistryTool":
        made = cls(
            name=declared.name,
            title=declared.title,
            description=declared.description,
            parameters=request_schema(declared),
            output_schema=result_schema(declared),
            annotations=annotations(declared),
            tags=set(declared.toolsets | {declared.domain}),
            meta={"headwater": facts(declared)},
        )
        made._calls, made._declared = calls, declared
        made._wire = Tool.to_mcp_tool(made)
        made._chars = len(made._wire.model_dump_json(by_alias=True, exclude_none=True))
        return made

    @property
    def declared(self) -> Declared:
        return self._declared

    @property
    def chars(self) -> int:
        """Size of this tool's entry in tools/list."""
        return self._chars

    def get_meta(self) -> dict[str, Any]:
        return dict(self.meta or {})  # FastMCP would add the tags, which models have no use for

    def to_mcp_tool(self, **overrides: Any) -> WireTool:
        return self._wire


def facts(declared: Declared) -> dict[str, Any]:
    """What a client may want to know beyond the hints."""
    found: dict[str, Any] = {"domain": declared.domain, "effect": declared.effect}
    if declared.job:
        found["job"] = True
    return found


def annotations(declared: Declared) -> ToolAnnotations:
    return ToolAnnotations(
        title=declared.title,
        read_only_hint=declared.effect == "read",
        destructive_hint=declared.effect == "destroy",
        idempotent_hint=declared.effect == "read",
        open_world_hint=False,
    )
