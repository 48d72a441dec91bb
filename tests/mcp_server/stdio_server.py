"""Serves the samples on stdin and stdout, as the tests' administrator."""

import asyncio

from core.registry import Registry
from mcp_server.server import run_stdio
from tests.fakes.gate import PRINCIPALS, dispatcher_over

PACKAGES = ["tests.fakes.sample_tools", "tests.mcp_server.sample_catalog", "tests.mcp_server.sample_questions"]

if __name__ == "__main__":
    dispatcher, _ = dispatcher_over(Registry.walk(PACKAGES))
    asyncio.run(run_stdio(dispatcher, PRINCIPALS["admin-token"], version="1"))
