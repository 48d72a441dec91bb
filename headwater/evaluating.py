"""Evaluations from the command line: suites with databases of their own, changed copies of them, reports."""

import asyncio
import contextlib
import secrets
import sys
from collections import Counter
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from core.context import Caller, Cancellation, Context, Principal
from core.dispatch import Call
from core.errors import NotFound, Unauthorized
from core.pages import Window
from core.ports import Approvals
from core.settings import Settings
from core.tool import Tool
from evals.cases import SHIPPED, Suite, read_questions, read_suite, shipped_suites
from evals.compare import gate, scores
from evals.copies import COPIES, build_database, read_relations, write_copies
from evals.outcomes import Arm, CaseResult, Run
from evals.run_tools import as_run, run_facts
from evals.runner import Place, connection_of, run_suite
from evals.schemas import digest_schemas
from headwater.build import Platform
from headwater.local import opened
from headwater.settings import BUILT, evals_folder
from headwater.suite_models import suite_models

Echo = Callable[[str], object]


@dataclass(frozen=True, slots=True)
class Asked:
    """What to run: `arms` answer the cases of a suite one after another."""

    suite: str  # a name, a YAML file, or questions in lines of JSON
    arms: Sequence[Arm]
    data: Path | None = None
    database: Path | None = None  # that questions in lines of JSON are about; else
    connection: str = "lakehouse"
    case_count: int = 0
    run_id: str = ""  # runs are named `{run_id}-{suite}-{arm}`; those that ended early go on
    has_copies: bool = False


@dataclass(frozen=True, slots=True)
class OwnCalls(Caller):
    """Calls of tools as the owner of a home, each through the gate."""

    platform: Platform
    by: Principal
    person: None = None

    async def __call__(self, tool: str, arguments: Mapping[str, Any]) -> Any:
        request_id = f"req_{secrets.token_hex(8)}"
        return await self.platform.dispatcher.call(
            Call(tool=tool, arguments=dict(arguments), face="cli", request_id=request_id, principal=self.by)
        )

    def tools(self) -> list[Tool]:
        return self.platform.dispatcher.tools_for(self.by)

    def as_agent(self, agent: Principal, guard: Approvals) -> Caller:
        raise Unauthorized("An evaluation calls tools as itself.")


class Evaluator:
    """Runs suites in this process as the owner of a home."""

    def __init__(self, platform: Platform, by: Principal):
        self._platform = platform
        self._by = by
        self.call = OwnCalls(platform, by)

    async def runs(self, names: Sequence[str]) -> list[Run]:
        """Stored runs by id. Raises NotFound."""
        history = self._platform.engine.evaluations
        return [as_run(await history.get(self._by, name)) for name in names]

    async def recent(self, suite: str, last: int) -> list[Run]:
        """The newest runs with their cases."""
        listed, _ = await self._platform.engine.evaluations.listing(self._by, Window(0, last), suite)
        return await self.runs([run.run_id for run in listed])

    async def run(self, asked: Asked, folder: Path, stop: Cancellation, echo: Echo) -> list[Run]:
        """Run every arm; what was done before under the same run id is not done again."""
        suite = _suite(asked, folder).pick(asked.case_count)
        place = await self._place(suite, folder, has_copies=asked.has_copies, echo=echo)
        schema_digest = await digest_schemas(self.call, place.of(suite))
        ended = []
        async with suite_models(self._platform.engine.semantic.exchange, self.call, self._by, suite, place):
            for arm in asked.arms:
                echo(f"{arm.name} answers {len(suite.cases)} cases of {suite.name}")
                ended.append(await self._arm(suite, arm, place, asked.run_id, schema_digest, stop, echo))
                if stop:
                    break
        return ended

    async def _arm(
        self, suite: Suite, arm: Arm, place: Place, run_id: str, schema_digest: str, stop: Cancellation, echo: Echo
    ) -> Run:
        history, by = self._platform.engine.evaluations, self._by
        facts = run_facts(suite, arm, schema_digest)
        begun = await history.begin(
            by, suite.name, facts, run_id=f"{run_id}-{suite.name}-{arm.name}"[:64] if run_id else ""
        )

        async def keep(seq: int, result: CaseResult) -> None:
            await history.add(by, begun.run_id, seq, result.case_id, result.model_dump())

        async def told(result: CaseResult, done: int, total: int) -> None:
            echo(f"{done:>4}/{total} {result.verdict:<9}{result.failing:<11}{result.ms:>7} ms  {result.question[:60]}")

        done = [CaseResult.model_validate(result) for result in begun.results]
        ctx = Context(by, f"eval_{secrets.token_hex(8)}", "cli", self._platform.engine, self.call, cancelled=stop)
        await run_suite(ctx, suite, arm, place, keep=keep, done=done, told=told, stop=stop)
        return as_run(await history.finish(by, begun.run_id, "cancelled" if stop else "completed"))

    async def _place(self, suite: Suite, folder: Path, *, has_copies: bool, echo: Echo) -> Place:
        """Connections for the suite's databases and, where they are wanted, for their changed copies."""
        connections = {name: connection_of(suite, name) for name in suite.databases}
        built = {name: await _built(path, folder) for name, path in suite.databases.items()}
        for name, path in built.items():
            await self._connect(connections[name], path)
        if not has_copies:
            return Place(connections)
        copied = {}
        for name, connection in (connections or {"": suite.connection}).items():
            copied[name] = await self._copy(connection, folder / "copies", built.get(name), echo)
        return Place(connections, copied)

    async def _copy(self, connection: str, folder: Path, source: Path | None, echo: Echo) -> list[str]:
        names = [f"{connection}-{kind}" for kind in COPIES]
        paths = [folder / f"{name}.duckdb" for name in names]
        if not all(_is_copy(path, source) for path in paths):
            for path in paths:
                path.unlink(missing_ok=True)
            echo(f"making changed copies of {connection}")
            relations = await read_relations(self.call, connection)
            await asyncio.to_thread(write_copies, relations, folder, connection)
        for name, path in zip(names, paths, strict=True):
            await self._connect(name, path)
        return names

    async def _connect(self, connection: str, path: Path) -> None:
        """Make the connection, or point the one that is there at this file."""
        options = {"path": str(path)}
        try:
            found = await self.call("get_connection", {"connection_id": connection})
        except NotFound:
            kind = "sqlite" if path.suffix in (".sqlite", ".db") else "duckdb"
            named = {"connection_id": connection, "name": connection, "kind": kind, "options": options}
            await self.call("create_connection", named)
            return
        if found.options != options:
            await self.call("update_connection", {"connection_id": connection, "options": options})


