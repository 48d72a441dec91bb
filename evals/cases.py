"""Suites: questions, the SQL whose answer is right, and the databases that they are about."""

import hashlib
import json
import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import Conflict, NotFound

SHIPPED = Path(__file__).parent / "suites"
NAME = r"^[A-Za-z0-9_-]{1,64}$"
MAX_CASES = 5_000
MAX_BYTES = 20_000_000


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True)


class Case(_Strict):
    """One question. Without gold the data cannot answer it, and declining is right."""

    id: str = Field(pattern=NAME)
    question: str = Field(min_length=1, max_length=4_000)
    gold: tuple[str, ...] = ()
    database: str = ""
    category: str = ""
    knowledge: str = ""  # what the asker adds to the question
    calls: tuple[str, ...] = ()  # of a chat: tools of which one must be called
    never_calls: tuple[str, ...] = ()
    says: tuple[str, ...] = ()  # texts that the answer must hold
    never_says: tuple[str, ...] = ()

    @property
    def is_answerable(self) -> bool:
        return bool(self.gold)


class CaseFile(_Strict):
    """Cases in a JSONL file of other makers, and what they call the fields."""

    file: str
    question: str = "question"
    gold: str = "gold"
    id: str = "id"
    database: str = "db"  # the field with its name; where there is none, the suite's only one
    category: str = "category"
    knowledge: str = "instructions"
    is_unanswerable: bool = (
        False  # its questions have no gold, and declining is right; elsewhere such lines are left out
    )


class SuiteFile(_Strict):
    """A suite as it is written down."""

    suite: str = Field(pattern=NAME)
    description: str = ""
    kind: Literal["query", "chat"] = "query"
    connection: str = "lakehouse"  # of cases that name no database
    databases: Mapping[str, str] = {}  # name to a database file in the folder of the suite's data
    semantic_models: str = ""  # a folder of MetricFlow files beside them
    current_date: str = ""
    cases: tuple[Case, ...] = ()
    cases_from: tuple[CaseFile, ...] = ()


@dataclass(frozen=True, slots=True)
class Suite:
    """A suite whose cases are all at hand."""

    name: str
    description: str
    kind: str
    connection: str
    databases: Mapping[str, Path]
    semantic_models: Path | None
    current_date: str
    cases: tuple[Case, ...]
    digest: str = field(default="")

    def pick(self, every: int) -> "Suite":
        """About `every` of its cases, spread evenly over databases and over what can be answered; 0 takes all."""
        if every <= 0 or every >= len(self.cases):
            return self
        groups: dict[tuple[str, bool], list[Case]] = {}
        for case in self.cases:
            groups.setdefault((case.database, case.is_answerable), []).append(case)
        counts = _shares([len(group) for group in groups.values()], every / len(self.cases))
        kept = {case.id for group, count in zip(groups.values(), counts, strict=True) for case in _spread(group, count)}
        return _with_digest(self, tuple(case for case in self.cases if case.id in kept))


def shipped_suites(*folders: Path) -> dict[str, Path]:
    """The suites that come with Headwater and those in more folders, by name."""
    files = [path for folder in (SHIPPED, *folders) if folder.is_dir() for path in sorted(folder.glob("*.yaml"))]
    return {path.stem: path for path in files}


def read_suite(path: Path, *, data: Path | None = None) -> Suite:
    """Read a suite. `data` is the folder of its databases where they do not lie beside it.

    Raises NotFound when its data is not at hand, Conflict when it cannot be read."""
    return _assembled(_read(path), (data or path.parent).absolute())


def read_questions(path: Path, *, database: Path | None = None, connection: str = "lakehouse") -> Suite:
    """A suite from lines of JSON with `question` and `gold`, about one database, or else one connection.

    Without gold the data cannot answer. Raises NotFound and Conflict as read_suite does."""
    lines = CaseFile(file=path.name, is_unanswerable=True)
    databases = {_plain_name(database.stem): str(database.absolute())} if database is not None else {}
    try:
        written = SuiteFile(
            suite=_plain_name(path.stem), connection=connection, databases=databases, cases_from=(lines,)
        )
    except ValidationError:
        raise Conflict(f"{path.name!r} is no name for a suite.", hint="Use letters, digits, - and _.") from None
    return _assembled(written, path.parent.absolute())


def _plain_name(stem: str) -> str:
    return re.sub(r"[^A-Za-z0-9_-]+", "-", stem)[:40]


