"""The planner, without any model, on the suite of questions about the demo's flights, through the gate."""

from pathlib import Path
from typing import Any

import pytest
import yaml

from core.dispatch import Call
from core.errors import PlatformError
from evals.score import is_subset
from headwater.build import Platform, build
from headwater.flights import load_flights
from headwater.settings import read_settings

SUITE = yaml.safe_load((Path(__file__).parents[2] / "evals" / "suites" / "flights.yaml").read_text())


async def answered(platform: Platform, tool: str, **arguments: Any) -> Any:
    owner = await platform.engine.identity.local_owner()
    call = Call(tool=tool, arguments=arguments, face="test", request_id="req_1", principal=owner)
    return await platform.dispatcher.call(call)


async def rows(platform: Platform, sql: str) -> list[tuple[Any, ...]]:
    answer = await answered(platform, "execute_query", sql=sql, max_rows=10_000)
    return [tuple(row.values()) for row in answer.data.records()]


async def outcome(platform: Platform, case: dict[str, Any]) -> bool:
    """Whether a case is answered rightly, or rightly declined."""
    try:
        asked = await answered(
            platform, "build_query_from_nl", natural_language=case["question"], current_date=SUITE["current_date"]
        )
    except PlatformError:
        return "gold" not in case
    found = await rows(platform, asked.sql)
    return any([is_subset(await rows(platform, gold), found) for gold in case.get("gold", ())])


@pytest.mark.slow
async def test_nine_of_ten_questions_are_answered_and_what_the_data_lacks_is_declined(tmp_path: Path) -> None:
    settings = read_settings(tmp_path / "home")
    await load_flights(settings)
    platform = await build(settings)
    try:
        right = {case["id"]: await outcome(platform, case) for case in SUITE["cases"]}
    finally:
        await platform.close()
    answerable = [right[case["id"]] for case in SUITE["cases"] if "gold" in case]
    unanswerable = [right[case["id"]] for case in SUITE["cases"] if "gold" not in case]
    assert len(right) >= 60 and len(unanswerable) >= 15
    assert sum(answerable) >= 0.9 * len(answerable), [name for name, is_right in right.items() if not is_right]
    assert sum(unanswerable) >= 0.95 * len(unanswerable)
