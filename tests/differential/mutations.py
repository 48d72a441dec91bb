"""Breaks each rule of governed SQL, one at a time, in a copy of the source, and sees whether the tests notice.

`python -m tests.differential.mutations` runs all; names given as arguments only those. A mutant that nothing
notices, or whose text is no longer in the source, fails the run."""

# ruff: noqa: E501 - texts of the source stand here as they stand there

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

ROOT = Path(__file__).parents[2]
CASES, SEEDS, PATIENCE_S = 720, (11, 12, 13), 300.0
ATTACKS = ["tests/hostile/test_sql_attacks.py"]
NOTICED, BROKEN = 3, 1

By = Literal["differential", "attacks"]


@dataclass(frozen=True, slots=True)
class Mutant:
    """One rule, taken out by replacing a piece of text; `by` are the tests that must notice."""

    name: str
    file: str
    old: str
    new: str
    by: By = "differential"
    dialect: str = "duckdb"


GOVERN, MASKS = "engine/sql/govern.py", "engine/sql/masks.py"
DECIDE, FILTERS = "engine/policy/decide.py", "engine/sql/filters.py"
AGGREGATES, RELATIONS = "engine/sql/aggregates.py", "engine/sql/relations.py"
EXPRESSIONS, STARS = "engine/sql/expressions.py", "engine/sql/stars.py"

MUTANTS: Sequence[Mutant] = (
    # row filters
    Mutant("no row filter", GOVERN, "if governed.filters:\n        conditions", "if False:\n        conditions"),
    Mutant("one row filter of several", GOVERN, "for item in governed.filters]", "for item in governed.filters[:1]]"),
    Mutant("any row filter is enough", GOVERN, "{' AND '.join(conditions)}", "{' OR '.join(conditions)}"),
    Mutant(
        "filters without parentheses",
        FILTERS,
        "return print_sql(holder, dialect)",
        "return print_sql(holder.unnest(), dialect)",
    ),
    Mutant(
        "a missing attribute is a text",
        FILTERS,
        "len(values) == 1 else exp.Null())",
        "len(values) == 1 else exp.Literal.string(''))",
    ),
    Mutant(
        "filters of agents forgotten",
        DECIDE,
        "return Claim(level, as_agent) if level is not None or as_agent else None",
        "return Claim(level, as_agent) if level is not None else None",
    ),
    # columns
    Mutant("no mask", GOVERN, "{mask_sql(column, rule.mask, data_type, dialect, key)} AS", "{column} AS"),
    Mutant("hidden columns stay", DECIDE, 'if columns[column.name].privacy != "hidden"]', "]"),
    Mutant(
        "a hidden table stays",
        DECIDE,
        "if relation.columns and not visible:\n        return None",
        "if relation.columns and not visible:\n        return open_to_all(relation)",
    ),
    Mutant(
        "partial masks keep one more",
        MASKS,
        'int(mask.option("keep_last", "0"))',
        'int(mask.option("keep_last", "0")) + 1',
    ),
    Mutant("short values are not masked", MASKS, "ELSE {_stars(f'length({text})', dialect)} END", "ELSE {text} END"),
    Mutant(
        "hashes without the key",
        MASKS,
        'digest = f"sha256({secret} || CAST({column} AS varchar))"',
        'digest = f"sha256(CAST({column} AS varchar))"',
    ),
    Mutant("dates are not coarsened", MASKS, "cut = f\"date_trunc('{grain}', {column})\"", 'cut = f"{column}"'),
    Mutant("numbers are not coarsened", MASKS, 'return f"({column} - {column} % {step})"', 'return f"({column})"'),
    # which rule wins
    Mutant("the target outranks the subject", DECIDE, "(claim.level, target)", "(target, claim.level)"),
    Mutant(
        "the mildest rule wins",
        DECIDE,
        "return max(one, other, key=strictness)",
        "return min(one, other, key=strictness)",
    ),
    Mutant(
        "exceptions do not hold",
        DECIDE,
        "if caller.subject in rule.except_for.users or caller.roles & rule.except_for.roles:",
        "if False:",
    ),
    Mutant("tags carry nothing", DECIDE, "return _TAG if rule.tag in held else None", "return None"),
    Mutant("agents are not narrowed", DECIDE, "if vote.is_narrowing:", "if False:"),
    # names
    Mutant(
        "tables outrank common table expressions",
        RELATIONS,
        "cte = ctes.get(folded[0]) if len(names) == 1 else None",
        "cte = None if self._visible.find(names) else ctes.get(folded[0]) if len(names) == 1 else None",
    ),
    Mutant(
        "unknown tables go through",
        RELATIONS,
        "if governed is None or not all(names):",
        "if governed is None and names[-1:] == ('wages',):",
        by="attacks",
    ),
    Mutant(
        "unknown columns go through",
        EXPRESSIONS,
        "if found is None:\n            raise unresolved(parts[-1], _visible_names(scope))",
        "if found is None:\n            return Found(parts[-1], PLAIN)",
        by="attacks",
    ),
    Mutant(
        "any function in FROM",
        RELATIONS,
        "if call.name.lower() not in TABLE_FUNCTIONS[self._dialect]:",
        "if False:",
        by="attacks",
    ),
    Mutant("any function", "engine/sql/calls.py", "if name not in ALLOWED[dialect]:", "if False:", by="attacks"),
    Mutant(
        "any kind of node",
        EXPRESSIONS,
        "        raise refuse_part(node.key)\n\n    def raw",
        "        return self.check_all(node.iter_expressions(), ctes, scope)\n\n    def raw",
        by="attacks",
    ),
    Mutant("several statements", "engine/sql/parse.py", "if len(found) > 1:", "if False:", by="attacks"),
    # aggregate-only columns
    Mutant(
        "aggregate-only columns in any expression",
        EXPRESSIONS,
        "        label = self.raw(node, scope).label\n        if label.protected:",
        "        label = self.raw(node, scope).label\n        label = Label(label.is_masked, label.direct, label.indirect)\n        if label.protected:",
    ),
    Mutant(
        "stars cover aggregate-only columns",
        STARS,
        "    if protected:",
        "    bare = [Label(direct=item.column.label.direct) for item in found]\n"
        "    found = [replace(item, column=item.column.labelled(label)) for item, label in zip(found, bare)]\n"
        "    if False:",
    ),
    Mutant("max of an aggregate-only column", AGGREGATES, '"count sum avg', '"max count sum avg'),
    Mutant(
        "FILTER inside a protected aggregate",
        EXPRESSIONS,
        "(exp.Filter, exp.Window, exp.WithinGroup, exp.IgnoreNulls)",
        "(exp.Window, exp.WithinGroup, exp.IgnoreNulls)",
    ),
    Mutant(
        "windows over an aggregate-only column",
        EXPRESSIONS,
        "(exp.Filter, exp.Window, exp.WithinGroup, exp.IgnoreNulls)",
        "(exp.Filter, exp.WithinGroup, exp.IgnoreNulls)",
    ),
    Mutant(
        "small groups are told",
        AGGREGATES,
        "expression=exp.Literal.number(use.protected.min_group)",
        "expression=exp.Literal.number(0)",
    ),
    Mutant(
        "the smallest group of a policy is ignored",
        RELATIONS,
        "least = max(rule.min_group, leaf.governed.min_group, MIN_GROUP)",
        "least = MIN_GROUP",
    ),
    Mutant(
        "repeated rows fill a group",
        AGGREGATES,
        "return block.is_multiplied or use.protected.is_multiplied",
        "return False",
    ),
    Mutant(
        "joined by an aggregate-only column",
        RELATIONS,
        "                if label.protected:\n                    raise misused(label.protected)\n                scope.influence",
        "                scope.influence",
    ),
)


