"""Statements bent at random: whatever comes out is refused as it should be, or is one harmless SELECT.

`python -m tests.hostile.fuzz_sql SECONDS [SEED]` bends the texts of the benign and hostile tests. A round fails
when the path raises anything but a PlatformError, when the engine sees more than one SELECT over tables that the
caller may read, when it refuses for a policy of its own, or when a kept plan differs from one made anew."""

import asyncio
import random
import re
import sys
import tempfile
import time
from collections.abc import Sequence
from pathlib import Path

import duckdb
from sqlglot.errors import SqlglotError

from core.errors import PlatformError
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import RelationInfo
from engine.connectors.duck import DuckPlan
from engine.connectors.duckfile import DuckdbConnector
from engine.policy.rules import open_to_all
from engine.sql import bind
from engine.sql.dialects import dialect_of
from engine.sql.parse import parse
from engine.sql.plans import Plans
from tests.engine.sql.world import ANN, duckdb_spec, make_database, restricted
from tests.hostile.test_sql_attacks import ATTACKS, HARMLESS
from tests.hostile.test_sql_benign import STATEMENTS as COMMON
from tests.hostile.test_sql_benign_forms import STATEMENTS as FORMS

WORDS = [
    "tax_id",
    "pay.wages",
    "wages",
    "people",
    "sales",
    "*",
    "(",
    ")",
    ",",
    ";",
    ".",
    "::",
    "--",
    "/*",
    "*/",
    "'",
    '"',
    "$$",
    "[",
    "]",
    "{",
    "}",
    "=",
    "OR",
    "AND",
    "UNION",
    "SELECT",
    "FROM",
    "WHERE",
    "WITH",
    "AS",
    "RECURSIVE",
    "LATERAL",
    "PIVOT",
    "UNPIVOT",
    "ON",
    "IN",
    "USING",
    "VALUES",
    "TABLE",
    "EXCLUDE",
    "REPLACE",
    "RENAME",
    "COLUMNS",
    "lambda",
    "->",
    ":=",
    "=>",
    "BY",
    "ALL",
    "LIMIT",
    "ORDER",
    "GROUP",
    "JOIN",
    "SEMI",
    "ASOF",
    "NATURAL",
    "read_csv('/etc/passwd')",
    "error(tax_id)",
    "getenv('HOME')",
    "'x'",
    "1",
    "1e999",
    "0x1",
    "NULL",
    "$a",
    "?",
    "current_user",
    "rowid",
    "COPY",
    "ATTACH",
    "SET",
    "PRAGMA",
    "query('x')",
    "INTO",
    "FOR",
    "UPDATE",
    "E'\\''",
    "U&'\\0041'",
    "é",
    "\u202e",
    "\x01",
    "@",
    "#",
    "!",
    "~",
    "^",
    "|",
    "unnest(people)",
    "main.",
    "source.",
    "QUALIFY",
    "WINDOW",
    "OVER",
    "FILTER",
]
REFUSALS = re.compile(
    r"permission|external access|file system operations are disabled|locked|read-only|not allowed", re.I
)
MAX_CHARS = 3000
ALLOWED = {"people", "sales", "north", "Odd Name"}


class Broken(AssertionError):
    """A statement that went where none should."""


class Target:
    """The path under attack, as a restricted caller on a small database."""

    def __init__(self, folder: Path):
        self.path = make_database(folder)
        relations = asyncio.run(_relations(self.path))
        snapshot = make_snapshot(duckdb_spec(self.path), relations, 0.0)
        self.view = View(ANN, snapshot, "fuzz", lambda key: open_to_all(snapshot.relations[key]))
        self.plans = Plans()
        self._engine = duckdb.connect(":memory:")
        self._engine.execute(f"ATTACH '{self.path}' AS source (READ_ONLY)")
        self._engine.execute("SET enable_external_access=false")
        self._engine.execute("SET lock_configuration=true")

    def send(self, sql: str) -> bool:
        """Whether the statement was let through. Raises Broken."""
        try:
            prepared = bind.prepare(sql, self.view, "duckdb", max_rows=100)
        except PlatformError:
            return False
        except Exception as error:
            raise Broken(f"{type(error).__name__} {error}: {sql!r}") from error
        text = prepared.fill({item.source.name: _source(item.source.name) for item in prepared.markers.values()})
        self._check(sql, text)
        self._compare(sql, prepared)
        return True

    def _check(self, sql: str, text: str) -> None:
        try:
            statements = self._engine.extract_statements(text)
        except duckdb.Error:
            return  # what we print and the engine does not read does not run
        if [statement.type for statement in statements] != [duckdb.StatementType.SELECT]:
            raise Broken(f"not one SELECT: {sql!r} became {text!r}")
        if "TAX-SECRET" in text or ("tax_id" in text.lower() and "tax_id" not in sql.lower()):
            raise Broken(f"a hidden column: {sql!r} became {text!r}")
        try:
            self._engine.execute(f"EXPLAIN {text}", _values(statements[0]))
        except duckdb.Error as error:
            if REFUSALS.search(str(error)) and "Binder" not in type(error).__name__:
                raise Broken(f"the engine refused {error}: {sql!r} became {text!r}") from error

    def _compare(self, sql: str, anew: bind.Prepared) -> None:
        kept = asyncio.run(self.plans.prepare(self.view, "duckdb", sql, max_rows=100))
        try:
            same = _tree(kept) == _tree(anew)
        except (PlatformError, SqlglotError):
            return  # not every text that is printed is read again; the property test has those that are
        if not same:
            raise Broken(f"a kept plan differs: {sql!r}")


