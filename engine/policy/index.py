"""A tenant's policies put in order, so that one query looks at those of its own tables only."""

import hashlib
from bisect import bisect_right
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from core.context import Principal
from engine.connectors.connector import RelationInfo
from engine.policy.decide import Caller, claim_of, facts_of
from engine.policy.policy import EVERY, Policy

MAX_CALLERS = 4096
OPEN: Hashable = "open"
Stamp = tuple[int, int, float]


def caller_of(principal: Principal) -> Caller:
    """The principal as policies see it."""
    agent = principal.credential_id if principal.via == "agent" else None
    return Caller(principal.subject, principal.roles, agent, principal.attributes)


@dataclass(frozen=True, slots=True)
class _Concern:
    """What of a connection's policies concerns one caller."""

    digest: str
    with_facts: tuple[Policy, ...]


class ConnectionPolicies:
    """The policies that are on for one connection. Immutable, but for what it remembers."""

    def __init__(self, policies: Iterable[Policy]):
        self.policies = sorted((item for item in policies if item.is_enabled), key=lambda item: item.policy_id)
        self._by_table: dict[str, list[Policy]] = {}
        self._by_identity: dict[str, list[Policy]] = {}
        self._by_tag: dict[str, list[Policy]] = {}
        self._everywhere: list[Policy] = []
        self._for_anybody: list[int] = []  # places of the policies that may concern every caller
        self._for_somebody: dict[tuple[str, str], list[int]] = {}  # by role or user
        for place, policy in enumerate(self.policies):
            self._place(policy)
            self._place_by_caller(place, policy)
        self._expiries = sorted(item.expires_at for item in self.policies if item.expires_at is not None)
        self._token = _digest((item.policy_id, item.version) for item in self.policies)
        self._concerns: dict[tuple[str, frozenset[str], str | None], _Concern] = {}

    def _place(self, policy: Policy) -> None:
        rule = policy.rule
        if rule.tag:
            self._by_tag.setdefault(rule.tag, []).append(policy)
        elif rule.table:
            self._by_table.setdefault(rule.table.lower(), []).append(policy)
            for identity in {rule.table_identity, *(hold.identity for hold in rule.holds)} - {""}:
                self._by_identity.setdefault(identity, []).append(policy)
        else:
            self._everywhere.append(policy)

    def _place_by_caller(self, place: int, policy: Policy) -> None:
        wanted = policy.rule.applies_to
        if policy.is_unreadable or not wanted or wanted.agents:
            self._for_anybody.append(place)
            return
        for name in (*(("role", role) for role in wanted.roles), *(("user", user) for user in wanted.users)):
            self._for_somebody.setdefault(name, []).append(place)

    def _perhaps(self, caller: Caller) -> Iterable[Policy]:
        """The policies that may concern a caller, in order: those of other roles and users are not looked at."""
        names = [("user", caller.subject), *(("role", role) for role in caller.roles)]
        found = {place for name in names for place in self._for_somebody.get(name, ())}
        return (self.policies[place] for place in sorted(found.union(self._for_anybody)))

    @property
    def has_tags(self) -> bool:
        return bool(self._by_tag)

    def about(self, relation: RelationInfo, tags: Mapping[str, Iterable[str]]) -> Sequence[Policy]:
        """The policies that may concern the relation."""
        found = [*self._everywhere, *self._by_table.get(relation.name.lower(), ())]
        if relation.identity:
            known = {item.policy_id for item in found}
            found += [item for item in self._by_identity.get(relation.identity, ()) if item.policy_id not in known]
        if self._by_tag and tags:
            for tag in {tag for held in tags.values() for tag in held}:
                found += self._by_tag.get(tag, ())
        return found

    def key(self, caller: Caller, now: float) -> Hashable:
        """Equal for callers whom these policies treat alike: the policies, those that apply, and the facts used."""
        if not self.policies:
            return OPEN
        concern = self._concern(caller)
        facts = tuple(sorted(facts_of(caller, concern.with_facts).items())) if concern.with_facts else ()
        return self._token, concern.digest, facts, bisect_right(self._expiries, now)

    def _concern(self, caller: Caller) -> _Concern:
        key = (caller.subject, caller.roles, caller.agent)
        found = self._concerns.get(key)
        if found is None:
            claims = [(policy, claim_of(policy, caller)) for policy in self._perhaps(caller)]
            digest = _digest(
                (policy.policy_id, claim.level, claim.as_agent) for policy, claim in claims if claim is not None
            )
            with_facts = tuple(policy for policy, claim in claims if claim is not None and policy.rule.facts)
            if len(self._concerns) >= MAX_CALLERS:
                self._concerns.clear()
            found = self._concerns[key] = _Concern(digest, with_facts)
        return found


@dataclass(slots=True)
class PolicySet:
    """All policies of a tenant at one time. `stamp` changes with every change of them."""

    stamp: Stamp
    policies: Mapping[str, Policy]
    _of: dict[str, ConnectionPolicies] = field(default_factory=dict)

    def of(self, connection_id: str) -> ConnectionPolicies:
        """The policies that are on for a connection."""
        found = self._of.get(connection_id)
        if found is None:
            wanted = (connection_id, EVERY)
            found = ConnectionPolicies(item for item in self.policies.values() if item.rule.connection_id in wanted)
            self._of[connection_id] = found
        return found

    def bears(self, tag: str) -> bool:
        """Whether a policy, also one that is off, goes by this tag."""
        return any(policy.rule.tag == tag for policy in self.policies.values())


def _digest(parts: Iterable[object]) -> str:
    found = hashlib.sha256()
    for part in parts:
        found.update(repr(part).encode())
    return found.hexdigest()[:24]
