"""First start, minted tokens, the owner of a home."""

import asyncio

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized, Unavailable
from engine.identity.identity import FirstStart
from engine.identity.roles import BUILT_IN
from engine.identity.vault import Vault
from tests.engine.identity.world import World, on_both_stores


@on_both_stores
async def test_the_first_start_makes_a_tenant_an_admin_and_a_key_once(world: World) -> None:
    assert await world.identity.bootstrap() == FirstStart(False, False, False)
    owner = await world.identity.local_owner()
    assert (owner.subject, owner.tenant, owner.via) == ("admin", "default", "local")
    assert owner.permissions == BUILT_IN["admin"]
    assert (await world.identity.profile(owner)).tenant_name == "default"


@on_both_stores
async def test_several_processes_may_start_first(world: World) -> None:
    await asyncio.gather(*(world.process().bootstrap() for _ in range(4)))
    assert len(world.identity.jwks()["keys"]) == 1


async def test_a_store_with_another_root_key_says_what_to_do(world: World) -> None:
    world.vault = Vault(b"x" * 32)
    with pytest.raises(Unavailable, match="root key"):
        await world.process().bootstrap()


async def test_a_token_can_be_minted_for_each_role(world: World) -> None:
    for role in [*BUILT_IN, "Dataset user", "Org admin"]:
        caller = await world.identity.verify(await world.identity.mint(role=role))
        assert caller.tenant == "default" and len(caller.roles) == 1


async def test_minting_says_why_there_can_be_no_token(world: World) -> None:
    people = world.identity.directory
    await people.create_user("default", user_id="viewer", roles=["admin"])
    await people.create_user("default", user_id="editor", roles=["editor"])
    await people.deactivate_user("default", "editor")
    with pytest.raises(Conflict):
        await world.identity.mint(role="viewer")
    with pytest.raises(Conflict):
        await world.identity.mint(role="editor")
    with pytest.raises(InvalidArgument, match="no role"):
        await world.identity.mint(role="owner")
    with pytest.raises(NotFound):
        await world.identity.mint(role="auditor", tenant="nowhere")
    with pytest.raises(Unauthorized):
        await world.identity.mint(subject="nobody")


async def test_minted_tokens_live_as_long_as_asked_and_a_day_at_most(world: World) -> None:
    token = await world.identity.mint(lifetime_s=1_000_000)
    world.clock.advance(86_000)
    assert await world.identity.verify(token)


@on_both_stores
async def test_ids_are_shared_by_users_and_clients_and_none_looks_external(world: World) -> None:
    people = world.identity.directory
    await people.create_client("default", client_id="cron")
    for taken in ("cron", "admin", "ext-1"):
        with pytest.raises(Conflict):
            await people.create_user("default", user_id=taken)
    with pytest.raises(Conflict):
        await people.create_client("default", client_id="admin")
    for odd in ("a b", "a/b", "x" * 65, "\u00e4"):
        with pytest.raises(InvalidArgument):
            await people.create_user("default", user_id=odd)
    with pytest.raises(NotFound):
        await people.create_user("nowhere", user_id="ann")
    with pytest.raises(Conflict):
        await people.create_tenant("Again", tenant_id="default")


async def test_each_tenant_has_a_key_of_its_own(world: World) -> None:
    one = await world.identity.directory.create_tenant("One")
    two = await world.identity.directory.create_tenant("Two", tier="pro")
    assert one != two


async def test_who_is_gone_has_no_rights_for_later_work(world: World) -> None:
    await world.identity.directory.create_user("default", user_id="ann", roles=["viewer"])
    assert (await world.identity.principal_of("default", "ann", "agent")).via == "agent"
    await world.identity.directory.deactivate_user("default", "ann")
    world.clock.advance(2)
    with pytest.raises(Unauthorized):
        await world.identity.principal_of("default", "ann", "agent")
