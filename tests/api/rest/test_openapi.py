"""The OpenAPI document says what the server does, and the page that shows it needs nobody else."""

import json
import re

import httpx

from api.rest import WEB
from api.streams import ARROW, SSE
from core.errors import error_classes


async def read(client: httpx.AsyncClient) -> dict[str, object]:
    document: dict[str, object] = (await client.get("/openapi.json", headers={"Authorization": ""})).json()
    return document


async def operations(client: httpx.AsyncClient) -> dict[str, dict[str, object]]:
    paths = (await client.get("/openapi.json")).json()["paths"]
    return {operation["operationId"]: operation for item in paths.values() for operation in item.values()}


async def test_every_operation_is_described(client: httpx.AsyncClient) -> None:
    found = await operations(client)
    assert {"echo_thing", "get_thing", "create_thing", "issue_token", "get_jwks"} <= set(found)
    for operation in found.values():
        assert operation["summary"] and operation["description"] and operation["tags"] and operation["responses"]


async def test_paths_are_those_of_version_1_and_the_root(client: httpx.AsyncClient) -> None:
    paths = list((await read(client))["paths"])  # type: ignore[call-overload]
    assert "/things/ping" in paths and "/v1/things/ping" in paths
    assert not [path for path in paths if path.startswith("/api")]


async def test_references_all_lead_somewhere(client: httpx.AsyncClient) -> None:
    document = await read(client)
    for reference in set(re.findall(r'"\$ref": "#/([^"]+)"', json.dumps(document))):
        target: object = document
        for name in reference.split("/"):
            assert isinstance(target, dict) and name in target, reference
            target = target[name]


async def test_every_error_code_has_an_example(client: httpx.AsyncClient) -> None:
    responses = json.dumps((await read(client))["components"])
    assert all(f'"code": "{kind.code}"' in responses for kind in error_classes())


async def test_permission_security_and_streams_are_documented(client: httpx.AsyncClient) -> None:
    found = await operations(client)
    assert found["create_thing"]["x-headwater-permission"] == "catalog.manage"
    assert found["ping"]["security"] == [] and "security" not in found["create_thing"]
    text = json.dumps(found["stream_rows"])
    assert SSE in text and ARROW in text and ARROW not in json.dumps(found["count_things"])


async def test_a_body_leaves_out_what_the_path_says(client: httpx.AsyncClient) -> None:
    schemas = (await client.get("/openapi.json")).json()["components"]["schemas"]
    body = schemas["EchoThingBody"]
    assert "thing_id" not in body["properties"] and "required" not in body
    assert body["additionalProperties"] is False


async def test_listings_show_one_paging_style_and_take_both(client: httpx.AsyncClient) -> None:
    found = await operations(client)
    names = [parameter["name"] for parameter in found["list_pages"]["parameters"]]  # type: ignore[attr-defined]
    assert names == ["page_size", "page_token", "word"]
    assert "not" in (await client.get("/openapi.json")).json()["components"]["schemas"]["Pages"]
    assert (await client.get("/v1/pages?skip=5&limit=2")).json()["items"] == ["5 2"]


async def test_jobs_document_202_and_their_waiting(client: httpx.AsyncClient) -> None:
    operation = (await operations(client))["rebuild_things"]
    assert "202" in operation["responses"]  # type: ignore[operator]
    names = [parameter["name"] for parameter in operation["parameters"]]  # type: ignore[attr-defined]
    assert names == ["wait_s", "Prefer", "Idempotency-Key"]


async def test_the_docs_page_loads_nothing_from_elsewhere(client: httpx.AsyncClient) -> None:
    for path in ("/docs", "/docs/docs.css", "/docs/docs.js"):
        response = await client.get(path, headers={"Authorization": ""})
        assert response.status_code == 200
        assert "default-src 'none'" in response.headers["content-security-policy"]
    for page in WEB.glob("docs.*"):
        assert "http://" not in page.read_text() and "https://" not in page.read_text()
        assert "innerHTML" not in page.read_text() and " style=" not in page.read_text()