async def _relations(path: Path) -> list[RelationInfo]:
    connector = DuckdbConnector(path, DuckPlan(attach=path))
    try:
        return [seen for item in await connector.schema() if (seen := restricted(item)) is not None]
    finally:
        await connector.close()


def _source(name: str) -> str:
    bare = name.strip('"')
    if bare not in ALLOWED:
        raise Broken(f"the plan reads {name}")
    return f'source.main."{bare}"'


def _values(statement: duckdb.Statement) -> dict[str, str]:
    return dict.fromkeys(statement.named_parameters, "1")


def _tree(prepared: bind.Prepared) -> object:
    text = prepared.template
    for number, marker in enumerate(prepared.markers):
        text = text.replace(marker, f"leaf_{number}")
    return parse(text, "duckdb").tree


def seeds() -> list[str]:
    hostile = [line.format(data="/tmp") for text in ATTACKS.values() for line in text.strip().splitlines()]
    return [*COMMON, *FORMS, *HARMLESS, *hostile]


def pieces(sql: str) -> list[str]:
    """The statement as tokens with the space before each; as characters where it has no tokens."""
    try:
        tokens = dialect_of("duckdb").tokenize(sql)
    except SqlglotError:
        return list(sql)
    ends = [token.end + 1 for token in tokens]
    return [sql[start:end] for start, end in zip([0, *ends], ends, strict=False)]


def bend(chance: random.Random, texts: Sequence[str]) -> str:
    """One to four changes of a statement: a part gone, doubled, moved, exchanged, or taken from another."""
    parts = pieces(chance.choice(texts))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 4))):
        if not parts:
            break
        at = chance.randrange(len(parts))
        match chance.randrange(8):
            case 0:
                del parts[at]
            case 1:
                parts.insert(at, parts[at])
            case 2:
                other = chance.randrange(len(parts))
                parts[at], parts[other] = parts[other], parts[at]
            case 3 | 4:
                parts[at] = " " + chance.choice(WORDS)
            case 5:
                parts.insert(at, " " + chance.choice(WORDS) + " ")
            case 6:
                donor = pieces(chance.choice(texts))
                start = chance.randrange(max(1, len(donor)))
                parts[at:at] = donor[start : start + chance.randint(1, 12)]
            case _:
                end = min(len(parts), at + chance.randint(1, 8))
                parts[at:end] = [" (", *parts[at:end], ")"]
    return "".join(parts)[:MAX_CHARS]


def fuzz(folder: Path, *, seconds: float, seed: int) -> tuple[int, int]:
    """How many statements were sent, and how many of them let through. Raises Broken."""
    target, texts, chance = Target(folder), seeds(), random.Random(seed)
    sent = through = 0
    end = time.monotonic() + seconds
    while time.monotonic() < end:
        through += target.send(bend(chance, texts))
        sent += 1
    return sent, through


def main(seconds: str = "600", seed: str = "") -> None:
    chosen = int(seed) if seed else time.time_ns() % 1_000_000
    with tempfile.TemporaryDirectory() as folder:
        sent, through = fuzz(Path(folder), seconds=float(seconds), seed=chosen)
    sys.stdout.write(f"fuzz seed={chosen} sent={sent} let_through={through} broken=0\n")


if __name__ == "__main__":
    main(*sys.argv[1:])
