from collections.abc import Sequence
from random import Random
from typing import Any

import pytest

from core.errors import Conflict
from evals.compare import compare, gate, scores
from evals.outcomes import CaseResult, Run

COUNT = 60


def result(at: int, is_right: bool, **changes: Any) -> CaseResult:
    facts: dict[str, Any] = {
        "database": "",
        "category": "",
        "question": "How many?",
        "is_answerable": True,
        "usd": 0.01,
    }
    verdict = "right" if is_right else "wrong"
    return CaseResult(case_id=f"c{at}", verdict=verdict, is_right=is_right, **{**facts, **changes})


def run(right: Sequence[bool], *, name: str = "a", digest: str = "d", **changes: Any) -> Run:
    return Run(
        run_id=name,
        suite="own",
        digest=digest,
        arm="planner",
        workflow="planner",
        case_count=len(right),
        status="completed",
        started_at=0,
        results=[result(at, is_right, **changes) for at, is_right in enumerate(right)],
    )


BASELINE = [at % 3 != 0 for at in range(COUNT)]


def changed(*, lost: int, won: int) -> list[bool]:
    """The baseline with some right cases made wrong, and some wrong ones right."""
    after = list(BASELINE)
    for at in [at for at, is_right in enumerate(BASELINE) if is_right][:lost]:
        after[at] = False
    for at in [at for at, is_right in enumerate(BASELINE) if not is_right][:won]:
        after[at] = True
    return after


def test_a_planted_regression_does_not_pass_the_gate() -> None:
    reasons = gate(run(BASELINE), run(changed(lost=8, won=0)))
    assert len(reasons) == 1 and reasons[0].startswith("It is worse, and not by chance: -13.3%")


@pytest.mark.parametrize("seed", range(20))
def test_noise_passes_the_gate(seed: int) -> None:
    chance = Random(seed)
    lost, won = chance.choice([(3, 3), (4, 2), (2, 5), (5, 3), (1, 0), (0, 0), (6, 4)])
    assert gate(run(BASELINE), run(changed(lost=lost, won=won))) == []


def test_better_answers_pass_the_gate() -> None:
    assert gate(run(BASELINE), run(changed(lost=0, won=12))) == []


def test_arms_without_chance_can_be_held_to_every_case() -> None:
    after = run(changed(lost=2, won=1))
    assert gate(run(BASELINE), after, max_lost=1) == []
    assert gate(run(BASELINE), after, max_lost=0) == ["It lost 2 cases and won 1; 0 may be lost."]


def test_a_dearer_run_does_not_pass() -> None:
    assert gate(run(BASELINE), run(BASELINE, usd=0.0119)) == []
    assert gate(run(BASELINE), run(BASELINE, usd=0.013)) == ["It costs 30% more."]


def test_a_run_that_did_not_end_does_not_pass() -> None:
    short = run(BASELINE).model_copy(update={"results": run(BASELINE).results[:50]})
    assert gate(run(BASELINE), short) == ["10 of 60 cases have not been run."]


def test_runs_of_different_cases_or_tables_are_not_compared() -> None:
    with pytest.raises(Conflict, match="different cases"):
        compare(run(BASELINE), run(BASELINE, digest="other"))
    with pytest.raises(Conflict, match="different tables"):
        compare(run(BASELINE), run(BASELINE).model_copy(update={"schema_digest": "other"}))


def test_scores_keep_refusals_and_answers_apart() -> None:
    asked = [
        result(0, True, confidence=0.9),
        result(1, False, confidence=0.95, recall=0.5),
        result(2, True, is_answerable=False).model_copy(update={"verdict": "declined"}),
        result(3, False, is_answerable=False),
    ]
    found = scores(asked)
    assert (str(found.right), found.refused.right, found.refused.of) == ("1/2 = 50% [9%, 91%]", 1, 2)
    assert (found.false_answers, found.confident.of, found.linking) == (1, 2, 0.5)
