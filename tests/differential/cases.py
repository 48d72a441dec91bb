"""One case: a query run through governance on the data, and as it stands on the copy; the answers must be equal."""

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
from tests.differential.choices import Choices
from tests.differential.engines import Database, EngineError, normal
from tests.differential.queries import Known, Queries, Query
from tests.differential.rules import MASK_KEY, Rules, make_rules, visible
from tests.differential.worlds import Table, World, make_world

MAX_ROWS = 1_000_000_000  # cuts are tested elsewhere
QUERIES_PER_WORLD = 12
CURIOUS_PERCENT = 8


class Difference(AssertionError):
    """The governed answer is not what the copy says."""


@dataclass(slots=True)
class Tally:
    """What became of the cases: equal, refused (the copy would have answered), or wrong on both sides alike."""

    counts: Counter[str] = field(default_factory=Counter)
    refusals: Counter[str] = field(default_factory=Counter)
    words: Counter[str] = field(default_factory=Counter)
    examples: list[str] = field(default_factory=list)

    @property
    def total(self) -> int:
        return sum(self.counts.values())

    def share(self, name: str) -> float:
        return self.counts[name] / max(self.total, 1)


@dataclass(frozen=True, slots=True)
class Stage:
    """A world loaded on both sides, with the rules and the view of one caller."""

    world: World
    rules: Rules
    copy: tuple[Table, ...]
    view: View
    sources: Mapping[str, str]


def make_stage(choices: Choices, dialect: str, data: Database, copy: Database) -> Stage:
    world = make_world(choices, dialect)
    rules = make_rules(choices, world)
    seen = tuple(
        visible(table, rules.tables[table.dotted], dialect)
        for table in world.tables
        if not rules.tables[table.dotted].is_hidden
    )
    data.load(world.tables)
    copy.load(seen)
    return Stage(world, rules, seen, _view(world, rules), {t.dotted: data.source(t) for t in world.tables})


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


def make_query(choices: Choices, stage: Stage) -> Query:
    """A query as the caller would write it; the curious also name what they may not see."""
    tables = stage.world.tables if choices.chance(CURIOUS_PERCENT) else stage.copy
    known = [Known(table.schema, table.name, table.columns) for table in tables if table.columns]
    return Queries(choices, stage.world.dialect, known).make()


def check(stage: Stage, query: Query, data: Database, copy: Database, tally: Tally) -> None:
    """Raises Difference."""
    expected: list[str] | None
    try:
        expected, failed = normal(copy.run(query.sql)[1]), ""
    except EngineError as error:
        expected, failed = None, str(error)
    try:
        plan = prepare(query.sql, stage.view, stage.world.dialect, max_rows=MAX_ROWS)
        ran = plan.fill(stage.sources)
    except PlatformError as refused:
        tally.counts["refused" if expected is not None else "refused alike"] += 1
        if expected is not None:
            tally.refusals[refused.message] += 1
            tally.examples.append(f"{refused.message}\n   {query.sql}")
        return
    try:
        _, got = data.run(ran)
    except EngineError as error:
        if expected is None:
            tally.counts["failed alike"] += 1
            return
        raise Difference(f"governed fails: {error}\n{query.sql}\n{ran}") from None
    if expected is None:
        raise Difference(f"the copy fails: {failed}\nbut governed answers {got[:3]}\n{query.sql}\n{ran}")
    found = normal(got)
    if not query.is_ordered:
        expected, found = sorted(expected), sorted(found)
    if expected != found:
        raise Difference(f"expected {expected[:5]}\nfound    {found[:5]}\n{query.sql}\n{ran}")
    tally.counts["equal" if expected else "equal, empty"] += 1
