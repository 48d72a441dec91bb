"""Evaluation runs: whether answers got better, not worse."""

from collections.abc import Mapping
from datetime import UTC, datetime
from typing import Annotated, Any, Literal

from pydantic import Field

from core.errors import Conflict, NotFound
from core.jobs import Progress
from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.evaluations.history import StoredRun
from evals.cases import Case, Suite, own_suite
from evals.compare import Scores, compare, scores
from evals.outcomes import Arm, CaseResult, Run
from evals.runner import Place, connection_of, run_suite
from evals.schemas import digest_schemas
from evals.statistics import Share
from evals.suite_tools import NAME, find_suite

OPTIONAL_NAME = r"^([A-Za-z0-9_-]{1,64})?$"
DATE = r"^([0-9]{4}-(0[1-9]|1[0-2])-(0[1-9]|[12][0-9]|3[01]))?$"
WORKFLOWS = "`planner` is the planner alone, without a workflow; the others are those of run_workflow, and `chat`."


class OwnCase(Model):
    """A question of your own."""

    question: str = Field(min_length=1, max_length=4_000, description="What is asked.")
    gold: list[str] = Field(
        [], max_length=10, description="SQL whose answer is right, one or more; none: declining is right."
    )
    case_id: str = Field("", pattern=OPTIONAL_NAME, description="Id of your choice; left out, its number.")


class RunEval(Model):
    """What to ask, and who answers."""

    suite: str = Field("", pattern=OPTIONAL_NAME, description="Name of a suite; or give `cases` of your own.")
    cases: list[OwnCase] = Field([], max_length=500, description="Questions of your own, in place of a suite.")
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Connection that `cases` ask; a suite names its own."
    )
    current_date: str = Field("", pattern=DATE, description="What `today` is in `cases`, YYYY-MM-DD.")
    workflow: Literal["planner", "fixed", "reflection", "metric_to_sql", "nl2sql", "chat"] = Field(
        "nl2sql", description=f"Who answers. {WORKFLOWS}"
    )
    model: str = Field("", max_length=64, description="Name of a model, as list_models shows it; empty: the default.")
    connections: dict[str, str] = Field(
        {}, max_length=100, description="Connection id of each database that the suite names, where it is your own."
    )
    case_count: int = Field(0, ge=0, le=5_000, description="About as many cases, evenly spread; 0 runs all.")
    run_id: str = Field(
        "", pattern=OPTIONAL_NAME, description="Id of your choice. A run of that id that ended early goes on."
    )


class EvalShare(Model):
    """A share of cases with its 95 % interval (Wilson), from 0 to 1."""

    right: int = Field(description="Cases that count.")
    of: int = Field(description="Cases looked at.")
    value: float = Field(description="The share.")
    low: float = Field(description="Lower end of the interval.")
    high: float = Field(description="Upper end of the interval.")


class EvalScores(Model):
    """The measures of a run."""

    right: EvalShare = Field(description="Answerable cases whose gold columns are among the answer's, row by row.")
    strict: EvalShare = Field(description="Answerable cases with the very same rows and columns.")
    bird: EvalShare = Field(description="Answerable cases with the same set of rows, as BIRD counts.")
    robust: EvalShare | None = Field(
        description="Answerable cases that are right on changed copies of the database too; null without copies."
    )
    refused: EvalShare = Field(description="Unanswerable cases that were declined.")
    confident: EvalShare = Field(description="Of answers with confidence 0.8 or more, those that are right.")
    false_answers: int = Field(description="Unanswerable cases that got an answer.")
    table_recall: float | None = Field(description="Mean share of the gold's tables that answers read; null: none did.")
    column_recall: float | None = Field(description="Mean share of the gold's columns that answers read.")
    tokens: int = Field(description="Tokens that models read and wrote.")
    usd: float = Field(description="What they cost, in USD.")
    median_ms: int = Field(description="Median time of a case, in milliseconds.")
    p95_ms: int = Field(description="Time that 95 % of the cases took no longer than, in milliseconds.")
    steps: float = Field(description="Mean number of nodes or tool calls of a case.")


class EvalRun(Model):
    """A run, briefly."""

    run_id: str = Field(description="Id of the run.")
    suite: str = Field(description="Suite that was run.")
    digest: str = Field(description="Runs of equal digests asked the same.")
    workflow: str = Field(description="Who answered.")
    model: str = Field(description="Model; empty for the default, or none.")
    status: str = Field(description="`running`, `completed` or `cancelled`.")
    case_count: int = Field(description="Cases of the run.")
    started_at: datetime = Field(description="When it began (UTC).")
    finished_at: datetime | None = Field(description="When it ended (UTC).")


class EvalStep(Model):
    """A node of a workflow, or a tool of a chat, as it ran."""

    node: str = Field(description="Its name.")
    status: str = Field(description="How it ended.")
    duration_ms: int = Field(description="How long it took.")
    tokens: int = Field(description="Tokens of a model that it used.")
    detail: str = Field(description="What it says of itself.")


