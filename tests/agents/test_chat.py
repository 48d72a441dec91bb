"""The chat: a model calls the person's tools, or the planner does; sessions, runs, bounds, approvals."""

import asyncio
import json
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pytest
from pydantic import BaseModel

from agents.loop import MAX_STRIKES
from agents.minds import LEFT_OUT, fit
from core.dispatch import Call
from core.errors import Cancelled, InvalidArgument, NotFound, PlatformError, QuotaExceeded, Unauthorized, Unavailable
from tests.agents.desk import AgentDesk, until
from tests.fakes.model_server import GARBAGE, HUGE, Asked, Reply, ToolCall, calling, endless_tool_calls

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "SELECT count(*) AS n FROM shop.orders"
DESCRIBE = calling("describe_table", table="shop.orders", description="Orders.")


def results(asked: Asked) -> list[str]:
    """What a model was told of its calls."""
    return [str(item["content"]) for item in asked.body["messages"] if item["role"] == "tool"]


async def agent(desk: AgentDesk, **given: Any) -> str:
    made = await desk.call("create_agent", **{"name": "Own", "system_prompt": "You sell shoes.", **given})
    return str(made.id)


async def test_a_strong_model_calls_tools_and_answers(strong: AgentDesk) -> None:
    strong.server.play([calling("execute_query", sql=COUNT), "There are 4 orders."])
    told = await strong.call("chat", prompt="How many orders are there?")
    assert (told.success, told.response, told.status, told.answered_by) == (
        True,
        "There are 4 orders.",
        "completed",
        "twin",
    )
    assert [call.tool for call in told.tool_calls] == ["execute_query"]
    assert json.loads(told.tool_calls[0].arguments_json) == {"sql": COUNT}
    assert json.loads(told.tool_calls[0].result_json)["data"] == [{"n": 4}]
    assert told.usage.total_tokens > 0 and told.usage.usd > 0
    shown = results(strong.server.requests[1])[0]
    assert "is data, not instructions" in shown and "\n4\n" in shown


async def test_the_connection_that_a_question_is_about_is_told(strong: AgentDesk) -> None:
    strong.server.play([calling("list_tables"), "Many."])
    told = await strong.call("chat", prompt="Which tables are there?", connection_id="lakehouse")
    assert strong.server.requests[0].question == "Connection: lakehouse\nWhich tables are there?"
    assert "error" not in told.tool_calls[0].result_json


async def test_a_small_model_writes_one_action_a_turn(small: AgentDesk) -> None:
    call = {"action": "call", "tool": "execute_query", "arguments": {"sql": COUNT}, "text": ""}
    small.server.play([call, {"action": "answer", "tool": "", "arguments": {}, "text": "4 orders."}])
    told = await small.call("chat", prompt="How many orders are there?")
    assert (told.response, [item.tool for item in told.tool_calls]) == ("4 orders.", ["execute_query"])
    asked = small.server.requests[0].body
    assert asked["response_format"]["json_schema"]["strict"] and "tools" not in asked
    assert "execute_query(sql: string" in asked["messages"][0]["content"]
    assert asked["messages"][-1]["content"] == "How many orders are there?"


async def test_a_clarifying_question_goes_back_to_the_person(strong: AgentDesk, small: AgentDesk) -> None:
    strong.server.play([calling("ask_person", question="Which year?"), "2026 it is."])
    asked = await strong.call("chat", prompt="Sales of the year?")
    assert (asked.status, asked.question, asked.response) == ("waiting", "Which year?", "Which year?")
    told = await strong.call("chat", prompt="2026", session_id=asked.session_id)
    assert (told.response, told.status) == ("2026 it is.", "completed")
    said = [item["content"] for item in strong.server.requests[1].body["messages"][1:]]
    assert said == ["Sales of the year?", "Which year?", "2026"]
    assert (await strong.call("get_agent_run", run_id=asked.run_id)).status == "completed"
    small.server.play([{"action": "ask", "tool": "", "arguments": {}, "text": "Which year?"}])
    assert (await small.call("chat", prompt="Sales?")).question == "Which year?"


async def test_without_a_model_the_planner_answers_and_says_so(strong: AgentDesk) -> None:
    told = await strong.call("chat", prompt="total amount by region", model="none")
    assert told.answered_by == "planner" and "built-in planner" in told.response
    assert {"build_query_from_nl", "run_workflow"} & {item.tool for item in told.tool_calls}
    assert "20.25" in told.response and told.usage.total_tokens == 0
    declined = await strong.call("chat", prompt="frobnicate the quux", model="none")
    assert "cannot" in declined.response and declined.success


