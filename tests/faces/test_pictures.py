"""A chart over the wire: every door hands out the same picture, in the form that its clients can show."""

import base64
import sqlite3
from collections.abc import Iterator
from contextlib import closing
from typing import Any

import grpc
import httpx
import pytest

from api.protolock import shipped_lock
from api.rpc import build_rpcs
from core.registry import Registry
from headwater.build import TOOL_PACKAGES, Platform
from tests.faces.clients import RestClient
from tests.faces.served import Served, served
from tests.faces.world import settings_of

REGISTRY = Registry.walk(TOOL_PACKAGES)
PNG = b"\x89PNG\r\n\x1a\n"
SALES = "SELECT region, sum(amount) AS amount FROM sales GROUP BY region"


@pytest.fixture(scope="module")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    home, data = tmp_path_factory.mktemp("home"), tmp_path_factory.mktemp("data")
    with closing(sqlite3.connect(data / "shop.sqlite")) as database:
        database.execute("CREATE TABLE sales (region TEXT, amount INTEGER)")
        database.execute("INSERT INTO sales VALUES ('eu', 3), ('us', 5)")
        database.commit()

    async def fill(platform: Platform) -> dict[str, str]:
        options = {"path": str(data / "shop.sqlite")}
        connections = platform.engine.catalog.connections
        await connections.create("default", name="Shop", kind="sqlite", options=options, connection_id="shop")
        return {role: await platform.engine.identity.mint(role=role) for role in ("viewer", "editor")}

    settings = settings_of(home, query={"allowed_roots": [str(data)]}, edge={"isolation": "thread"})
    with served(settings, fill) as running:
        yield running


@pytest.fixture
async def query_id(house: Served) -> str:
    """A result of the viewer's."""
    client = RestClient(house.ports.rest)
    arguments = {"connection_id": "shop", "sql": SALES}
    answer = await client.call(REGISTRY.get("execute_query"), arguments, house.tokens["viewer"])
    await client.close()
    found: str = answer.value["metadata"]["query_id"]
    return found


async def post(house: Served, query_id: str, accept: str, who: str = "viewer") -> httpx.Response:
    headers = {"accept": accept, "authorization": f"Bearer {house.tokens[who]}"}
    async with httpx.AsyncClient(base_url=house.url("rest"), timeout=30) as client:
        return await client.post(f"/v1/results/{query_id}/chart", json={}, headers=headers)


async def test_rest_sends_the_bare_picture_where_one_is_asked_for(house: Served, query_id: str) -> None:
    for accept in ("image/png", "image/*;q=0.8", "text/html, image/png"):
        answer = await post(house, query_id, accept)
        assert (answer.status_code, answer.headers["content-type"]) == (200, "image/png")
        assert answer.content.startswith(PNG)
        assert answer.headers["x-content-type-options"] == "nosniff"


async def test_rest_sends_json_to_everybody_else(house: Served, query_id: str) -> None:
    for accept in ("application/json", "*/*", "image/webp", "image/png, application/json"):
        answer = await post(house, query_id, accept)
        assert answer.headers["content-type"] == "application/json"
        assert base64.b64decode(answer.json()["png"], altchars=b"-_").startswith(PNG)


async def test_a_refusal_is_json_whatever_was_asked_for(house: Served, query_id: str) -> None:
    answer = await post(house, query_id, "image/png", who="editor")
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")


async def test_mcp_shows_models_an_image(house: Served, query_id: str) -> None:
    headers = {
        "accept": "application/json, text/event-stream",
        "authorization": f"Bearer {house.tokens['viewer']}",
        "mcp-protocol-version": "2026-07-28",
        "mcp-method": "tools/call",
        "mcp-name": "chart_result",
    }
    about = {"protocolVersion": "2026-07-28", "clientInfo": {"name": "t", "version": "1"}, "clientCapabilities": {}}
    meta = {f"io.modelcontextprotocol/{name}": value for name, value in about.items()}
    params = {"name": "chart_result", "arguments": {"query_id": query_id}, "_meta": meta}
    body = {"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params}
    async with httpx.AsyncClient(base_url=house.url("mcp"), timeout=30) as client:
        answer = (await client.post("/mcp", json=body, headers=headers)).json()["result"]
    text, image = answer["content"]
    assert (text["type"], image["type"], image["mimeType"]) == ("text", "image", "image/png")
    assert base64.b64decode(image["data"]).startswith(PNG)
    assert image["data"][:100] not in text["text"]  # the picture costs no text tokens
    assert answer["structuredContent"]["kind"] == "bar"


async def test_grpc_sends_bytes(house: Served, query_id: str) -> None:
    method: Any = build_rpcs(REGISTRY, shipped_lock()).by_tool["chart_result"]
    async with grpc.aio.insecure_channel(f"127.0.0.1:{house.ports.grpc}") as channel:
        call: Any = channel.unary_unary(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        metadata = (("authorization", f"Bearer {house.tokens['viewer']}"),)
        answer = await call(method.request(query_id=query_id), metadata=metadata, timeout=30)
    assert answer.png.startswith(PNG)
    assert answer.spec.struct_value["mark"]


async def test_the_bare_picture_is_documented(house: Served) -> None:
    async with httpx.AsyncClient(base_url=house.url("rest"), timeout=30) as client:
        paths = (await client.get("/openapi.json")).json()["paths"]
    done = paths["/v1/results/{query_id}/chart"]["post"]["responses"]["200"]
    assert set(done["content"]) == {"application/json", "image/png"}
