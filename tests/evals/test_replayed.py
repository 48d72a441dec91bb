"""A real model's answers, recorded once and replayed: every arm is measured without the model, and comes out the same.

The answers are Qwen2.5-Coder 1.5B's. To record them anew, name `headwater evals replay FILE --of URL` as the default
model of a home with the demo's flights, and let these arms answer there: `headwater evals run flights --cases 12`."""

import json
import subprocess
import sys
from collections.abc import AsyncIterator, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
import pytest_asyncio

from core.settings import Settings
from evals.compare import compare, gate, scores
from evals.outcomes import Arm, Run
from evals.report import write_report
from headwater.evaluating import Asked, run, summary
from headwater.flights import load_flights
from headwater.settings import read_settings

ANSWERS = Path(__file__).parent / "flights_answers.jsonl"
ARMS = ("bare", "fixed", "reflection", "nl2sql")
MODELS = """
default: recorded
models:
  - name: recorded
    model: openai/recorded
    api_base: "%s"
    strength: small
    context_tokens: 8192
    price: {input_usd_per_million: 1, output_usd_per_million: 2}
"""


@contextmanager
def replaying(answers: Path, *flags: str) -> Iterator[str]:
    """The base URL of a server that replays answers, as the command line starts it."""
    command = ["-W", "ignore", "-m", "headwater", "evals", "replay", str(answers), "--port", "0", *flags]
    with subprocess.Popen([sys.executable, *command], stderr=subprocess.PIPE, text=True) as server:
        assert server.stderr is not None
        try:
            yield server.stderr.readline().removeprefix("Base URL: ").strip()
        finally:
            server.terminate()


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def settings(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Settings]:
    home = tmp_path_factory.mktemp("replayed") / "home"
    found = read_settings(home)
    await load_flights(found, is_at_once=True)
    with replaying(ANSWERS, "--near") as url:
        (home / "models.yml").write_text(MODELS % url)
        yield found


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def runs(settings: Settings) -> dict[str, Run]:
    arms = [Arm(name, name) for name in ARMS]
    ended = await run(settings, Asked("flights", arms, case_count=12, run_id="ci"), lambda text: None)
    return {item.arm: item for item in ended}


@pytest.mark.asyncio(loop_scope="module")
async def test_the_bare_model_is_right_where_its_recorded_sql_is(runs: dict[str, Run]) -> None:
    bare = runs["bare"]
    assert [case.case_id for case in bare.results if case.is_right] == ["f01", "f11", "f17", "f43"]
    assert str(scores(bare.results).right) == "4/9 = 44% [19%, 73%]"
    assert {case.failing for case in bare.results if case.is_answerable and not case.is_right} <= {
        "validation",
        "linking",
        "plan",
    }


@pytest.mark.asyncio(loop_scope="module")
async def test_workflows_answer_what_the_bare_model_did_not_and_decline_what_no_data_answers(
    runs: dict[str, Run],
) -> None:
    for name in ("fixed", "reflection", "nl2sql"):
        found = scores(runs[name].results)
        assert (found.right.right, found.right.of, found.refused.right, found.refused.of) == (9, 9, 3, 3), name
        paired = compare(runs["bare"], runs[name])
        assert (len(paired.won), paired.lost, paired.difference.is_noise) == (8, [], False)
    assert any("worse" in reason or "lost" in reason for reason in gate(runs["fixed"], runs["bare"], max_lost=0))


@pytest.mark.asyncio(loop_scope="module")
async def test_tokens_and_cost_are_what_the_model_used_when_it_was_recorded(runs: dict[str, Run]) -> None:
    lines = [json.loads(line) for line in ANSWERS.read_text().splitlines()]
    usage = [line["answer"]["usage"] for line in lines[:12]]  # the bare model was asked first, once for each case
    found = scores(runs["bare"].results)
    assert found.tokens == sum(item["total_tokens"] for item in usage) == 9_372
    assert found.usd == pytest.approx(
        sum(item["prompt_tokens"] + 2 * item["completion_tokens"] for item in usage) / 1e6
    )
    assert found.column_linking is not None and found.steps == 1
    assert scores(runs["fixed"].results).tokens > 0  # what the planner declines is asked of the model


@pytest.mark.asyncio(loop_scope="module")
async def test_each_case_keeps_the_steps_that_ran(runs: dict[str, Run]) -> None:
    case = next(case for case in runs["fixed"].results if case.case_id == "f01")
    assert [step.node for step in case.trace][-2:] == ["execute_sql", "output"]
    page = write_report([runs[name] for name in ARMS])
    assert "execute_sql" in page and "+66.7 points" in page and "4 of 9" in page


@pytest.mark.asyncio(loop_scope="module")
async def test_a_question_that_was_not_recorded_says_so(settings: Settings, tmp_path: Path) -> None:
    suite = tmp_path / "more.yaml"
    suite.write_text('suite: more\ncases:\n  - {id: a, question: "How many passengers wept?", gold: ["SELECT 1"]}\n')
    for ended in await run(
        settings, Asked(str(suite), [Arm("bare", "bare"), Arm("fixed", "fixed")]), lambda text: None
    ):
        assert ended.results[0].verdict == "failed", "it is no declining"
        assert "This answer has not been recorded." in summary(ended)
