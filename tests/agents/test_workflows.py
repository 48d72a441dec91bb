"""Workflows through the gate: answers with and without a model, refusals, questions back, ids, events, feedback."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from agents.events import EVENTS, WorkflowEvent
from agents.workflow import clarified
from core.dispatch import Call
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.agents.desk import AgentDesk, changed, opened_desk, until
from tests.faces.world import load_shop
from tests.fakes.model_server import Asked, Reply

pytestmark = pytest.mark.asyncio(loop_scope="module")
TOTALS = [{"region": "eu", "total": 13.5}, {"region": "us", "total": 20.25}, {"region": None, "total": 7.75}]
BY_REGION = "SELECT region, sum(amount) AS total FROM shop.orders GROUP BY region ORDER BY region"
HARD = "what is the moonlight standing of the eu region"  # which no planner reads
KNOWN = "Everybody knows what a moonlight standing is."


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentDesk]:
    async with opened_desk(tmp_path_factory.mktemp("workflows"), load=load_shop) as opened:
        opened.server.play(lambda asked: Reply(status=400))
        yield opened


async def run(desk: AgentDesk, task: str, /, **arguments: Any) -> Any:
    usual = {"workflow": "fixed", "model": "none", "ext_knowledge": KNOWN if task == HARD else ""}
    return await desk.call("run_workflow", task=task, **{**usual, **arguments})


def writes(sql: str, plan: Any = None) -> Any:
    """A model that answers every question for SQL with this one, and for a plan with that one."""

    def script(asked: Asked) -> Any:
        wanted = asked.body["response_format"]["json_schema"]["schema"]["properties"]
        return {"tables": [], "sql": sql} if "sql" in wanted else (plan or "no plan")

    return script


@pytest.mark.parametrize("workflow", ["fixed", "reflection", "nl2sql"])
async def test_without_a_model_the_planner_answers(desk: AgentDesk, workflow: str) -> None:
    answer = await run(desk, "total amount by region", workflow=workflow)
    assert (answer.status, answer.path, answer.error) == ("completed", "planner", None)
    assert {row["region"]: float(list(row.values())[1]) for row in answer.result} == {
        "eu": 13.5,
        "us": 20.25,
        None: 7.75,
    }
    assert answer.confidence >= 0.8 and answer.chart.kind == "bar" and answer.metadata.reflection_rounds == 0
    assert "execute_sql" in [step.node for step in answer.steps]


@pytest.mark.parametrize("workflow", ["fixed", "reflection", "nl2sql", "metric_to_sql"])
async def test_what_the_data_cannot_answer_is_refused(desk: AgentDesk, workflow: str) -> None:
    answer = await run(desk, "How many unicorns were born in Paris?", workflow=workflow)
    assert (answer.status, answer.sql, answer.result) == ("failed", "", [])
    assert ("unicorns" in answer.refusal.missing) == (workflow != "metric_to_sql")  # which knows no words here
    assert answer.error == answer.refusal.reason


async def test_ranges_of_time_are_told_with_their_convention(desk: AgentDesk) -> None:
    answer = await run(desk, "total amount in January 2026", current_date="2026-03-01")
    assert float(next(iter(answer.result[0].values()))) == 41.5
    assert any("[2026-01-01, 2026-02-01)" in said for said in answer.date_ranges)


async def test_a_verified_query_goes_before_all_else(desk: AgentDesk) -> None:
    await desk.call("create_verified_query", question="Who buys?", sql="SELECT name FROM shop.customers ORDER BY name")
    answer = await run(desk, "who buys?", workflow="nl2sql")
    assert (answer.path, answer.confidence) == ("verified", 1.0)
    assert answer.result == [{"name": "Ada"}, {"name": "Bob"}]


async def test_metrics_answer_where_they_cover_the_question(desk: AgentDesk) -> None:
    await desk.call(
        "create_semantic_model",
        name="orders",
        table="shop.orders",
        connection_id="lakehouse",
        entities=[{"name": "order", "type": "primary", "expr": "id"}],
        dimensions=[
            {"name": "region", "type": "categorical"},
            {"name": "ordered_on", "type": "time"},
        ],
        measures=[{"name": "turnover_sum", "agg": "sum", "expr": "amount", "agg_time_dimension": "ordered_on"}],
    )
    await desk.call(
        "create_metric",
        name="turnover",
        kind="simple",
        type_params={"measure": "turnover_sum"},
        connection_id="lakehouse",
        description="What was sold.",
    )
    for workflow in ("metric_to_sql", "nl2sql"):
        answer = await run(desk, "turnover by region", workflow=workflow)
        assert (answer.status, answer.path) == ("completed", "metric"), answer
        assert {row["order__region"]: float(row["turnover"]) for row in answer.result}["eu"] == 13.5
    refused = await run(desk, "turnover by moon phase", workflow="metric_to_sql")
    assert refused.status == "failed" and any("turnover" in near for near in refused.refusal.nearest)


@pytest.mark.parametrize("workflow", ["fixed", "nl2sql"])
async def test_a_model_answers_what_the_planner_leaves_open(desk: AgentDesk, workflow: str) -> None:
    sql = "SELECT sum(CASE WHEN region = 'eu' THEN amount END) / sum(amount) AS share FROM shop.orders"
    desk.server.play(writes(sql))
    answer = await run(desk, HARD, model="twin", workflow=workflow)
    assert (answer.status, answer.path, answer.metadata.model) == ("completed", "model", "twin"), answer
    assert answer.metadata.tokens > 0 and "twin" in answer.assumptions[0]
    prompt = desk.server.requests[0].prompt
    assert prompt.index("Table shop.orders") < prompt.index(HARD) and prompt.rstrip().endswith(HARD)


async def test_the_first_message_is_the_same_for_the_next_question(desk: AgentDesk) -> None:
    """Schema first, question last: a server reads the long part once."""
    desk.server.play(writes(BY_REGION))
    await run(desk, HARD, model="twin", workflow="reflection")
    one = [asked.body["messages"] for asked in desk.server.requests]
    desk.server.play(writes(BY_REGION))
    other = HARD.replace("eu", "us")
    await run(desk, other, model="twin", workflow="reflection", ext_knowledge=KNOWN)
    two = [asked.body["messages"] for asked in desk.server.requests]
    assert len(one) >= 2 and [messages[0] for messages in one] == [messages[0] for messages in two]
    for messages, question in [(each, HARD) for each in one] + [(each, other) for each in two]:
        assert messages[0]["role"] == "system" and "Table shop.orders" in messages[0]["content"]
        assert question not in messages[0]["content"] and messages[-1]["content"].endswith(question)


async def test_a_typed_plan_is_compiled(desk: AgentDesk) -> None:
    plan = {
        "missing": "",
        "from": "shop.orders",
        "joins": [],
        "show": ["shop.orders.region"],
        "grain": {"column": "", "unit": ""},
        "measures": [{"aggregate": "sum", "column": "shop.orders.amount", "distinct": False, "alias": "total"}],
        "filters": [{"column": "shop.orders.region", "operator": "in", "value": "eu,us"}],
        "having": [],
        "order": [{"name": "total", "direction": "desc"}],
        "limit": 1,
    }
    desk.server.play(writes("SELECT nothing FROM nowhere", plan))
    with changed(desk, "twin", strength="strong"):
        answer = await run(desk, HARD, model="twin")
    assert (answer.path, [row["region"] for row in answer.result]) == ("plan", ["us"]), answer


async def test_one_repair_with_the_exact_message_and_names_that_are_alike(desk: AgentDesk) -> None:
    def script(asked: Asked) -> Any:
        if "The problem with it" in asked.prompt:
            return {"tables": [], "sql": BY_REGION}
        return {"tables": [], "sql": "SELECT regions, sum(amount) FROM shop.orders GROUP BY regions"}

    desk.server.play(script)
    answer = await run(desk, HARD, model="twin")
    assert answer.path == "repair" and len(answer.result) == 3
    repair = next(asked for asked in desk.server.requests if "The problem with it" in asked.prompt)
    assert "did you mean shop.orders.region?" in repair.prompt


async def test_reflection_keeps_the_older_answer_unless_the_new_one_is_better(desk: AgentDesk) -> None:
    empty = "SELECT region FROM shop.orders WHERE region = 'EU'"
    desk.server.play(lambda asked: {"tables": [], "sql": BY_REGION if "It runs but" in asked.prompt else empty})
    answer = await run(desk, HARD, model="twin", workflow="reflection")
    assert (answer.metadata.reflection_rounds, len(answer.result)) == (1, 3), answer
    desk.server.play(lambda asked: {"tables": [], "sql": BY_REGION if "It runs but" not in asked.prompt else empty})
    assert len((await run(desk, HARD, model="twin", workflow="reflection")).result) == 3


async def test_the_same_task_id_is_run_once(desk: AgentDesk) -> None:
    first = await run(desk, "total amount by region", task_id="once")
    assert await run(desk, "total amount by region", task_id="once") == first
    assert await desk.call("get_workflow_run", task_id="once") == first
    with pytest.raises(Conflict):
        await run(desk, "number of orders", task_id="once")
    theirs = await run(desk, "number of customers", task_id="once", by="vic")
    assert theirs.task_id == "once" and theirs.result != first.result


async def test_a_run_is_its_owners_alone(desk: AgentDesk) -> None:
    await run(desk, "total amount by region", task_id="mine")
    for by, tenant in (("vic", "default"), ("olga", "other")):
        for tool in ("get_workflow_run", "cancel_workflow_run"):
            with pytest.raises(NotFound):
                await desk.call(tool, by, tenant, task_id="mine")
        with pytest.raises(NotFound):
            await desk.call("submit_feedback", by, tenant, task_id="mine", status="success")


async def test_another_tenant_is_answered_from_its_own_data(desk: AgentDesk) -> None:
    answer = await desk.call("run_workflow", "olga", "other", task="total amount by region")
    assert (answer.status, answer.result) == ("failed", [])


async def test_events_come_in_the_order_of_the_reference(desk: AgentDesk) -> None:
    parts: list[WorkflowEvent] = []

    async def emit(part: Any) -> None:
        parts.append(part)

    arguments = {"task": "total amount by region", "workflow": "fixed", "task_id": "told", "model": "none"}

    async def call(**more: Any) -> None:
        made = Call("run_workflow", {**arguments, **more}, "test", "r1", principal=await desk.who(), emit=emit)
        await desk.platform.dispatcher.call(made)

    await call()
    names: list[str] = [part.event for part in parts]
    order = ["started", "progress", "node_progress", "node_detail", "sql_generated", "execution_complete"]
    assert [names.index(name) for name in [*order, "output_ready", "done"]] == sorted(
        names.index(name) for name in [*order, "output_ready", "done"]
    )
    assert set(names) <= set(EVENTS) and [part.seq for part in parts] == list(range(1, len(parts) + 1))
    told, parts[:] = list(parts), []
    await call(after_seq=5)
    assert parts == told[5:]


async def test_bad_input_is_refused(desk: AgentDesk) -> None:
    for wrong in ({"task": ""}, {"workflow": "magic"}, {"task_id": "a b"}, {"current_date": "soon"}):
        with pytest.raises(InvalidArgument):
            await desk.call("run_workflow", **{"task": "x", **wrong})
    with pytest.raises(NotFound):
        await run(desk, "total amount", namespace="nowhere")
    with pytest.raises(NotFound):
        await run(desk, "total amount", model="nobody")
    with pytest.raises(Conflict):
        await run(desk, "total amount", current_date="2026-02-30")


async def test_corrected_sql_waits_for_a_review(desk: AgentDesk) -> None:
    task = "which regions are served"
    made = await run(desk, task, task_id="wrong", by="vic")
    said = await desk.call(
        "submit_feedback",
        "vic",
        task_id="wrong",
        status="failed",
        corrected_sql="SELECT DISTINCT region FROM shop.orders",
    )
    assert said.acknowledged and said.review == "pending" and made.path != "verified"
    with pytest.raises(Unauthorized):
        await desk.call("review_feedback", "vic", feedback_id=said.feedback_id, decision="approve")
    with pytest.raises(NotFound):
        await desk.call("review_feedback", "olga", "other", feedback_id=said.feedback_id, decision="approve")
    waiting = (await desk.call("list_feedback", review="pending")).feedback
    assert [item.corrected_sql for item in waiting] == ["SELECT DISTINCT region FROM shop.orders"]
    decided = await desk.call("review_feedback", feedback_id=said.feedback_id, decision="approve")
    assert decided.review == "approved"
    assert (await run(desk, task)).path == "verified"
    with pytest.raises(Conflict):
        await desk.call("review_feedback", feedback_id=said.feedback_id, decision="reject")


async def test_cancelling_stops_a_run_that_waits_for_its_model(desk: AgentDesk) -> None:
    desk.server.play(lambda asked: Reply("late", delay_s=3))
    running = asyncio.create_task(run(desk, HARD, model="twin", task_id="stop"))
    await until(lambda: desk.server.requests)
    await desk.call("cancel_workflow_run", task_id="stop")
    with pytest.raises(Exception, match="cancelled"):
        await asyncio.wait_for(running, 2)
    assert (await desk.call("get_workflow_run", task_id="stop")).status == "cancelled"


async def test_a_run_whose_process_died_goes_on_where_it_stood(desk: AgentDesk) -> None:
    """The task is torn down in the model's call, as by a kill; the next call with its id does not link again."""
    desk.server.play(lambda asked: Reply("late", delay_s=3))
    running = asyncio.create_task(run(desk, HARD, model="twin", task_id="again"))
    await until(lambda: desk.server.requests)
    running.cancel()
    await asyncio.gather(running, return_exceptions=True)
    left = await desk.call("get_workflow_run", task_id="again")
    assert left.status == "interrupted" and "Make the same call with this task_id" in left.error
    desk.server.play(writes(BY_REGION))
    answer = await run(desk, HARD, model="twin", task_id="again")
    assert answer.status == "completed" and len(answer.result) == 3 and answer.error is None
    nodes = [step.node for step in answer.steps]
    assert (nodes.count("schema_linking"), nodes.count("execute_sql")) == (1, 1) and "generate_sql" in nodes


