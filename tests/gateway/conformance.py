"""A platform with an MCP server behind it that has the conformance suite's diagnostic tools.

`python -m tests.gateway.conformance` prints its addresses as JSON, and serves until its input ends."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path
from typing import Any

from fastmcp import Context, FastMCP
from mcp.shared.exceptions import MCPError
from mcp_types import (
    MISSING_REQUIRED_CLIENT_CAPABILITY,
    ClientCapabilities,
    ElicitRequest,
    ElicitRequestFormParams,
    InputRequiredResult,
    MissingRequiredClientCapabilityErrorData,
    SamplingCapability,
)

from core.registry import Registry
from examples.agents import mcp_tools
from headwater.loops import run_fast
from headwater.serve import serving
from tests.gateway.worlds import Desk, gateway_settings, make_projects, served


def add_diagnostics(server: "FastMCP[Any]") -> None:
    """Tools of the suite's own names, each of which uses one capability of a client."""

    @server.tool
    async def test_missing_capability(ctx: Context) -> str:
        """Needs a client that samples."""
        params = ctx.session.client_params
        if params is None or params.capabilities.sampling is None:
            needed = ClientCapabilities(sampling=SamplingCapability())
            data = MissingRequiredClientCapabilityErrorData(required_capabilities=needed)
            raise MCPError(
                code=MISSING_REQUIRED_CLIENT_CAPABILITY,
                message="The client does not sample.",
                data=data.model_dump(by_alias=True, mode="json", exclude_none=True),
            )
        return "sampled"

    @server.tool
    async def test_logging_tool(ctx: Context) -> str:
        """Logs, where the client wants logs."""
        await ctx.info("logged")
        return "done"

    @server.tool
    async def test_streaming_elicitation(ctx: Context) -> Any:
        """Reports progress, then asks."""
        await ctx.report_progress(1, 2)
        schema: dict[str, Any] = {"type": "object", "properties": {"name": {"type": "string"}}}
        asked = ElicitRequest(params=ElicitRequestFormParams(message="Your name?", requested_schema=schema))
        return InputRequiredResult(input_requests={"name": asked}, request_state="asked")


async def serve() -> None:
    """Serve until the input ends."""
    server = mcp_tools.server()
    add_diagnostics(server)
    app = server.http_app(path="/mcp", host_origin_protection=True)
    with tempfile.TemporaryDirectory() as folder:
        registry = Registry.walk(["tools.agents", "tools.system"])
        async with (
            served(lambda url: app) as upstream,
            serving(gateway_settings(Path(folder)), registry=registry) as (platform, ports),
        ):
            await make_projects(platform)
            await Desk(platform).register(f"{upstream}/mcp", "MCP", "weather")
            shown = {
                "direct": f"{upstream}/mcp",
                "routed": f"http://127.0.0.1:{ports.mcp}/mcp/agents/weather",
                "by_project": f"http://127.0.0.1:{ports.mcp}/mcp/projects/p1",
                "token": await platform.engine.identity.mint(role="viewer"),
            }
            sys.stdout.write(json.dumps(shown) + "\n")
            sys.stdout.flush()
            await asyncio.to_thread(sys.stdin.read)


if __name__ == "__main__":
    run_fast(serve())
