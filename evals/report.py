"""A page that shows runs side by side: one HTML file, without scripts and without anything from elsewhere."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from evals.compare import compare, scores
from evals.outcomes import CaseResult, Run
from evals.statistics import Share, wilson

TEMPLATE = Path(__file__).parent / "report.html.j2"
BUCKETS = ((0.0, 0.6), (0.6, 0.7), (0.7, 0.8), (0.8, 0.9), (0.9, 1.01))
OUTCOMES = (  # name, class of its colour, and which cases
    ("right", "good", lambda case: case.is_right and case.is_answerable),
    ("rightly declined", "fair", lambda case: case.is_right and not case.is_answerable),
    ("declined", "idle", lambda case: not case.is_right and case.verdict == "declined"),
    ("failed", "odd", lambda case: case.verdict == "failed"),
    ("wrong", "bad", lambda case: not case.is_right and case.verdict in ("wrong", "right")),
)


def write_report(runs: Sequence[Run]) -> str:
    """The page for one or more runs; where they share a suite, each is compared with the first."""
    from jinja2 import Environment, FileSystemLoader, StrictUndefined  # lazily: only reports need it

    environment = Environment(
        loader=FileSystemLoader(TEMPLATE.parent),
        autoescape=True,
        undefined=StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters["percent"] = lambda value: f"{value:.0%}"
    environment.filters["seconds"] = lambda ms: f"{ms} ms" if ms < 10_000 else f"{ms / 1000:.0f} s"
    environment.filters["day"] = lambda at: f"{datetime.fromtimestamp(at, UTC):%Y-%m-%d %H:%M} UTC"
    boards = [_board(run, runs[0]) for run in runs]
    cases = _cases(runs)
    return environment.get_template(TEMPLATE.name).render(
        boards=boards,
        runs=runs,
        wrong=[row for row in cases if not row["is_right"]],
        others=[row for row in cases if row["is_right"]],
        legend=[
            (name, kind, ", ".join(str(sum(map(is_one, run.results))) for run in runs))
            for name, kind, is_one in OUTCOMES
        ],
        slowest_ms=max(1, *(board["scores"].p95_ms for board in boards)),
    )


def _board(run: Run, first: Run) -> dict[str, Any]:
    is_same = run.run_id != first.run_id and (run.digest, run.schema_digest) == (first.digest, first.schema_digest)
    return {
        "run": run,
        "scores": scores(run.results),
        "difference": compare(first, run).difference if is_same else None,
        "outcomes": [(name, kind, sum(map(is_one, run.results))) for name, kind, is_one in OUTCOMES],
        "groups": [
            ("By kind of question", _by(run.results, lambda case: case.category)),
            ("By database", _by(run.results, lambda case: case.database)),
            ("By path", _by(run.results, lambda case: case.path or "no answer")),
        ],
        "calibration": _calibration(run.results),
        "failing": _counts([case.failing for case in run.results]),
        "nodes": _counts([case.failing_node for case in run.results if not case.is_right]),
    }


def _by(results: Sequence[CaseResult], name: Callable[[CaseResult], str]) -> list[tuple[str, Share]]:
    groups: dict[str, list[CaseResult]] = defaultdict(list)
    for case in results:
        groups[name(case) or "none"].append(case)
    return [(key, wilson(sum(case.is_right for case in cases), len(cases))) for key, cases in sorted(groups.items())]


def _calibration(results: Sequence[CaseResult]) -> list[tuple[str, Share, float]]:
    """Of answers given with a confidence in each span, the share that is right, and how sure they were on average."""
    answers = [case for case in results if case.confidence is not None and case.verdict in ("right", "wrong")]
    rows = []
    for low, high in BUCKETS:
        sure = [(case, confidence) for case in answers if low <= (confidence := case.confidence or 0) < high]
        if sure:
            share = wilson(sum(case.is_right for case, _ in sure), len(sure))
            mean = sum(confidence for _, confidence in sure) / len(sure)
            rows.append((f"{low:.1f} to {min(high, 1.0):.1f}", share, mean))
    return rows


def _counts(names: Sequence[str]) -> list[tuple[str, int]]:
    counts: dict[str, int] = defaultdict(int)
    for name in names:
        if name:
            counts[name] += 1
    return sorted(counts.items(), key=lambda item: (-item[1], item[0]))


def _cases(runs: Sequence[Run]) -> list[dict[str, Any]]:
    """Every case with what each run made of it, in the suite's order."""
    rows: dict[str, dict[str, Any]] = {}
    for run in runs:
        for case in run.results:
            row = rows.setdefault(case.case_id, {"case": case, "answers": {}, "is_right": True})
            row["answers"][run.run_id] = case
            row["is_right"] &= case.is_right
    return list(rows.values())