class EvalCaseResult(Model):
    """What became of a case."""

    case_id: str = Field(description="Id in the suite.")
    question: str = Field(description="What was asked.")
    verdict: str = Field(description="`right`, `wrong`, `declined` or `failed`.")
    is_right: bool = Field(description="Whether that is right for this case.")
    failing: str = Field(description="First step that went wrong, as far as it can be told.")
    sql: str = Field(description="SQL of the answer.")
    error: str = Field(description="Why there is no answer.")
    confidence: float | None = Field(description="How sure the answer was, 0 to 1.")
    path: str = Field(description="Which way answered.")
    ms: int = Field(description="Milliseconds.")
    tools: list[str] = Field(description="Tools that a chat called.")
    tried: list[str] = Field(description="Tools that it tried to call: refused, or waiting for a person's yes.")
    failing_node: str = Field(description="First node of the trace that failed.")
    trace: list[EvalStep] = Field(description="What ran for it, in order.")


class EvalRunResult(EvalRun):
    """A run with its measures and cases."""

    scores: EvalScores = Field(description="The measures.")
    results: list[EvalCaseResult] = Field(description="The cases that have ended, in the suite's order.")


class EvalRunRef(Model):
    """Which run."""

    run_id: Annotated[str, Refers("eval_run")] = Field(
        pattern=NAME, description="Id of a run of your own; list_eval_runs shows them."
    )


class ListEvalRuns(Paged):
    """Which runs to list."""

    suite: str = Field("", pattern=OPTIONAL_NAME, description="Only runs of this suite.")


class EvalRunList(Listing):
    """A page of runs."""

    runs: list[EvalRun] = Field(description="Your runs, the newest first.")
    items: list[EvalRun] = Field(description="The same list.")


class CompareEvalRuns(Model):
    """Two runs of one suite."""

    baseline_run_id: Annotated[str, Refers("eval_run")] = Field(pattern=NAME, description="The run to compare with.")
    run_id: Annotated[str, Refers("eval_run")] = Field(pattern=NAME, description="The run that is compared.")


class EvalComparison(Model):
    """What a run does better or worse than its baseline, case by case."""

    difference: float = Field(description="Share of cases won less share lost, from -1 to 1.")
    low: float = Field(description="Lower end of the 95 % interval of the difference.")
    high: float = Field(description="Upper end.")
    p: float = Field(description="Exact McNemar p: the chance of such a difference, or a greater one, by luck.")
    may_be_chance: bool = Field(description="Whether p is 0.05 or more.")
    case_count: int = Field(description="Cases that both ran.")
    won: list[str] = Field(description="Ids of cases that became right.")
    lost: list[str] = Field(description="Ids of cases that became wrong.")


@tool("POST /evals/runs", needs="evals.run", effect="write", job=True, emits=Progress)
async def run_eval(ctx: Ctx, request: RunEval) -> EvalRunResult:
    """Ask every question of a suite as yourself and judge the answers; a job that goes on after a kill.

    It may cost model tokens. Compare runs with compare_eval_runs; `headwater evals report` makes a page of them."""
    suite = _asked(ctx, request).pick(request.case_count)
    history, arm = ctx.engine.evaluations, Arm(request.workflow, request.workflow, request.model)
    place = await _place(ctx, suite, request.connections)
    facts = run_facts(suite, arm, await digest_schemas(ctx.call, place.of(suite)))
    begun = await history.begin(
        ctx.principal, suite.name, facts, run_id=request.run_id or (ctx.job.job_id if ctx.job else "")
    )

    async def keep(seq: int, result: CaseResult) -> None:
        await history.add(ctx.principal, begun.run_id, seq, result.case_id, result.model_dump())

    async def told(result: CaseResult, done: int, total: int) -> None:
        await ctx.emit(Progress(message=f"{result.case_id} {result.verdict}", done=done, total=total))

    done = [CaseResult.model_validate(result) for result in begun.results]
    await run_suite(ctx, suite, arm, place, keep=keep, done=done, told=told, stop=ctx.cancelled)
    ended = await history.finish(ctx.principal, begun.run_id, "cancelled" if ctx.cancelled else "completed")
    return show_result(as_run(ended))


@tool("GET /evals/runs", needs="evals.run", effect="read")
async def list_eval_runs(ctx: Ctx, request: ListEvalRuns) -> EvalRunList:
    """List your evaluation runs, the newest first."""
    pages = ctx.engine.pages
    window = pages.window("list_eval_runs", request, ctx.principal)
    stored, count = await ctx.engine.evaluations.listing(ctx.principal, window, request.suite)
    page = [EvalRun(**_brief(as_run(run))) for run in stored]
    token = pages.next_token("list_eval_runs", request, ctx.principal, window, count)
    return EvalRunList(runs=page, items=page, total_count=count, next_page_token=token)


@tool("GET /evals/runs/{run_id}", needs="evals.run", effect="read")
async def get_eval_run(ctx: Ctx, request: EvalRunRef) -> EvalRunResult:
    """Show a run of your own: its measures with intervals, and what became of each case."""
    return show_result(as_run(await ctx.engine.evaluations.get(ctx.principal, request.run_id)))