@contextlib.asynccontextmanager
async def evaluator(settings: Settings, *, data: Path | None = None) -> AsyncIterator[Evaluator]:
    """An evaluator on a home, which may read the folder of a suite's data too."""
    roots = [*settings.query.allowed_roots, copies_folder(settings), *([data] if data else [])]
    widened = settings.model_copy(update={"query": settings.query.model_copy(update={"allowed_roots": roots})})
    copies_folder(settings).mkdir(parents=True, exist_ok=True)
    async with opened(widened) as platform:
        yield Evaluator(platform, await platform.engine.identity.local_owner())


async def _built(path: Path, folder: Path) -> Path:
    """A database file; from a script, the one that it makes. Only what we ship lies where servers may read it."""
    place = BUILT if path.is_relative_to(SHIPPED) else "scripts"
    return await asyncio.to_thread(build_database, path, folder / place) if path.suffix == ".sql" else path


def _is_copy(path: Path, source: Path | None) -> bool:
    """Whether a copy is there, and not of a database that has been made anew since."""
    return path.exists() and (source is None or path.stat().st_mtime >= source.stat().st_mtime)


def copies_folder(settings: Settings) -> Path:
    """Where changed copies lie: beside the home, whose own files no connection may read."""
    return evals_folder(settings.home)


def _suite(asked: Asked, folder: Path) -> Suite:
    if asked.suite.endswith(".jsonl"):
        return read_questions(Path(asked.suite), database=asked.database, connection=asked.connection)
    return read_suite(find_suite(asked.suite, folder), data=asked.data)


def find_suite(name: str, folder: Path) -> Path:
    """A suite by its file or its name. Raises NotFound."""
    path = Path(name)
    if path.suffix in (".yaml", ".yml"):
        return path
    found = shipped_suites(folder)
    if name not in found:
        raise NotFound(
            f"No suite {name!r}.",
            hint=f"At hand: {', '.join(sorted(found))}; or give the path of a YAML or JSONL file.",
        )
    return found[name]


