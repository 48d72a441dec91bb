"""What a model sees first is small, whoever it speaks for, and enough to answer with."""

import pytest

from core.context import Principal
from core.dispatch import is_permitted
from core.registry import Registry
from engine.identity.roles import BUILT_IN
from headwater.build import TOOL_PACKAGES
from mcp_server.calls import Calls
from mcp_server.listing import RegistryTool
from mcp_server.toolsets import CHARS_PER_TOKEN, MAX_DEFAULT_TOKENS, MAX_DEFAULT_TOOLS, choose
from tests.fakes.gate import dispatcher_over

REGISTRY = Registry.walk(TOOL_PACKAGES)
CALLS = Calls(dispatcher_over(REGISTRY)[0], None)
CHARS = {tool.name: RegistryTool.of(tool, CALLS).chars for tool in REGISTRY}


@pytest.mark.parametrize("role", BUILT_IN)
def test_a_default_session_is_small(role: str) -> None:
    by = Principal("ada", "acme", frozenset({role}), BUILT_IN[role])
    permitted = [tool for tool in REGISTRY if is_permitted(tool, by)]
    listed = choose(permitted, frozenset(), by, lambda tool: CHARS[tool.name])
    assert len(listed) <= MAX_DEFAULT_TOOLS
    assert sum(CHARS[tool.name] for tool in listed) <= MAX_DEFAULT_TOKENS * CHARS_PER_TOKEN
    assert {"list_tables", "search_catalog", "search_tools", "search", "fetch"} <= {tool.name for tool in listed}
    assert ("execute_query" in {tool.name for tool in listed}) == by.may("query.run")


def test_chatgpt_finds_the_two_tools_that_it_looks_for() -> None:
    for name in ("search", "fetch"):
        assert REGISTRY.get(name).effect == "read"
        assert REGISTRY.get(name).mcp_only
