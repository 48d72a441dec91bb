"""A call costs the same, however many tools there are."""

import subprocess
import sys
import time
from collections.abc import Iterator

from core.registry import Registry
from core.tool import Tool
from mcp_server.calls import Calls
from mcp_server.server import HeadwaterMCP
from tests.fakes.gate import dispatcher_over
from tests.mcp_server.conftest import running
from tests.mcp_server.generated import generated_tools


class CountingRegistry(Registry):
    """Counts how often all tools are gone through, as each listing must."""

    walks = 0

    def __iter__(self) -> Iterator[Tool]:
        self.walks += 1
        return super().__iter__()


def test_a_call_lists_no_tools() -> None:
    registry = CountingRegistry(generated_tools(30))
    with running(registry) as face:
        before = registry.walks
        for _ in range(3):
            assert not face.call("get_generated_7", {"name": "x"}, headers={"mcp-param-name": "x"})["isError"]
        assert registry.walks == before
        face.names()
        assert registry.walks > before


async def test_the_cpu_of_a_lookup_does_not_grow_with_the_tools() -> None:
    async def cpu_s(count: int) -> float:
        dispatcher, _ = dispatcher_over(Registry(generated_tools(count)))
        server = HeadwaterMCP(Calls(dispatcher), version="1", state_key=None)
        best = 1e9
        for _ in range(5):
            started = time.process_time()
            for _ in range(200):
                await server.get_tool(f"get_generated_{count - 1}")
            best = min(best, time.process_time() - started)
        return best

    assert await cpu_s(200) < 5 * await cpu_s(10) + 0.005


def test_importing_the_face_loads_no_engine_and_no_model_library() -> None:
    banned = "{'litellm', 'langgraph', 'chromadb', 'pyarrow', 'duckdb', 'pyiceberg', 'docket', 'engine', 'api'}"
    code = f"import sys, mcp_server.server; found = {banned} & set(sys.modules); assert not found, found"
    subprocess.run([sys.executable, "-c", code], check=True)
