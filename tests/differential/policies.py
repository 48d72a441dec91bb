"""Random policies and callers; and which rules a caller has of them, decided again from the description alone.

For a column the more specific subject wins (user, role, everyone), then the more specific target (column, tag, whole
table), then the strictest. Policies for agents narrow further. All row filters that apply hold."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.policy.policy import EVERY, Bound, Policy, Rule, Subjects
from engine.policy.rules import Mask, Privacy
from tests.differential.choices import Choices
from tests.differential.conditions import Condition, make_condition
from tests.differential.masks import random_mask
from tests.differential.worlds import Column, Table, World

ORDER: Sequence[Privacy] = ("public", "masked", "aggregate_only", "hidden")
ATTRIBUTES: tuple[Mapping[str, str], ...] = (
    {"region": "EU", "level": "2"},
    {"region": "O'Hara", "level": "-1"},
    {"region": "", "level": "7"},
    {"region": "US"},
    {},
)
APPLIES = (
    *(Subjects(),) * 3,
    *(Subjects(roles=frozenset({"viewer"})),) * 3,
    *(Subjects(users=frozenset({"ann"})),) * 3,
    Subjects(roles=frozenset({"auditor"})),
    Subjects(users=frozenset({"ben"})),
    Subjects(agents=frozenset({"robot"})),
    Subjects(agents=frozenset({EVERY})),
    Subjects(roles=frozenset({"viewer"}), agents=frozenset({"other"})),
)
EXCEPT = (
    *(Subjects(),) * 8,
    Subjects(users=frozenset({"ben"})),
    Subjects(users=frozenset({"ann"})),
    Subjects(roles=frozenset({"auditor"})),
)


@dataclass(frozen=True, slots=True)
class Person:
    """Who asks: always ann, a viewer; `agent` when through one."""

    attributes: Mapping[str, str]
    agent: str | None = None
    subject: str = "ann"
    roles: frozenset[str] = frozenset({"viewer"})


@dataclass(frozen=True, slots=True)
class Written:
    """A policy, and its filter as Python where it has one."""

    policy: Policy
    condition: Condition | None = None


@dataclass(frozen=True, slots=True)
class Book:
    """All policies, the tags of columns by table, and the caller."""

    person: Person
    tags: Mapping[str, Mapping[str, frozenset[str]]]
    written: tuple[Written, ...]


def make_book(choices: Choices, world: World) -> Book:
    person = Person(choices.pick(ATTRIBUTES), choices.pick([None, None, None, "robot", ""]))
    tags = {
        table.dotted: {column.name: frozenset({"pii"}) for column in table.columns if choices.chance(18)}
        for table in world.tables
    }
    written: list[Written] = []
    for table in world.tables:
        written += _of_table(choices, table, world, person, len(written))
    if choices.chance(40):
        privacy = choices.pick(["masked", "hidden"])
        mask = Mask("null") if privacy == "masked" else None
        rule = Rule("column", EVERY, tag="pii", privacy=privacy, mask=mask)  # type: ignore[arg-type]
        written.append(Written(_policy(choices, rule, len(written))))
    return Book(person, tags, tuple(written))


def _of_table(choices: Choices, table: Table, world: World, person: Person, number: int) -> list[Written]:
    found: list[Written] = []
    for _ in range(choices.pick([0, 0, 1, 1, 2])):
        condition = make_condition(choices, table, person.attributes, world.dialect)
        rule = Rule(
            "row_filter",
            "shop",
            table.dotted,
            filter=condition.sql,
            filter_columns=tuple(Bound(name) for name in sorted(condition.columns)),
            facts=tuple(sorted(condition.facts)),
        )
        found.append(Written(_policy(choices, rule, number + len(found)), condition))
    least = choices.pick([0, 0, 0, 0, 2, 3])
    for column in table.columns:
        for _ in range(choices.pick([0, 0, 0, 1, 1, 2])):
            rule = _column_rule(choices, table, column, world.dialect, least)
            found.append(Written(_policy(choices, rule, number + len(found))))
    if choices.chance(10):
        rule = Rule("column", "shop", table.dotted, columns=(Bound(EVERY),), privacy="hidden")
        found.append(Written(_policy(choices, rule, number + len(found))))
    return found


def _column_rule(choices: Choices, table: Table, column: Column, dialect: str, least: int) -> Rule:
    """`least` is the smallest group where columns of the table are for aggregates only, else 0."""
    privacy: Privacy = choices.pick(["hidden", "masked", "masked", "public"])
    if least and column.family in ("int", "dec", "dbl") and choices.chance(75):
        privacy = "aggregate_only"
    mask = random_mask(choices, column, dialect) if privacy == "masked" else None
    # Policies name columns in any case; engines fold letters of ASCII only.
    name = (
        column.name.upper() if column.name.isascii() and choices.chance(15) and dialect != "postgres" else column.name
    )
    group = least if privacy == "aggregate_only" else 0
    bound = (Bound(name),)
    return Rule("column", "shop", table.dotted, columns=bound, privacy=privacy, mask=mask, min_group_size=group)


def _policy(choices: Choices, rule: Rule, number: int) -> Policy:
    rule = replace(rule, applies_to=choices.pick(APPLIES), except_for=choices.pick(EXCEPT))
    name = f"p{number:03}"
    return Policy(name, name, "", rule, not choices.chance(6), None, 1, 0.0, 0.0)


# The description, again


def level_of(policy: Policy, person: Person) -> tuple[int | None, bool]:
    """How specifically a policy names the caller (0 everyone, 1 role, 2 user, None not), and whether as an agent."""
    rule = policy.rule
    if not policy.is_enabled:
        return None, False
    if person.subject in rule.except_for.users or person.roles & rule.except_for.roles:
        return None, False
    wanted = rule.applies_to
    if not (wanted.users or wanted.roles or wanted.agents):
        return 0, False
    # An agent that does not say which it is counts as every agent.
    is_agent = person.agent is not None and bool(wanted.agents)
    as_agent = is_agent and (person.agent == "" or bool({EVERY, person.agent} & wanted.agents))
    if person.subject in wanted.users:
        return 2, as_agent
    return (1 if person.roles & wanted.roles else None), as_agent


def rule_of(table: Table, column: Column, book: Book) -> Rule | None:
    """The rule that holds for a column; None where it is public."""
    votes: list[tuple[tuple[int, int], Rule]] = []
    narrowing: list[Rule] = []
    for item in book.written:
        rule, (level, as_agent) = item.policy.rule, level_of(item.policy, book.person)
        target = _target(rule, table, column, book)
        if target is None:
            continue
        if level is not None:
            votes.append(((level, target), rule))
        if as_agent:
            narrowing.append(rule)
    best = max((rank for rank, _ in votes), default=None)
    return _strictest([rule for rank, rule in votes if rank == best] + narrowing)


def _target(rule: Rule, table: Table, column: Column, book: Book) -> int | None:
    if rule.kind != "column":
        return None
    if rule.tag:
        return 1 if rule.tag in book.tags[table.dotted].get(column.name, ()) else None
    if rule.table != table.dotted:
        return None
    names = [bound.name.lower() for bound in rule.columns]
    return 2 if column.name.lower() in names else 0 if EVERY in names else None


# Of several masks the one stays that leaves least; within a kind, the coarsest.
KINDS = ("date", "number", "partial", "hash", "constant", "null")
GRAINS = ("hour", "day", "week", "month", "quarter", "year")


def _strictest(rules: Iterable[Rule]) -> Rule | None:
    return max(rules, key=lambda rule: (ORDER.index(rule.privacy), *_left(rule.mask)), default=None)


def _left(mask: Mask | None) -> tuple[int, float]:
    if mask is None:
        return 0, 0
    options = dict(mask.options)
    if mask.kind == "partial":
        return KINDS.index(mask.kind), -int(options["keep_first"]) - int(options["keep_last"])
    if mask.kind == "number":
        return KINDS.index(mask.kind), float(options["step"])
    return KINDS.index(mask.kind), GRAINS.index(options["grain"]) if mask.kind == "date" else 0


def conditions_of(table: Table, book: Book) -> list[Condition]:
    """Every filter that holds for the caller."""
    found = []
    for item in book.written:
        level, as_agent = level_of(item.policy, book.person)
        if item.condition is not None and item.policy.rule.table == table.dotted and (level is not None or as_agent):
            found.append(item.condition)
    return found
