"""ACME's questions through its imported semantic model: those with a published metric query get the gold's rows.

usage: python -m tests.engine.semantic.judged FOLDER_OF_EVALUATION_SETS"""

import asyncio
import json
import shutil
import sys
import tempfile
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb

from core.dispatch import Call
from core.errors import PlatformError
from evals.score import is_subset
from headwater.build import Platform, build
from tests.faces.world import settings_of
from tests.tools.admin.policy_desk import ADMIN

Rows = list[tuple[Any, ...]]


async def judge(folder: Path, scratch: Path) -> list[str]:
    """What is wrong; empty when nothing is."""
    data = scratch / "data"
    data.mkdir()
    path = shutil.copyfile(folder / "acme.duckdb", data / "acme.duckdb")
    home = scratch / "home"
    home.mkdir()
    (home / "headwater.toml").write_text(f"[query]\nallowed_roots = ['{data}']\n")
    platform = await build(settings_of(home))
    try:
        connection = {"connection_id": "acme", "name": "ACME", "kind": "duckdb", "options": {"path": str(path)}}
        await call(platform, "create_connection", **connection)
        files = {file.name: file.read_text() for file in (folder / "metricflow").rglob("*.yaml")}
        await call(platform, "import_semantic_model", files=files, connection_id="acme")
        return await ask(platform, folder)
    finally:
        await platform.close()


async def ask(platform: Platform, folder: Path) -> list[str]:
    lines = (folder / "questions.jsonl").read_text().splitlines()
    published = (folder / "dbt_semantic_gold.jsonl").read_text().splitlines()
    wanted = {json.loads(line)["question"] for line in published}
    right, wrong, missed = 0, [], []
    with duckdb.connect(str(folder / "acme.duckdb"), read_only=True) as database:
        for item in map(json.loads, lines):
            try:
                answer = await call(platform, "query_metric", question=item["question"].strip(), connection_id="acme")
            except PlatformError:
                missed += [item["question"]] if item["question"] in wanted else []
                continue
            gold = plain(database.execute(item["gold_duckdb"]).fetchall())
            if is_subset(gold, plain([tuple(row.values()) for row in answer.data.records()])):
                right += 1
            else:
                wrong.append((answer.confidence, item["question"]))
    sys.stdout.write(f"{len(lines)} questions, {right + len(wrong)} answered by metrics, {right} right; {wrong}\n")
    return missed + [question for sure, question in wrong if sure >= 0.8 or question in wanted]


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
