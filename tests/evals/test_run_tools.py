"""Evaluations through the gate, on a real platform over a real database."""

import sqlite3
from collections.abc import AsyncIterator
from dataclasses import dataclass
from html.parser import HTMLParser
from typing import Any

import pytest
import pytest_asyncio

from core.dispatch import Call
from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, Unauthorized
from evals.outcomes import CaseResult
from evals.report import write_report
from evals.run_tools import as_run
from headwater.build import Platform, build
from tests.faces.world import settings_of

CASES = [
    {"question": "How many orders are there?", "gold": ["SELECT count(*) FROM orders"]},
    {
        "question": "What is the total amount of orders by region?",
        "gold": ["SELECT region, sum(amount) FROM orders GROUP BY 1"],
    },
    {"question": "How many orders are there?", "gold": ["SELECT 99"], "case_id": "never"},
    {"question": "How many unicorns were born?"},
]


@dataclass
class House:
    platform: Platform

    async def call(self, tool: str, /, role: str = "data_engineer", tenant: str = "default", **arguments: Any) -> Any:
        identity = self.platform.engine.identity
        by = await identity.principal_of(tenant, f"{role}-{tenant}", "user")
        return await self.platform.dispatcher.call(Call(tool, arguments, "test", "r1", principal=by))


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def house(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[House]:
    data, home = tmp_path_factory.mktemp("data"), tmp_path_factory.mktemp("home")
    with sqlite3.connect(data / "shop.sqlite") as shop:
        shop.execute("CREATE TABLE orders (id INTEGER PRIMARY KEY, region TEXT, amount REAL)")
        shop.executemany("INSERT INTO orders VALUES (?, ?, ?)", [(at, "eu" if at % 2 else "us", at) for at in range(9)])
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
    platform = await build(settings_of(home))
    await platform.start_workers()
    directory = platform.engine.identity.directory
    await directory.create_tenant("Other", tenant_id="other", tier="enterprise")
    for tenant in ("default", "other"):
        for role in ("data_engineer", "lead_data_engineer", "viewer"):
            await directory.create_user(tenant, user_id=f"{role}-{tenant}", roles=frozenset({role}))
    made = House(platform)
    options = {"path": str(data / "shop.sqlite")}
    await made.call(
        "create_connection", "lead_data_engineer", connection_id="shop", name="shop", kind="sqlite", options=options
    )
    yield made
    await platform.close()


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_judges_each_question_and_is_kept(house: House) -> None:
    ended = await house.call("run_eval", cases=CASES, connection_id="shop", workflow="planner", run_id="first")
    assert [case.verdict for case in ended.results] == ["right", "right", "wrong", "declined"]
    assert [case.failing for case in ended.results] == ["", "", "values", ""]
    assert (ended.status, ended.scores.right.right, ended.scores.right.of, ended.scores.refused.right) == (
        "completed",
        2,
        3,
        1,
    )
    assert await house.call("get_eval_run", run_id="first") == ended
    assert "first" in [run.run_id for run in (await house.call("list_eval_runs", suite="own")).runs]


@pytest.mark.asyncio(loop_scope="module")
async def test_a_run_that_was_cut_short_goes_on_where_it_was(house: House) -> None:
    await house.call("run_eval", cases=CASES, connection_id="shop", workflow="planner", run_id="cut")
    engine = house.platform.engine
    by = await engine.identity.principal_of("default", "data_engineer-default", "user")
    stored = await engine.evaluations.get(by, "cut")
    await engine.evaluations.delete(by, "cut")
    await engine.evaluations.begin(by, stored.suite, stored.facts, run_id="cut")
    kept = CaseResult.model_validate(stored.results[0]).model_copy(update={"ms": 987_654})
    await engine.evaluations.add(by, "cut", 0, kept.case_id, kept.model_dump())
    ended = await house.call("run_eval", cases=CASES, connection_id="shop", workflow="planner", run_id="cut")
    assert (len(ended.results), ended.results[0].ms) == (4, 987_654)
    with pytest.raises(Conflict, match="taken by another suite"):
        await house.call("run_eval", cases=CASES[:1], connection_id="shop", workflow="planner", run_id="cut")


@pytest.mark.asyncio(loop_scope="module")
async def test_runs_are_compared_case_by_case(house: House) -> None:
    for name in ("one", "two"):
        await house.call("run_eval", cases=CASES, connection_id="shop", workflow="planner", run_id=name)
    found = await house.call("compare_eval_runs", baseline_run_id="one", run_id="two")
    assert (found.difference, found.p, found.may_be_chance, found.case_count) == (0, 1, True, 4)
    await house.call("run_eval", cases=CASES[:2], connection_id="shop", workflow="planner", run_id="short")
    with pytest.raises(Conflict, match="different cases"):
        await house.call("compare_eval_runs", baseline_run_id="one", run_id="short")


@pytest.mark.asyncio(loop_scope="module")
async def test_runs_of_others_do_not_exist(house: House) -> None:
    await house.call("run_eval", cases=CASES[:1], connection_id="shop", workflow="planner", run_id="mine")
    for role, tenant in (("lead_data_engineer", "default"), ("data_engineer", "other")):
        for tool, arguments in (
            ("get_eval_run", {"run_id": "mine"}),
            ("delete_eval_run", {"run_id": "mine"}),
            ("compare_eval_runs", {"baseline_run_id": "mine", "run_id": "mine"}),
        ):
            with pytest.raises(NotFound):
                await house.call(tool, role, tenant, **arguments)
        assert (await house.call("list_eval_runs", role, tenant)).runs == []
    await house.call("delete_eval_run", run_id="mine")
    with pytest.raises(NotFound):
        await house.call("get_eval_run", run_id="mine")


@pytest.mark.asyncio(loop_scope="module")
@pytest.mark.parametrize(
    ("arguments", "error"),
    [
        ({"cases": CASES, "connection_id": "nowhere"}, NotFound),
        ({"suite": "no-such-suite"}, NotFound),
        ({"suite": "everyday"}, NotFound),
        ({"suite": "everyday", "connections": {"campus": "nowhere"}}, NotFound),
        ({"suite": "../flights"}, InvalidArgument),
        ({"cases": CASES, "suite": "flights"}, Conflict),
        ({}, Conflict),
        ({"cases": [{"question": "How many?", "case_id": "a"}, {"question": "Why?", "case_id": "a"}]}, Conflict),
        ({"cases": [{"question": "How many?", "gold": ["DROP TABLE orders"]}], "connection_id": "shop"}, PlatformError),
    ],
)
async def test_what_cannot_be_run_is_refused(
    house: House, arguments: dict[str, Any], error: type[PlatformError]
) -> None:
    with pytest.raises(error):
        await house.call("run_eval", workflow="planner", **arguments)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_suite_whose_databases_are_not_connected_says_what_to_do(house: House) -> None:
    with pytest.raises(NotFound, match="The database 'shop' of the suite 'chat'") as refused:
        await house.call("run_eval", suite="chat", workflow="chat", connections={"shop": "nowhere"})
    assert "headwater evals run chat" in refused.value.hint


@pytest.mark.asyncio(loop_scope="module")
async def test_whoever_may_not_run_evaluations_is_refused(house: House) -> None:
    for tool in ("list_eval_suites", "list_eval_runs"):
        with pytest.raises(Unauthorized):
            await house.call(tool, "viewer")


@pytest.mark.asyncio(loop_scope="module")
async def test_suites_are_listed_and_shown(house: House) -> None:
    listed = await house.call("list_eval_suites")
    flights = next(suite for suite in listed.suites if suite.suite == "flights")
    shown = await house.call("get_eval_suite", suite="flights")
    assert (shown.case_count, shown.digest) == (flights.case_count, flights.digest)
    assert len([case for case in shown.cases if not case.gold]) == flights.unanswerable_count >= 15


class Tags(HTMLParser):
    """What elements a page has."""

    def __init__(self) -> None:
        super().__init__()
        self.names: list[str] = []

    def handle_starttag(self, tag: str, attrs: Any) -> None:
        self.names.append(tag)


@pytest.mark.asyncio(loop_scope="module")
async def test_a_report_shows_runs_side_by_side_and_runs_no_script_of_a_question(house: House) -> None:
    cases = [*CASES, {"question": "<script>alert(1)</script> & more?"}]
    engine = house.platform.engine
    by = await engine.identity.principal_of("default", "data_engineer-default", "user")
    for name in ("left", "right"):
        await house.call("run_eval", cases=cases, connection_id="shop", workflow="planner", run_id=name)
    page = write_report([as_run(await engine.evaluations.get(by, name)) for name in ("left", "right")])
    tags = Tags()
    tags.feed(page)
    assert "script" not in tags.names and tags.names.count("details") == 5
    assert "2/3 = 67%" in page and "+0.0% [" in page and "&lt;script&gt;" in page