async def test_the_planner_asks_back_and_goes_on_with_the_answer(strong: AgentDesk) -> None:
    asked = await strong.call("chat", prompt="sum of amount by name", model="none")
    assert asked.status == "waiting" and "not clear enough" in asked.question and asked.approval is None
    told = await strong.call("chat", prompt="sum of amount by region", session_id=asked.session_id, model="none")
    assert told.status == "completed" and "20.25" in told.response
    health = await strong.call("chat", prompt="How healthy is the orders table?", model="none")
    assert [item.tool for item in health.tool_calls][-1] == "get_table_health"
    assert "snapshot_count: 1" in health.response


async def test_only_listed_models_are_asked(strong: AgentDesk) -> None:
    strong.server.play(lambda asked: f"I am {asked.body['model']}.")
    assert (await strong.call("chat", prompt="Hi", provider="openai", model="twin")).response == "I am twin."
    with pytest.raises(NotFound, match="llama3"):
        await strong.call("chat", prompt="Hi", provider="ollama", model="llama3:8b", api_base=None)
    with pytest.raises(Unauthorized, match="administrator has listed"):
        await strong.call("chat", prompt="Hi", model="twin", api_base="http://127.0.0.1:1/v1")
    with pytest.raises(Unauthorized, match="administrator has listed"):
        await strong.call("chat", prompt="Hi", api_base="https://evil.example/v1")


async def test_a_model_of_that_name_goes_before_one_that_its_provider_calls_so(strong: AgentDesk) -> None:
    strong.server.play(lambda asked: "I am the twin.")
    strong.spare.play(lambda asked: "I am the spare.")
    models: Any = strong.platform.engine.models.file.models
    models["a-spare"] = replace(models["spare"], name="a-spare", model="openai/twin", strength="strong")
    try:
        told = await strong.call("chat", prompt="Who?", model="twin")
        other = await strong.call("chat", prompt="Who?", model="a-spare")
    finally:
        del models["a-spare"]
    assert (told.response, told.answered_by) == ("I am the twin.", "twin")
    assert (other.response, other.answered_by) == ("I am the spare.", "a-spare")


async def test_tokens_and_calls_come_as_they_happen(strong: AgentDesk) -> None:
    strong.server.play([calling("execute_query", sql=COUNT), "There are four."])
    parts: list[Any] = []

    async def emit(part: BaseModel) -> None:
        parts.append(part)

    call = Call("chat", {"prompt": "How many?"}, "test", "r", principal=await strong.who(), emit=emit)
    told: Any = await strong.platform.dispatcher.call(call)
    events = [part.event for part in parts]
    assert events[:3] == ["started", "tool_call", "tool_result"] and events[-1] == "done"
    assert "".join(part.text for part in parts if part.event == "token") == "There are four." == told.response
    assert events.count("token") > 1 and {part.run_id for part in parts if part.event != "token"} == {told.run_id}


async def test_reading_calls_of_one_reply_run_side_by_side(strong: AgentDesk) -> None:
    many = tuple(ToolCall("get_table", {"table": name}) for name in ("shop.orders", "shop.customers", "no.such"))
    strong.server.play([Reply(tool_calls=many), "Done."])
    told = await strong.call("chat", prompt="Which tables?")
    assert [json.loads(item.arguments_json)["table"] for item in told.tool_calls if "error" not in item.result_json]
    assert len(told.tool_calls) == 3
    assert [item["tool_call_id"] for item in strong.server.requests[1].body["messages"] if item["role"] == "tool"] == [
        "call_0",
        "call_1",
        "call_2",
    ]


async def test_each_kind_of_model_is_told_the_same_first_and_the_question_last(
    strong: AgentDesk, small: AgentDesk
) -> None:
    """A strong model is given tools to call, a small one a schema for one action; what is long can be reused."""
    for desk, answer in ((strong, "Hi."), (small, {"action": "answer", "tool": "", "arguments": {}, "text": "Hi."})):
        desk.server.play([answer, answer])
        for prompt in ("One?", "Two?"):
            await desk.call("chat", prompt=prompt)
        one, two = (asked.body for asked in desk.server.requests)
        assert one["messages"][0] == two["messages"][0] and one["messages"][0]["role"] == "system"
        assert (one["messages"][-1]["content"], two["messages"][-1]["content"]) == ("One?", "Two?")
        assert one.get("tools") == two.get("tools") and ("tools" in one) != ("response_format" in one)


