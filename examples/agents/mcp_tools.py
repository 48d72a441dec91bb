"""A sample MCP server, made with FastMCP: three tools, a resource and a prompt.

Run it with `python examples/agents/mcp_tools.py 9102`, then register it:
create_agent protocol=MCP endpoint_url=http://127.0.0.1:9102/mcp project_id=demo name=Weather"""

import asyncio
import sys
from typing import Any

import uvicorn
from fastmcp import FastMCP


def server() -> "FastMCP[Any]":
    """The server, whatever carries it."""
    made: FastMCP[Any] = FastMCP("Weather", instructions="Numbers about the weather.")

    @made.tool
    def echo(text: str) -> str:
        """Say what was said."""
        return text

    @made.tool
    def forecast(city: str, days: int = 1) -> dict[str, Any]:
        """Forecast the weather of a city."""
        return {"city": city, "days": days, "sky": "clear"}

    @made.tool
    async def slow(seconds: float) -> str:
        """Take a while."""
        await asyncio.sleep(seconds)
        return "done"

    @made.resource("weather://stations")
    def stations() -> str:
        """The stations."""
        return "Vienna, Graz"

    @made.prompt
    def ask(city: str) -> str:
        """Ask for the weather."""
        return f"How is the weather in {city}?"

    return made


def app() -> Any:
    """The server over HTTP, in both eras of the protocol."""
    return server().http_app(path="/mcp")


if __name__ == "__main__":
    uvicorn.run(app(), host="127.0.0.1", port=int(sys.argv[1]), access_log=False)
