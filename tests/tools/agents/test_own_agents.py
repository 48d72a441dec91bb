"""Agents of one's own: what they are made of is checked, what they are told is kept version by version."""

from decimal import Decimal
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized
from tests.gateway.worlds import STRANGER, VIEWER
from tests.tools.agents.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def own(bench: Bench, **given: Any) -> Any:
    return await bench.desk.call("create_agent", **{"name": "Own", "system_prompt": "First.", **given})


@pytest.mark.parametrize(
    ("given", "code", "said"),
    [
        ({"capabilities": ["list_agent"]}, "NOT_FOUND", "list_agents"),
        ({"capabilities": ["everything at all"]}, "NOT_FOUND", "Toolsets: agents"),
        ({"capabilities": "agents"}, "CONFLICT", "list of names"),
        ({"capabilities": [1]}, "CONFLICT", "list of names"),
        ({"capabilities": {"agents": "yes"}}, "CONFLICT", "true or false"),
        ({"capabilities": ["agents"] + [f"t{n}" for n in range(200)]}, "CONFLICT", "toolsets"),
        ({"connections": ["no-such"]}, "NOT_FOUND", "list_connections"),
        ({"budget": {"max_steps": 0}}, "INVALID_ARGUMENT", "create_agent takes"),
        ({"budget": {"steps": 1}}, "INVALID_ARGUMENT", "create_agent takes"),
    ],
)
async def test_what_stands_for_nothing_is_refused(bench: Bench, given: dict[str, Any], code: str, said: str) -> None:
    with pytest.raises(PlatformError) as caught:
        await own(bench, **given)
    assert caught.value.code == code
    assert said in f"{caught.value.message} {caught.value.hint}"
    if not isinstance(caught.value, InvalidArgument):
        kept = await own(bench)
        with pytest.raises(PlatformError):
            await bench.desk.call("update_agent", agent_id=kept.id, **given)


async def test_capabilities_may_be_an_object_and_the_budget_is_kept(bench: Bench) -> None:
    made = await own(
        bench, capabilities={"agents": True, "list_agents": False}, model="tiny", budget={"max_usd": "0.25"}
    )
    shown = await bench.desk.call("get_agent", agent_id=made.id, by=VIEWER)
    assert (shown.model, shown.budget.max_usd, shown.budget.max_steps) == ("tiny", Decimal("0.25"), None)
    assert shown.capabilities == {"agents": True, "list_agents": False}
    changed = await bench.desk.call("update_agent", agent_id=made.id, model="", budget={})
    assert (changed.model, changed.budget.max_usd) == ("", None)


async def test_an_agent_of_others_has_no_model(bench: Bench, them: str) -> None:
    with pytest.raises(Conflict, match="your own"):
        await bench.desk.call("update_agent", agent_id=them, model="tiny")
    with pytest.raises(Conflict, match="no prompt"):
        await bench.desk.call("rollback_agent_prompt", agent_id=them, prompt_version=1)
    assert (await bench.desk.call("list_agent_prompts", agent_id=them)).prompts == []


async def test_prompts_are_kept_and_come_back(bench: Bench) -> None:
    made = await own(bench)
    await bench.desk.call("update_agent", agent_id=made.id, system_prompt="Second.")
    await bench.desk.call("update_agent", agent_id=made.id, description="No new prompt.", system_prompt="Second.")
    back = await bench.desk.call("rollback_agent_prompt", agent_id=made.id, prompt_version=1)
    assert (back.system_prompt, back.description) == ("First.", "No new prompt.")
    listed = await bench.desk.call("list_agent_prompts", agent_id=made.id, by=VIEWER)
    found = [(item.prompt_version, item.system_prompt, item.rolled_back_to, item.author) for item in listed.prompts]
    assert found == [(3, "First.", 1, "ada"), (2, "Second.", None, "ada"), (1, "First.", None, "ada")]
    page = await bench.desk.call("list_agent_prompts", agent_id=made.id, page_size=2)
    rest = await bench.desk.call("list_agent_prompts", agent_id=made.id, page_size=2, page_token=page.next_page_token)
    assert [item.prompt_version for item in page.items + rest.items] == [3, 2, 1]


async def test_a_prompt_that_is_none_is_not_found_and_an_old_version_is_told(bench: Bench) -> None:
    made = await own(bench)
    with pytest.raises(NotFound, match="version 7"):
        await bench.desk.call("rollback_agent_prompt", agent_id=made.id, prompt_version=7)
    with pytest.raises(Conflict, match="changed meanwhile"):
        await bench.desk.call("rollback_agent_prompt", agent_id=made.id, prompt_version=1, expected_version=9)
    for tool in ("list_agent_prompts", "rollback_agent_prompt"):
        given: dict[str, Any] = {"agent_id": made.id} | ({"prompt_version": 1} if tool.startswith("roll") else {})
        with pytest.raises(NotFound):
            await bench.desk.call(tool, by=STRANGER, **given)
        with pytest.raises(InvalidArgument):
            await bench.desk.call(tool, **given, no_such_field=1)
    with pytest.raises(Unauthorized):
        await bench.desk.call("rollback_agent_prompt", by=VIEWER, agent_id=made.id, prompt_version=1)
