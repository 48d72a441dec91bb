"""A page that shows runs side by side: one HTML file, without scripts and without anything from elsewhere."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from evals.compare import compare, scores
from evals.outcomes import CaseResult, Run
from evals.statistics import Share, wilson

TEMPLATE = Path(__file__).parent / "report.html.j2"
BUCKETS = ((0.0, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01))


def write_report(runs: Sequence[Run]) -> str:
    """The page for one or more runs; where they share a suite, each is compared with the first."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # lazily: only reports need it

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent), autoescape=True, undefined=StrictUndefined, trim_blocks=True
    )
    environment.filters["percent"] = lambda value: f"{value:.0%}"
    boards = [_board(run, runs[0]) for run in runs]
    return environment.get_template(TEMPLATE.name).render(boards=boards, cases=_cases(runs), runs=runs)


def _board(run: Run, first: Run) -> dict[str, Any]:
    is_same = run.run_id != first.run_id and (run.digest, run.schema_digest) == (first.digest, first.schema_digest)
    return {
        "run": run,
        "scores": scores(run.results),
        "difference": compare(first, run).difference if is_same else None,
        "categories": _by(run.results, lambda case: case.category or "all"),
        "databases": _by(run.results, lambda case: case.database or "one"),
        "paths": _by(run.results, lambda case: case.path or "none"),
        "calibration": _calibration(run.results),
        "failing": _failing(run.results),
    }


def _by(results: Sequence[CaseResult], name: Any) -> list[tuple[str, Share]]:
    groups: dict[str, list[CaseResult]] = defaultdict(list)
    for case in results:
        groups[name(case)].append(case)
    return [(key, wilson(sum(case.is_right for case in cases), len(cases))) for key, cases in sorted(groups.items())]


def _calibration(results: Sequence[CaseResult]) -> list[tuple[str, Share]]:
    """Of answers given with a confidence in each span, the share that is right."""
    answers = [case for case in results if case.confidence is not None and case.verdict in ("right", "wrong")]
    spans = [
        (f"{low:.1f} to {min(high, 1.0):.1f}", [case for case in answers if low <= (case.confidence or 0) < high])
        for low, high in BUCKETS
    ]
    return [(name, wilson(sum(case.is_right for case in cases), len(cases))) for name, cases in spans if cases]


def _failing(results: Sequence[CaseResult]) -> list[tuple[str, int]]:
    counts: dict[str, int] = defaultdict(int)
    for case in results:
        if case.failing:
            counts[case.failing] += 1
    return sorted(counts.items(), key=lambda item: -item[1])


def _cases(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every case with what each run made of it; those that some run got wrong come first."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        for case in run.results:
            row = rows.setdefault(case.case_id, {"case": case, "answers": {}})
            row["answers"][run.run_id] = case
    return sorted(rows.values(), key=lambda row: all(case.is_right for case in row["answers"].values()))
