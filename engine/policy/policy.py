"""A policy as it is stored: what it is about, for whom, and what it does."""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any, Literal

from engine.policy.rules import STRICTNESS, Mask, Privacy

Kind = Literal["row_filter", "column"]
EVERY = "*"


@dataclass(frozen=True, slots=True)
class Bound:
    """A column as a policy names it, with the identity that it had then, where its source has one."""

    name: str
    field_id: int | None = None


@dataclass(frozen=True, slots=True)
class Subjects:
    """People and agents; none at all means everyone."""

    roles: frozenset[str] = frozenset()
    users: frozenset[str] = frozenset()
    agents: frozenset[str] = frozenset()

    def __bool__(self) -> bool:
        return bool(self.roles or self.users or self.agents)


@dataclass(frozen=True, slots=True)
class Hold:
    """Another table that has had the name of a policy's table: its identity, and its columns' by their names then."""

    identity: str
    fields: tuple[tuple[str, int], ...] = ()  # names in lower case


@dataclass(frozen=True, slots=True)
class Rule:
    """What a policy says. `facts` are the caller's attributes that its filter reads."""

    kind: Kind
    connection_id: str  # or EVERY, with a tag
    table: str = ""
    table_identity: str = ""
    columns: tuple[Bound, ...] = ()
    tag: str = ""
    privacy: Privacy = "public"
    mask: Mask | None = None
    filter: str = ""
    filter_columns: tuple[Bound, ...] = ()
    facts: tuple[str, ...] = ()
    min_group_size: int = 0
    applies_to: Subjects = Subjects()
    except_for: Subjects = Subjects()
    holds: tuple[Hold, ...] = ()

    def is_about(self, identity: str) -> bool:
        """Whether the rule is tied to the table of that identity, whatever it is called now."""
        known = identity == self.table_identity or any(hold.identity == identity for hold in self.holds)
        return bool(identity) and known

    def field_id(self, bound: Bound, identity: str) -> int | None:
        """What the rule's column is in the table of that identity, where that is known."""
        if identity and identity == self.table_identity:
            return bound.field_id
        found = next((hold for hold in self.holds if hold.identity == identity), None)
        return None if found is None else dict(found.fields).get(bound.name.lower())

    def held(self, identity: str, fields: Mapping[str, int | None]) -> "Rule":
        """The rule, tied as well to the table of that identity and to what its columns are by these names."""
        if identity == self.table_identity:
            return self
        before = next((dict(hold.fields) for hold in self.holds if hold.identity == identity), None)
        named = {bound.name.lower() for bound in (*self.columns, *self.filter_columns)}
        found = {name: number for name, number in fields.items() if number is not None and name in named}
        hold = Hold(identity, tuple(sorted({**found, **(before or {})}.items())))
        return replace(self, holds=(*(item for item in self.holds if item.identity != identity), hold))

    @property
    def covers_table(self) -> bool:
        return any(column.name == EVERY for column in self.columns)


@dataclass(frozen=True, slots=True)
class Policy:
    """A stored policy. One whose rule cannot be read is `unreadable`: what it is about is refused."""

    policy_id: str
    name: str
    description: str
    rule: Rule
    is_enabled: bool
    expires_at: float | None
    version: int
    created_at: float
    updated_at: float
    is_unreadable: bool = False

    def is_expired(self, now: float) -> bool:
        return self.expires_at is not None and self.expires_at <= now


def to_document(rule: Rule) -> dict[str, Any]:
    """The rule as JSON."""
    return {
        "kind": rule.kind,
        "table_identity": rule.table_identity,
        "columns": [[column.name, column.field_id] for column in rule.columns],
        "privacy": rule.privacy,
        "mask": None if rule.mask is None else [rule.mask.kind, dict(rule.mask.options)],
        "filter": rule.filter,
        "filter_columns": [[column.name, column.field_id] for column in rule.filter_columns],
        "facts": list(rule.facts),
        "min_group_size": rule.min_group_size,
        "applies_to": _subjects_document(rule.applies_to),
        "except_for": _subjects_document(rule.except_for),
        "holds": [[hold.identity, dict(hold.fields)] for hold in rule.holds],
    }


def from_document(document: Mapping[str, Any], *, connection_id: str, table: str, tag: str) -> Rule:
    """The rule of a row. Raises KeyError, ValueError or TypeError for what is not one."""
    if document["kind"] not in ("row_filter", "column") or document["privacy"] not in STRICTNESS:
        raise ValueError("not a policy of this version")
    mask = document["mask"]
    return Rule(
        kind=document["kind"],
        connection_id=connection_id,
        table=table,
        table_identity=str(document["table_identity"]),
        columns=_bound(document["columns"]),
        tag=tag,
        privacy=document["privacy"],
        mask=None if mask is None else Mask(mask[0], tuple(sorted(mask[1].items()))),
        filter=str(document["filter"]),
        filter_columns=_bound(document["filter_columns"]),
        facts=tuple(document["facts"]),
        min_group_size=int(document["min_group_size"]),
        applies_to=_subjects(document["applies_to"]),
        except_for=_subjects(document["except_for"]),
        holds=_holds(document.get("holds", [])),  # none in those of earlier versions
    )


def _bound(items: list[list[Any]]) -> tuple[Bound, ...]:
    return tuple(Bound(str(name), None if field_id is None else int(field_id)) for name, field_id in items)


def _holds(items: list[list[Any]]) -> tuple[Hold, ...]:
    return tuple(
        Hold(str(identity), tuple((str(name), int(number)) for name, number in dict(fields).items()))
        for identity, fields in items
    )


def _subjects(document: Mapping[str, list[str]]) -> Subjects:
    return Subjects(frozenset(document["roles"]), frozenset(document["users"]), frozenset(document["agents"]))


def _subjects_document(subjects: Subjects) -> dict[str, list[str]]:
    return {"roles": sorted(subjects.roles), "users": sorted(subjects.users), "agents": sorted(subjects.agents)}
