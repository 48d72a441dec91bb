"""`headwater evals` as a person types it, on a home with runs that have ended."""

import asyncio
import json
from collections.abc import Sequence
from pathlib import Path

import pytest
from click.testing import CliRunner, Result

from evals.cases import Case, own_suite
from evals.outcomes import Arm
from evals.run_tools import run_facts
from headwater.build import build
from headwater.commands import cli
from headwater.settings import read_settings
from tests.evals.test_compare import BASELINE, changed, result

RUNS = {"baseline": BASELINE, "worse": changed(lost=8, won=0), "noise": changed(lost=4, won=3)}


async def keep(home: Path) -> None:
    """Runs of one suite that have ended."""
    platform = await build(read_settings(home))
    try:
        history, by = platform.engine.evaluations, await platform.engine.identity.local_owner()
        for name, right in RUNS.items():
            cases = [Case(id=f"c{at}", question="How many?", gold=("SELECT 1",)) for at in range(len(right))]
            suite = own_suite(cases, connection="lakehouse", current_date="")
            facts = run_facts(suite, Arm("planner", "planner"), "tables")
            await history.begin(by, "own", facts, run_id=name)
            for at, is_right in enumerate(right):
                case = result(at, is_right, sql="SELECT 1", confidence=0.9)
                await history.add(by, name, at, case.case_id, case.model_dump())
            await history.finish(by, name, "completed")
    finally:
        await platform.close()


@pytest.fixture(scope="module")
def home(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("evals") / "home"
    asyncio.run(keep(folder))
    return folder


def typed(home: Path, words: Sequence[str]) -> Result:
    return CliRunner().invoke(cli, ["evals", *words, "--home", str(home)])


def test_the_gate_fails_on_a_planted_regression_and_passes_on_noise(home: Path) -> None:
    worse = typed(home, ["gate", "baseline", "worse"])
    assert worse.exit_code == 1 and "It is worse, and not by chance: -13.3%" in worse.output
    noise = typed(home, ["gate", "baseline", "noise"])
    assert (noise.exit_code, noise.output) == (0, "It may follow its baseline.\n")
    held = typed(home, ["gate", "baseline", "noise", "--max-lost", "0"])
    assert held.exit_code == 1 and "It lost 4 cases and won 3; 0 may be lost." in held.output


def test_runs_and_their_cases_are_shown(home: Path) -> None:
    found = typed(home, ["show", "worse", "--cases", "wrong"]).output
    assert "right        32/60 = 53%" in found and found.count("wrong    ") == 28
    assert "confidence 0.90" in typed(home, ["show", "worse", "--case", "c1"]).output
    listed = typed(home, ["runs"]).output.splitlines()
    assert [line.split()[0] for line in listed[1:]] == ["noise", "worse", "baseline"] and "40/60" in listed[3]


def test_a_report_is_written_where_it_is_wished(home: Path, tmp_path: Path) -> None:
    page = tmp_path / "report.html"
    assert typed(home, ["report", "baseline", "worse", "-o", str(page)]).output == f"Written: {page}\n"
    assert "-13.3 points" in page.read_text()


def test_lines_of_json_and_a_database_are_a_suite(tmp_path: Path) -> None:
    (tmp_path / "shop.sql").write_text("CREATE TABLE orders AS SELECT range AS id FROM range(7)")
    lines = [
        {"question": "How many orders are there?", "gold": "SELECT count(*) FROM orders"},
        {"question": "How many unicorns were born?"},
    ]
    (tmp_path / "my questions.jsonl").write_text("\n".join(map(json.dumps, lines)))
    words = ["run", str(tmp_path / "my questions.jsonl"), "--database", str(tmp_path / "shop.sql"), "--run-id", "r"]
    said = typed(tmp_path / "home", words)
    assert said.exit_code == 0, said.output
    assert "right        1/1 = 100%" in said.output and "declined     1/1 = 100%" in said.output
    assert "r-my-questions-planner" in typed(tmp_path / "home", ["runs"]).output
    assert read_settings(tmp_path / "home").query.allowed_roots == []  # data of one's own is not opened to servers


def test_suites_are_listed_with_what_they_need(home: Path) -> None:
    (home / "evals").mkdir()
    (home / "evals" / "broken.yaml").write_text("suite: [")
    lines = {line.split()[0]: line for line in typed(home, ["list"]).output.splitlines()}
    assert "340" in lines["everyday"] and "--data" in lines["acme"] and "63" in lines["flights"]
    assert "is not YAML" in lines["broken"]
    wrong = typed(home, ["run", "no-such-suite"])
    assert wrong.exit_code == 5 and "No suite 'no-such-suite'." in wrong.output
