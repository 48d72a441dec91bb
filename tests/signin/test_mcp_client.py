"""The MCP Python SDK's own OAuth client signs in, end to end."""

import asyncio
from typing import Any

from httpx2 import AsyncClient
from mcp.client.auth import OAuthClientProvider
from mcp.client.session import ClientSession
from mcp.client.streamable_http import streamable_http_client
from mcp.shared.auth import AuthorizationCodeResult, OAuthClientInformationFull, OAuthClientMetadata, OAuthToken

from tests.faces.served import Served
from tests.signin.browser import CALLBACK, Browser
from tests.signin.documents import Documents


class Kept:
    """What a client stores."""

    def __init__(self) -> None:
        self.tokens: OAuthToken | None = None
        self.client: OAuthClientInformationFull | None = None

    async def get_tokens(self) -> OAuthToken | None:
        return self.tokens

    async def set_tokens(self, tokens: OAuthToken) -> None:
        self.tokens = tokens

    async def get_client_info(self) -> OAuthClientInformationFull | None:
        return self.client

    async def set_client_info(self, client_info: OAuthClientInformationFull) -> None:
        self.client = client_info


def signing_in(url: str, kept: Kept, browser: Browser, document: str | None = None) -> OAuthClientProvider:
    where: list[str] = []

    async def redirect(target: str) -> None:
        where.append(target)

    async def callback() -> AuthorizationCodeResult:
        sent = (await asyncio.to_thread(browser.walk, where[-1])).sent
        return AuthorizationCodeResult(code=sent["code"], state=sent.get("state"), iss=sent.get("iss"))

    metadata = OAuthClientMetadata.model_validate(
        {"redirect_uris": [CALLBACK], "client_name": "SDK", "grant_types": ["authorization_code", "refresh_token"]}
    )
    return OAuthClientProvider(url, metadata, kept, redirect, callback, client_metadata_url=document)


async def call(url: str, auth: OAuthClientProvider, tool: str) -> Any:
    async with (
        AsyncClient(auth=auth, timeout=30) as http,
        streamable_http_client(url, http_client=http) as (read, write),
        ClientSession(read, write) as session,
    ):
        await session.initialize()
        return (await session.call_tool(tool, {})).structured_content


async def test_the_sdk_signs_in_from_nothing_and_renews(house: Served, browser: Browser) -> None:
    url, kept = f"{house.url('mcp')}/mcp", Kept()
    who = await call(url, signing_in(url, kept, browser), "get_current_user")
    assert who["id"] == "ann"
    assert kept.tokens is not None
    assert kept.tokens.refresh_token
    before = kept.tokens.refresh_token
    kept.tokens.access_token = "gone"
    kept.tokens.expires_in = -1
    assert (await call(url, signing_in(url, kept, browser), "get_current_user"))["id"] == "ann"
    assert kept.tokens.refresh_token != before


async def test_the_sdk_names_itself_by_a_document(house: Served, browser: Browser, web: Documents) -> None:
    url, kept, client_id = f"{house.url('mcp')}/mcp", Kept(), web.put("python.json", CALLBACK)
    assert (await call(url, signing_in(url, kept, browser, client_id), "get_current_user"))["id"] == "ann"
    assert kept.client is not None
    assert kept.client.client_id == client_id


async def test_the_sdk_signs_in_to_one_project_and_calls_its_tools(house: Served, browser: Browser) -> None:
    admin = {"authorization": f"Bearer {house.tokens['admin']}"}
    async with AsyncClient(headers=admin, timeout=30) as http:
        made = await http.post(f"{house.url('rest')}/v1/projects", json={"name": "Harbour"})
    url, kept = f"{house.url('mcp')}/mcp/projects/{made.json()['id']}", Kept()
    assert (await call(url, signing_in(url, kept, browser), "get_current_user"))["id"] == "ann"
    assert kept.tokens is not None
    async with AsyncClient(headers={"authorization": f"Bearer {kept.tokens.access_token}"}, timeout=30) as http:
        assert (await http.post(f"{house.url('mcp')}/mcp", json={})).status_code == 401
