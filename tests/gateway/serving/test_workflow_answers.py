"""What a workflow tells, as A2A has it: steps, SQL as soon as it is known, rows, questions, refusals."""

from collections.abc import Callable
from typing import Any

import pytest

from agents.events import WorkflowEvent
from agents.tools import RunWorkflow, WorkflowAnswer
from core.context import Cancellation, Context, Principal
from core.errors import Cancelled, InvalidArgument, NotFound
from core.registry import Registry
from core.tool import tool
from engine.approvals.gate import NeedsApproval
from gateway.serving.answers import PlannedAnswers, ToolAnswers, Tools, fitting
from gateway.serving.asks import Ask, Note, Outcome, Piece, Visit
from gateway.serving.workflow_answers import WorkflowAnswers
from tests.gateway.serving.conftest import Served

pytestmark = pytest.mark.asyncio(loop_scope="session")
BLANK: dict[str, Any] = {
    "task_id": "t1",
    "status": "completed",
    "workflow": "nl2sql",
    "sql": "SELECT 2",
    "parameters": {},
    "result": [{"n": 2}],
    "columns": [{"name": "n", "type": "bigint"}],
    "row_count": 1,
    "truncated": False,
    "private_row_count": 0,
    "query_id": "q1",
    "path": "planner",
    "why": "",
    "confidence": 0.9,
    "assumptions": ["Orders count once."],
    "date_ranges": [],
    "chart": None,
    "question": "",
    "refusal": None,
    "metadata": None,
    "error": None,
    "execution_time": 0.1,
    "exec_time_ms": 100,
    "usd": "0",
    "steps": [],
}


class Script:
    """What the workflow answers next, and what it was asked."""

    def __init__(self) -> None:
        self.asked: list[RunWorkflow] = []
        self.answer: Callable[[RunWorkflow], dict[str, Any]] = lambda request: {}


@tool("POST //workflows/run", needs="agents.run", effect="read", emits=WorkflowEvent)
async def run_workflow(ctx: Context[Script], request: RunWorkflow) -> WorkflowAnswer:
    """Answer as the script has it."""
    ctx.engine.asked.append(request)
    for event, data in (
        ("progress", {"message": "Initializing workflow"}),
        ("node_detail", {"description": "Finding tables"}),
        ("sql_generated", {"sql": "SELECT 1"}),
    ):
        await ctx.emit(WorkflowEvent.model_validate({"event": event, "seq": 1, "task_id": "t1", "data": data}))
    return WorkflowAnswer.model_validate(BLANK | ctx.engine.answer(request))


class Stage:
    """Asks, and keeps what was told."""

    def __init__(self, served: Served, principal: Principal):
        self.script = Script()
        gate = served.own.dispatcher.beside(Registry([run_workflow.__dict__["tool"]]), self.script)
        self.workflows = WorkflowAnswers(Tools(gate))
        self.told: list[Note | Piece] = []
        self._visit = Visit(principal, "headwater", "r1", "http://x")

    def asking(self, text: str, **more: Any) -> Ask:
        given: dict[str, Any] = {"skill": "", "fields": {}, "earlier": {}, **more}
        return Ask(self._visit, "m", text=text, task_id="t1", context_id="c1", **given)

    async def ask(self, text: str, **more: Any) -> Outcome:
        return await self.workflows.answer(self.asking(text, **more), self.take, Cancellation())

    async def take(self, told: Note | Piece) -> None:
        self.told.append(told)


@pytest.fixture
async def stage(served: Served) -> Stage:
    return Stage(served, await served.own.dispatcher.authenticate(served.house.tokens["vera"], "a2a/headwater"))


async def test_steps_sql_and_rows_are_told_as_they_come(stage: Stage) -> None:
    outcome = await stage.ask("How many?", skill="fixed", fields={"connection_id": "shop"})
    sql = [told.text for told in stage.told if isinstance(told, Piece) and told.name == "sql"]
    assert [told.text for told in stage.told if isinstance(told, Note)] == ["Initializing workflow", "Finding tables"]
    assert sql == ["SELECT 1", "SELECT 2"]  # repaired, in the place of the first
    assert stage.told[-1] == Piece("rows", data={"rows": [{"n": 2}], **{k: BLANK[k] for k in _ABOUT_ROWS}})
    assert (outcome.state, outcome.text) == ("completed", "1 row. Orders count once.")
    assert outcome.data["confidence"] == 0.9 and outcome.data["query_id"] == "q1"
    asked = stage.script.asked[0]
    assert (asked.workflow, asked.namespace, asked.task, asked.task_id) == ("fixed", "shop", "How many?", "t1")


