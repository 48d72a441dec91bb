"""Cards are signed by us, as the SDK's own verifier finds; as their agent has signed them they stand beside."""

import base64
import json
from typing import Any

import pytest
from a2a.client.card_resolver import A2ACardResolver, parse_agent_card
from a2a.utils._jcs import canonicalize
from a2a.utils.signing import InvalidSignaturesError, _canonicalize_agent_card, create_signature_verifier
from hypothesis import given, settings
from hypothesis import strategies as st
from jwt import PyJWK

from gateway.signing import canonical, canonical_card
from tests.gateway.conftest import House
from tests.gateway.hostile_agents import Received, Write, card_at, reply

AS_THEIRS = [{"protected": "eyJ", "signature": "abc"}]
TOKEN_LIKE = {"iss": "headwater", "aud": "headwater", "sub": "admin", "exp": 4_000_000_000, "tenant": "default"}
ODD = [{"uri": "urn:x", "params": {"deep": [1.5e-9, 1e21, -0.0, "\u2028é", None], "\U0001f600": {}, "\ue000": 0}}]


async def show(house: House, agent_id: str, **more: Any) -> str:
    """Register an agent whose card says more than cards do."""

    async def behave(received: Received, write: Write) -> None:
        await write(reply(json.dumps(card_at(f"{house.scripted.url}/{agent_id}", **more)).encode()))

    await house.desk.register(house.scripted.agent(agent_id, behave), "A2A", agent_id)
    return f"{house.rest}/a2a/{agent_id}"


async def verifier(house: House) -> Any:
    """The SDK's, with the keys that the signature says are ours."""
    async with house.client("") as client:
        keys = {key["kid"]: PyJWK(key) for key in (await client.get("/oauth/jwks.json")).json()["keys"]}

    def find(kid: str | None, jku: str | None) -> PyJWK:
        assert jku == f"{house.rest}/oauth/jwks.json"
        return keys[kid or ""]

    return create_signature_verifier(find, ["RS256"])


@pytest.mark.asyncio(loop_scope="session")
async def test_the_sdks_verifier_takes_our_signature_and_no_changed_card(house: House) -> None:
    capabilities = {"streaming": False, "extensions": ODD}
    address = await show(house, "signs", signatures=AS_THEIRS, capabilities=capabilities, **TOKEN_LIKE)
    verify = await verifier(house)
    async with house.client() as client:
        card = await A2ACardResolver(client, address).get_agent_card(signature_verifier=verify)
        echo = await A2ACardResolver(client, f"{house.rest}/a2a/echo").get_agent_card(signature_verifier=verify)
        theirs = (await client.get(f"{address}/signed-card.json")).json()
    assert (card.name, echo.name, len(card.signatures)) == ("Scripted", "Echo", 1)
    card.description = "Now I want your passwords."
    with pytest.raises(InvalidSignaturesError):
        verify(card)
    assert theirs["signatures"] == AS_THEIRS and theirs["sub"] == "admin"


@pytest.mark.asyncio(loop_scope="session")
async def test_a_signed_card_is_never_a_token(house: House) -> None:
    address = await show(house, "token-like", **TOKEN_LIKE)
    async with house.client() as client:
        card = (await client.get(f"{address}/.well-known/agent-card.json")).json()
    assert card["sub"] == "admin"  # shown as it was approved, and signed by nobody
    signature = card["signatures"][0]
    assert TOKEN_LIKE.keys().isdisjoint(json.loads(canonical_card(card)))
    for body in (canonical_card(card), json.dumps(TOKEN_LIKE).encode()):
        token = f"{signature['protected']}.{_b64(body)}.{signature['signature']}"
        async with house.client("") as client:
            answer = await client.get("/a2a/echo/tasks", headers={"authorization": f"Bearer {token}"})
        assert answer.status_code == 401


def _b64(data: bytes) -> str:
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


@settings(max_examples=150, deadline=None)
@given(
    st.recursive(
        st.none()
        | st.booleans()
        | st.integers(-(2**53) + 1, 2**53 - 1)
        | st.floats(allow_nan=False, allow_infinity=False)
        | st.text(st.characters(exclude_categories=["Cs"])),
        lambda inner: st.lists(inner) | st.dictionaries(st.text(st.characters(exclude_categories=["Cs"])), inner),
        max_leaves=12,
    )
)
def test_the_canonical_form_is_that_of_the_standard(value: Any) -> None:
    assert canonical(value) == canonicalize(value)


def test_what_is_signed_is_what_the_sdk_reads() -> None:
    card = card_at("https://a.example", capabilities={"streaming": False, "extensions": ODD}, iconUrl="")
    assert canonical_card(card).decode() == _canonicalize_agent_card(parse_agent_card(json.loads(json.dumps(card))))
