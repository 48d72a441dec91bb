"""The store of policies: who may change them, how soon others see it, and what equal keys promise."""

import time
from collections.abc import Iterator
from dataclasses import replace

import pytest
from sqlalchemy import update

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.identity.roles import BUILT_IN
from engine.policy.decide import Caller, decide
from engine.policy.index import OPEN, ConnectionPolicies, caller_of
from engine.policy.policies import Policies
from engine.policy.policy import EVERY, Bound, Policy, Rule, Subjects
from engine.policy.rules import Mask
from engine.store.db import Store
from engine.store.tables import policies as table
from tests.fixtures_store import empty_url, store, store_url

__all__ = ["empty_url", "store", "store_url"]

ADA = Principal("ada", "acme", frozenset({"admin"}), BUILT_IN["admin"])
BOB = replace(ADA, tenant="other")
HIDE = Rule("column", "lakehouse", "hr.staff", columns=(Bound("pay", 3),), privacy="hidden")
MASK = Rule(
    "column",
    EVERY,
    tag="pii",
    privacy="masked",
    mask=Mask("partial", (("keep_first", "1"), ("keep_last", "2"))),
    applies_to=Subjects(frozenset({"viewer"}), frozenset({"eve"}), frozenset({"*"})),
    except_for=Subjects(users=frozenset({"ada"})),
)


@pytest.fixture
def service(store: Store) -> Iterator[Policies]:
    yield Policies(store, clock=lambda: 5.0)


async def test_a_policy_comes_back_as_it_was_made(service: Policies) -> None:
    made = await service.create(ADA, MASK, name="pii", policy_id="p1", expires_at=9.5)
    service.forget("acme")
    assert await service.get(ADA, "p1") == made
    assert [item.name for item in await service.listing(ADA)] == ["pii"]
    with pytest.raises(Conflict):
        await service.create(ADA, HIDE, name="again", policy_id="p1")
    with pytest.raises(NotFound):
        await service.get(BOB, "p1")
    assert await service.listing(BOB) == []


async def test_changes_are_seen_at_once_here_and_soon_elsewhere(store: Store) -> None:
    one, two = Policies(store), Policies(store, ttl_s=0.0)
    made = await one.create(ADA, HIDE, name="a")
    assert (await two.all("acme")).policies.keys() == {made.policy_id}
    await one.update(ADA, replace(made, name="b"))
    assert (await two.get(ADA, made.policy_id)).name == "b"
    with pytest.raises(Conflict):
        await two.update(ADA, replace(made, name="c"))
    await one.delete(ADA, made.policy_id)
    assert (await two.all("acme")).policies == {}
    with pytest.raises(NotFound):
        await two.delete(ADA, made.policy_id)


async def test_unchanged_policies_are_not_read_again(store: Store) -> None:
    service = Policies(store, ttl_s=0.0)
    await service.create(ADA, HIDE, name="a")
    assert await service.all("acme") is await service.all("acme")


async def test_agents_and_people_without_the_right_change_nothing(service: Policies) -> None:
    made = await service.create(ADA, HIDE, name="a")
    for by in (replace(ADA, via="agent"), replace(ADA, permissions=frozenset())):
        with pytest.raises(Unauthorized):
            await service.create(by, HIDE, name="b")
        with pytest.raises(Unauthorized):
            await service.update(by, made)
        with pytest.raises(Unauthorized):
            await service.delete(by, made.policy_id)


async def test_a_rule_that_cannot_be_read_refuses_its_table(service: Policies, store: Store) -> None:
    made = await service.create(ADA, HIDE, name="a")
    for broken in ("{", "[]", '{"kind": "else"}'):
        await store.write(lambda connection, text=broken: connection.execute(update(table).values(rule=text)))  # type: ignore[misc]
        service._cache.forget("acme")
        service._cache._entries.clear()
        found = await service.all("acme")
        staff = RelationInfo("hr.staff", (ColumnInfo("id", "bigint", True, 1),))
        assert found.policies[made.policy_id].is_unreadable
        about = found.of("lakehouse").about(staff, {})
        assert decide(staff, {}, about, Caller("eve"), now=0.0) is None


def made_of(*rules: Rule) -> ConnectionPolicies:
    return ConnectionPolicies(
        Policy(f"p{number}", "", "", rule, True, None, 1, 0.0, 0.0) for number, rule in enumerate(rules)
    )


def test_callers_whom_policies_treat_alike_share_a_key() -> None:
    regional = Rule("row_filter", "lakehouse", "hr.staff", filter="region = principal.region", facts=("region",))
    found = made_of(HIDE, regional, replace(HIDE, applies_to=Subjects(frozenset({"viewer"}))))
    eu = Caller("eve", frozenset({"viewer"}), None, {"region": "eu", "shoe": "9"})
    assert found.key(eu, 0.0) == found.key(replace(eu, subject="bob", attributes={"region": "eu"}), 0.0)
    different = [
        replace(eu, attributes={"region": "us"}),
        replace(eu, attributes={}),
        replace(eu, roles=frozenset()),
    ]
    assert len({found.key(caller, 0.0) for caller in (eu, *different)}) == 4
    assert made_of().key(eu, 0.0) == OPEN != found.key(eu, 0.0)


def test_five_thousand_policies_do_not_slow_a_query() -> None:
    rules = [replace(HIDE, table=f"ns.t{number}") for number in range(5000)]
    found, eve = made_of(*rules), caller_of(ADA)
    relation = RelationInfo("ns.t77", (ColumnInfo("pay", "bigint", True, 1),))
    found.key(eve, 0.0)
    started = time.process_time()
    for _ in range(200):
        found.key(eve, 0.0)
        assert len(found.about(relation, {})) == 1
    assert (time.process_time() - started) / 200 < 0.0001