@tool("DELETE /evals/runs/{run_id}", needs="evals.run", effect="destroy", status=204)
async def delete_eval_run(ctx: Ctx, request: EvalRunRef) -> Empty:
    """Forget a run of your own."""
    await ctx.engine.evaluations.delete(ctx.principal, request.run_id)
    return Empty()


@tool("POST /evals/compare", needs="evals.run", effect="read")
async def compare_eval_runs(ctx: Ctx, request: CompareEvalRuns) -> EvalComparison:
    """Compare two runs of one suite case by case: what was won or lost, and whether by chance."""
    baseline = as_run(await ctx.engine.evaluations.get(ctx.principal, request.baseline_run_id))
    found = compare(baseline, as_run(await ctx.engine.evaluations.get(ctx.principal, request.run_id)))
    return EvalComparison(
        difference=found.difference.value,
        low=found.difference.low,
        high=found.difference.high,
        p=found.difference.p,
        may_be_chance=found.difference.is_noise,
        case_count=found.difference.of,
        won=found.won,
        lost=found.lost,
    )


def run_facts(suite: Suite, arm: Arm, schema_digest: str) -> dict[str, Any]:
    """What must be equal for a run to go on, and to be compared."""
    return {
        "digest": suite.digest,
        "schema_digest": schema_digest,
        "arm": arm.name,
        "workflow": arm.workflow,
        "model": arm.model,
        "case_count": len(suite.cases),
    }


def as_run(stored: StoredRun) -> Run:
    """A run as it was kept."""
    return Run(
        run_id=stored.run_id,
        suite=stored.suite,
        status=stored.status,
        started_at=stored.started_at,
        finished_at=stored.finished_at,
        results=[CaseResult.model_validate(result) for result in stored.results],
        **stored.facts,
    )


def show_result(run: Run) -> EvalRunResult:
    """A run with its measures and cases."""
    cases = [_show_case(case) for case in run.results]
    return EvalRunResult(**_brief(run), scores=_show_scores(scores(run.results)), results=cases)


def _show_case(case: CaseResult) -> EvalCaseResult:
    same = {name: getattr(case, name) for name in EvalCaseResult.model_fields if name != "trace"}
    return EvalCaseResult(**same, trace=[EvalStep(**step.model_dump()) for step in case.trace])


def _brief(run: Run) -> dict[str, Any]:
    same = ("run_id", "suite", "digest", "workflow", "model", "status", "case_count")
    times = {name: _time(getattr(run, name)) for name in ("started_at", "finished_at")}
    return {**{name: getattr(run, name) for name in same}, **times}


def _time(at: float | None) -> datetime | None:
    return None if at is None else datetime.fromtimestamp(at, UTC)


def _show_scores(found: Scores) -> EvalScores:
    return EvalScores(
        right=_show_share(found.right),
        strict=_show_share(found.strict),
        bird=_show_share(found.bird),
        robust=_show_share(found.robust) if found.robust else None,
        refused=_show_share(found.refused),
        confident=_show_share(found.confident),
        false_answers=found.false_answers,
        table_recall=found.linking,
        column_recall=found.column_linking,
        tokens=found.tokens,
        usd=found.usd,
        median_ms=found.median_ms,
        p95_ms=found.p95_ms,
        steps=found.steps,
    )


def _show_share(share: Share) -> EvalShare:
    return EvalShare(right=share.right, of=share.of, value=share.value, low=share.low, high=share.high)


async def _place(ctx: Ctx, suite: Suite, given: Mapping[str, str]) -> Place:
    """Where the suite's databases are: as given, else as `headwater evals run` connects them, else by their names."""
    found = {}
    for name in suite.databases:
        tried = [given[name]] if name in given else [connection_of(suite, name), name]
        at_hand = [connection for connection in tried if await _is_there(ctx, connection)]
        if not at_hand:
            raise NotFound(
                f"The database {name!r} of the suite {suite.name!r} is no connection here.",
                hint=f"Name one in `connections`; or let `headwater evals run {suite.name} --cases 1` make it on the "
                "server's home, and start the server again.",
            )
        found[name] = at_hand[0]
    return Place(found)


async def _is_there(ctx: Ctx, connection: str) -> bool:
    try:
        await ctx.call("get_connection", {"connection_id": connection})
    except NotFound:
        return False
    return True


def _asked(ctx: Ctx, request: RunEval) -> Suite:
    """The suite of that name, or one of the caller's own questions."""
    if bool(request.suite) == bool(request.cases):
        raise Conflict("Name a suite, or give cases; not both.", hint="list_eval_suites shows the suites.")
    if request.suite:
        return find_suite(ctx, request.suite)
    cases = [
        Case(id=case.case_id or f"c{at}", question=case.question, gold=tuple(case.gold))
        for at, case in enumerate(request.cases, 1)
    ]
    return own_suite(cases, connection=request.connection_id, current_date=request.current_date)
