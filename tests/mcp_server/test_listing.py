"""What a session sees."""

import json
from typing import Any

import pytest

from core.context import Principal
from core.errors import InvalidArgument
from core.registry import Registry
from core.tool import Tool
from mcp_server.toolsets import MAX_DEFAULT_TOKENS, MAX_DEFAULT_TOOLS, choose, parse_toolsets
from tests.mcp_server.conftest import PACKAGES, Face, running
from tests.mcp_server.generated import generated_tools


def everything_in(node: Any) -> list[str]:
    if isinstance(node, dict):
        return [*node, *(key for value in node.values() for key in everything_in(value))]
    return [key for item in node for key in everything_in(item)] if isinstance(node, list) else []


def test_tools_carry_titles_and_hints(face: Face) -> None:
    tools = {tool["name"]: tool for tool in face.ask("tools/list", path="/mcp?toolsets=all")["tools"]}
    assert tools["get_thing"]["title"] == "Get thing"
    assert tools["get_thing"]["description"] == "Fetch one thing."
    hints = {key: value for key, value in tools["delete_thing"]["annotations"].items() if key != "title"}
    assert hints == {"readOnlyHint": False, "destructiveHint": True, "idempotentHint": False, "openWorldHint": False}
    assert tools["get_thing"]["annotations"]["readOnlyHint"] is True
    assert tools["rebuild_things"]["_meta"]["headwater"]["job"] is True


def test_schemas_are_written_out_and_free_of_noise(face: Face) -> None:
    for tool in face.ask("tools/list", path="/mcp?toolsets=all")["tools"]:
        keys = everything_in(tool["inputSchema"]) + everything_in(tool.get("outputSchema", {}))
        assert not {"$ref", "$defs", "x-mcp-header"} & set(keys), tool["name"]
        assert tool["inputSchema"]["type"] == "object"
    echo = next(
        tool for tool in face.ask("tools/list", path="/mcp?toolsets=all")["tools"] if tool["name"] == "echo_thing"
    )
    properties = echo["inputSchema"]["properties"]
    assert properties["colour"]["enum"] == ["red", "blue"]
    assert properties["parts"]["items"]["properties"]["weight"] == {"type": "number", "description": "In grams."}
    assert echo["outputSchema"]["properties"]["ratio"] == {"type": ["number", "null"]}


def test_only_permitted_tools_are_listed(face: Face) -> None:
    viewer = face.names(token="viewer-token", path="/mcp?toolsets=all")
    assert "get_thing" in viewer
    assert "create_thing" not in viewer
    assert set(face.names(token="nobody-token")) == {"call_write_tool", "get_connection_thing", "get_result", "ping"}


def test_a_session_asks_for_the_toolsets_it_wants(face: Face) -> None:
    assert face.names(path="/mcp?toolsets=chatgpt") == ["get_table_schema"]
    assert face.names(path="/mcp?toolsets=default,chatgpt") == ["get_table_schema", "list_lakehouse_tables"]
    assert "get_thing" in face.names(path="/mcp?toolsets=tests")


def test_a_role_has_its_own_default_tools(face: Face) -> None:
    assert "call_write_tool" in face.names(token="viewer-token", path="/mcp?toolsets=default")
    assert "call_write_tool" not in face.names(path="/mcp?toolsets=default")


def test_an_unknown_toolset_is_named(face: Face) -> None:
    error = face.post("tools/list", path="/mcp?toolsets=nope").json()["error"]
    assert error["code"] == -32602
    assert error["data"]["error"]["code"] == "INVALID_ARGUMENT"
    assert "chatgpt" in error["data"]["error"]["hint"]


def test_lists_are_private_and_soon_stale(face: Face) -> None:
    for method in ("tools/list", "prompts/list", "resources/list", "resources/templates/list"):
        listing = face.ask(method)
        assert (listing["cacheScope"], listing["ttlMs"]) == ("private", 5000)


def test_there_are_no_prompts_and_no_fixed_resources(face: Face) -> None:
    assert face.ask("prompts/list")["prompts"] == []
    assert face.ask("resources/list")["resources"] == []


def test_discovery_says_how_to_start(face: Face) -> None:
    found = face.ask("server/discover")
    assert "search_catalog" in found["instructions"]
    assert len(found["instructions"]) < 1200


def test_a_default_session_over_many_tools_is_small() -> None:
    tools = generated_tools(200, default=15)
    with running(Registry(tools)) as face:
        answer = face.post("tools/list", token="viewer-token")
        assert len(answer.json()["result"]["tools"]) == MAX_DEFAULT_TOOLS
        assert len(json.dumps(answer.json()["result"]["tools"], separators=(",", ":"))) / 4 <= MAX_DEFAULT_TOKENS
        assert len(face.names(token="viewer-token", path="/mcp?toolsets=all")) == 200
        assert face.call("get_generated_199", {"name": "x"}, token="viewer-token")["structuredContent"]["name"] == "x"


def sizes(tool: Tool) -> int:
    return 100


def test_few_tools_are_shown_whole_without_any_tags() -> None:
    permitted = list(Registry.walk(PACKAGES))[:5]
    assert choose(permitted, frozenset(), Principal("a", "t"), sizes) == permitted


def test_few_tools_with_long_schemas_are_cut_to_the_default() -> None:
    permitted = list(Registry.walk(PACKAGES))[:5]
    assert len(choose(permitted, frozenset(), Principal("a", "t"), lambda tool: 10_000)) < 5


def test_toolsets_are_parsed_with_care() -> None:
    tools = list(Registry.walk(PACKAGES))
    assert parse_toolsets(" default , ,tests", tools) == {"default", "tests"}
    with pytest.raises(InvalidArgument):
        parse_toolsets("default;drop", tools)
