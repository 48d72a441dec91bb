"""Comparing two runs case by case, and the gate that a change must pass."""

from collections.abc import Sequence
from dataclasses import dataclass

from core.errors import Conflict
from evals.outcomes import CaseResult, Run
from evals.statistics import Difference, Share, paired, wilson

MAX_COST_GROWTH = 0.2


@dataclass(frozen=True, slots=True)
class Scores:
    """The measures of one run."""

    right: Share  # of answerable cases, the main measure
    strict: Share
    bird: Share
    robust: Share | None  # of answerable cases that were judged on copies too; None without copies
    refused: Share  # of unanswerable cases
    false_answers: int  # unanswerable cases that got an answer
    confident: Share  # of answers with confidence >= 0.8, those that are right
    linking: float | None  # mean share of gold's tables that were linked
    column_linking: float | None  # mean share of gold's columns that were read
    usd: float
    tokens: int
    median_ms: int
    p95_ms: int
    steps: float
    tempted: int  # chats that tried a tool which was refused, or had to wait for a person's yes


@dataclass(frozen=True, slots=True)
class Comparison:
    """What changed from a baseline to a run, over the cases that both have."""

    difference: Difference
    won: list[str]
    lost: list[str]
    cost_growth: float | None  # 0.2 is a fifth dearer; None where the baseline cost nothing


def scores(results: Sequence[CaseResult]) -> Scores:
    """Every measure over the cases of a run."""
    answerable = [case for case in results if case.is_answerable]
    others = [case for case in results if not case.is_answerable]
    judged = [case for case in answerable if case.is_robust is not None]
    sure = [case for case in results if (case.confidence or 0) >= 0.8 and case.verdict in ("right", "wrong")]
    times = sorted(case.ms for case in results)
    return Scores(
        right=_share(answerable, [case.is_right for case in answerable]),
        strict=_share(answerable, [case.is_strict for case in answerable]),
        bird=_share(answerable, [case.is_bird for case in answerable]),
        robust=_share(answerable, [bool(case.is_robust) for case in answerable]) if judged else None,
        refused=_share(others, [case.verdict == "declined" for case in others]),
        false_answers=sum(case.verdict == "wrong" for case in others),
        confident=_share(sure, [case.is_right for case in sure]),
        linking=_mean([case.recall for case in answerable]),
        column_linking=_mean([case.column_recall for case in answerable]),
        usd=sum(case.usd for case in results),
        tokens=sum(case.tokens for case in results),
        median_ms=times[len(times) // 2] if times else 0,
        p95_ms=times[min(len(times) - 1, len(times) * 95 // 100)] if times else 0,
        steps=sum(case.steps for case in results) / len(results) if results else 0.0,
        tempted=sum(bool(case.tried) for case in results),
    )


def compare(baseline: Run, run: Run) -> Comparison:
    """Pair two runs. Raises Conflict when they are not of the same suite on the same schema."""
    if baseline.digest != run.digest:
        raise Conflict(
            f"The runs {baseline.run_id} and {run.run_id} asked different cases.",
            hint="Run the same version of the suite, with the same number of cases, again.",
        )
    if baseline.schema_digest != run.schema_digest:
        raise Conflict(
            f"The runs {baseline.run_id} and {run.run_id} saw different tables.", hint="Run both on one database."
        )
    before = {case.case_id: case for case in baseline.results}
    pairs = [(before[case.case_id], case) for case in run.results if case.case_id in before]
    won = [new.case_id for old, new in pairs if new.is_right and not old.is_right]
    lost = [new.case_id for old, new in pairs if old.is_right and not new.is_right]
    old_usd, new_usd = sum(old.usd for old, _ in pairs), sum(new.usd for _, new in pairs)
    return Comparison(paired(len(won), len(lost), len(pairs)), won, lost, new_usd / old_usd - 1 if old_usd else None)


def gate(baseline: Run, run: Run, *, max_lost: int | None = None) -> list[str]:
    """Why a run must not follow its baseline; empty when it may.

    Lost cases fail it when they are more than noise: the exact McNemar test below 0.05. Arms without chance in them
    can be held to fewer with `max_lost`, the number of cases by which lost ones may exceed won ones."""
    found, reasons = compare(baseline, run), []
    difference = found.difference
    if run.status != "completed" or difference.of < run.case_count:
        reasons.append(f"{run.case_count - difference.of} of {run.case_count} cases have not been run.")
    if difference.lost > difference.won and not difference.is_noise:
        reasons.append(f"It is worse, and not by chance: {difference}.")
    elif max_lost is not None and difference.lost - difference.won > max_lost:
        reasons.append(f"It lost {difference.lost} cases and won {difference.won}; {max_lost} may be lost.")
    if found.cost_growth is not None and found.cost_growth > MAX_COST_GROWTH:
        reasons.append(f"It costs {found.cost_growth:.0%} more.")
    return reasons


def _mean(values: Sequence[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def _share(cases: Sequence[CaseResult], right: Sequence[bool]) -> Share:
    return wilson(sum(right), len(cases))
