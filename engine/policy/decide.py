"""What policies leave of a relation for one caller: a pure function of the policies, the relation and the caller.

For a column the more specific subject wins (user, role, everyone), then the more specific target (column, tag,
whole table), then the stricter rule. Policies for agents, and policies past their time, only ever narrow that."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.policy.families import masked_type
from engine.policy.policy import EVERY, Bound, Policy, Rule
from engine.policy.rules import STRICTNESS, ColumnRule, Governed, Mask, RowFilter, open_to_all

DEFAULT_GROUP = 5  # of aggregate-only columns, where a policy names none
PUBLIC = ColumnRule("public")
HIDDEN = ColumnRule("hidden")
_EVERYONE, _ROLE, _USER = range(3)
_TABLE, _TAG, _COLUMN = range(3)
_KINDS = ("date", "number", "partial", "hash", "constant", "null")  # by how little is left of a value
_GRAINS = ("hour", "day", "week", "month", "quarter", "year")


@dataclass(frozen=True, slots=True)
class Caller:
    """Who asks. `agent` is None where a person asks directly, and empty for an agent without a name."""

    subject: str
    roles: frozenset[str] = frozenset()
    agent: str | None = None
    attributes: Mapping[str, str] = ()  # type: ignore[assignment]


@dataclass(frozen=True, slots=True)
class Claim:
    """How a policy concerns a caller: by which kind of subject, and whether as an agent."""

    level: int | None
    as_agent: bool


@dataclass(frozen=True, slots=True)
class _Vote:
    rank: tuple[int, int] | None  # subject, target; None: only narrows
    rule: ColumnRule
    is_narrowing: bool
    is_expired: bool


def claim_of(policy: Policy, caller: Caller) -> Claim | None:
    """How the policy concerns the caller, or None. What cannot be read concerns everyone."""
    if policy.is_unreadable:
        return Claim(_USER, as_agent=True)
    rule = policy.rule
    if caller.subject in rule.except_for.users or caller.roles & rule.except_for.roles:
        return None
    wanted = rule.applies_to
    if not wanted:
        return Claim(_EVERYONE, as_agent=False)
    level = _USER if caller.subject in wanted.users else _ROLE if caller.roles & wanted.roles else None
    as_agent = caller.agent is not None and (
        EVERY in wanted.agents or caller.agent in wanted.agents or bool(wanted.agents and not caller.agent)
    )
    return Claim(level, as_agent) if level is not None or as_agent else None


def decide(
    relation: RelationInfo,
    tags: Mapping[str, Iterable[str]],
    policies: Sequence[Policy],
    caller: Caller,
    *,
    now: float,
    mask_key: str = "",
) -> Governed | None:
    """What the caller may see of the relation; None when it does not exist for them. `tags` are by column."""
    claimed = [
        (policy, claim)
        for policy in policies
        if policy.is_enabled and (claim := claim_of(policy, caller)) and concerns(policy.rule, relation, tags)
    ]
    if not claimed:
        return open_to_all(relation)
    if any(policy.is_unreadable and not policy.rule.tag for policy, _ in claimed):
        return None
    filters: list[RowFilter] = []
    for policy, _ in claimed:
        if policy.rule.kind == "row_filter":
            bound = _bind_filter(policy, relation)
            if bound is None:
                return None
            filters.append(bound)
    columns = {column.name: _column(column, relation, tags, claimed, now) for column in relation.columns}
    return _governed(relation, columns, filters, [policy for policy, _ in claimed], caller, mask_key)


def concerns(rule: Rule, relation: RelationInfo, tags: Mapping[str, Iterable[str]]) -> bool:
    """Whether the rule is about the relation or one of its columns."""
    if rule.tag:
        return any(rule.tag in held for held in tags.values())
    return not rule.table or rule.table.lower() == relation.name.lower() or rule.is_about(relation.identity)


def names_column(bound: Bound, rule: Rule, relation: RelationInfo, column: ColumnInfo) -> bool:
    """Whether the rule's column is this one: by its identity, or by its name in any case."""
    field_id = rule.field_id(bound, relation.identity)
    is_same_field = field_id is not None and field_id == column.field_id
    return is_same_field or bound.name.lower() == column.name.lower()


def strictness(rule: ColumnRule) -> tuple[int, int, float]:
    """An order of rules by how little they leave."""
    return STRICTNESS[rule.privacy], *_mask_strictness(rule.mask if rule.privacy == "masked" else None)


def stricter(one: ColumnRule, other: ColumnRule) -> ColumnRule:
    """The stricter rule; where they are as strict, with the larger group and the policies of both."""
    if strictness(one) != strictness(other):
        return max(one, other, key=strictness)
    first = min(one, other, key=lambda rule: repr(rule.mask))
    return replace(
        first,
        min_group=max(one.min_group, other.min_group),
        policies=tuple(sorted({*one.policies, *other.policies})),
    )


def _column(
    column: ColumnInfo,
    relation: RelationInfo,
    tags: Mapping[str, Iterable[str]],
    claimed: Sequence[tuple[Policy, Claim]],
    now: float,
) -> ColumnRule:
    held = frozenset(tags.get(column.name, ()))
    votes = []
    for policy, claim in claimed:
        target = _target(policy.rule, relation, column, held)
        if target is not None:
            rank = None if claim.level is None else (claim.level, target)
            votes.append(_Vote(rank, _rule_of(policy), claim.as_agent, policy.is_expired(now)))
    if not votes:
        return PUBLIC
    # A policy past its time grants nothing any more, and what it took away stays away.
    found = stricter(_settle(votes), _settle([vote for vote in votes if not vote.is_expired]))
    for vote in votes:
        if vote.is_narrowing:
            found = stricter(found, vote.rule)
    return found


