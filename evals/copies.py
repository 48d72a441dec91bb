"""Changed copies of a database: an answer that is right by luck on the data as it is fails on them.

After the idea of test suites for SQL (Zhong, Yu and Klein 2020): the same question must hold on other rows."""

import hashlib
import os
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from core.context import Caller

if TYPE_CHECKING:
    import duckdb
    import pyarrow as pa

MAX_ROWS = 10_000
COPIES = ("fewer", "shuffled")
LEAST_ROWS = 4  # a smaller table stays as it is: without its rows nothing could be told apart


@dataclass(frozen=True, slots=True)
class Relation:
    """A table as it was read."""

    name: str
    rows: "pa.Table"


async def read_relations(call: Caller, connection: str) -> list[Relation]:
    """The tables of a connection as the caller sees them, up to 10,000 rows picked by chance of each."""
    names, token = [], None
    while True:
        listed: Any = await call("list_tables", {"connection_id": connection, "page_token": token, "page_size": 1000})
        names += [table.name for table in listed.tables]
        token = listed.next_page_token
        if not token:
            break
    return [Relation(name, await _sample(call, connection, name)) for name in names]


async def _sample(call: Caller, connection: str, table: str) -> "pa.Table":
    import pyarrow as pa  # lazily: only copies need it

    sql = f"SELECT * FROM {table} ORDER BY random() LIMIT {MAX_ROWS}"  # noqa: S608  a name as the catalog spells it
    found: Any = await call("execute_query", {"sql": sql, "connection_id": connection, "max_rows": MAX_ROWS})
    return pa.ipc.open_stream(found.data.arrow("lz4")).read_all()


def write_copies(relations: Sequence[Relation], folder: Path, name: str, *, seed: int = 1) -> list[Path]:
    """Write `{name}-fewer.duckdb`, where a third of the rows is gone, and `{name}-shuffled.duckdb`, where the values
    of every column that is no key have changed their rows. Copies that are there already are kept."""
    folder.mkdir(parents=True, exist_ok=True)
    keys = _keys(relations)
    return [_write(relations, folder / f"{name}-{kind}.duckdb", kind, keys, seed) for kind in COPIES]


def build_database(script: Path, folder: Path) -> Path:
    """The database that a SQL script makes; a script that has changed makes another one."""
    import duckdb  # lazily: only suites with scripts need it

    folder.mkdir(parents=True, exist_ok=True)
    text = script.read_text(encoding="utf-8")
    path = folder / f"{script.stem}-{hashlib.sha256(text.encode()).hexdigest()[:12]}.duckdb"
    if path.exists():
        return path
    half = path.with_suffix(f".{os.getpid()}.part")
    half.unlink(missing_ok=True)
    with duckdb.connect(str(half)) as database:
        database.execute(text)
    half.rename(path)
    return path


def _write(relations: Sequence[Relation], path: Path, kind: str, keys: set[str], seed: int) -> Path:
    import duckdb  # lazily: only copies need it

    if path.exists():
        return path
    half = path.with_suffix(".part")
    half.unlink(missing_ok=True)
    with duckdb.connect(str(half)) as database:
        for relation in relations:
            change = _fewer if kind == "fewer" else _shuffled
            _store(database, relation.name, change(relation.rows, keys, seed))
    half.rename(path)
    return path


def _store(database: "duckdb.DuckDBPyConnection", name: str, rows: "pa.Table") -> None:
    schema, _, table = name.rpartition(".")
    if schema:
        database.execute(f'CREATE SCHEMA IF NOT EXISTS "{schema}"')
    database.register("incoming", rows)
    place = f'"{schema}"."{table}"' if schema else f'"{table}"'
    database.execute(f"CREATE TABLE {place} AS SELECT * FROM incoming")  # noqa: S608  names of our own catalog
    database.unregister("incoming")


def _keys(relations: Sequence[Relation]) -> set[str]:
    """Columns by which tables hang together: in several tables by that name, or named as keys are."""
    named = Counter(column for relation in relations for column in relation.rows.column_names)
    suffixes = ("id", "key", "code", "_no", "number")
    return {column for column, count in named.items() if count > 1 or column.lower().endswith(suffixes)}


def _fewer(rows: "pa.Table", keys: set[str], seed: int) -> "pa.Table":
    from random import Random

    if rows.num_rows < LEAST_ROWS:
        return rows
    chance = Random(seed)  # noqa: S311  no secret
    return rows.filter([chance.random() > 1 / 3 for _ in range(rows.num_rows)])


def _shuffled(rows: "pa.Table", keys: set[str], seed: int) -> "pa.Table":
    from random import Random

    for at, column in enumerate(rows.column_names):
        values: Any = rows.column(column)
        if column in keys or len(values.unique()) == rows.num_rows:
            continue
        order = list(range(rows.num_rows))
        Random(seed * 1000 + at).shuffle(order)  # noqa: S311  no secret
        rows = rows.set_column(at, column, values.take(order))
    return rows
