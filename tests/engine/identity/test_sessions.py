"""Sessions, links and secrets as time passes, and in several processes."""

import asyncio

import pytest

from core.context import Principal
from core.errors import Conflict, NotFound, PlatformError, Unauthenticated, Unauthorized
from engine.identity.identity import Identity
from engine.identity.people import UserDraft
from engine.identity.sessions import SignIn
from tests.engine.identity.world import World, on_both_stores


async def somebody(identity: Identity, subject: str = "admin") -> Principal:
    return await identity.principal_of("default", subject, "user")


async def in_session(identity: Identity, session_id: str) -> str:
    claims = identity._claims.make("default", "admin", "user", 7200, session_id=session_id)
    return await asyncio.to_thread(identity._keys.sign_now, claims)


async def test_a_token_of_a_session_ends_with_it_in_every_process(world: World) -> None:
    identity, other = world.identity, world.process()
    scopes = frozenset({"query.run"})
    session = await identity.admin.sessions.open("default", "admin", SignIn("app", scopes), lifetime_s=3600)
    token = await in_session(identity, session.session_id)
    by = await other.verify(token)
    assert (by.subject, by.permissions, by.credential_id) == ("admin", scopes, f"session:{session.session_id}")
    await identity.admin.sessions.revoke(await somebody(identity), session.session_id)
    world.clock.advance(1.95)
    with pytest.raises(Unauthenticated):
        await other.verify(token)


async def test_a_session_ends_by_itself(world: World) -> None:
    session = await world.identity.admin.sessions.open("default", "admin", SignIn("app"), lifetime_s=60)
    token = await in_session(world.identity, session.session_id)
    await world.identity.verify(token)
    world.clock.advance(61)
    with pytest.raises(Unauthenticated):
        await world.identity.verify(token)


@on_both_stores
async def test_a_refresh_token_that_is_used_twice_ends_the_session(world: World) -> None:
    sessions = world.identity.admin.sessions
    session = await sessions.open("default", "admin", SignIn("app"), lifetime_s=60)
    assert await sessions.exchange("default", session.session_id, presented=None, following="a") is not None
    both = [sessions.exchange("default", session.session_id, presented="a", following=new) for new in ("b", "c")]
    assert sorted(found is None for found in await asyncio.gather(*both)) == [False, True]
    assert await sessions.find("default", session.session_id) is None


async def test_an_invitation_expires(world: World) -> None:
    admin = world.identity.admin
    draft = UserDraft(email="ann@x.org", name="Ann", roles=["viewer"])
    _, link = await admin.people.invite(await somebody(world.identity), draft)
    world.clock.advance(7 * 86_400 + 1)
    with pytest.raises(NotFound, match="any more"):
        await admin.passwords.accept(link.secret, "invitation", "correct horse battery")


async def test_a_secret_without_an_overlap_takes_its_tokens_along(world: World) -> None:
    identity, clients = world.identity, world.identity.admin.clients
    by = await somebody(identity)
    _, secret = await clients.create(by, "Nightly", roles=["viewer"], client_id="nightly")
    token = (await identity.issue_token("nightly", secret)).access_token
    world.clock.advance(2)
    _, second = await clients.rotate(by, "nightly", overlap_hours=24)
    assert (await identity.verify(token)).subject == "nightly"
    world.clock.advance(24 * 3600 + 1)
    with pytest.raises(Unauthenticated):
        await identity.issue_token("nightly", secret)
    token = (await identity.issue_token("nightly", second)).access_token
    world.clock.advance(2)
    await clients.rotate(by, "nightly", overlap_hours=0)
    with pytest.raises(Unauthenticated):
        await identity.verify(token)


@on_both_stores
async def test_of_two_administrators_in_two_processes_who_remove_each_other_one_stays(world: World) -> None:
    one, two = world.identity, world.process()
    await one.directory.create_user("default", user_id="second", roles=["admin"])
    first, second = await somebody(one), await somebody(two, "second")

    async def remove(identity: Identity, by: Principal, whom: str) -> bool:
        try:
            await identity.admin.people.set_active(by, whom, is_active=False)
        except (Conflict, Unauthorized):
            return False
        return True

    done = await asyncio.gather(remove(one, first, "second"), remove(two, second, "admin"))
    assert sorted(done) == [False, True]


@on_both_stores
async def test_of_equal_names_and_addresses_at_once_one_is_made(world: World) -> None:
    one, two = world.identity, world.process()
    by = await somebody(one)

    async def make(identity: Identity) -> str:
        try:
            await identity.admin.people.create(by, UserDraft(email="ann@x.org", name="Ann", roles=[]))
            await identity.admin.roles.create(by, "analyst", permissions=[])
            await identity.admin.clients.create(by, "Nightly", roles=[])
        except PlatformError as error:
            return error.code
        return "OK"

    assert sorted(await asyncio.gather(make(one), make(two))) == ["CONFLICT", "OK"]
