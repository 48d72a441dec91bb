"""A suite brings semantic models: they answer while it runs, and are gone afterwards."""

from pathlib import Path

import duckdb
import pytest

from core.errors import Conflict
from evals.outcomes import Arm
from headwater.evaluating import Asked, evaluator, run
from headwater.local import opened
from headwater.settings import read_settings

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


@pytest.fixture
def suite(tmp_path: Path) -> Path:
    folder = tmp_path / "data"
    (folder / "models").mkdir(parents=True)
    with duckdb.connect(str(folder / "yard.duckdb")) as yard:
        yard.execute("CREATE TABLE crates AS FROM (VALUES (1, 'red', 5), (2, 'blue', 7)) t(id, colour, weight)")
    (folder / "models" / "crates.yml").write_text(MODELS)
    (folder / "crates.yaml").write_text(SUITE)
    return folder / "crates.yaml"


async def kept(home: Path) -> list[tuple[str, str]]:
    async with opened(read_settings(home)) as platform:
        items = await platform.engine.semantic.items.all("default", "model", "metric")
        return [(item.name, item.connection_id) for item in items]


async def test_metrics_of_a_suite_answer_it_and_leave_nothing_behind(suite: Path, tmp_path: Path) -> None:
    asked = Asked(str(suite), [Arm("metric_to_sql", "metric_to_sql")], data=suite.parent)
    ended = await run(read_settings(tmp_path / "home"), asked, lambda text: None)
    assert [(case.verdict, case.path) for case in ended[0].results] == [("right", "metric")]
    assert await kept(tmp_path / "home") == []


async def test_a_suite_never_takes_the_place_of_somebodys_own_models(suite: Path, tmp_path: Path) -> None:
    async with evaluator(read_settings(tmp_path / "home")) as found:
        own = {"files": {"own.yml": MODELS.replace("weight / 2", "1")}, "connection_id": "lakehouse"}
        await found.call("import_semantic_model", own)
    asked = Asked(str(suite), [Arm("metric_to_sql", "metric_to_sql")], data=suite.parent)
    with pytest.raises(Conflict, match="Nothing was imported"):
        await run(read_settings(tmp_path / "home"), asked, lambda text: None)
    assert await kept(tmp_path / "home") == [("crates", "lakehouse"), ("tonnage", "lakehouse")]
    suite.write_text(SUITE.replace("databases: {yard: yard.duckdb}\n", ""))
    with pytest.raises(Conflict, match="not one database of its own"):
        await run(read_settings(tmp_path / "home"), asked, lambda text: None)