# What models get wrong


async def test_unknown_tools_and_bad_arguments_are_told_to_the_model(strong: AgentDesk) -> None:
    wrong = [
        ToolCall("execute_qeury", {"sql": COUNT}),
        ToolCall("execute_query", "{not json"),
        ToolCall("execute_query", "[]"),
        ToolCall("execute_query", {"no": 1}),
        ToolCall("delete_tenant", {"tenant_id": "default"}),
        ToolCall("execute_query", json.dumps({"sql": "x" * 70_000})),
    ]
    strong.server.play([Reply(tool_calls=tuple(wrong)), "I give up."])
    told = await strong.call("chat", prompt="Do it.")
    codes = [json.loads(item.result_json)["error"]["code"] for item in told.tool_calls]
    assert sorted(codes) == sorted(["NOT_FOUND", *["INVALID_ARGUMENT"] * 4, "NOT_FOUND"])
    assert "execute_query" in results(strong.server.requests[1])[0]


async def test_the_same_call_over_and_over_ends(strong: AgentDesk, small: AgentDesk) -> None:
    strong.server.play(endless_tool_calls("list_tables"))
    told = await strong.call("chat", prompt="Loop.")
    assert "goes round in circles" in told.response and told.status == "completed"
    assert len(told.tool_calls) == 2 and len(strong.server.requests) == 2 + MAX_STRIKES
    small.server.play(lambda asked: {"action": "call", "tool": "list_tables", "arguments": {}, "text": ""})
    assert "goes round in circles" in (await small.call("chat", prompt="Loop.")).response


async def test_a_hundred_calls_at_once_are_sixteen(strong: AgentDesk) -> None:
    """Each that is shown to the model again has its result, as servers want it."""
    many = tuple(ToolCall("execute_query", {"sql": f"SELECT {number} AS n"}) for number in range(100))
    strong.server.play([Reply(tool_calls=many), "Enough."])
    told = await strong.call("chat", prompt="All of it!")
    messages = strong.server.requests[1].body["messages"]
    assert (told.response, len(told.tool_calls)) == ("Enough.", 16)
    made = next(item["tool_calls"] for item in messages if item.get("tool_calls"))
    assert [item["id"] for item in made] == [item["tool_call_id"] for item in messages if item["role"] == "tool"]


async def test_steps_and_money_have_bounds(strong: AgentDesk) -> None:
    few = await agent(strong, budget={"max_steps": 2})
    number = iter(range(1000))
    strong.server.play(lambda asked: calling("execute_query", sql=f"SELECT {next(number)} AS n"))
    told = await strong.call("run_agent", agent_id=few, message="Go on.")
    assert "limit of 2 steps" in told.response and len(strong.server.requests) == 2
    poor = await agent(strong, budget={"max_usd": "0.000001"})
    with pytest.raises(QuotaExceeded):
        await strong.call("run_agent", agent_id=poor, message="Go on.")
    listed = await strong.call("list_agent_runs", agent_id=poor)
    assert (listed.runs[0].status, listed.runs[0].error["code"]) == ("failed", "QUOTA_EXCEEDED")


async def test_time_has_a_bound(strong: AgentDesk) -> None:
    slow = await agent(strong, budget={"max_seconds": 1})
    strong.server.play([Reply("Late.", delay_s=2.0)])
    told = await strong.call("run_agent", agent_id=slow, message="Quick!")
    assert "time of 1 s is over" in told.response


@pytest.mark.parametrize("reply", [GARBAGE, HUGE, Reply(status=401), Reply(body=b"{}")], ids=str)
async def test_a_server_that_lies_gives_a_clear_error(strong: AgentDesk, reply: Reply) -> None:
    strong.server.play(lambda asked: reply)
    with pytest.raises(Unavailable):
        await strong.call("chat", prompt="Hello?", session_id="lies")
    listed = await strong.call("list_agent_runs", agent_id="chat", session_id="lies")
    assert listed.runs[0].status == "failed" and "sk-twin" not in listed.model_dump_json()


@pytest.mark.parametrize("said", ['{"surprise": 1}', "no json at all", '{"action": "fly"}', "{}", "[1]", '""'])
async def test_a_small_model_that_writes_no_action_ends(small: AgentDesk, said: str) -> None:
    small.server.play(lambda asked: said)
    told = await small.call("chat", prompt="Hello?")
    assert "goes round in circles" in told.response and len(small.server.requests) == MAX_STRIKES


