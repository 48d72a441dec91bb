"""Prompts over MCP: listed and given to those alone who may call what they make a model call."""

from collections.abc import Iterator

import pytest

from core.registry import Registry
from mcp_server.prompts import MAX_VALUE_CHARS, PeoplePrompt
from tests.mcp_server.conftest import PACKAGES, Face, running

WEEKLY = PeoplePrompt(
    name="weekly_report",
    description="A report.",
    slots={"topic": "what about", "week": "which"},
    optional=frozenset({"week"}),
    tools=frozenset({"get_thing"}),
    fill=lambda values: f"Report on {values['topic']} in {values.get('week', 'last week')}.",
)


@pytest.fixture(scope="module")
def prompting() -> Iterator[Face]:
    with running(Registry.walk(PACKAGES), prompts=(WEEKLY,)) as opened:
        yield opened


def test_a_prompt_is_listed_with_its_arguments(prompting: Face) -> None:
    [shown] = prompting.ask("prompts/list")["prompts"]
    assert (shown["name"], shown["title"], shown["description"]) == ("weekly_report", "Weekly report", "A report.")
    assert [(item["name"], item["required"]) for item in shown["arguments"]] == [("topic", True), ("week", False)]


def test_a_prompt_is_filled(prompting: Face) -> None:
    answer = prompting.ask("prompts/get", params={"name": "weekly_report", "arguments": {"topic": "sales"}})
    assert answer["messages"][0]["content"]["text"] == "Report on sales in last week."


def test_whoever_may_not_call_its_tools_has_no_such_prompt(prompting: Face) -> None:
    assert prompting.ask("prompts/list", token="nobody-token")["prompts"] == []
    wanted = {"name": "weekly_report", "arguments": {"topic": "x"}}
    refused = prompting.post("prompts/get", params=wanted, token="nobody-token").json()
    unknown = prompting.post("prompts/get", params={**wanted, "name": "other"}, token="nobody-token").json()
    assert refused["error"]["code"] == unknown["error"]["code"]


@pytest.mark.parametrize("arguments", [{}, {"topic": "x", "more": "y"}, {"topic": "x" * (MAX_VALUE_CHARS + 1)}])
def test_wrong_arguments_are_refused(prompting: Face, arguments: dict[str, str]) -> None:
    answer = prompting.post("prompts/get", params={"name": "weekly_report", "arguments": arguments}).json()
    assert answer["error"]["code"] == -32602
