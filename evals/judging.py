"""Judging one outcome against its case."""

from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from typing import Any

from core.errors import PlatformError
from evals.cases import Case
from evals.linked import bare_names, columns_of, tables_of
from evals.outcomes import CaseResult, Failing, Outcome, Verdict
from evals.score import is_equal, is_same_set, is_subset, what_differs

Rows = Sequence[Sequence[Any]]
Fetch = Callable[[str, str], Awaitable[Rows]]
"""The rows of a SQL text on a connection; raises PlatformError."""


@dataclass(frozen=True, slots=True)
class Bench:
    """Where gold runs: the connection of a case, and changed copies of its database."""

    connection: str
    copies: Sequence[str]
    fetch: Fetch


async def judge(case: Case, outcome: Outcome, bench: Bench, *, ms: int) -> CaseResult:
    """What became of a case."""
    if case.is_answerable:
        verdict, marks = await _judge_rows(case, outcome, bench)
    else:
        verdict, marks = _judge_refusal(outcome), {}
    is_right = verdict == ("right" if case.is_answerable else "declined")
    return CaseResult(
        case_id=case.id,
        database=case.database,
        category=case.category,
        question=case.question,
        is_answerable=case.is_answerable,
        verdict=verdict,
        is_right=is_right,
        failing="" if is_right else marks.pop("failing", "") or _failing(case, outcome),
        sql=outcome.sql,
        gold=case.gold[0] if case.gold else "",
        error=outcome.error,
        text=outcome.text[:2000],
        tools=list(outcome.tools),
        confidence=outcome.confidence,
        path=outcome.path,
        recall=_recall(case, outcome),
        column_recall=_column_recall(case, outcome),
        ms=ms,
        tokens=outcome.tokens,
        usd=outcome.usd,
        steps=outcome.steps,
        trace=list(outcome.trace),
        **{name: value for name, value in marks.items() if name != "failing"},
    )


def judge_chat(case: Case, outcome: Outcome, *, ms: int) -> CaseResult:
    """A chat is right when it chose a tool that it should, called none that it must not, and says what it must.

    What it must not call and tried all the same, but was kept from, is no fault: it did not act. `tried` shows it."""
    called, text = set(outcome.tools), outcome.text.casefold()
    is_right = (
        not outcome.error
        and (not case.calls or not (called | set(outcome.tried)).isdisjoint(case.calls))
        and called.isdisjoint(case.never_calls)
        and all(part.casefold() in text for part in case.says)
        and not any(part.casefold() in text for part in case.never_says)
    )
    return CaseResult(
        case_id=case.id,
        database=case.database,
        category=case.category,
        question=case.question,
        is_answerable=True,
        verdict="failed" if outcome.error else "right" if is_right else "wrong",
        is_right=is_right,
        failing="" if is_right else "execution" if outcome.error else "tools",
        error=outcome.error,
        text=outcome.text[:2000],
        tools=list(outcome.tools),
        tried=list(outcome.tried),
        ms=ms,
        tokens=outcome.tokens,
        usd=outcome.usd,
        steps=outcome.steps,
        trace=list(outcome.trace),
    )


def _judge_refusal(outcome: Outcome) -> Verdict:
    if outcome.is_declined:
        return "declined"
    return "wrong" if outcome.rows is not None else "failed"


async def _judge_rows(case: Case, outcome: Outcome, bench: Bench) -> tuple[Verdict, dict[str, Any]]:
    if outcome.rows is None:
        return "declined" if outcome.is_declined else "failed", {}
    golds = [await bench.fetch(bench.connection, sql) for sql in case.gold]
    if not any(is_subset(gold, outcome.rows) for gold in golds):
        return "wrong", {"failing": what_differs(golds[0], outcome.rows)}
    marks = {
        "is_strict": any(is_equal(gold, outcome.rows) for gold in golds),
        "is_bird": any(is_same_set(gold, outcome.rows) for gold in golds),
        "is_robust": await _is_robust(case, outcome, bench) if bench.copies and not outcome.parameters else None,
    }
    return "right", marks


async def _is_robust(case: Case, outcome: Outcome, bench: Bench) -> bool:
    """Whether the answer is right on every changed copy as well."""
    for copy in bench.copies:
        try:
            answer = await bench.fetch(copy, outcome.sql)
        except PlatformError:
            return False
        if not any([is_subset(await bench.fetch(copy, gold), answer) for gold in case.gold]):
            return False
    return True


def _failing(case: Case, outcome: Outcome) -> Failing:
    """The first step that went wrong, as far as it can be told from outside."""
    if not case.is_answerable:
        return "refusal"
    recall = _recall(case, outcome)
    if recall is not None and recall < 1 and outcome.sql:
        return "linking"
    return outcome.failing or ("plan" if not outcome.sql else "execution")


def _recall(case: Case, outcome: Outcome) -> float | None:
    """The share of gold's tables among those that the answer reads; of several golds the best."""
    shares = [
        len(wanted & bare_names(outcome.tables)) / len(wanted) for gold in case.gold if (wanted := tables_of(gold))
    ]
    return max(shares, default=None) if outcome.tables else None


def _column_recall(case: Case, outcome: Outcome) -> float | None:
    """The share of gold's columns among those that the answer's SQL reads; of several golds the best."""
    read = columns_of(outcome.sql) if outcome.sql else set()
    shares = [len(wanted & read) / len(wanted) for gold in case.gold if (wanted := columns_of(gold))]
    return max(shares, default=None) if outcome.sql else None
