"""What a guest sees of a dataset that another tenant shares: what the owner's policies leave, and its own narrow.

To the owner's policies a guest is the role `tenant:ID` and nothing else: it has no user, no other role and no attribute
of theirs. Policies for everybody and for that role hold as written. Those for others only ever narrow: whatever is
kept from somebody in the house is kept from guests."""

from collections import OrderedDict
from collections.abc import Hashable, Iterable, Mapping
from dataclasses import dataclass, replace

from engine.catalog.annotations import Annotations, Notes
from engine.catalog.snapshots import Snapshot, make_snapshot
from engine.connectors.connector import ConnectionSpec, RelationInfo
from engine.connectors.shared import OWNER
from engine.policy.decide import Caller, decide, stricter
from engine.policy.index import ConnectionPolicies
from engine.policy.policies import Policies
from engine.policy.policy import EVERY, Policy, Subjects
from engine.policy.rules import ColumnRule, Governed

LAKEHOUSE = "lakehouse"
MAX_KEPT = 256


@dataclass(frozen=True, slots=True)
class Opened:
    """A share through its owner's eyes. `snapshot` holds nothing that the owner keeps from the guest."""

    snapshot: Snapshot
    governed: Mapping[str, Governed]
    key: Hashable
    policies: ConnectionPolicies
    notes: Notes
    caller: Caller
    mask_key: str

    def judge(self, name: str, relation: RelationInfo, now: float) -> Governed | None:
        """What the owner leaves of a relation, also of what it was."""
        tags = self.notes.then(LAKEHOUSE, name, relation).column_tags
        about = self.policies.about(relation, tags)
        found = decide(relation, tags, about, self.caller, now=now, mask_key=self.mask_key)
        return None if found is None else _anonymous(found)


class Guests:
    """Looks at shares as their owners let them be seen."""

    def __init__(self, policies: Policies, annotations: Annotations):
        self._policies = policies
        self._annotations = annotations
        self._rules: OrderedDict[Hashable, ConnectionPolicies] = OrderedDict()
        self._opened: OrderedDict[Hashable, tuple[Snapshot, Opened]] = OrderedDict()

    async def open(self, raw: Snapshot, now: float, mask_key: str) -> Opened:
        """The share behind a snapshot of its relations as they are; the same object while nothing changes."""
        spec = raw.spec
        owner, caller = spec.options[OWNER], guest_caller(spec)
        policies = await self._for_guest(owner, spec.tenant)
        notes = await self._annotations.notes(owner)
        key: Hashable = (policies.key(caller, now), notes.stamp)
        place = (spec.tenant, spec.connection_id)
        kept = self._opened.get(place)
        if kept is not None and kept[0] is raw and kept[1].key == key:
            self._opened.move_to_end(place)
            return kept[1]
        blank = Opened(raw, {}, key, policies, notes, caller, mask_key)
        judged = {name: blank.judge(name, relation, now) for name, relation in raw.relations.items()}
        governed = {name: found for name, found in judged.items() if found is not None}
        shown = make_snapshot(spec, [item.relation for item in governed.values()], raw.taken_at)
        opened = replace(blank, snapshot=shown, governed=governed)
        self._opened[place] = (raw, opened)
        while len(self._opened) > MAX_KEPT:
            self._opened.popitem(last=False)
        return opened

    async def _for_guest(self, owner: str, guest: str) -> ConnectionPolicies:
        found = await self._policies.all(owner)
        key = (owner, guest, found.stamp)
        if key not in self._rules:
            self._rules[key] = ConnectionPolicies(as_guests_meet(found.of(LAKEHOUSE).policies, guest))
            while len(self._rules) > MAX_KEPT:
                self._rules.popitem(last=False)
        return self._rules[key]


def guest_role(tenant: str) -> str:
    """The role that policies of an owner can name; no role of its own can be called so."""
    return f"tenant:{tenant}"


def guest_caller(spec: ConnectionSpec) -> Caller:
    """A guest, as the owner's policies see it. Being an agent without a name, it meets those for agents too."""
    name = guest_role(spec.tenant)
    return Caller(name, frozenset({name}), "", {})


def as_guests_meet(policies: Iterable[Policy], guest: str) -> list[Policy]:
    """The owner's policies with those for others made into ones that only narrow."""
    return [policy if _is_meant(policy, guest) else _narrowing(policy) for policy in policies]


def _is_meant(policy: Policy, guest: str) -> bool:
    wanted = policy.rule.applies_to
    return not wanted or guest_role(guest) in wanted.roles


def _narrowing(policy: Policy) -> Policy:
    return replace(policy, rule=replace(policy.rule, applies_to=Subjects(agents=frozenset({EVERY}))))


def _anonymous(found: Governed) -> Governed:
    """Without the ids of the owner's policies, which are nothing to a guest."""
    if found.is_open:
        return found
    filters = tuple(replace(item, policy_id=f"owner-{number}") for number, item in enumerate(found.filters, start=1))
    columns = {name: replace(rule, policies=()) for name, rule in found.columns.items()}
    return replace(found, columns=columns, filters=filters, policies=())


def narrowed(owner: Governed, own: Governed | None) -> Governed | None:
    """Both the owner's policies and the guest's own; None where they cannot both hold.

    A guest's filter may not read what its owner does not show as it is: counting rows would tell it."""
    if own is None or own.is_open:
        return None if own is None else owner
    read = {column for item in own.filters for _, column in item.columns}
    clashing = any(owner.facts[name] != own.facts[name] for name in owner.facts.keys() & own.facts.keys())
    if clashing or any(owner.privacy(column) != "public" for column in read):
        return None
    names = [column.name for column in own.relation.columns]
    columns = {
        name: _stricter(owner.columns.get(name), own.columns.get(name))
        for name in names
        if name in owner.columns or name in own.columns
    }
    return replace(
        owner,
        relation=own.relation,
        columns=columns,
        filters=(*owner.filters, *own.filters),
        min_group=max(owner.min_group, own.min_group),
        facts={**owner.facts, **own.facts},
        mask_key=owner.mask_key or own.mask_key,
        policies=own.policies,
    )


def _stricter(one: ColumnRule | None, other: ColumnRule | None) -> ColumnRule:
    if one is None or other is None:
        return one or other or ColumnRule("hidden")
    return stricter(one, other)
