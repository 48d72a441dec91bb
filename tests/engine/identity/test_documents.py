"""Client ids that are URLs: what is fetched, what is believed, what is refused."""

import json
import ssl
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.identity.oauth.apps import Apps
from engine.identity.oauth.refusals import InvalidClient, OAuthRefused
from engine.store.db import Store
from tests.engine.egress.servers import Server, Write, reply, serving
from tests.engine.egress.test_tls import make_certificate
from tests.engine.identity.world import Clock

REDIRECT = "https://claude.example/callback"


async def loopback(host: str, port: int) -> list[str]:
    return ["127.0.0.1"]


@dataclass
class Web:
    """Somebody else's server, and applications that know nobody yet."""

    server: Server
    apps: Apps
    clock: Clock
    said: dict[str, Any] = field(default_factory=dict)
    answer: bytes = b""

    @property
    def url(self) -> str:
        return f"https://app.example:{self.server.port}/client.json"


@pytest.fixture
async def web(store: Store, tmp_path: Path) -> AsyncIterator[Web]:
    cert, key = make_certificate("app.example", tmp_path)
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(cert, key)

    async def answer(path: str, write: Write) -> None:
        await write(made.answer or reply(body=json.dumps(made.said).encode(), content_type="application/json"))

    async with serving(answer, tls=context) as server:
        settings = EgressSettings(allowed_private_hosts=["app.example"], ca_file=cert)
        egress = EgressClient(settings, resolver=loopback)
        clock = Clock()
        made = Web(server, Apps(store=store, egress=egress, clock=clock), clock)
        made.said = {"client_id": made.url, "client_name": "Claude", "redirect_uris": [REDIRECT]}
        yield made
        await egress.aclose()


async def test_a_document_at_its_own_url_is_an_application_for_a_while(web: Web) -> None:
    app = await web.apps.look_up(web.url)
    assert (app.name, app.owns(REDIRECT), app.owns(REDIRECT + "/x")) == ("Claude", True, False)
    web.said["client_name"] = "Someone else"
    assert (await web.apps.look_up(web.url)).name == "Claude"
    assert len(web.server.requests) == 1
    web.clock.advance(301)
    assert (await web.apps.look_up(web.url)).name == "Someone else"


@pytest.mark.parametrize(
    "change",
    [
        {"client_id": "https://other.example/client.json"},
        {"client_id": None},
        {"redirect_uris": ["javascript:alert(1)"]},
        {"redirect_uris": []},
        {"token_endpoint_auth_method": "client_secret_post"},
        {"client_name": "x" * 500},
    ],
)
async def test_a_document_that_does_not_fit_is_none(web: Web, change: dict[str, Any]) -> None:
    web.said |= change
    with pytest.raises((InvalidClient, OAuthRefused)):
        await web.apps.look_up(web.url)
    with pytest.raises((InvalidClient, OAuthRefused)):
        await web.apps.look_up(web.url)
    assert len(web.server.requests) == 1  # nobody is asked again and again


async def test_a_redirect_and_a_huge_document_are_refused(web: Web) -> None:
    web.answer = reply(302, location=f"https://app.example:{web.server.port}/elsewhere")
    with pytest.raises(InvalidClient):
        await web.apps.look_up(web.url)
    web.clock.advance(31)
    web.answer = reply(body=b"{" + b" " * 20_000 + b"}")
    with pytest.raises(InvalidClient):
        await web.apps.look_up(web.url)


@pytest.mark.parametrize(
    "client_id",
    [
        "https://169.254.169.254/latest/meta-data",
        "https://127.0.0.1/client.json",
        "https://localhost/client.json",
        "http://app.example/client.json",
        "https://app.example",
        "https://app.example/",
        "https://app.example/a/../b",
        "https://app.example/a?x=1",
        "https://app.example/a#x",
        "https://user@app.example/a",
        "https://app.example/" + "a" * 300,
        "ftp://app.example/a",
    ],
)
async def test_a_client_id_that_is_no_plain_public_url_is_refused(web: Web, client_id: str) -> None:
    with pytest.raises(InvalidClient):
        await web.apps.look_up(client_id)
    assert web.server.requests == []