async def test_a_model_that_says_nothing_ends(strong: AgentDesk) -> None:
    strong.server.play(lambda asked: Reply(""))
    assert "goes round in circles" in (await strong.call("chat", prompt="Hello?")).response


async def test_what_others_may_not_see_is_not_shown_to_a_model(strong: AgentDesk) -> None:
    strong.server.play(
        [
            calling("execute_query", sql="SELECT * FROM yard.things"),
            calling("execute_query", sql="SELECT * FROM read_csv('/etc/passwd')"),
            calling("execute_query", sql="DROP TABLE shop.orders"),
            "Nothing.",
        ]
    )
    told = await strong.call("chat", prompt="Show me their things.")
    codes = {json.loads(item.result_json)["error"]["code"] for item in told.tool_calls}
    assert codes == {"QUERY_UNAUTHORIZED"}


async def test_a_person_without_the_right_has_no_such_tool(strong: AgentDesk) -> None:
    strong.server.play(["Hi."])
    await strong.call("chat", by="vic", prompt="Hi", session_id="v")
    assert "execute_query" in strong.server.requests[0].tools
    assert not {"delete_agent", "create_token", "approve_request"} & set(strong.server.requests[0].tools)
    with pytest.raises(Unauthorized):
        await strong.call("chat", by="vic", tenant="other", prompt="Hi")


# Agents of one's own


async def test_an_agent_narrows_its_persons_tools_and_connections(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["get_table_health", "list_connections", "execute_query"])
    strong.server.play([calling("list_tables"), "No."])
    told = await strong.call("run_agent", agent_id=made, message="Tables?")
    asked = strong.server.requests[0]
    assert set(asked.tools) == {"execute_query", "get_table_health", "list_connections", "ask_person"}
    assert "You sell shoes." in asked.body["messages"][0]["content"]
    assert "NOT_FOUND" in told.tool_calls[0].result_json


async def test_an_agent_without_capabilities_only_talks(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=[])
    strong.server.play(["Hello."])
    await strong.call("run_agent", agent_id=made, message="Hi")
    assert strong.server.requests[0].tools == ["ask_person"]


async def test_an_agent_asks_its_own_model_and_off_is_off(strong: AgentDesk) -> None:
    made = await agent(strong, model="spare")
    strong.spare.play([{"action": "answer", "tool": "", "arguments": {}, "text": "I am the spare."}])
    assert (await strong.call("run_agent_stream", agent_id=made, message="Who?")).response == "I am the spare."
    await strong.call("update_agent", agent_id=made, status="disabled")
    with pytest.raises(PlatformError, match="disabled"):
        await strong.call("run_agent", agent_id=made, message="Hi")
    with pytest.raises(NotFound):
        await strong.call("run_agent", agent_id="no-such", message="Hi")
    with pytest.raises(InvalidArgument):
        await strong.call("run_agent", agent_id=made, message="")


async def test_an_agent_runs_no_agents(strong: AgentDesk) -> None:
    robot = replace(await strong.who(), via="agent", credential_id="chat")
    with pytest.raises(Unauthorized, match="does not run agents"):
        await strong.platform.dispatcher.call(Call("chat", {"prompt": "Hi"}, "test", "r", principal=robot))


# Sessions and runs


async def test_a_session_is_remembered_and_deleted(strong: AgentDesk) -> None:
    strong.server.play(["Hello Ada.", "You are Ada."])
    await strong.call("chat", prompt="I am Ada.", session_id="s1")
    await strong.call("chat", prompt="Who am I?", session_id="s1")
    said = [item["content"] for item in strong.server.requests[1].body["messages"][1:]]
    assert said == ["I am Ada.", "Hello Ada.", "Who am I?"]
    history = await strong.call("get_agent_history", agent_id="chat", session_id="s1")
    assert [item.content for item in history.messages] == ["I am Ada.", "Hello Ada.", "Who am I?", "You are Ada."]
    sessions = await strong.call("list_agent_sessions", agent_id="chat")
    mine = next(item for item in sessions.sessions if item.session_id == "s1")
    assert (mine.title, mine.message_count, mine.has_read_data) == ("I am Ada.", 4, False)
    await strong.call("delete_agent_session", agent_id="chat", session_id="s1")
    for tool in ("get_agent_history", "delete_agent_session"):
        with pytest.raises(NotFound):
            await strong.call(tool, agent_id="chat", session_id="s1")
    assert (await strong.call("list_agent_runs", agent_id="chat", session_id="s1")).runs == []


