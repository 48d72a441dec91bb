"""Forged and stale tokens are refused, each with the same words; good ones pass."""

import logging
from collections.abc import AsyncIterator
from pathlib import Path

import pytest

from core.errors import Unauthenticated
from core.settings import AuthSettings, EgressSettings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault, load_root_key
from engine.store.db import Store
from tests.engine.egress.servers import Write, reply, serving
from tests.fixtures_store import new_sqlite
from tests.hostile.forged_tokens import EXTERNAL_ISSUER, ExternalKey, Forge, forged_tokens, good_tokens, prepare

SHARED = "jwt:\n  secret_key: a-secret-of-at-least-thirty-two-bytes\nclients: {reporting: hush}\n"


@pytest.fixture(params=["own keys", "own keys and a shared secret"])
async def forge(request: pytest.FixtureRequest, tmp_path: Path) -> AsyncIterator[tuple[Identity, Forge]]:
    outside = ExternalKey()

    async def answer(path: str, write: Write) -> None:
        await write(reply(body=outside.jwks()))

    async with serving(answer) as server:
        (tmp_path / "issuers.yml").write_text(
            f"issuers:\n- {{issuer: '{EXTERNAL_ISSUER}', jwks_uri: '{server.url}/keys', tenant: default,"
            " role_claim: groups, roles: {staff: viewer}}\n"
        )
        if "shared" in request.param:
            (tmp_path / "auth_clients.yml").write_text(SHARED)
        store, vault = Store(new_sqlite(tmp_path)), Vault(load_root_key(tmp_path))
        egress = EgressClient(EgressSettings(allowed_private_hosts=["127.0.0.1"]))
        identity = Identity(store=store, vault=vault, egress=egress, settings=AuthSettings(), home=tmp_path)
        await identity.bootstrap()
        await prepare(identity, store, vault)
        yield identity, Forge(store, vault, external=outside)
        identity.close()
        await egress.aclose()
        store.close()


async def test_every_forged_token_is_refused_with_the_same_words(
    forge: tuple[Identity, Forge], caplog: pytest.LogCaptureFixture
) -> None:
    identity, kit = forge
    caplog.set_level(logging.DEBUG)
    forged = forged_tokens(kit)
    assert (await identity.verify(kit.token())).subject == "admin"
    assert len(forged) >= 200
    texts = set()
    for name, token in forged.items():
        with pytest.raises(Unauthenticated) as refused:
            await identity.verify(token)
            pytest.fail(f"accepted: {name}")
        texts.add((refused.value.message, refused.value.hint))
        assert len(token) < 20 or token not in caplog.text
    assert {text for text, _ in texts} <= {"The token is not valid.", "The token has expired."}
    assert len({hint for _, hint in texts}) == 1


async def test_every_good_token_passes(forge: tuple[Identity, Forge], caplog: pytest.LogCaptureFixture) -> None:
    identity, kit = forge
    caplog.set_level(logging.DEBUG)
    for name, token in good_tokens(kit).items():
        principal = await identity.verify(token)
        assert (principal.subject, principal.tenant, principal.via) == ("admin", "default", "user"), name
        assert "users.manage" in principal.permissions and "platform.tenants" not in principal.permissions


async def test_a_good_external_token_passes_with_mapped_roles_alone(forge: tuple[Identity, Forge]) -> None:
    identity, kit = forge
    principal = await identity.verify(kit.external.token(groups=["staff", "admin"], tenant="default"))
    assert (principal.tenant, principal.via, principal.roles) == ("default", "external", frozenset({"viewer"}))
    assert principal.subject.startswith("ext-")