def _assembled(written: SuiteFile, folder: Path) -> Suite:
    """The suite with the cases of all its files."""
    missing = [
        name
        for name in (*written.databases.values(), *(item.file for item in written.cases_from))
        if not (folder / name).is_file()
    ]
    if missing:
        raise NotFound(
            f"The data of the suite {written.suite!r} is not at hand: no {missing[0]} in {folder}.",
            hint="Name the folder that holds it with --data.",
        )
    only = next(iter(written.databases)) if len(written.databases) == 1 else ""
    cases = (*written.cases, *(case for item in written.cases_from for case in _foreign_cases(folder, item, only)))
    _check(written, cases)
    suite = Suite(
        name=written.suite,
        description=written.description,
        kind=written.kind,
        connection=written.connection,
        databases={name: folder / file for name, file in written.databases.items()},
        semantic_models=folder / written.semantic_models if written.semantic_models else None,
        current_date=written.current_date,
        cases=cases,
    )
    return _with_digest(suite, cases)


def own_suite(cases: Sequence[Case], *, connection: str, current_date: str) -> Suite:
    """A suite of somebody's own questions. Raises Conflict when two have one id."""
    written = SuiteFile(suite="own", connection=connection, current_date=current_date, cases=tuple(cases))
    _check(written, cases)
    suite = Suite(written.suite, "", "query", connection, {}, None, current_date, written.cases)
    return _with_digest(suite, written.cases)


def _read(path: Path) -> SuiteFile:
    try:
        found = path.stat()
    except FileNotFoundError:
        raise NotFound(f"There is no suite at {path}.", hint="`headwater evals list` shows those at hand.") from None
    if found.st_size > MAX_BYTES:
        raise Conflict(f"The suite {path.name} is larger than 20 MB.", hint="Split it.")
    return _read_version(path.absolute(), found.st_mtime_ns, found.st_size)


@lru_cache(maxsize=32)
def _read_version(path: Path, changed_ns: int, size_bytes: int) -> SuiteFile:
    """What is written there; kept, for suites are listed and found by name often."""
    try:
        return SuiteFile.model_validate(yaml.safe_load(path.read_text(encoding="utf-8")))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise Conflict(f"The suite {path.name} is not YAML: {_first_line(error)}") from None
    except ValidationError as error:
        problem = error.errors()[0]
        place = ".".join(str(part) for part in problem["loc"])
        raise Conflict(
            f"The suite {path.name} is not as it should be at {place or 'its top'}: {problem['msg']}."
        ) from None


def _check(written: SuiteFile, cases: Sequence[Case]) -> None:
    if not cases or len(cases) > MAX_CASES:
        raise Conflict(f"The suite {written.suite!r} has {len(cases):,} cases.", hint=f"One to {MAX_CASES:,} are run.")
    ids = [case.id for case in cases]
    twice = next((name for name, count in Counter(ids).items() if count > 1), "")
    if twice:
        raise Conflict(f"Two cases of the suite {written.suite!r} have the id {twice!r}.")
    unknown = {case.database for case in cases} - {"", *written.databases}
    if unknown and written.databases:
        raise Conflict(f"The suite {written.suite!r} names no database {min(unknown)!r}.")


def _foreign_cases(folder: Path, item: CaseFile, database: str) -> Iterator[Case]:
    for at, line in enumerate((folder / item.file).read_text(encoding="utf-8").splitlines(), 1):
        if not line.strip():
            continue
        try:
            row: dict[str, Any] = json.loads(line)
            gold = row.get(item.gold) or ()
            if not gold and not item.is_unanswerable:
                continue
            yield Case(
                id=str(row.get(item.id) or f"line-{at}"),
                question=str(row[item.question]).strip(),
                gold=(gold,) if isinstance(gold, str) else tuple(gold),
                database=str(row.get(item.database) or database),
                category=str(row.get(item.category) or ""),
                knowledge=str(row.get(item.knowledge) or ""),
            )
        except (ValueError, KeyError) as error:
            raise Conflict(f"Line {at} of {item.file} is no case: {_first_line(error)}") from None


def _with_digest(suite: Suite, cases: tuple[Case, ...]) -> Suite:
    parts = [suite.kind, suite.current_date, *(case.model_dump_json() for case in cases)]
    digest = hashlib.sha256("\n".join(parts).encode()).hexdigest()[:16]
    return Suite(
        suite.name,
        suite.description,
        suite.kind,
        suite.connection,
        suite.databases,
        suite.semantic_models,
        suite.current_date,
        cases,
        digest,
    )


def _shares(sizes: Sequence[int], share: float) -> list[int]:
    """How many of each group; where some are too small to be rounded up, by the largest remainders."""
    rounded = [round(size * share) for size in sizes]
    if all(rounded):
        return rounded
    left = round(sum(sizes) * share) - sum(int(size * share) for size in sizes)
    greatest = sorted(range(len(sizes)), key=lambda at: int(sizes[at] * share) - sizes[at] * share)[:left]
    return [int(size * share) + (at in greatest) for at, size in enumerate(sizes)]


def _spread(cases: Sequence[Case], count: int) -> list[Case]:
    return [cases[at * len(cases) // count] for at in range(count)] if count else []


def _first_line(error: Exception) -> str:
    return str(error).partition("\n")[0][:200]
