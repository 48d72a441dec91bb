"""Evaluation suites: questions, and the SQL that answers them."""

from collections.abc import Mapping
from pathlib import Path

from pydantic import Field

from core.errors import NotFound
from core.pages import Listing, Paged
from core.portable import Model
from core.tool import tool
from engine.context import Ctx
from evals.cases import Suite, read_suite, shipped_suites

NAME = r"^[A-Za-z0-9_-]{1,64}$"


class ListEvalSuites(Paged):
    """Which page of suites to list."""


class EvalSuite(Model):
    """A suite, briefly."""

    suite: str = Field(description="Name; run_eval takes it.")
    description: str = Field(description="What it asks about.")
    kind: str = Field(description="`query` asks for rows, `chat` watches which tools are called.")
    case_count: int = Field(description="Questions in it.")
    unanswerable_count: int = Field(description="Questions that the data cannot answer: declining is right.")
    digest: str = Field(description="Runs of equal digests asked the same.")
    databases: list[str] = Field(description="Databases that it needs; none where the suite names a connection.")
    connection_id: str = Field(description="The connection of cases that name no database.")


class EvalSuiteList(Listing):
    """A page of suites."""

    suites: list[EvalSuite] = Field(description="The suites, by name.")
    items: list[EvalSuite] = Field(description="The same list.")


class GetEvalSuite(Model):
    """Which suite."""

    suite: str = Field(pattern=NAME, description="Name of the suite; list_eval_suites shows them.")


class EvalCase(Model):
    """A question and what answers it."""

    case_id: str = Field(description="Id in the suite.")
    question: str = Field(description="What is asked.")
    gold: list[str] = Field(description="SQL whose answer is right, one or more; none: the data cannot answer.")
    database: str = Field(description="Database that it is about; empty: the suite's connection.")
    category: str = Field(description="Kind of question.")


class EvalSuiteCases(EvalSuite):
    """A suite with its cases."""

    cases: list[EvalCase] = Field(description="The cases, in order.")


@tool("GET /evals/suites", needs="evals.run", effect="read")
async def list_eval_suites(ctx: Ctx, request: ListEvalSuites) -> EvalSuiteList:
    """List the evaluation suites whose data is at hand."""
    found = [show_suite(suite) for suite in _suites(ctx).values()]
    pages = ctx.engine.pages
    window = pages.window("list_eval_suites", request, ctx.principal)
    page = found[window.offset : window.offset + window.size]
    token = pages.next_token("list_eval_suites", request, ctx.principal, window, len(found))
    return EvalSuiteList(suites=page, items=page, total_count=len(found), next_page_token=token)


@tool("GET /evals/suites/{suite}", needs="evals.run", effect="read")
async def get_eval_suite(ctx: Ctx, request: GetEvalSuite) -> EvalSuiteCases:
    """Show one suite with its questions and the SQL that answers them."""
    suite = find_suite(ctx, request.suite)
    cases = [
        EvalCase(
            case_id=case.id,
            question=case.question,
            gold=list(case.gold),
            database=case.database,
            category=case.category,
        )
        for case in suite.cases
    ]
    return EvalSuiteCases(**dict(show_suite(suite)), cases=cases)


def show_suite(suite: Suite) -> EvalSuite:
    """A suite without its cases."""
    return EvalSuite(
        suite=suite.name,
        description=suite.description,
        kind=suite.kind,
        case_count=len(suite.cases),
        unanswerable_count=sum(not case.is_answerable for case in suite.cases) if suite.kind == "query" else 0,
        digest=suite.digest,
        databases=sorted(suite.databases),
        connection_id=suite.connection,
    )


def _suites(ctx: Ctx) -> Mapping[str, Suite]:
    """The suites that can be run here; those whose data lies elsewhere are left out."""
    found = {}
    for name, path in sorted(_paths(ctx).items()):
        try:
            found[name] = read_suite(path)
        except NotFound:
            continue
    return found


def find_suite(ctx: Ctx, name: str) -> Suite:
    """A suite by name. Raises NotFound."""
    path = _paths(ctx).get(name)
    if path is None:
        raise NotFound(f"No suite {name!r}.", hint="list_eval_suites shows those at hand.")
    return read_suite(path)


def _paths(ctx: Ctx) -> dict[str, Path]:
    return shipped_suites(ctx.engine.settings.home / "evals")
