"""ACME's questions through its imported semantic model: every metric-shaped one is answered with the gold's rows.

Which those are stands in acme_questions.toml, with a query for metrics that proves it, or why they are not.
usage: python -m tests.engine.semantic.judged FOLDER_OF_EVALUATION_SETS"""

import asyncio
import json
import shutil
import sys
import tempfile
import tomllib
from collections import Counter
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from core.dispatch import Call
from engine.semantic.layer import Layer
from engine.semantic.metricflow import read_metricflow
from engine.semantic.templates import read_filter
from evals.score import is_equal, is_subset
from evals.statistics import wilson
from headwater.build import Platform, build
from tests.engine.semantic.world import World
from tests.faces.world import settings_of
from tests.tools.admin.policy_desk import ADMIN

Rows = list[tuple[Any, ...]]
SHAPED = tomllib.loads((Path(__file__).parent / "acme_questions.toml").read_text())
SURE = 0.8


@dataclass(frozen=True, slots=True)
class Judged:
    """A question and what became of it. kind: defined, asked, or why it is not metric-shaped."""

    question: str
    kind: str
    is_answered: bool
    is_right: bool
    is_strict: bool
    confidence: float

    @property
    def is_shaped(self) -> bool:
        return self.kind in ("defined", "asked")

    @property
    def fault(self) -> str:
        if self.is_shaped and not self.is_right:
            return "wrong" if self.is_answered else "declined"
        return "sure and wrong" if self.is_answered and not self.is_right and self.confidence >= SURE else ""


async def judge(folder: Path, scratch: Path) -> list[str]:
    """What is wrong; empty when nothing is."""
    data, home = scratch / "data", scratch / "home"
    data.mkdir()
    home.mkdir()
    path = shutil.copyfile(folder / "acme.duckdb", data / "acme.duckdb")
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
    files = {file.name: file.read_text() for file in (folder / "metricflow").rglob("*.yaml")}
    asked = [json.loads(line) for line in (folder / "questions.jsonl").read_text().splitlines()]
    shapes = {item["id"]: item for item in SHAPED["questions"]}
    platform = await build(settings_of(home))
    try:
        connection = {"connection_id": "acme", "name": "ACME", "kind": "duckdb", "options": {"path": str(path)}}
        await call(platform, "create_connection", **connection)
        await call(platform, "import_semantic_model", files=files, connection_id="acme")
        with duckdb.connect(str(folder / "acme.duckdb"), read_only=True) as database:
            golds = {item["id"]: plain(database.execute(item["gold_duckdb"]).fetchall()) for item in asked}
            unproved = list(prove(database, files, golds))
        judged = [await ask(platform, item, shapes[item["id"]], golds[item["id"]]) for item in asked]
    finally:
        await platform.close()
    report(judged)
    return unproved + [f"{item.fault}: {item.question}" for item in judged if item.fault]


def prove(database: duckdb.DuckDBPyConnection, files: dict[str, str], golds: dict[str, Rows]) -> Any:
    """The questions that are called metric-shaped, and whose query for metrics does not give the gold's rows."""
    read = read_metricflow({**files, "asked.yaml": SHAPED["definitions"]}, "shop")
    world = World(database, Layer(read.models, read.metrics))
    for item in SHAPED["questions"]:
        if "metrics" in item:
            where = [read_filter(text) for text in item.get("where", ())]
            rows = plain(world.rows(*item["metrics"], group_by=item.get("by", ()), where=where))
            if not is_subset(golds[item["id"]], rows):
                yield f"not proved to be metric-shaped: {item['id']}"


async def ask(platform: Platform, item: dict[str, Any], shape: dict[str, Any], gold: Rows) -> Judged:
    names = shape.get("metrics", ())
    kind = shape.get("not") or ("asked" if any(name.startswith("asked_") for name in names) else "defined")
    question = item["question"].strip()
    answer = await call(platform, "run_workflow", workflow="metric_to_sql", namespace="acme", task=question)
    is_answered = answer.status == "completed" and answer.refusal is None
    rows = plain([tuple(row.values()) for row in answer.result]) if is_answered else []
    is_right, is_strict = is_answered and is_subset(gold, rows), is_answered and is_equal(gold, rows)
    return Judged(question, kind, is_answered, is_right, is_strict, answer.confidence)


def report(judged: list[Judged]) -> None:
    """What was found, in a few lines."""
    shaped = [item for item in judged if item.is_shaped]
    others = Counter(item.kind for item in judged if not item.is_shaped)
    answered = [item for item in judged if item.is_answered]
    lines = [f"{len(judged)} questions, {len(shaped)} metric-shaped; not: {dict(others)}"]
    for kind in ("defined", "asked"):
        mine = [item for item in shaped if item.kind == kind]
        lines.append(f"of metrics {kind}: right {wilson(sum(item.is_right for item in mine), len(mine))}")
    lines.append(f"metric-shaped: right {wilson(sum(item.is_right for item in shaped), len(shaped))}")
    lines.append(f"the very same rows and columns {wilson(sum(item.is_strict for item in shaped), len(shaped))}")
    lines.append(f"of answers: right {wilson(sum(item.is_right for item in answered), len(answered))}")
    wrong = [(item.confidence, item.question) for item in answered if not item.is_right]
    sys.stdout.write("\n".join(lines) + f"\nanswered wrongly: {wrong}\n")


async def call(platform: Platform, tool: str, **arguments: Any) -> Any:
    return await platform.dispatcher.call(Call(tool, arguments, face="test", request_id="r1", principal=ADMIN))


def plain(rows: Rows) -> Rows:
    return [tuple(float(cell) if is_number(cell) else cell for cell in row) for row in rows]


def is_number(cell: Any) -> bool:
    return isinstance(cell, (int, float, Decimal)) or (isinstance(cell, str) and cell.replace(".", "", 1).isdigit())


if __name__ == "__main__":
    with tempfile.TemporaryDirectory() as made:
        faults = asyncio.run(judge(Path(sys.argv[1]) / "acme_insurance", Path(made)))
    sys.stdout.write("\n".join(faults or ["Nothing is wrong."]) + "\n")
    sys.exit(bool(faults))