_ABOUT_ROWS = ("columns", "row_count", "truncated", "private_row_count")


async def test_a_question_back_is_answered_to_the_same_run(stage: Stage) -> None:
    stage.script.answer = lambda request: (
        {} if request.clarification else {"status": "waiting", "question": "Which revenue?", "sql": "", "result": []}
    )
    waits = await stage.ask("Revenue?", fields={"domain": "sales"})
    done = await stage.ask("Net.", earlier=waits.earlier, skill="fixed")
    first, second = stage.script.asked
    assert (waits.state, waits.text, done.state) == ("waits", "Which revenue?", "completed")
    assert second.clarification == "Net." and first.task_id == second.task_id
    assert second.model_dump(exclude={"clarification"}) == first.model_dump(exclude={"clarification"})


async def test_a_refusal_says_what_is_missing(stage: Stage) -> None:
    refusal = {"reason": "No such words.", "missing": ["zorgle"], "nearest": ["orders"], "hint": "Ask about orders."}
    stage.script.answer = lambda request: {"status": "failed", "why": "No such words.", "refusal": refusal}
    outcome = await stage.ask("zorgle")
    assert (outcome.state, outcome.text) == ("failed", "No such words. Ask about orders.")
    assert outcome.data["refusal"]["missing"] == ["zorgle"]


async def test_a_run_that_was_cancelled_is_cancelled(stage: Stage) -> None:
    stage.script.answer = lambda request: {"status": "cancelled"}
    with pytest.raises(Cancelled):
        await stage.ask("x")


async def test_rows_beyond_what_a_task_holds_are_cut_and_said_to_be() -> None:
    rows = [{"text": "x" * 100_000} for _ in range(100)]
    cut = fitting({"rows": rows, "truncated": False})
    assert 0 < len(cut["rows"]) < 100 and cut["truncated"]


async def test_what_a_workflow_does_not_take_is_refused_before_it_runs(stage: Stage, served: Served) -> None:
    tools = Tools(served.own.dispatcher)
    answers = ToolAnswers(stage.workflows, PlannedAnswers(tools))
    for text, fields in (("", {"domain": "x"}), ("x" * 4_001, {}), ("x", {"task_id": "other"}), ("x", {"sql": "y"})):
        with pytest.raises(InvalidArgument):
            answers.check("headwater", "", text, fields)
    with pytest.raises(NotFound):
        answers.check("headwater", "drop", "x", {})
    for agent, skill in (("mine", "agent:other"), ("mine", "nl2sql"), ("mine", "nothing")):
        with pytest.raises(NotFound):  # an agent's own address leads to no other
            answers.check(agent, skill, "x", {})
    answers.check("mine", "agent:mine", "x", {})
    answers.check("headwater", "metric_to_sql", "x", {"layer1": "eu", "connection_id": "shop"})


async def test_what_waits_for_somebodys_decision_is_asked_again(stage: Stage, served: Served) -> None:
    def refuse_once(request: RunWorkflow) -> dict[str, Any]:
        if len(stage.script.asked) == 1:
            raise NeedsApproval("execute_query needs an approval; apr_1 waits for a decision.")
        return {}

    stage.script.answer = refuse_once
    answers = ToolAnswers(stage.workflows, PlannedAnswers(Tools(served.own.dispatcher)))
    first = stage.asking("Revenue?", fields={"domain": "sales"}, skill="fixed")
    waits = await answers.answer(first, stage.take, Cancellation())
    woken = stage.asking("Go on.", earlier=waits.earlier, skill="fixed")
    done = await answers.answer(woken, stage.take, Cancellation())
    asked = stage.script.asked
    assert waits.state == "waits" and "apr_1" in waits.text and done.state == "completed"
    assert (asked[1].task, asked[1].domain, asked[1].task_id) == ("Revenue?", "sales", "t1.1")
