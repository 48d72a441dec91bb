"""Rights follow the store within 2 s, through the cache."""

import pytest
from sqlalchemy import event

from core.errors import Unauthenticated
from engine.identity.identity import Identity
from tests.engine.identity.world import World, on_both_stores


async def refused(identity: Identity, token: str) -> bool:
    try:
        await identity.verify(token)
    except Unauthenticated:
        return True
    return False


@on_both_stores
async def test_rights_come_from_the_store_and_not_from_the_token(world: World) -> None:
    people = world.identity.directory
    await people.create_user("default", user_id="ann", roles=["Dataset user"], attributes={"region": "north"})
    token = await world.identity.mint(subject="ann")
    ann = await world.identity.verify(token)
    assert (ann.subject, ann.roles, ann.via) == ("ann", frozenset({"viewer"}), "user")
    assert ann.attributes == {"region": "north"} and not ann.may("records.write")
    await people.set_user_roles("default", "ann", ["editor"])
    world.clock.advance(1.9)
    assert (await world.identity.verify(token)).may("records.write")


@pytest.mark.parametrize("step_s", [0.0, 0.3, 0.85, 1.0])
async def test_who_is_gone_is_out_within_two_seconds_in_every_process(world: World, step_s: float) -> None:
    people, other = world.identity.directory, world.process()
    await people.create_user("default", user_id="ann", roles=["viewer"])
    await people.create_tenant("Acme", tenant_id="acme")
    await people.create_user("acme", user_id="bob", roles=["viewer"])
    await people.create_client("default", client_id="cron", roles=["viewer"], secret="a-secret-of-my-choice")
    tokens = [await world.identity.mint(subject="ann"), await world.identity.mint(subject="bob", tenant="acme")]
    tokens.append((await world.identity.issue_token("cron", "a-secret-of-my-choice")).access_token)
    for token in tokens:
        await other.verify(token)
    world.clock.advance(step_s)  # the state may be as old as the cache lets it be
    for token in tokens:
        await other.verify(token)
    await people.deactivate_user("default", "ann")
    await people.archive_tenant("acme")
    await people.disable_client("default", "cron")
    world.clock.advance(1.95)
    assert [await refused(other, token) for token in tokens] == [True, True, True]


@on_both_stores
async def test_who_is_let_in_again_gets_no_earlier_token_back(world: World) -> None:
    owner, people = await world.identity.local_owner(), world.identity.admin.people
    for user_id in ("ann", "bob"):
        await world.identity.directory.create_user("default", user_id=user_id, roles=["viewer"])
    earlier = [await world.identity.mint(subject=user_id) for user_id in ("ann", "bob")]
    world.clock.advance(1)
    await people.set_active(owner, "ann", is_active=False)
    await people.delete(owner, "bob")
    world.clock.advance(5)
    await people.set_active(owner, "ann", is_active=True)
    await people.restore(owner, "bob")
    assert [await refused(world.identity, token) for token in earlier] == [True, True]
    assert (await world.identity.verify(await world.identity.mint(subject="ann"))).subject == "ann"


@on_both_stores
async def test_a_role_of_the_tenants_own_counts_in_that_tenant_alone(world: World) -> None:
    people = world.identity.directory
    await people.create_tenant("Acme", tenant_id="acme")
    await people.define_role("acme", "analyst", ["query.run", "platform.tenants"])
    await people.create_user("acme", user_id="ann", roles=["analyst"])
    await people.create_user("default", user_id="ann", roles=["analyst"])
    acme = await world.identity.verify(await world.identity.mint(subject="ann", tenant="acme"))
    default = await world.identity.verify(await world.identity.mint(subject="ann"))
    assert acme.permissions == {"query.run"} and not default.permissions


async def test_a_token_that_was_verified_asks_the_store_nothing_while_that_is_fresh(world: World) -> None:
    token = await world.identity.mint()
    await world.identity.verify(token)
    statements: list[str] = []
    event.listen(world.store.engine, "before_cursor_execute", lambda *call: statements.append(call[2]))
    for _ in range(2000):
        await world.identity.verify(token)
    assert statements == []


async def test_a_clock_that_is_set_back_does_not_keep_old_state(world: World) -> None:
    await world.identity.directory.create_user("default", user_id="ann", roles=["viewer"])
    token = await world.identity.mint(subject="ann")
    await world.identity.verify(token)
    await world.identity.directory.deactivate_user("default", "ann")
    world.clock.advance(-5)
    assert await refused(world.identity, token)
