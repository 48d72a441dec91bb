"""External issuers: bound to a tenant, mapped locally, with keys that rotate."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest

from core.errors import InvalidArgument, Unauthenticated, Unauthorized
from engine.identity.external import external_id
from engine.identity.identity import Identity
from engine.identity.issuers import read_issuers
from engine.store.tables import users
from tests.engine.egress.servers import Server, Write, reply, serving
from tests.engine.identity.world import World, on_both_stores
from tests.hostile.forged_tokens import EXTERNAL_ISSUER, ExternalKey

ISSUERS = """
issuers:
  - issuer: https://login.example
    jwks_uri: {url}/keys
    tenant: acme
    role_claim: groups
    roles: {{staff: viewer, leads: [LeadDataEngineer, auditor]}}
"""


@dataclass
class Outside:
    """An issuer on a real server: the key it shows may change, and the server may be down."""

    world: World
    server: Server
    key: ExternalKey
    identity: Identity
    is_down: bool = False

    def token(self, **changes: Any) -> str:
        now = int(self.world.clock.now)
        return self.key.token(**{"iat": now, "nbf": now, "exp": now + 600, "groups": ["staff"], **changes})

    async def is_refused(self, token: str) -> bool:
        try:
            await self.identity.verify(token)
        except Unauthenticated:
            return True
        return False


@pytest.fixture
async def outside(world: World) -> AsyncIterator[Outside]:
    async def answer(path: str, write: Write) -> None:
        await write(reply(503) if made.is_down else reply(body=made.key.jwks()))

    async with serving(answer) as server:
        (world.home / "issuers.yml").write_text(ISSUERS.format(url=server.url))
        await world.identity.directory.create_tenant("Acme", tenant_id="acme")
        made = Outside(world, server, ExternalKey(), world.process())
        yield made


@on_both_stores
async def test_an_external_user_gets_mapped_roles_in_the_issuers_tenant(outside: Outside) -> None:
    caller = await outside.identity.verify(outside.token(groups=["leads", "admin", "strangers"]))
    assert (caller.tenant, caller.via) == ("acme", "external")
    assert caller.roles == {"lead_data_engineer", "auditor"}
    assert caller.subject == external_id(EXTERNAL_ISSUER, "alice")


async def test_a_subject_named_like_a_local_user_is_not_that_user(outside: Outside) -> None:
    await outside.world.identity.directory.create_user("acme", user_id="boss", roles=["admin"])
    caller = await outside.identity.verify(outside.token(sub="boss"))
    assert caller.subject != "boss" and caller.roles == {"viewer"}


async def test_an_external_user_can_be_deactivated_and_has_rights_for_jobs(outside: Outside) -> None:
    caller = await outside.identity.verify(outside.token())
    later = await outside.identity.principal_of("acme", caller.subject, "external")
    assert later.permissions == caller.permissions
    await outside.world.identity.directory.deactivate_user("acme", caller.subject)
    outside.world.clock.advance(2)
    assert await outside.is_refused(outside.token())
    with pytest.raises(Unauthorized):
        await outside.identity.principal_of("acme", caller.subject, "external")
    earlier = outside.token()
    outside.world.clock.advance(1)
    await outside.world.identity.directory.deactivate_user("acme", caller.subject)
    await outside.world.identity.directory.reactivate_user("acme", caller.subject)
    outside.world.clock.advance(2)
    assert await outside.is_refused(earlier)
    assert not await outside.is_refused(outside.token())


@on_both_stores
async def test_roles_follow_the_newest_claims(outside: Outside) -> None:
    assert (await outside.identity.verify(outside.token(groups=["leads"]))).may("tables.maintain")
    outside.world.clock.advance(2)
    assert not (await outside.identity.verify(outside.token(groups=[]))).permissions


async def test_a_linked_user_keeps_its_own_roles_but_never_super_admin(outside: Outside) -> None:
    people = outside.world.identity.directory
    await people.create_user("acme", user_id="ann", roles=["editor"])
    link = users.update().where(users.c.user_id == "ann").values(issuer=EXTERNAL_ISSUER, external_subject="alice")
    await outside.world.store.write(lambda connection: connection.execute(link))
    caller = await outside.identity.verify(outside.token(groups=["leads"]))
    assert (caller.subject, caller.roles) == ("ann", frozenset({"editor"}))
    await people.set_user_roles("acme", "ann", ["super_admin"])
    outside.world.clock.advance(2)
    assert await outside.is_refused(outside.token())


async def test_keys_rotate_and_unknown_kids_do_not_hammer_the_issuer(outside: Outside) -> None:
    await outside.identity.verify(outside.token())
    old, outside.key = outside.token(exp=int(outside.world.clock.now) + 6000), ExternalKey(kid="ext-2")
    for _ in range(20):
        assert await outside.is_refused(outside.token())
    assert len(outside.server.requests) == 1
    outside.world.clock.advance(30)
    assert not await outside.is_refused(outside.token())
    assert await outside.is_refused(old)  # the issuer shows that key no longer
    assert len(outside.server.requests) == 2


async def test_known_keys_work_on_while_the_issuer_is_down(outside: Outside) -> None:
    await outside.identity.verify(outside.token())
    outside.is_down = True
    outside.world.clock.advance(3600)
    assert not await outside.is_refused(outside.token())
    outside.key = ExternalKey(kid="ext-2")
    assert await outside.is_refused(outside.token())


async def test_the_key_set_is_not_fetched_from_an_address_that_is_not_allowed(world: World) -> None:
    (world.home / "issuers.yml").write_text(ISSUERS.format(url="https://169.254.169.254"))
    key, now = ExternalKey(), int(world.clock.now)
    with pytest.raises(Unauthenticated):
        await world.process().verify(key.token(iat=now, nbf=now, exp=now + 60))


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c, roles: {x: super_admin}}]", "super_admin"),
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c, roles: {x: [viewer, super_admin]}}]", "super_admin"),
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c, algorithms: [HS256]}]", "HS256"),
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c, algorithms: []}]", "algorithms"),
        ("issuers: [{issuer: headwater, jwks_uri: b, tenant: c}]", "own"),
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c}, {issuer: a, jwks_uri: b, tenant: d}]", "once"),
        ("issuers: [{issuer: a, tenant: c}]", "jwks_uri"),
        ("issuers: [{issuer: a, jwks_uri: b, tenant: c, secret: d}]", "secret"),
    ],
)
def test_a_mistake_in_issuers_stops_the_start(tmp_path: Path, text: str, message: str) -> None:
    (tmp_path / "issuers.yml").write_text(text)
    with pytest.raises(InvalidArgument, match=message):
        read_issuers(tmp_path / "issuers.yml", audience="headwater", own_issuer="headwater")