def _settle(votes: Sequence[_Vote]) -> ColumnRule:
    ranks = [vote.rank for vote in votes if vote.rank is not None]
    if not ranks:
        return PUBLIC
    best = max(ranks)
    first, *others = [vote.rule for vote in votes if vote.rank == best]
    for rule in others:
        first = stricter(first, rule)
    return first


def _target(rule: Rule, relation: RelationInfo, column: ColumnInfo, held: frozenset[str]) -> int | None:
    if rule.tag:
        return _TAG if rule.tag in held else None
    if rule.kind != "column":
        return None
    named = [bound for bound in rule.columns if bound.name != EVERY]
    if any(names_column(bound, rule, relation, column) for bound in named):
        return _COLUMN
    return _TABLE if rule.covers_table else None


def _rule_of(policy: Policy) -> ColumnRule:
    rule = policy.rule
    if policy.is_unreadable:
        return replace(HIDDEN, policies=(policy.policy_id,))
    mask = (rule.mask or Mask("null")) if rule.privacy == "masked" else None
    group = max(1, rule.min_group_size or (DEFAULT_GROUP if rule.privacy == "aggregate_only" else 1))
    return ColumnRule(rule.privacy, mask, group, (policy.policy_id,))


def _bind_filter(policy: Policy, relation: RelationInfo) -> RowFilter | None:
    """The filter with the present names of its columns; None when one of them is gone."""
    rule, names = policy.rule, []
    for bound in rule.filter_columns:
        found = _filter_column(bound, rule, relation)
        if found is None:
            return None
        names.append((bound.name.lower(), found))
    return RowFilter(policy.policy_id, rule.filter, tuple(names))


def filter_columns(policy: Policy, relation: RelationInfo) -> set[str]:
    """The relation's columns, by their present names, that the policy's row filter reads."""
    found = (_filter_column(bound, policy.rule, relation) for bound in policy.rule.filter_columns)
    return {name for name in found if name is not None}


def _filter_column(bound: Bound, rule: Rule, relation: RelationInfo) -> str | None:
    """Identity first: a column that was renamed is still meant, and one that took its name is not."""
    field_id = rule.field_id(bound, relation.identity)
    if field_id is not None:
        return next((column.name for column in relation.columns if column.field_id == field_id), None)
    names = [column.name for column in relation.columns]
    if bound.name in names:
        return bound.name
    alike = [name for name in names if name.lower() == bound.name.lower()]
    return alike[0] if len(alike) == 1 else None


def _governed(
    relation: RelationInfo,
    columns: Mapping[str, ColumnRule],
    filters: Sequence[RowFilter],
    policies: Sequence[Policy],
    caller: Caller,
    mask_key: str,
) -> Governed | None:
    visible = [column for column in relation.columns if columns[column.name].privacy != "hidden"]
    if relation.columns and not visible:
        return None
    rules = {name: rule for name, rule in columns.items() if rule.privacy != "public"}
    applied = {item.policy_id for item in filters}
    groups = [policy.rule.min_group_size for policy in policies if policy.policy_id in applied]
    groups += [rule.min_group for rule in rules.values() if rule.privacy == "aggregate_only"]
    min_group = max([1, *groups])
    if not rules and not filters and min_group == 1:
        return open_to_all(relation)
    is_keyed = all(name not in rules for name in relation.primary_key)
    shown = replace(
        relation,
        columns=tuple(_shown(column, rules.get(column.name)) for column in visible),
        row_count=None if filters else relation.row_count,
        size_bytes=None if filters else relation.size_bytes,
        primary_key=relation.primary_key if is_keyed else (),
        foreign_keys=tuple(item for item in relation.foreign_keys if item[0] in {column.name for column in visible}),
    )
    return Governed(
        shown,
        relation,
        {name: rule for name, rule in rules.items() if rule.privacy != "hidden"},
        tuple(sorted(filters, key=lambda item: item.policy_id)),
        min_group,
        facts=facts_of(caller, policies),
        mask_key=mask_key,
        policies=tuple(sorted(applied | {name for rule in rules.values() for name in rule.policies})),
    )


def facts_of(caller: Caller, policies: Iterable[Policy]) -> dict[str, tuple[str, ...]]:
    """What of the caller the filters read; an attribute that the caller lacks is left out."""
    wanted = {name for policy in policies for name in policy.rule.facts}
    attributes = dict(caller.attributes)
    found: dict[str, tuple[str, ...]] = {name: (attributes[name],) for name in wanted if name in attributes}
    if "subject" in wanted:
        found["subject"] = (caller.subject,)
    if "roles" in wanted:
        found["roles"] = tuple(sorted(caller.roles))
    return found


def _shown(column: ColumnInfo, rule: ColumnRule | None) -> ColumnInfo:
    if rule is None or rule.privacy != "masked":
        return column
    is_null = rule.mask is None or rule.mask.kind == "null"
    return replace(column, data_type=masked_type(rule.mask, column.data_type), nullable=column.nullable or is_null)


def _mask_strictness(mask: Mask | None) -> tuple[int, float]:
    if mask is None:
        return 0, 0.0
    left = {
        "partial": lambda: -float(mask.option("keep_first", "0")) - float(mask.option("keep_last", "0")),
        "number": lambda: float(mask.option("step", "1")),
        "date": lambda: float(_GRAINS.index(mask.option("grain", "year"))),
    }.get(mask.kind)
    return _KINDS.index(mask.kind) + 1, left() if left else 0.0
