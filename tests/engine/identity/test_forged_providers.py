"""OpenID providers that lie, and what somebody between them and us may try."""

import json
import time
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlsplit

import pytest

from api.oauth_port import Caller
from core.errors import NotFound, PlatformError, Unauthenticated, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault
from engine.store.db import Store
from tests.engine.egress.servers import Write, reply, serving
from tests.engine.identity.world import Clock, World
from tests.hostile.forged_tokens import ExternalKey, compact

CALLER = Caller("https://data.example", "203.0.113.9")
ISSUER = """
  - issuer: {url}
    jwks_uri: {url}/keys
    tenant: {tenant}
    client_id: {client_id}
    requires_nbf: false
    role_claim: groups
    roles: {{staff: viewer}}
"""


class Now(Clock):
    def __call__(self) -> float:
        return time.time()


@dataclass
class Liar:
    """Two providers on one server; what their token endpoints answer is a test's to say."""

    identity: Identity
    one: str
    two: str
    key: ExternalKey
    answer: dict[str, Any] = field(default_factory=dict)
    about: dict[str, Any] = field(default_factory=dict)

    async def arrive(self, issuer: str = "", header: dict[str, Any] | None = None, **changes: Any) -> str:
        """Leave for a provider and come back with what it answers; the tenant where that lets somebody in."""
        where, sealed = await self.identity.oauth.leave(issuer or self.one, "", CALLER)
        asked = {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}
        now = int(time.time())
        said = {"iss": self.one, "aud": "headwater-web", "sub": "eve", "nonce": asked["nonce"], "groups": ["staff"]}
        said |= {"iat": now, "exp": now + 600} | changes
        token = self.key.token(**said)
        if header is not None:
            claims = {name: value for name, value in said.items() if value is not None}
            token = compact({"alg": "RS256", "kid": "ext-1"} | header, claims, lambda data: b"")
        self.answer = {"id_token": token}
        cookie, _ = await self.identity.oauth.come_back(sealed, {"state": asked["state"], "code": "x"}, CALLER)
        session = await self.identity.oauth.browsers.find(cookie)
        assert session is not None
        return session.tenant


@pytest.fixture
async def liar(store: Store, tmp_path: Path) -> AsyncIterator[Liar]:
    async def answer(path: str, write: Write) -> None:
        base = f"{server.url}{path[:4]}"
        said: Any = made.answer
        if path.endswith("openid-configuration"):
            said = {"issuer": base, "authorization_endpoint": f"{base}/go", "token_endpoint": f"{base}/token"}
            said |= {"jwks_uri": f"{base}/keys"} | made.about
        body = made.key.jwks() if path.endswith("/keys") else json.dumps(said).encode()
        await write(reply(body=body, content_type="application/json"))

    egress = EgressClient(EgressSettings(allowed_private_hosts=["127.0.0.1"]))
    async with serving(answer) as server:
        one, two = f"{server.url}/one", f"{server.url}/two"
        issuers = [ISSUER.format(url=one, tenant="default", client_id="headwater-web")]
        issuers.append(ISSUER.format(url=two, tenant="acme", client_id="acme-web"))
        (tmp_path / "issuers.yml").write_text("issuers:" + "".join(issuers))
        world = World(store, Vault(b"k" * 32), egress, tmp_path, Now())
        await world.start()
        await world.identity.directory.create_tenant("Acme", tenant_id="acme")
        made = Liar(world.identity, one, two, ExternalKey(one))
        yield made
        world.close()
        await egress.aclose()


async def test_what_is_right_comes_in_to_the_tenant_of_its_provider(liar: Liar) -> None:
    assert await liar.arrive() == "default"
    assert await liar.arrive(liar.two, iss=liar.two, aud="acme-web") == "acme"
    assert await liar.arrive(aud=["headwater-web", "other"], azp="headwater-web") == "default"


LIES: list[dict[str, Any]] = [
    {"header": {"alg": "none"}},
    {"header": {"alg": "None", "kid": None}},
    {"header": {}},  # a signature of nothing
    {"header": {"alg": "HS256"}},
    {"nonce": None},
    {"nonce": "another"},
    {"nonce": ""},
    {"aud": "acme-web"},
    {"aud": "headwater"},
    {"aud": None},
    {"aud": []},
    {"aud": ["headwater-web", "other"]},
    {"aud": ["headwater-web", "other"], "azp": "other"},
    {"iss": "https://evil.example"},
    {"iss": None},
    {"exp": 1},
    {"exp": None},
    {"iat": 4_000_000_000},
    {"sub": None},
    {"sub": ""},
    {"sub": "a\u0000b"},
    {"sub": 7},
    {"groups": ["super_admin"]},
    {"roles": "super_admin"},
    {"tenant": "acme"},
]


async def test_what_is_wrong_does_not(liar: Liar) -> None:
    for lie in LIES:
        with pytest.raises(Unauthenticated, match="The sign-in did not work"):
            raise AssertionError(f"{lie} came in to {await liar.arrive(**lie)}")


async def test_a_provider_speaks_for_its_own_tenant_alone(liar: Liar) -> None:
    for audience in ("headwater-web", "acme-web"):
        with pytest.raises(Unauthenticated):
            await liar.arrive(liar.two, iss=liar.one, aud=audience)
    with pytest.raises(NotFound):
        await liar.identity.oauth.leave("https://evil.example", "", CALLER)


async def test_a_token_endpoint_that_answers_nonsense_lets_nobody_in(liar: Liar) -> None:
    nonsense: list[Any] = [{}, [], {"id_token": 7}, {"id_token": "a.b"}, {"id_token": "x" * 70_000}, "x"]
    for answer in nonsense:
        where, sealed = await liar.identity.oauth.leave(liar.one, "", CALLER)
        state = parse_qs(urlsplit(where).query)["state"][0]
        liar.answer = answer
        with pytest.raises(PlatformError):
            await liar.identity.oauth.come_back(sealed, {"state": state, "code": "x"}, CALLER)


async def test_a_provider_that_is_another_or_leads_to_a_script_is_not_gone_to(liar: Liar) -> None:
    wrong: list[dict[str, Any]] = [{"issuer": "https://evil.example"}, {"token_endpoint": None}]
    wrong += [{"authorization_endpoint": 7}, {"authorization_endpoint": "javascript:alert(1)"}]
    for about in wrong:
        liar.about = about
        with pytest.raises(Unavailable):
            await liar.identity.oauth.leave(liar.one, "", CALLER)


@pytest.mark.parametrize("place", ["http://169.254.169.254/token", "http://10.0.0.1/token"])
async def test_codes_and_secrets_go_to_no_place_that_egress_refuses(liar: Liar, place: str) -> None:
    liar.about = {"token_endpoint": place}
    with pytest.raises(PlatformError):
        await liar.arrive()


async def test_an_id_token_is_no_access_token(liar: Liar) -> None:
    with pytest.raises(Unauthenticated):
        await liar.identity.verify(liar.key.token(aud="headwater", iss=liar.one, nonce="seen", groups=["staff"]))
    token = liar.key.token(aud="headwater", iss=liar.one, groups=["staff"])
    assert (await liar.identity.verify(token)).tenant == "default"