async def test_a_question_back_is_answered_and_told_from_there_on(desk: AgentDesk) -> None:
    """What is streamed after the answer has one `started` and one `done`, also for whoever comes back."""
    asked = {"task": "sum of amount by name", "workflow": "fixed", "model": "none", "task_id": "which"}

    async def told(**more: Any) -> tuple[Any, list[WorkflowEvent]]:
        parts: list[WorkflowEvent] = []

        async def emit(part: Any) -> None:
            parts.append(part)

        call = Call("run_workflow", {**asked, **more}, "test", "r1", principal=await desk.who(), emit=emit)
        return await desk.platform.dispatcher.call(call), parts

    waiting, first = await told()
    assert (waiting.status, waiting.result) == ("waiting", []) and "not clear enough" in waiting.question
    assert [part.event for part in first[-3:]] == ["question", "output_ready", "done"]
    assert await told() == (waiting, first)
    done, second = await told(clarification="sum of amount by region")
    assert (done.status, done.question, len(done.result)) == ("completed", "", 3)
    names = [part.event for part in second]
    assert (names[0], names[-1], names.count("started"), names.count("done")) == ("started", "done", 1, 1)
    assert second[0].seq == first[-1].seq + 1
    assert await told(clarification="sum of amount by region") == (done, second) and await told() == (done, second)


