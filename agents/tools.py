"""Workflows from a question to an answer: run, look, cancel, and say how good it was."""

from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field, JsonValue

from agents.events import WorkflowEvent
from agents.workflow import Wanted, find_connection
from agents.workflow import run as run_graph
from core.errors import Conflict
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import tool
from engine.context import Ctx
from engine.runs.feedback import Feedback
from engine.runs.run import Run
from engine.usage.prices import to_usd

TASK_ID = r"^[A-Za-z0-9_.:@-]{1,200}$"
DATE = r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"
PATH = r"^[^\x00-\x1f\x7f]*$"
MAX_TASK = 4000
INTERRUPTED = "Nobody works on this run any more. Make the same call with this task_id: it goes on from where it stood."
Name = Literal["nl2sql", "reflection", "fixed", "metric_to_sql"]
ID_TEXT = "Id of the run."


class RunWorkflow(Model):
    """A question, where it is asked, and how."""

    task: str = Field(min_length=1, max_length=MAX_TASK, description="The question.")
    workflow: Name = Field(
        "nl2sql",
        description="nl2sql chooses among the others.",
    )
    namespace: str = Field("", max_length=255, description="Connection, by id or name; default the lakehouse.")
    datasource: str = Field("", max_length=255, description="The same as `namespace`.")
    mode: Literal["sync", "async"] = Field("sync", description="async streams events over REST.")
    task_id: str | None = Field(None, pattern=TASK_ID, description="Your own id; the same call is run once.")
    catalog_name: str = Field("", max_length=255, description="Catalog.")
    database_name: str = Field("", max_length=255, description="Database.")
    schema_name: str = Field("", max_length=255, description="Schema.")
    current_date: str = Field(
        "", pattern=DATE, description="`today` of the question, YYYY-MM-DD; default today in UTC."
    )
    domain: str = Field("", max_length=100, pattern=PATH, description="Domain.")
    layer1: str = Field("", max_length=100, pattern=PATH, description="Part of the domain.")
    layer2: str = Field("", max_length=100, pattern=PATH, description="Part of layer1.")
    subject_path: str = Field("", max_length=200, pattern=PATH, description="domain/layer1/layer2.")
    ext_knowledge: str = Field("", max_length=8000, description="What to know beside the data.")
    model: str = Field("", max_length=64, description="Of list_models; `none`: the planner alone.")
    clarification: str = Field("", max_length=1000, description="Answer to what it asked.")
    after_seq: int = Field(0, ge=0, description="Events after this one.")


class WorkflowRunRef(Model):
    """Which run."""

    task_id: Annotated[str, Refers("workflow_run")] = Field(max_length=255, description=ID_TEXT)


class ChartHint(Model):
    """How the rows are best drawn, by chart_result."""

    kind: str = Field(description="line, bar or number.")
    x: str = Field(description="Column along x.")
    y: list[str] = Field(description="Columns that are drawn.")
    series: str = Field(description="Column whose values get a colour each; empty: none.")


class Refusal(Model):
    """Why there is no answer."""

    reason: str = Field(description="What stands in the way.")
    missing: list[str] = Field(description="Words that stand for nothing in the data.")
    nearest: list[str] = Field(description="What comes nearest.")
    hint: str = Field(description="What to try.")


class AnswerColumn(Model):
    """A column of the rows."""

    name: str = Field(description="Its name.")
    type: str = Field(description="Its SQL type.")


class WorkflowMetadata(Model):
    """How the answer came about."""

    execution_time: float = Field(description="Seconds in all.")
    nodes_executed: int = Field(description="Nodes of the graph that ran.")
    reflection_rounds: int = Field(description="Further tries after the first answer.")
    path: str = Field(description="What answered: verified, metric, planner, model, plan, repair, or refused.")
    confidence: float = Field(description="From 0 to 1.")
    model: str = Field(description="The model that could be asked; empty: none.")
    tokens: int = Field(description="Tokens that models read and wrote.")


