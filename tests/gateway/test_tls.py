"""Credentials against servers that check them: client certificates, and tokens that are exchanged, over real TLS."""

import json
from collections.abc import AsyncIterator
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs

import jwt
import pytest
import pytest_asyncio

from core.context import Principal
from core.errors import Unauthenticated, Unavailable
from tests.gateway.authority import Authority
from tests.gateway.hostile_agents import Received, Scripted, Write, mcp_agent, reply, result, scripted
from tests.gateway.worlds import ADMIN, VIEWER, Desk, desk

pytestmark = pytest.mark.asyncio(loop_scope="session")
CALL = {"name": "look", "arguments": {}}
TOKEN_TYPE = "urn:ietf:params:oauth:token-type:"


@dataclass
class Place:
    """A platform that trusts one authority, a server that wants certificates, and one that exchanges tokens."""

    desk: Desk
    clients: Authority
    strict: Scripted
    plain: Scripted
    exchange: "Exchange"


@dataclass
class Exchange:
    """A token endpoint that checks what it is given as RFC 8693 has it, and gives each subject a token."""

    desk: Desk
    audience: str = ""
    given: dict[str, str] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    lifetime_s: int = 3600

    async def __call__(self, received: Received, write: Write) -> None:
        form = {name: values[0] for name, values in parse_qs(received.body.decode()).items()}
        keys = {key["kid"]: jwt.PyJWK(key) for key in self.desk.platform.engine.identity.jwks()["keys"]}
        try:
            header = jwt.get_unverified_header(form["subject_token"])
            claims = jwt.decode(form["subject_token"], keys[header["kid"]], ["RS256"], audience=self.audience)
            assert form["grant_type"] == "urn:ietf:params:oauth:grant-type:token-exchange"
            assert form["subject_token_type"] == f"{TOKEN_TYPE}jwt"
            assert form["requested_token_type"] == f"{TOKEN_TYPE}access_token"
        except (jwt.PyJWTError, KeyError, AssertionError) as error:
            self.problems.append(repr(error))
            await write(reply(b'{"error": "invalid_request"}', 400))
            return
        token = f"{claims['sub']}-{len(self.given)}"
        self.given[token] = claims["sub"]
        answer = {"access_token": token, "issued_token_type": f"{TOKEN_TYPE}access_token", "token_type": "Bearer"}
        await write(reply(json.dumps({**answer, "expires_in": self.lifetime_s}).encode()))


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def place(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Place]:
    folder: Path = tmp_path_factory.mktemp("authorities")
    servers, clients = Authority(folder, "Servers"), Authority(folder, "Clients")
    async with AsyncExitStack() as stack:
        context = servers.server_context("localhost", clients_of=clients)
        strict = await stack.enter_async_context(scripted(tls=context))
        plain = await stack.enter_async_context(scripted(tls=servers.server_context("localhost")))
        opened = await stack.enter_async_context(desk(folder / "home", egress={"ca_file": servers.file}))
        yield Place(opened, clients, strict, plain, Exchange(opened, plain.url))


async def done(received: Received, write: Write) -> None:
    await write(result(received, {"content": [], "isError": False}))


async def route(place: Place, agent_id: str, by: Principal = VIEWER) -> Any:
    return await place.desk.call("route_to_agent", by=by, agent_id=agent_id, message=CALL)


async def prove(place: Place, agent_id: str, pair: tuple[str, str], **more: Any) -> None:
    certificate, key = pair
    given: dict[str, Any] = {"agent_id": agent_id, "kind": "mtls", "certificate": certificate, "private_key": key}
    await place.desk.call("set_agent_credential", **given, **more)


async def test_a_server_that_asks_for_a_certificate_gets_the_agents_own(place: Place) -> None:
    await place.desk.register(place.strict.agent("strict", mcp_agent(done)), "MCP", "strict")
    with pytest.raises(Unavailable):  # without one
        await route(place, "strict")
    await prove(place, "strict", place.clients.issue("headwater"))
    assert (await route(place, "strict")).error is None
    assert place.strict.peers[-1] == "headwater"


async def test_another_authoritys_certificate_is_refused_and_none_is_shared_between_agents(place: Place) -> None:
    url = place.strict.agent("other", mcp_agent(done))
    await place.desk.register(url, "MCP", "other")
    with pytest.raises(Unavailable):  # the certificate of the agent beside is not used for this one
        await route(place, "other")
    await prove(place, "other", Authority(place.clients.file.parent, "Nobody").issue("headwater"))
    with pytest.raises(Unavailable):
        await route(place, "other")
    place.desk.platform.engine.agents.breakers.succeed(("default", "other"))
    await prove(place, "other", place.clients.issue("other-agent"))
    await route(place, "other")
    await prove(place, "other", place.clients.issue("vic-alone"), user_id="vic")
    await route(place, "other")
    await route(place, "other", by=ADMIN)
    assert place.strict.peers[-3:] == ["other-agent", "vic-alone", "other-agent"]


async def test_each_caller_gets_a_token_of_their_own_by_exchange(place: Place) -> None:
    sent: list[str] = []

    async def on_call(received: Received, write: Write) -> None:
        sent.append(received.headers.get("authorization", ""))
        await done(received, write)

    await place.desk.register(place.plain.agent("exchanged", mcp_agent(on_call)), "MCP", "exchanged")
    token_url = place.plain.agent("token", place.exchange)
    await place.desk.call("set_agent_credential", agent_id="exchanged", kind="token_exchange", token_url=token_url)
    for by in (VIEWER, ADMIN, VIEWER):
        await route(place, "exchanged", by)
    who = [place.exchange.given[each.removeprefix("Bearer ")] for each in sent]
    assert who == ["vic", "ada", "vic"] and sent[0] == sent[2] and place.exchange.problems == []
    with pytest.raises(Unauthenticated):
        await place.desk.platform.engine.identity.verify(next(iter(place.exchange.given)))


async def test_a_token_that_ended_early_is_fetched_anew_once(place: Place) -> None:
    """As after a revocation, or where a clock was set: the agent says 401, and has done nothing."""
    dead: set[str] = set()
    calls: list[str] = []

    async def on_call(received: Received, write: Write) -> None:
        calls.append(received.headers.get("authorization", ""))
        await (write(reply(b"{}", 401)) if calls[-1] in dead else done(received, write))

    await place.desk.register(place.plain.agent("early", mcp_agent(on_call)), "MCP", "early")
    token_url = place.plain.agent("token", place.exchange)
    await place.desk.call("set_agent_credential", agent_id="early", kind="token_exchange", token_url=token_url)
    await route(place, "early")
    dead.add(calls[-1])
    assert (await route(place, "early")).error is None
    assert len(calls) == 3 and calls[2] not in dead
    place.exchange.lifetime_s = 3600
    dead.update(f"Bearer vic-{number}" for number in range(1000))
    with pytest.raises(Unavailable, match="credential"):
        await route(place, "early")
    assert len(calls) == 5


async def test_a_server_of_an_unknown_authority_is_not_called(place: Place, tmp_path: Path) -> None:
    async with scripted(tls=Authority(tmp_path).server_context("localhost")) as unknown:
        await place.desk.register(unknown.agent("unknown", mcp_agent(done)), "MCP", "unknown")
        with pytest.raises(Unavailable):
            await route(place, "unknown")
        assert unknown.received == []