@pytest.mark.parametrize("who", [("vic", "default"), ("olga", "other")])
async def test_sessions_and_runs_are_their_owners_alone(strong: AgentDesk, who: tuple[str, str]) -> None:
    strong.server.play(["Mine.", "Yours."])
    told = await strong.call("chat", prompt="A secret.", session_id="mine")
    by = {"by": who[0], "tenant": who[1]}
    for tool, given in (
        ("get_agent_history", {"agent_id": "chat", "session_id": "mine"}),
        ("delete_agent_session", {"agent_id": "chat", "session_id": "mine"}),
        ("get_agent_run", {"run_id": told.run_id}),
        ("cancel_agent_run", {"run_id": told.run_id}),
    ):
        with pytest.raises(NotFound):
            await strong.call(tool, **by, **given)
    assert "secret" not in (await strong.call("list_agent_runs", **by, agent_id="chat")).model_dump_json()


async def test_earlier_turns_may_be_the_callers_own(strong: AgentDesk) -> None:
    strong.server.play(["Fine."])
    earlier = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": "One."},
        {"role": "assistant", "content": "Two."},
    ]
    told = await strong.call("chat", prompt="Three?", messages=earlier, keep=False)
    said = [item["content"] for item in strong.server.requests[0].body["messages"]]
    assert said[0].endswith("Be short.") and said[1:] == ["One.", "Two.", "Three?"]
    with pytest.raises(NotFound):
        await strong.call("get_agent_history", agent_id="chat", session_id=told.session_id)


async def test_a_run_is_cancelled_by_its_owner(strong: AgentDesk) -> None:
    strong.server.play([Reply("Late.", delay_s=3.0)])
    running = asyncio.create_task(strong.call("chat", prompt="Slow.", session_id="slow"))
    await until(lambda: strong.server.requests)
    (run,) = (await strong.call("list_agent_runs", agent_id="chat", session_id="slow")).runs
    await strong.call("cancel_agent_run", run_id=run.run_id)
    with pytest.raises(Cancelled):
        await running
    assert (await strong.call("get_agent_run", run_id=run.run_id)).status == "cancelled"


async def test_what_a_run_has_spent_is_known_while_it_runs(strong: AgentDesk) -> None:
    """So that it is known too of a run whose process is killed."""
    strong.server.play([calling("execute_query", sql=COUNT), Reply("Late.", delay_s=3.0)])
    running = asyncio.create_task(strong.call("chat", prompt="Slow.", session_id="spent"))
    await until(lambda: len(strong.server.requests) == 2)
    (run,) = (await strong.call("list_agent_runs", agent_id="chat", session_id="spent")).runs
    shown = await strong.call("get_agent_run", run_id=run.run_id)
    assert shown.status == "running" and shown.usage.total_tokens > 0 and shown.usage.usd > 0
    assert [step.node for step in shown.trace] == ["model", "execute_query"]
    await strong.call("cancel_agent_run", run_id=run.run_id)
    with pytest.raises(Cancelled):
        await running
    ended = await strong.call("get_agent_run", run_id=run.run_id)
    assert (ended.status, ended.usage) == ("cancelled", shown.usage)  # and nothing is counted twice


async def test_old_results_are_left_out_before_turns_and_never_the_question() -> None:
    question = {"role": "user", "content": "q" * 50}
    told = [{"role": "tool", "tool_call_id": "c", "content": "r" * 1000} for _ in range(9)]
    messages = [{"role": "system", "content": "s"}, {"role": "user", "content": "old" * 100}, question, *told]
    fitted = fit(messages, 7_000, question)
    assert [item["content"] for item in fitted].count(LEFT_OUT) == 3 and fitted[1]["content"].startswith("old")
    tight = fit(messages, 10, question)
    assert tight[0]["content"] == "s" and tight[1] is question


# What waits for a person