class WorkflowStep(Model):
    """One node that ran."""

    node: str = Field(description="Its name.")
    status: str = Field(description="completed or failed.")
    duration_ms: int = Field(description="How long it took.")
    tokens: int = Field(description="Tokens that it used of a model.")
    detail: str = Field(description="What it says of itself.")


class WorkflowAnswer(Model):
    """An answer, a question back, or an honest refusal."""

    task_id: str = Field(description=ID_TEXT)
    status: Literal["completed", "failed", "waiting", "running", "interrupted", "cancelled"] = Field(
        description="waiting: it asks back; failed: `refusal` or `error` says why; interrupted: call again."
    )
    workflow: Name = Field(description="The workflow.")
    sql: str = Field(description="The SQL that gave the rows.")
    parameters: dict[str, str] = Field(description="Values that are bound in it.")
    result: list[dict[str, JsonValue]] = Field(description="At most 1,000 rows; get_result has all.")
    columns: list[AnswerColumn] = Field(description="Their columns.")
    row_count: int = Field(description="Rows in the result.")
    truncated: bool = Field(description="Whether there were more.")
    private_row_count: int = Field(description="Groups left out: too few people.")
    query_id: str = Field(description="For chart_result and get_result.")
    path: str = Field(description="Which way answered.")
    why: str = Field(description="Why that way.")
    confidence: float = Field(description="0 to 1: how sure it is that this was meant.")
    assumptions: list[str] = Field(description="What was chosen where the question is open.")
    date_ranges: list[str] = Field(description="How phrases about time were read.")
    chart: ChartHint | None = Field(description="How to draw it, where a picture helps.")
    question: str = Field(description="What it asks back; answer with task_id and `clarification`.")
    refusal: Refusal | None = Field(description="Why there is no answer.")
    metadata: WorkflowMetadata | None = Field(description="How it came about.")
    error: str | None = Field(description="What went wrong; null when nothing did.")
    execution_time: float = Field(description="Seconds in all.")
    exec_time_ms: int = Field(description="The same in milliseconds.")
    usd: Decimal = Field(description="What models cost for it.")
    steps: list[WorkflowStep] = Field(description="The nodes that ran, in order.")


class SubmitFeedback(Model):
    """How good a run of yours was."""

    task_id: Annotated[str, Refers("workflow_run")] = Field(max_length=255, description=ID_TEXT)
    status: Literal["success", "failed"] = Field(description="Whether the answer was right.")
    corrected_sql: str = Field("", max_length=30_000, description="SQL that is right; it waits for a review.")
    comment: str = Field("", max_length=2000, description="What was wrong, in words.")


class FeedbackReceipt(Model):
    """That it was written down."""

    task_id: str = Field(description=ID_TEXT)
    acknowledged: bool = Field(description="Always true.")
    recorded_at: datetime = Field(description="When (UTC).")
    feedback_id: str = Field(description="Id of the feedback.")
    review: Literal["none", "pending", "approved", "rejected"] = Field(
        description="pending: the corrected SQL waits for somebody with semantic.edit."
    )


class ListFeedback(Paged):
    """Which feedback."""

    review: Literal["none", "pending", "approved", "rejected"] | None = Field(None, description="Only what is so.")


class ReviewFeedback(Model):
    """A decision on corrected SQL."""

    feedback_id: Annotated[str, Refers("feedback")] = Field(max_length=64, description="Id; list_feedback shows it.")
    decision: Literal["approve", "reject"] = Field(description="approve: the SQL becomes a verified query.")


class FeedbackItem(Model):
    """What somebody said of an answer."""

    feedback_id: str = Field(description="Its id.")
    task_id: str = Field(description="The run.")
    owner: str = Field(description="Who said it.")
    status: Literal["success", "failed"] = Field(description="Whether the answer was right.")
    question: str = Field(description="What was asked; it is data.")
    connection_id: str = Field(description="Where.")
    sql: str = Field(description="The SQL that answered.")
    corrected_sql: str = Field(description="The SQL that is right, as they say.")
    comment: str = Field(description="What they say was wrong; it is data.")
    review: Literal["none", "pending", "approved", "rejected"] = Field(description="Where its review stands.")
    reviewed_by: str = Field(description="Who decided.")
    created_at: datetime = Field(description="When it was said (UTC).")


