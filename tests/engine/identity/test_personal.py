"""Personal tokens."""

from dataclasses import replace

import pytest

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthenticated, Unauthorized
from engine.identity.personal import MAX_LIVING, PersonalTokens
from tests.engine.identity.world import World, on_both_stores


async def signed_in(world: World, subject: str = "ann", roles: tuple[str, ...] = ("editor",)) -> Principal:
    await world.identity.directory.create_user("default", user_id=subject, roles=roles)
    return await world.identity.principal_of("default", subject, "user")


async def test_a_token_lets_its_owner_in(world: World) -> None:
    ann = await signed_in(world)
    made = await world.identity.create_personal_token(by=ann, name="laptop")
    caller = await world.process().verify(made.token)
    assert made.token.startswith("hwt_") and made.token not in repr(made.info)
    assert (caller.subject, caller.via, caller.credential_id) == ("ann", "token", made.info.token_id)
    assert caller.permissions == ann.permissions


@on_both_stores
async def test_a_token_may_have_fewer_permissions_and_never_more_than_its_owner_has_now(world: World) -> None:
    ann = await signed_in(world)
    made = await world.identity.create_personal_token(by=ann, name="reader", permissions=["query.run", "records.write"])
    assert (await world.identity.verify(made.token)).permissions == {"query.run", "records.write"}
    await world.identity.directory.set_user_roles("default", "ann", ["viewer"])
    world.clock.advance(2)
    assert (await world.identity.verify(made.token)).permissions == {"query.run"}
    with pytest.raises(Unauthorized, match=r"users\.manage"):
        await world.identity.create_personal_token(by=ann, name="more", permissions=["users.manage"])


async def test_tokens_and_agents_do_not_make_tokens(world: World) -> None:
    ann = await signed_in(world)
    for via in ("token", "agent"):
        with pytest.raises(Unauthorized):
            await world.identity.create_personal_token(by=replace(ann, via=via), name="child")


@on_both_stores
async def test_a_revoked_token_is_out_here_at_once_and_elsewhere_within_two_seconds(world: World) -> None:
    ann, other = await signed_in(world), world.process()
    made = await world.identity.create_personal_token(by=ann, name="laptop")
    await world.identity.verify(made.token)
    await other.verify(made.token)
    await world.identity.revoke_personal_token(made.info.token_id, by=ann)
    with pytest.raises(Unauthenticated):
        await world.identity.verify(made.token)
    world.clock.advance(1.95)
    with pytest.raises(Unauthenticated):
        await other.verify(made.token)


async def test_an_expired_token_and_one_of_a_user_who_is_gone_are_out(world: World) -> None:
    ann, bob = await signed_in(world), await signed_in(world, "bob")
    first = await world.identity.create_personal_token(by=ann, name="short", lifetime_days=1)
    second = await world.identity.create_personal_token(by=bob, name="long", lifetime_days=365)
    await world.identity.directory.deactivate_user("default", "bob")
    world.clock.advance(86_400)
    for made in (first, second):
        with pytest.raises(Unauthenticated):
            await world.identity.verify(made.token)


@on_both_stores
async def test_only_the_owner_sees_and_revokes(world: World) -> None:
    ann, bob = await signed_in(world), await signed_in(world, "bob")
    made = await world.identity.create_personal_token(by=ann, name="laptop")
    assert await world.identity.list_personal_tokens(by=bob) == ([], 0)
    for other in (bob, replace(ann, tenant="elsewhere")):
        with pytest.raises(NotFound):
            await world.identity.revoke_personal_token(made.info.token_id, by=other)
    listed, total = await world.identity.list_personal_tokens(by=ann)
    assert (listed, total) == ([made.info], 1)
    await world.identity.revoke_personal_token(made.info.token_id, by=ann)
    with pytest.raises(NotFound):
        await world.identity.revoke_personal_token(made.info.token_id, by=ann)


@on_both_stores
async def test_use_is_noted_a_minute_apart(world: World) -> None:
    ann = await signed_in(world)
    made = await world.identity.create_personal_token(by=ann, name="laptop")
    first_use = world.clock.now
    for seconds in (0.0, 30.0, 31.0):
        world.clock.advance(seconds)
        await world.identity.verify(made.token)
        ((listed,), _) = await world.identity.list_personal_tokens(by=ann)
        assert listed.last_used_at == (world.clock.now if seconds == 31.0 else first_use)


async def test_the_number_and_the_lifetime_of_tokens_are_bounded(world: World) -> None:
    ann = await signed_in(world)
    for days in (0, 366):
        with pytest.raises(InvalidArgument):
            await world.identity.create_personal_token(by=ann, name="odd", lifetime_days=days)
    tokens = PersonalTokens(store=world.store, clock=world.clock)
    for number in range(MAX_LIVING):
        await tokens.create(by=ann, name=f"token {number}")
    with pytest.raises(Conflict):
        await tokens.create(by=ann, name="one more")


async def test_work_that_goes_on_has_the_rights_of_its_token(world: World) -> None:
    ann = await signed_in(world)
    made = await world.identity.create_personal_token(by=ann, name="job", permissions=["query.run"])
    later = await world.identity.principal_of("default", "ann", "token", made.info.token_id)
    assert later.permissions == {"query.run"}
    await world.identity.revoke_personal_token(made.info.token_id, by=ann)
    with pytest.raises(Unauthorized):
        await world.identity.principal_of("default", "ann", "token", made.info.token_id)
