"""One case: a query run through governance on the data, and as it stands on the copy; the answers must be equal."""

import math
from collections import Counter
from collections.abc import Mapping
from dataclasses import dataclass, field

from core.context import Principal
from core.errors import PlatformError
from engine.catalog.snapshots import make_snapshot
from engine.catalog.views import View
from engine.connectors.connector import ConnectionSpec
from engine.policy.decide import Caller, decide
from engine.policy.rules import Governed
from engine.sql.bind import prepare
from tests.differential.aggregates import expected, make_grouped, misuses, private_table, rounded
from tests.differential.choices import Choices
from tests.differential.engines import Database, EngineError, Rows, normal
from tests.differential.masks import MASK_KEY
from tests.differential.queries import Known, Queries, Query
from tests.differential.rules import Rules, make_rules, visible
from tests.differential.worlds import Table, World, make_world

MAX_ROWS = 1_000_000_000  # cuts are tested elsewhere
QUERIES_PER_WORLD = 12
CURIOUS_PERCENT = 8
MOST_REFUSED = 0.03
MOST_AGGREGATES_REFUSED = 0.05


class Difference(AssertionError):
    """The governed answer is not what the copy says."""


@dataclass(slots=True)
class Tally:
    """What became of the cases: equal, refused though the copy would have answered, or wrong on both sides alike.

    Grouped queries over aggregate-only columns and misuses of them are counted apart."""

    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def problems(self) -> list[str]:
        """What makes the run worthless though nothing differed: most was refused, or nothing was asked."""
        plain = sum(count for name, count in self.counts.items() if not name.startswith(("group", "misuse")))
        groups = sum(count for name, count in self.counts.items() if name.startswith("group"))
        found = []
        if self.counts["refused"] > _most(MOST_REFUSED, plain):
            found.append(f"{self.counts['refused']} of {plain} queries were refused")
        if self.counts["groups refused"] > _most(MOST_AGGREGATES_REFUSED, groups):
            found.append(f"{self.counts['groups refused']} of {groups} grouped queries were refused")
        if self.counts["equal"] < plain / 4:
            found.append(f"only {self.counts['equal']} of {plain} answers held rows")
        return found


def _most(share: float, count: int) -> float:
    """The most of `count` that chance gives where the share is so: three standard deviations above."""
    return share * count + 3 * math.sqrt(share * count)


@dataclass(frozen=True, slots=True)
class Stage:
    """A world loaded on both sides, with the rules and the view of one caller. `copy` is in the order of the tables."""

    world: World
    rules: Rules
    copy: tuple[Table, ...]
    view: View
    sources: Mapping[str, str]
    data_side: Database
    copy_side: Database

    @property
    def seen(self) -> tuple[Table, ...]:
        return tuple(table for table in self.copy if not self.rules.tables[table.dotted].is_hidden)

    @property
    def protected(self) -> list[tuple[Table, Table]]:
        """Tables with columns that only aggregates may read, and the copies of them."""
        pairs = zip(self.world.tables, self.copy, strict=True)
        held = self.rules.tables
        return [pair for pair in pairs if held[pair[0].dotted].aggregate_only and not held[pair[0].dotted].is_hidden]


def make_stage(choices: Choices, dialect: str, data: Database, copy: Database) -> Stage:
    world = make_world(choices, dialect)
    rules = make_rules(choices, world)
    data.load(world.tables)
    copies = tuple(visible(table, rules.tables[table.dotted]) for table in world.tables)
    sources = {table.dotted: data.source(table) for table in world.tables}
    stage = Stage(world, rules, copies, _view(world, rules), sources, data, copy)
    private = [private_table(table, rules.tables[table.dotted], shown) for table, shown in stage.protected]
    copy.load((*stage.seen, *(table for table in private if table is not None)))
    return stage


def _view(world: World, rules: Rules) -> View:
    """The platform's own decisions, from the same policies."""
    spec = ConnectionSpec("default", "shop", "shop", world.dialect)
    snapshot = make_snapshot(spec, [table.relation(world.dialect) for table in world.tables], 0.0)
    book, person = rules.book, rules.book.person
    policies = [item.policy for item in book.written]
    caller = Caller(person.subject, person.roles, person.agent, person.attributes)
    principal = Principal(person.subject, "default", person.roles, attributes=person.attributes)

    def look(key: str) -> Governed | None:
        relation = snapshot.relations[key]
        about = [policy for policy in policies if policy.rule.table.lower() in ("", relation.name.lower())]
        return decide(relation, book.tags[relation.name], about, caller, now=0.0, mask_key=MASK_KEY)

    return View(principal, snapshot, "fixed", look)


def run_case(choices: Choices, stage: Stage, tally: Tally) -> None:
    """One random case. Raises Difference."""
    if stage.protected and choices.chance(45):
        table, shown = choices.pick(stage.protected)
        if choices.chance(70):
            check_grouped(choices, stage, table, shown, tally)
        else:
            check_misuse(choices, stage, table, shown, tally)
    else:
        check_query(stage, make_query(choices, stage), tally)