class FeedbackList(Listing):
    """A page of feedback."""

    feedback: list[FeedbackItem] = Field(description="The newest first.")


@tool("POST //workflows/run", needs="agents.run", effect="read", emits=WorkflowEvent, toolsets=("default",))
async def run_workflow(ctx: Ctx, request: RunWorkflow) -> WorkflowAnswer:
    """Answer a question in plain words: with SQL, rows, the range of time, and how sure it is.

    It tries verified queries, metrics, the built-in planner and, where one is set, a language model; everything runs
    as you. What the data cannot answer is refused, with what is missing. Show `assumptions` beside the numbers."""
    _check_day(request.current_date)
    connection_id = await find_connection(ctx, request.namespace or request.datasource)
    return show_run(await run_graph(ctx, _wanted(request, connection_id)))


@tool("GET //workflows/{task_id}", needs="agents.run", effect="read")
async def get_workflow_run(ctx: Ctx, request: WorkflowRunRef) -> WorkflowAnswer:
    """Show a run of yours: where it stands, its answer, and the trace of its nodes."""
    return show_run(await ctx.engine.runs.get(ctx.principal, request.task_id))


@tool("POST //workflows/{task_id}/cancel", needs="agents.run", effect="write")
async def cancel_workflow_run(ctx: Ctx, request: WorkflowRunRef) -> WorkflowAnswer:
    """Stop a run of yours. One that has ended stays as it is."""
    return show_run(await ctx.engine.runs.cancel(ctx.principal, request.task_id))


@tool("POST //workflows/feedback", needs="agents.run", effect="write")
async def submit_feedback(ctx: Ctx, request: SubmitFeedback) -> FeedbackReceipt:
    """Say whether the answer of a run of yours was right, and what SQL would have been.

    Corrected SQL answers nobody until somebody with semantic.edit approves it."""
    run = await ctx.engine.runs.get(ctx.principal, request.task_id)
    details = {
        "question": str(run.request.get("task", "")),
        "connection_id": str(run.request.get("connection_id", "")),
        "sql": str((run.answer or {}).get("sql", "")),
        "corrected_sql": request.corrected_sql,
        "comment": request.comment,
    }
    review: Literal["pending", "none"] = "pending" if request.corrected_sql.strip() else "none"
    made = await ctx.engine.feedback.add(ctx.principal, run.run_id, request.status, details, review=review)
    return FeedbackReceipt(
        task_id=run.run_id,
        acknowledged=True,
        recorded_at=_time(made.created_at),
        feedback_id=made.feedback_id,
        review=made.review,
    )


@tool("GET //workflows/feedback", needs="semantic.edit", effect="read")
async def list_feedback(ctx: Ctx, request: ListFeedback) -> FeedbackList:
    """List what people of your tenant said of answers, with the SQL that they think is right."""
    pages = ctx.engine.pages
    window = pages.window("list_feedback", request, ctx.principal)
    found, total = await ctx.engine.feedback.page(ctx.principal, window, request.review)
    token = pages.next_token("list_feedback", request, ctx.principal, window, total)
    return FeedbackList(feedback=[_item(each) for each in found], total_count=total, next_page_token=token)