async def test_who_leaves_at_the_last_word_finds_it_said_once(desk: AgentDesk) -> None:
    """The end is in the log, and not yet written down as the run's: the graph is not run again for it."""
    asked = {"task": "total amount by region", "workflow": "reflection", "model": "none", "task_id": "last"}

    async def leave(part: Any) -> None:
        if part.event == "done":
            raise asyncio.CancelledError

    call = Call("run_workflow", asked, "test", "r1", principal=await desk.who(), emit=leave)
    with pytest.raises(asyncio.CancelledError):
        await desk.platform.dispatcher.call(call)
    assert (await desk.call("get_workflow_run", task_id="last")).status == "interrupted"
    again = await desk.call("run_workflow", **asked)
    by = await desk.who()
    log = await desk.platform.engine.runs.events(await desk.platform.engine.runs.get(by, "last"))
    kinds = [event.kind for event in log]
    assert (again.status, len(again.result)) == ("completed", 3)
    assert (kinds.count("output_ready"), kinds.count("done"), kinds[-1]) == (1, 1, "done")
    assert [step.node for step in again.steps].count("execute_sql") == 1


@pytest.mark.parametrize(
    ("said", "meant"),
    [
        ("", "total of amount by name"),
        ("the customer's", "total of amount by name (the customer's)"),
        ("by name of the city", "total of amount by name (by name of the city)"),
        ("name of the customer", "total of amount by name (name of the customer)"),
        ("total of amount by city", "total of amount by city"),
    ],
)
async def test_an_answer_that_is_the_question_again_stands_alone(said: str, meant: str) -> None:
    assert clarified("total of amount by name", said) == meant


async def test_progress_never_goes_back(desk: AgentDesk) -> None:
    parts: list[WorkflowEvent] = []

    async def emit(part: Any) -> None:
        parts.append(part)

    asked = {"task": "total amount by region", "workflow": "nl2sql", "model": "none"}
    await desk.platform.dispatcher.call(
        Call("run_workflow", asked, "test", "r1", principal=await desk.who(), emit=emit)
    )
    shown: list[Any] = [part.data["progress"] for part in parts if "progress" in part.data]
    assert len(shown) > 5 and shown == sorted(shown)


async def test_nothing_of_a_run_is_left_in_checkpoints(desk: AgentDesk) -> None:
    await run(desk, "total amount by region")
    path = desk.platform.settings.home / "checkpoints.db"
    raw = await asyncio.to_thread(path.read_bytes)
    assert b"total amount" not in raw and b"sk-twin" not in raw