def make_query(choices: Choices, stage: Stage) -> Query:
    """A query as the caller would write it; the curious also name what they may not see."""
    is_curious = choices.chance(CURIOUS_PERCENT) and not stage.protected
    tables = stage.world.tables if is_curious else stage.seen
    if is_curious:  # a hidden table's name means its only visible namesake in another schema, unlike in the copy
        namesakes = {table.name for table in stage.seen if table.schema == "hr"}
        tables = tuple(table for table in tables if _is_named(table, stage, namesakes))
    known = [
        Known(table.schema, table.name, table.columns, bool(stage.rules.tables[table.dotted].aggregate_only))
        for table in tables
        if table.columns
    ]
    if not known:
        return Query("SELECT 1 AS x", ())
    return Queries(choices, stage.world.dialect, known).make()


def _is_named(table: Table, stage: Stage, namesakes: set[str]) -> bool:
    return table.name not in namesakes or not stage.rules.tables[table.dotted].is_hidden


def check_query(stage: Stage, query: Query, tally: Tally) -> None:
    """Raises Difference."""
    wanted: list[str] | None
    try:
        wanted, failed = normal(stage.copy_side.run(query.sql)[1]), ""
    except EngineError as error:
        wanted, failed = None, str(error)
    try:
        sql = prepare(query.sql, stage.view, stage.world.dialect, max_rows=MAX_ROWS).fill(stage.sources)
    except PlatformError as refused:
        _note_refusal(tally, query.sql, refused, "refused" if wanted is not None else "refused alike")
        return
    got = _governed(stage, query.sql, sql, may_fail=wanted is None)
    if wanted is None and got is None:
        tally.counts["failed alike"] += 1
        return
    if wanted is None or got is None:
        raise Difference(f"the copy fails: {failed}\nbut governed answers {got}\n{query.sql}\n{sql}")
    found = normal(got)
    if not query.is_ordered:
        wanted, found = sorted(wanted), sorted(found)
    if wanted != found:
        raise Difference(f"expected {wanted[:5]}\nfound    {found[:5]}\n{query.sql}\n{sql}")
    tally.counts["equal" if wanted else "equal, empty"] += 1


def _governed(stage: Stage, asked: str, sql: str, *, may_fail: bool) -> Rows | None:
    try:
        return stage.data_side.run(sql)[1]
    except EngineError as error:
        if may_fail:
            return None
        raise Difference(f"governed fails: {error}\n{asked}\n{sql}") from None


def _note_refusal(tally: Tally, sql: str, refused: PlatformError, name: str) -> None:
    tally.counts[name] += 1
    if not name.endswith("alike"):
        tally.refusals[refused.message] += 1
        tally.examples.append(f"{refused.message} {refused.hint}\n   {sql}")


def check_grouped(choices: Choices, stage: Stage, table: Table, shown: Table, tally: Tally) -> None:
    """Raises Difference."""
    rules = stage.rules.tables[table.dotted]
    query = make_grouped(choices, stage.world.dialect, table, rules, shown, stage.seen)
    try:
        wanted, suppressed = expected(query, stage.copy_side.run(query.listing)[1])
    except EngineError:
        tally.counts["groups failed"] += 1
        return
    try:
        prepared = prepare(query.sql, stage.view, stage.world.dialect, max_rows=MAX_ROWS)
        sql = prepared.fill(stage.sources)
    except PlatformError as refused:
        _note_refusal(tally, query.sql, refused, "groups refused")
        return
    got = _governed(stage, query.sql, sql, may_fail=False) or []
    if rounded(got, query.keys) != rounded(wanted, query.keys):
        raise Difference(
            f"expected {rounded(wanted, query.keys)[:6]}\nfound    {rounded(got, query.keys)[:6]}\n"
            f"least {query.least}\n{query.sql}\n{sql}"
        )
    assert prepared.suppressed is not None
    counted = _governed(stage, query.sql, prepared.suppressed.fill(stage.sources), may_fail=False)
    if counted != [(suppressed,)]:
        raise Difference(f"{suppressed} groups are suppressed, {counted} are said to be\n{query.sql}")
    tally.counts["groups suppressed" if suppressed else "groups equal"] += 1


def check_misuse(choices: Choices, stage: Stage, table: Table, shown: Table, tally: Tally) -> None:
    """Raises Difference when an aggregate-only column is shown, compared or sorted by."""
    rules = stage.rules.tables[table.dotted]
    for sql in misuses(choices, table, rules, shown, 1):
        try:
            prepared = prepare(sql, stage.view, stage.world.dialect, max_rows=MAX_ROWS)
        except PlatformError:
            tally.counts["misuse refused"] += 1
            continue
        raise Difference(f"an aggregate-only column is not protected\n{sql}\n{prepared.fill(stage.sources)}")