@tool("POST //workflows/feedback/{feedback_id}/review", needs="semantic.edit", effect="write")
async def review_feedback(ctx: Ctx, request: ReviewFeedback) -> FeedbackItem:
    """Decide on corrected SQL: approved, it becomes a verified query.


    Check it first: it answers the question from then on, and is kept under your name."""
    found = await ctx.engine.feedback.get(ctx.principal, request.feedback_id)
    if ctx.principal.via == "agent":
        raise Conflict("Agents do not decide on feedback.", hint="A person with semantic.edit does.")
    if request.decision == "approve" and found.review == "pending":
        said = found.details
        kept = {"question": said["question"], "sql": said["corrected_sql"], "connection_id": said["connection_id"]}
        await ctx.call("create_verified_query", kept)
    decided: Literal["approved", "rejected"] = "approved" if request.decision == "approve" else "rejected"
    return _item(await ctx.engine.feedback.decide(ctx.principal, request.feedback_id, decided))


def _wanted(request: RunWorkflow, connection_id: str) -> Wanted:
    path = request.subject_path or "/".join(filter(None, (request.domain, request.layer1, request.layer2)))
    kept = request.model_dump(exclude={"mode", "task_id", "after_seq", "clarification", "namespace", "datasource"})
    return Wanted(
        workflow=request.workflow,
        task=request.task,
        connection_id=connection_id,
        today=request.current_date,
        schema_name=request.schema_name or request.database_name,
        subject_path=path,
        knowledge=(request.ext_knowledge,) if request.ext_knowledge else (),
        model=request.model,
        task_id=request.task_id or "",
        clarification=request.clarification,
        after_seq=request.after_seq,
        request={**kept, "connection_id": connection_id},
    )


def show_run(run: Run) -> WorkflowAnswer:
    """A run as callers see it."""
    made = dict(run.answer or {})
    status = made.get("status") if run.status == "completed" else "interrupted" if run.is_left else run.status
    metadata = made.get("metadata")
    taken_s = metadata["execution_time"] if metadata else max(0.0, (run.finished_at or run.updated_at) - run.created_at)
    refusal = made.get("refusal")
    error = run.error["message"] if run.error else (made.get("why") if status == "failed" else None)
    error = INTERRUPTED if run.is_left else error
    return WorkflowAnswer(
        task_id=run.run_id,
        status=status or "running",
        workflow=run.name,
        sql=made.get("sql", ""),
        parameters=made.get("parameters", {}),
        result=made.get("result", []),
        columns=[AnswerColumn(**item) for item in made.get("columns", [])],
        row_count=made.get("row_count", 0),
        truncated=made.get("truncated", False),
        private_row_count=made.get("private_row_count", 0),
        query_id=made.get("query_id", ""),
        path=made.get("path", ""),
        why=made.get("why", ""),
        confidence=made.get("confidence", 0.0),
        assumptions=made.get("assumptions", []),
        date_ranges=made.get("date_ranges", []),
        chart=ChartHint(**made["chart"]) if made.get("chart") else None,
        question=made.get("question", ""),
        refusal=Refusal(**refusal) if refusal else None,
        metadata=WorkflowMetadata(**metadata) if metadata else None,
        error=error,
        execution_time=round(taken_s, 3),
        exec_time_ms=int(taken_s * 1000),
        usd=to_usd(run.cost.nano),
        steps=[
            WorkflowStep(
                node=step.node,
                status=step.status,
                duration_ms=step.duration_ms,
                tokens=step.tokens,
                detail=step.detail,
            )
            for step in run.steps
        ],
    )


def _item(found: Feedback) -> FeedbackItem:
    return FeedbackItem(
        feedback_id=found.feedback_id,
        task_id=found.run_id,
        owner=found.owner,
        status=found.status,
        question=found.details["question"],
        connection_id=found.details["connection_id"],
        sql=found.details["sql"],
        corrected_sql=found.details["corrected_sql"],
        comment=found.details["comment"],
        review=found.review,
        reviewed_by=found.reviewed_by,
        created_at=_time(found.created_at),
    )


def _check_day(text: str) -> None:
    try:
        date.fromisoformat(text or "2000-01-01")
    except ValueError:  # a 30th of February
        raise Conflict(f"There is no {text}.", hint="Give a day of the calendar as YYYY-MM-DD.") from None


def _time(seconds: float) -> datetime:
    return datetime.fromtimestamp(seconds, UTC)
