"""Gold SQL of evaluation sets, governed beside plain DuckDB: `python -m tests.hostile.gold_sql FOLDER`.

The folder holds sets, each with `questions.jsonl` (fields `db`, `gold_duckdb`) and `.duckdb` files."""

import asyncio
import json
import sys
import tempfile
from pathlib import Path

import duckdb

from engine.connectors.connector import ConnectionSpec
from tests.engine.sql.world import make_world
from tests.hostile.benign import difference, governed, plain_reader, plainly


def statements(folder: Path) -> list[tuple[Path, str]]:
    found = []
    databases = {path.stem: path for path in folder.glob("*.duckdb")}
    for line in (folder / "questions.jsonl").read_text().splitlines():
        record = json.loads(line)
        gold = record.get("gold_duckdb") or []
        path = databases.get(record.get("db", "")) or next(iter(databases.values()))
        found += [(path, sql) for sql in ([gold] if isinstance(gold, str) else gold)]
    return found


async def compare(root: Path) -> tuple[int, int]:
    count = failed = 0
    for folder in sorted(path.parent for path in root.glob("*/questions.jsonl")):
        items = statements(folder)
        specs = [ConnectionSpec("default", path.stem, path.stem, "duckdb", {"path": str(path)}) for path, _ in items]
        with tempfile.TemporaryDirectory() as home:
            unique = list({spec.connection_id: spec for spec in specs}.values())
            world = make_world(Path(home) / "home", unique, data=folder)
            for path, sql in items:
                with plain_reader(path) as plain:
                    try:
                        theirs = plainly(plain, sql)
                    except duckdb.Error:
                        continue  # not a statement of this engine
                ours = await governed(world, sql, path.stem)
                differs = difference(ours, theirs, is_ordered=False)
                count += 1
                failed += bool(differs)
                if differs:
                    sys.stdout.write(f"{path.stem}: {differs[:200]}: {sql[:300]}\n")
            await world.close()
    return count, failed


if __name__ == "__main__":
    sent, broken = asyncio.run(compare(Path(sys.argv[1])))
    sys.stdout.write(f"gold statements={sent} different={broken}\n")
    sys.exit(1 if broken else 0)
