"""A suite brings semantic models: they answer while it runs, and are gone afterwards."""

from collections.abc import AsyncIterator
from pathlib import Path

import duckdb
import pytest
import pytest_asyncio

from core.context import Cancellation
from core.errors import Conflict
from evals.outcomes import Arm, Run
from headwater.build import Platform
from headwater.evaluating import Asked, Evaluator
from headwater.local import opened
from headwater.settings import read_settings

pytestmark = pytest.mark.asyncio(loop_scope="module")
MODELS = """
semantic_models:
  - name: crates
    model: ref('crates')
    entities: [{name: crate, type: primary, expr: id}]
    dimensions: [{name: colour, type: categorical}]
    measures: [{name: tonnage, agg: sum, expr: weight / 2, create_metric: true}]
"""
SUITE = """
suite: crates
databases: {yard: yard.duckdb}
semantic_models: models
cases:
  - {id: c1, database: yard, question: "What is tonnage by colour?", gold: ["SELECT colour, weight / 2 FROM crates"]}
"""


@pytest.fixture(scope="module")
def suite(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("data")
    (folder / "models").mkdir()
    with duckdb.connect(str(folder / "yard.duckdb")) as yard:
        yard.execute("CREATE TABLE crates AS FROM (VALUES (1, 'red', 5), (2, 'blue', 7)) t(id, colour, weight)")
    (folder / "models" / "crates.yml").write_text(MODELS)
    (folder / "crates.yaml").write_text(SUITE)
    (folder / "loose.yaml").write_text(SUITE.replace("databases: {yard: yard.duckdb}\n", ""))
    return folder / "crates.yaml"


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def platform(suite: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Platform]:
    home = tmp_path_factory.mktemp("home")
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{suite.parent}']\n")
    async with opened(read_settings(home)) as made:
        yield made


async def ask(platform: Platform, suite: Path) -> list[Run]:
    asked = Asked(str(suite), [Arm("metric_to_sql", "metric_to_sql")], data=suite.parent)
    owner = await platform.engine.identity.local_owner()
    return await Evaluator(platform, owner).run(asked, suite.parent, Cancellation(), lambda text: None)


async def kept(platform: Platform) -> list[tuple[str, str]]:
    items = await platform.engine.semantic.items.all("default", "model", "metric")
    return [(item.name, item.connection_id) for item in items]


async def test_metrics_of_a_suite_answer_it_and_leave_nothing_behind(platform: Platform, suite: Path) -> None:
    ended = await ask(platform, suite)
    assert [(case.verdict, case.path) for case in ended[0].results] == [("right", "metric")]
    assert await kept(platform) == []


async def test_a_suite_never_takes_the_place_of_somebodys_own_models(platform: Platform, suite: Path) -> None:
    evaluator = Evaluator(platform, await platform.engine.identity.local_owner())
    own = {"files": {"own.yml": MODELS.replace("weight / 2", "1")}, "connection_id": "lakehouse"}
    await evaluator.call("import_semantic_model", own)
    with pytest.raises(Conflict, match="Nothing was imported"):
        await ask(platform, suite)
    with pytest.raises(Conflict, match="not one database of its own"):
        await ask(platform, suite.parent / "loose.yaml")
    assert await kept(platform) == [("crates", "lakehouse"), ("tonnage", "lakehouse")]
