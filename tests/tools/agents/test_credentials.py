"""Tokens that are fetched for agents: from a token endpoint of theirs, for everybody or for each caller."""

import json
from base64 import urlsafe_b64decode
from typing import Any
from urllib.parse import parse_qs

import pytest

from core.errors import Unauthenticated, Unavailable
from tests.gateway.hostile_agents import Received, Write, reply
from tests.gateway.worlds import ADMIN, VIEWER
from tests.tools.agents.conftest import Bench

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALL = {"name": "look", "arguments": {}}


class TokenEndpoint:
    """Gives a token with a number for each request, or does not."""

    def __init__(self) -> None:
        self.asked: list[tuple[dict[str, str], dict[str, str]]] = []
        self.status = 200

    async def __call__(self, received: Received, write: Write) -> None:
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        self.asked.append((received.headers, form))
        answer = {"access_token": f"fetched-{len(self.asked)}", "expires_in": 3600, "token_type": "Bearer"}
        await write(reply(json.dumps(answer).encode(), self.status))


async def sent_by(bench: Bench, agent_id: str, by: Any) -> str:
    await bench.desk.call("route_to_agent", by=by, agent_id=agent_id, message=CALL)
    return bench.scripted.received[-1].headers.get("authorization", "")


async def test_client_credentials_are_exchanged_once_for_everybody(bench: Bench, them: str) -> None:
    endpoint = TokenEndpoint()
    url = bench.scripted.agent("token", endpoint)
    secret: dict[str, Any] = {"token_url": url, "oauth_client": "us", "oauth_secret": "s:1", "scope": "tools"}
    await bench.desk.call("set_agent_credential", agent_id=them, kind="oauth2_client", **secret)
    found = {await sent_by(bench, them, ADMIN), await sent_by(bench, them, VIEWER)}
    assert found == {"Bearer fetched-1"} and len(endpoint.asked) == 1
    headers, form = endpoint.asked[0]
    assert form == {"grant_type": "client_credentials", "scope": "tools"}
    assert headers["authorization"] == "Basic dXM6cyUzQTE="


async def test_token_exchange_gives_each_caller_a_token_of_their_own(bench: Bench, them: str) -> None:
    endpoint = TokenEndpoint()
    url = bench.scripted.agent("exchange", endpoint)
    await bench.desk.call("set_agent_credential", agent_id=them, kind="token_exchange", token_url=url, audience="them")
    found = [await sent_by(bench, them, by) for by in (ADMIN, VIEWER, ADMIN)]
    assert found == ["Bearer fetched-1", "Bearer fetched-2", "Bearer fetched-1"]
    form = endpoint.asked[1][1]
    claims = json.loads(urlsafe_b64decode(form["subject_token"].split(".")[1] + "=="))
    assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
    assert (claims["sub"], claims["aud"], claims["exp"] - claims["iat"]) == ("vic", bench.scripted.url, 120)
    with pytest.raises(Unauthenticated):  # the proof opens nothing of ours
        await bench.desk.platform.engine.identity.verify(form["subject_token"])


async def test_an_endpoint_that_gives_no_token_is_said_so_and_nothing_is_sent(bench: Bench, them: str) -> None:
    await bench.desk.call("test_agent_connection", agent_id=them)
    endpoint = TokenEndpoint()
    endpoint.status = 400
    url = bench.scripted.agent("refuses", endpoint)
    secret: dict[str, Any] = {"token_url": url, "oauth_client": "us", "oauth_secret": "hidden"}
    await bench.desk.call("set_agent_credential", agent_id=them, kind="oauth2_client", **secret)
    before = len([each for each in bench.scripted.received if each.path.endswith(them)])
    with pytest.raises(Unavailable, match="gives no token") as refused:
        await bench.desk.call("route_to_agent", agent_id=them, message=CALL)
    assert "hidden" not in str(refused.value)
    assert len([each for each in bench.scripted.received if each.path.endswith(them)]) == before


async def test_a_removed_credential_is_no_longer_sent(bench: Bench, them: str) -> None:
    await bench.desk.call("set_agent_credential", agent_id=them, kind="bearer", bearer_token="old")
    assert await sent_by(bench, them, ADMIN) == "Bearer old"
    await bench.desk.call("set_agent_credential", agent_id=them, kind="none")
    assert await sent_by(bench, them, ADMIN) == ""