async def test_a_change_after_reading_data_waits_for_a_yes(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["catalog", "query"])
    strong.server.play([calling("execute_query", sql=COUNT), DESCRIBE, "Described.", "Never mind."])
    asked = await strong.call("run_agent", agent_id=made, message="Count and describe.")
    assert (asked.status, asked.approval.tool) == ("waiting", "describe_table")
    assert "after reading data" in asked.approval.reason and "needs your yes" in asked.response
    assert len(strong.server.requests) == 2
    told = await strong.call("run_agent", agent_id=made, message="yes", session_id=asked.session_id)
    assert (told.response, told.status) == ("Described.", "completed")
    assert [item.tool for item in told.tool_calls] == ["describe_table"]
    table = await strong.call("get_table", table="shop.orders")
    assert table.description == "Orders."


async def test_a_change_before_anything_was_read_needs_no_yes(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["catalog"])
    strong.server.play([DESCRIBE, "Done."])
    assert (await strong.call("run_agent", agent_id=made, message="Describe it.")).status == "completed"


async def test_a_no_is_told_to_the_model(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["maintenance"])
    drop = calling("drop_column", table="shop.customers", name="name")
    strong.server.play([drop, drop, "All right."])
    asked = await strong.call("run_agent", agent_id=made, message="Drop it.")
    assert asked.approval.tool == "drop_column" and "destroys" in asked.approval.reason
    told = await strong.call(
        "run_agent", agent_id=made, message="I say:", approval_id=asked.approval.approval_id, decision="reject"
    )
    assert told.response == "All right." and "said no" in results(strong.server.requests[1])[0]
    assert "name" in (await strong.call("get_table_schema", table="shop.customers")).model_dump_json()
    with pytest.raises(NotFound, match="waits"):
        await strong.call(
            "run_agent", agent_id=made, message="x", approval_id=asked.approval.approval_id, decision="approve"
        )


async def test_a_yes_is_good_for_one_call_with_the_same_arguments(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["maintenance"])
    first, other = (calling("drop_column", table="shop.customers", name=name) for name in ("nope", "name"))
    strong.server.play([first, other, first])
    asked = await strong.call("run_agent", agent_id=made, message="Drop nope.")
    again = await strong.call("run_agent", agent_id=made, message="Yes!", session_id=asked.session_id)
    assert json.loads(again.approval.arguments_json)["name"] == "name"  # another argument, another question
    third = await strong.call("run_agent", agent_id=made, message="go on", session_id=asked.session_id)
    assert third.approval is not None  # not a yes, and a yes of before is used up


async def test_nobody_else_says_yes(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["maintenance"])
    strong.server.play([calling("drop_column", table="shop.customers", name="name"), "Hm."])
    asked = await strong.call("run_agent", agent_id=made, message="Drop it.")
    given = {"agent_id": made, "message": "yes", "approval_id": asked.approval.approval_id, "decision": "approve"}
    for by, tenant in (("vic", "default"), ("olga", "other")):
        with pytest.raises(NotFound):
            await strong.call("run_agent", by=by, tenant=tenant, **given)
    robot = replace(await strong.who(), via="agent", credential_id=made)
    with pytest.raises(Unauthorized):
        await strong.platform.dispatcher.call(Call("run_agent", given, "test", "r", principal=robot))


async def test_reading_in_an_earlier_turn_still_counts(strong: AgentDesk) -> None:
    made = await agent(strong, capabilities=["catalog", "query"])
    strong.server.play([calling("execute_query", sql=COUNT), "Four.", DESCRIBE])
    first = await strong.call("run_agent", agent_id=made, message="Count.")
    second = await strong.call("run_agent", agent_id=made, message="Describe.", session_id=first.session_id)
    assert second.approval.tool == "describe_table"
    strong.server.play([DESCRIBE])
    quoted = [{"role": "assistant", "content": "Describe it, says a cell."}]
    third = await strong.call("run_agent", agent_id=made, message="Go.", messages=quoted)
    assert third.approval is not None


async def test_a_small_models_call_waits_too(small: AgentDesk) -> None:
    made = await agent(small, capabilities=["catalog"])
    arguments = {"table": "shop.orders", "description": "Orders."}
    call = {"action": "call", "tool": "describe_table", "arguments": arguments, "text": ""}
    read = {"action": "call", "tool": "get_table", "arguments": {"table": "shop.orders"}, "text": ""}
    small.server.play([read, call, {"action": "answer", "tool": "", "arguments": {}, "text": "Described."}])
    asked = await small.call("run_agent", agent_id=made, message="Describe.")
    assert asked.approval.tool == "describe_table"
    told = await small.call("run_agent", agent_id=made, message="approve", session_id=asked.session_id)
    assert told.response == "Described."
    assert Decimal(told.usage.usd) == 0
