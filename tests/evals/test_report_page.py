"""The report in a real Chromium: `tests/judge.sh report`. REPORT_PICTURES names a folder for its pictures."""

import json
import os
import shutil
import subprocess
from pathlib import Path

import pytest

from evals.outcomes import CaseResult, Run, Step
from evals.report import write_report

HERE = Path(__file__).parent
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
FAILING = ("linking", "plan", "validation", "rows", "values", "refusal")


def case(at: int, *, skill: int) -> CaseResult:
    """A case that a run of this skill, out of ten, gets right or not."""
    is_right, is_answerable = at * 7 % 10 < skill, at % 4 != 3
    wrong = "failed" if at % 5 == 0 else "wrong"
    return CaseResult(
        case_id=f"case-{at}",
        database="hotels" if at % 2 else "clinic",
        category=f"kind of question {at % 3}",
        question=f"How many guests <b>{at}</b> came with & without a booking?",
        is_answerable=is_answerable,
        verdict=wrong if not is_right else "right" if is_answerable else "declined",
        is_right=is_right,
        is_strict=is_right and is_answerable,
        is_robust=is_right if is_answerable else None,
        failing="" if is_right else FAILING[at % 6],
        gold="SELECT count(*) FROM guests WHERE " + "booking_id IS NULL AND " * 9 + "true" if is_answerable else "",
        sql=f"SELECT count(*) FROM guests -- {at}",
        error="" if is_right else "QUERY_UNAUTHORIZED: Access denied: the function date_format is not allowed.",
        confidence=0.5 + at % 6 / 12,
        recall=0.5,
        column_recall=0.75,
        ms=17 * at,
        tokens=800,
        trace=[
            Step(node="schema_linking", status="completed", duration_ms=3),
            Step(node="validate_sql", status="failed"),
        ],
    )


def run(arm: str, *, skill: int) -> Run:
    results = [case(at, skill=skill) for at in range(40)]
    facts = {"suite": "hotels", "digest": "a1b2", "case_count": 40, "status": "completed", "started_at": 1.8e9}
    return Run.model_validate({"run_id": f"monday-{arm}", "arm": arm, "workflow": arm, "results": results, **facts})


@pytest.mark.slow
@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_a_report_is_readable_by_day_by_night_and_on_a_phone(tmp_path: Path) -> None:
    got = subprocess.run(
        ["bash", str(HERE.parent / "signin" / "node" / "packages.sh")], capture_output=True, text=True, timeout=300
    )
    if got.returncode:
        pytest.skip(got.stderr.strip())
    page = tmp_path / "report.html"
    page.write_text(write_report([run("bare", skill=4), run("fixed", skill=7), run("nl2sql", skill=9)]))
    pictures = os.environ.get("REPORT_PICTURES", str(tmp_path / "pictures"))
    found = subprocess.run(
        ["node", str(HERE / "look.mjs"), str(page)],
        env=os.environ | {"PACKAGES": got.stdout.strip(), "CHROMIUM": CHROMIUM, "PICTURES": pictures},
        capture_output=True,
        text=True,
        timeout=120,
    )
    assert found.returncode == 0, found.stderr
    seen = json.loads(found.stdout)
    assert (seen["violations"], seen["complaints"]) == ([], [])
    assert seen["requests"] == [page.as_uri()]  # nothing from elsewhere
    assert len(list(Path(pictures).glob("*.png"))) == 4