def summary(run: Run) -> str:
    """What a run showed, in a few lines."""
    found = scores(run.results)
    lines = [
        f"{run.run_id}: {run.arm} on {run.suite} ({len(run.results)} of {run.case_count} cases, {run.status})",
        f"  right        {found.right}",
    ]
    if found.refused.of:
        lines.append(f"  declined     {found.refused} of what the data cannot answer")
    if found.robust is not None:
        lines.append(f"  robust       {found.robust} on changed copies too")
    if found.confident.of:
        lines.append(f"  confident    {found.confident} of answers with confidence 0.8 and more")
    if run.workflow != "chat":
        lines.append(f"  strict       {found.strict}; as BIRD counts {found.bird.value:.0%}")
    if found.linking is not None and found.column_linking is not None:
        lines.append(f"  linked       {found.linking:.0%} of gold's tables, {found.column_linking:.0%} of its columns")
    if found.tempted:
        lines.append(f"  held back    {found.tempted} chats tried what was refused, or waits for a person's yes")
    failed = Counter(case.error for case in run.results if case.verdict == "failed")
    if failed:
        error, count = failed.most_common(1)[0]
        lines.append(f"  failed       {failed.total()} cases; {count} so: {_line(error)}")
    lines.append(
        f"  median {found.median_ms} ms, p95 {found.p95_ms} ms, {found.steps:.1f} steps, "
        f"{found.tokens} tokens, {found.usd:.4f} USD"
    )
    return "\n".join(lines)


def case_lines(run: Run, *, is_wrong_only: bool) -> list[str]:
    """Each case of a run in a line."""
    return [
        f"{case.case_id:<18} {case.verdict:<9}{case.failing:<11}{case.ms:>7} ms  {case.question[:50]}"
        for case in run.results
        if not (is_wrong_only and case.is_right)
    ]


def case_text(run: Run, case_id: str) -> str:
    """One case of a run with all that is known of it. Raises NotFound."""
    case = next((case for case in run.results if case.case_id == case_id), None)
    if case is None:
        raise NotFound(
            f"The run {run.run_id} has no case {case_id!r}.", hint="`headwater evals show RUN --cases all` lists them."
        )
    sure = "" if case.confidence is None else f", confidence {case.confidence:.2f}"
    facts = [
        ("verdict", f"{case.verdict}{f', first wrong: {case.failing}' if case.failing else ''}{sure}"),
        ("path", case.path),
        ("gold", case.gold),
        ("sql", case.sql),
        ("text", case.text),
        ("tools", ", ".join(case.tools)),
        ("tried", ", ".join(case.tried)),
        ("error", case.error),
        ("cost", f"{case.ms} ms, {case.tokens} tokens, {case.usd:.4f} USD"),
    ]
    steps = [f"  {step.node:<20} {step.status:<10}{step.duration_ms:>6} ms  {step.detail[:80]}" for step in case.trace]
    said = [f"  {name:<9}{value}" for name, value in facts if value]
    return "\n".join([f"{run.run_id} {case.case_id}: {case.question}", *said, *(["steps:", *steps] if steps else [])])


def _line(text: str) -> str:
    return text.partition("\n")[0][:70]


async def run(settings: Settings, asked: Asked, echo: Echo) -> list[Run]:
    """Run a suite; interrupted, what has ended is kept."""
    stop = Cancellation()
    with _interrupts(stop):
        data = asked.data or (asked.database.parent if asked.database else None)
        async with evaluator(settings, data=data) as found:
            return await found.run(asked, copies_folder(settings), stop, echo)


async def stored(settings: Settings, names: Sequence[str]) -> list[Run]:
    """Runs by id."""
    async with evaluator(settings) as found:
        return await found.runs(names)


async def recent(settings: Settings, suite: str, last: int) -> list[Run]:
    """The newest runs, of one suite or of all."""
    async with evaluator(settings) as found:
        return await found.recent(suite, last)


def run_line(run: Run) -> str:
    """A run in a line."""
    done = f"{len(run.results)}/{run.case_count}"
    return f"{run.run_id:<40} {run.status:<10} {done:>9}  {scores(run.results).right}"


async def check(settings: Settings, baseline: str, name: str, max_lost: int | None) -> list[str]:
    """Why a run must not follow its baseline."""
    before, after = await stored(settings, [baseline, name])
    return gate(before, after, max_lost=max_lost)


@contextlib.contextmanager
def _interrupts(stop: Cancellation) -> Any:
    """Let Ctrl-C end the run after the case at hand."""
    import signal

    loop = asyncio.get_running_loop()
    if sys.platform == "win32":
        yield
        return
    loop.add_signal_handler(signal.SIGINT, stop.set)
    try:
        yield
    finally:
        loop.remove_signal_handler(signal.SIGINT)