def source_tree(folder: Path) -> None:
    """The repository as links, with an engine of its own."""
    for path in ROOT.iterdir():
        if path.name not in ("engine", ".git", "site", "dist") and not path.name.startswith(".headwater"):
            (folder / path.name).symlink_to(path)
    shutil.copytree(ROOT / "engine", folder / "engine", ignore=shutil.ignore_patterns("__pycache__"))


def is_there(mutant: Mutant, root: Path = ROOT) -> bool:
    """Whether the text to be replaced is in the source, and once."""
    return (root / mutant.file).read_text().count(mutant.old) == 1


def break_rule(mutant: Mutant, folder: Path) -> None:
    path = folder / mutant.file
    path.write_text(path.read_text().replace(mutant.old, mutant.new))


def command(mutant: Mutant, cases: int, seed: int) -> list[str]:
    if mutant.by == "attacks":
        return [sys.executable, "-m", "pytest", "-q", "-x", "-p", "no:cacheprovider", "--no-header", *ATTACKS]
    asked = ["--cases", str(cases), "--seed", str(seed), "--dialect", mutant.dialect]
    return [sys.executable, "-m", "tests.differential.run", *asked]


def is_noticed(mutant: Mutant, cases: int = CASES, seeds: Sequence[int] = SEEDS) -> str:
    """How the tests noticed; empty when they did not. Raises RuntimeError when they cannot run."""
    with tempfile.TemporaryDirectory(prefix="headwater-mutant-") as name:
        folder = Path(name)
        source_tree(folder)
        break_rule(mutant, folder)
        for seed in seeds if mutant.by == "differential" else seeds[:1]:
            done = subprocess.run(
                command(mutant, cases, seed),
                cwd=folder,
                env={**os.environ, "PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"},
                capture_output=True,
                text=True,
                timeout=PATIENCE_S,
                check=False,
            )
            wanted = NOTICED if mutant.by == "differential" else 1  # of pytest: tests failed
            if done.returncode == wanted:
                return next((line for line in done.stdout.splitlines() if line.strip()), "noticed")
            if done.returncode != 0:
                raise RuntimeError(f"{mutant.name}: {done.stdout[-500:]} {done.stderr[-1500:]}")
    return ""


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*")
    parser.add_argument("--jobs", type=int, default=os.cpu_count() or 1)
    asked = parser.parse_args()
    wanted = [mutant for mutant in MUTANTS if not asked.names or mutant.name in asked.names]
    problems = [f"no longer in {mutant.file}: {mutant.name}" for mutant in wanted if not is_there(mutant)]
    started = time.monotonic()

    def judge(mutant: Mutant) -> str:
        try:
            return "" if is_noticed(mutant) else f"survives: {mutant.name}"
        except (RuntimeError, subprocess.TimeoutExpired) as error:
            return f"cannot be judged: {error}"

    with ThreadPoolExecutor(asked.jobs) as pool:
        for problem in pool.map(judge, [mutant for mutant in wanted if is_there(mutant)]):
            if problem:
                problems.append(problem)
    for problem in problems:
        sys.stdout.write(f"{problem}\n")
    seconds = time.monotonic() - started
    sys.stdout.write(f"mutations: {len(wanted) - len(problems)} of {len(wanted)} noticed, {seconds:.0f} s\n")
    return 1 if problems else 0


if __name__ == "__main__":
    sys.exit(main())
