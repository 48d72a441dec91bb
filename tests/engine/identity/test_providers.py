"""Sign-in at an OpenID provider that nobody here wrote."""

import time
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import parse_qs, urlsplit

import httpx
import pytest
from oidc_provider_mock import User, run_server_in_thread  # type: ignore[import-untyped]

from api.oauth_port import Caller
from core.errors import Unauthenticated
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault
from engine.store.db import Store
from tests.engine.identity.world import Clock, World

# The provider itself uses what its own libraries have deprecated.
pytestmark = pytest.mark.filterwarnings("ignore::DeprecationWarning")
BASE = "http://127.0.0.1:8002"
ISSUERS = """
issuers:
  - issuer: {url}
    tenant: default
    role_claim: groups
    roles: {{staff: viewer}}
    client_id: headwater
    client_secret: quiet
"""


class Now(Clock):
    """The provider has no other clock."""

    def __call__(self) -> float:
        return time.time()


@dataclass
class Abroad:
    """A provider, and an identity that trusts it."""

    issuer: str
    identity: Identity
    caller: Caller

    async def leave(self) -> tuple[dict[str, str], str, str]:
        where, sealed = await self.identity.oauth.leave(self.issuer, "/oauth/device", self.caller)
        return {name: values[0] for name, values in parse_qs(urlsplit(where).query).items()}, sealed, where

    async def signed_in(self, where: str, sub: str) -> dict[str, str]:
        async with httpx.AsyncClient(verify=False) as http:
            answer = await http.post(where, data={"sub": sub})
        assert answer.status_code == 302, answer.text
        return {name: values[0] for name, values in parse_qs(urlsplit(answer.headers["location"]).query).items()}


@pytest.fixture
async def abroad(store: Store, tmp_path: Path) -> AsyncIterator[Abroad]:
    users = [User(sub="eve", claims={"groups": ["staff"]}), User(sub="mallory", claims={"groups": ["super_admin"]})]
    with run_server_in_thread(require_nonce=True, user_claims=users) as server:
        url = f"http://localhost:{server.server_port}"
        egress = EgressClient(EgressSettings(allowed_private_hosts=["localhost"]))
        world = World(store, Vault(b"k" * 32), egress, tmp_path, Now())
        (tmp_path / "issuers.yml").write_text(ISSUERS.format(url=url))
        await world.start()
        yield Abroad(url, world.identity, Caller(BASE, "127.0.0.1"))
        world.close()
        await egress.aclose()


async def test_somebody_signs_in_there_and_is_a_user_here(abroad: Abroad) -> None:
    asked, sealed, where = await abroad.leave()
    assert asked["code_challenge_method"] == "S256"
    cookie, next_path = await abroad.identity.oauth.come_back(
        sealed, await abroad.signed_in(where, "eve"), abroad.caller
    )
    assert next_path == "/oauth/device"
    session = await abroad.identity.oauth.browsers.find(cookie)
    assert session is not None
    user = await abroad.identity.admin.people.get(await abroad.identity.local_owner(), session.subject)
    assert (user.issuer, user.external_subject) == (abroad.issuer, "eve")


async def test_what_does_not_belong_together_is_refused(abroad: Abroad) -> None:
    _, sealed, where = await abroad.leave()
    _, other_sealed, other_where = await abroad.leave()
    back = await abroad.signed_in(where, "eve")
    other_back = await abroad.signed_in(other_where, "eve")
    wrong = [
        (other_sealed, back),  # another browser
        (sealed, back | {"state": "guessed"}),
        (sealed, {"state": back["state"]}),  # no code
        (sealed, back | {"iss": "https://evil.example"}),  # mixed up with another issuer
        (sealed, back | {"code": other_back["code"]}),  # a code of another sign-in: its nonce differs
        (sealed[:-1] + ("0" if sealed[-1] != "0" else "1"), back),
        ("", back),
    ]
    for kept, said in wrong:
        with pytest.raises(Unauthenticated, match="The sign-in did not work"):
            await abroad.identity.oauth.come_back(kept, said, abroad.caller)


async def test_a_provider_gives_nobody_the_highest_role(abroad: Abroad) -> None:
    _, sealed, where = await abroad.leave()
    with pytest.raises(Unauthenticated):
        await abroad.identity.oauth.come_back(sealed, await abroad.signed_in(where, "mallory"), abroad.caller)


async def test_whoever_is_deactivated_here_does_not_come_in(abroad: Abroad) -> None:
    _, sealed, where = await abroad.leave()
    cookie, _ = await abroad.identity.oauth.come_back(sealed, await abroad.signed_in(where, "eve"), abroad.caller)
    session = await abroad.identity.oauth.browsers.find(cookie)
    assert session is not None
    owner = await abroad.identity.local_owner()
    await abroad.identity.admin.people.set_active(owner, session.subject, is_active=False)
    assert await abroad.identity.oauth.browsers.find(cookie) is None
    _, sealed, where = await abroad.leave()
    with pytest.raises(Unauthenticated):
        await abroad.identity.oauth.come_back(sealed, await abroad.signed_in(where, "eve"), abroad.caller)
