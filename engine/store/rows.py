"""The store's rows as JSON lines, one file for each table: a dump that every database reads."""

import base64
import itertools
import json
from pathlib import Path
from typing import Any

from sqlalchemy import Engine, MetaData, insert, select

from engine.store.db import translated
from engine.store.tables import metadata

BATCH = 500
SUFFIX = ".jsonl"


def dump_rows(engine: Engine, folder: Path) -> list[Path]:
    """Write every table as of one moment; returns the files."""
    paths = []
    with translated(), engine.connect() as connection:
        frozen = connection.execution_options(isolation_level="REPEATABLE READ", yield_per=BATCH)
        for table in metadata.sorted_tables:
            path = folder / (table.name + SUFFIX)
            with path.open("w", encoding="utf-8") as file:
                for row in frozen.execute(select(table)):
                    file.write(json.dumps(row._asdict(), default=_from_bytes) + "\n")
            paths.append(path)
    return paths


def load_rows(engine: Engine, folder: Path) -> None:
    """Put dumped rows into tables of the same revision, which are empty."""
    names = [path.name.removesuffix(SUFFIX) for path in folder.glob("*" + SUFFIX)]
    with translated(), engine.begin() as connection:
        found = MetaData()
        found.reflect(connection, only=names)
        for table in found.sorted_tables:
            with (folder / (table.name + SUFFIX)).open(encoding="utf-8") as file:
                rows = (json.loads(line, object_hook=_to_bytes) for line in file)
                while batch := list(itertools.islice(rows, BATCH)):
                    connection.execute(insert(table), batch)


def drop_tables(engine: Engine) -> None:
    """Remove every table of Headwater, and nothing else."""
    with translated(), engine.begin() as connection:
        found = MetaData()
        found.reflect(connection, only=lambda name, _: name in metadata.tables or name == "alembic_version")
        found.drop_all(connection)


def _from_bytes(value: Any) -> dict[str, str]:
    return {"base64": base64.b64encode(bytes(value)).decode()}


def _to_bytes(value: dict[str, Any]) -> Any:
    return base64.b64decode(value["base64"]) if value.keys() == {"base64"} else value
