"""Every error has one shape, and the status of one table."""

import httpx
import pytest

from api.errors import STATUS, status_of
from core.errors import Conflict, PlatformError, error_classes


def test_every_error_class_has_a_status() -> None:
    assert set(error_classes()) <= set(STATUS)


def test_a_subclass_has_the_status_of_its_class() -> None:
    class SpecialConflict(Conflict):
        """A conflict of a special kind."""

    assert (status_of(SpecialConflict()), status_of(PlatformError())) == (409, 500)


@pytest.mark.parametrize(
    "method, path, status, code",
    [
        ("GET", "/", 404, "NOT_FOUND"),
        ("GET", "/v1", 404, "NOT_FOUND"),
        ("GET", "/v1/nothing/here", 404, "NOT_FOUND"),
        ("GET", "/v1/things/", 404, "NOT_FOUND"),
        ("GET", "/v2/things/x", 404, "NOT_FOUND"),
        ("PUT", "/v1/things", 405, "INVALID_ARGUMENT"),
        ("TRACE", "/v1/things/x", 405, "INVALID_ARGUMENT"),
        ("BREW", "/v1/things/x", 405, "INVALID_ARGUMENT"),
        ("GET", "/auth/token", 405, "INVALID_ARGUMENT"),
        ("POST", "/openapi.json", 405, "INVALID_ARGUMENT"),
        ("GET", "/v1/things/%ff", 400, "INVALID_ARGUMENT"),
        ("GET", "/v1/things/%00", 400, "INVALID_ARGUMENT"),
        ("GET", "/v1/things/connections/hidden", 404, "NOT_FOUND"),
    ],
)
async def test_what_the_router_refuses_has_the_shape(
    client: httpx.AsyncClient, method: str, path: str, status: int, code: str
) -> None:
    response = await client.request(method, path)
    body = response.json()["error"]
    assert (response.status_code, body["code"]) == (status, code)
    assert body["request_id"] == response.headers["x-request-id"]
    assert set(body) == {"code", "message", "hint", "request_id"}


async def test_a_method_that_is_not_taken_names_those_that_are(client: httpx.AsyncClient) -> None:
    response = await client.put("/v1/things/rows")
    assert response.headers["allow"] == "DELETE, GET, HEAD, OPTIONS, POST"
    assert (await client.request("OPTIONS", "/v1/things/rows")).headers["allow"] == "OPTIONS, POST"


async def test_head_answers_as_get(client: httpx.AsyncClient) -> None:
    response = await client.head("/v1/things/x")
    assert (response.status_code, int(response.headers["content-length"]) > 10) == (200, True)


@pytest.mark.parametrize(
    "kind, status, code", [("conflict", 409, "CONFLICT"), ("not_found", 404, "NOT_FOUND"), ("crash", 500, "INTERNAL")]
)
async def test_a_failing_tool_answers_its_code(client: httpx.AsyncClient, kind: str, status: int, code: str) -> None:
    response = await client.post("/v1/things/fail", json={"kind": kind})
    assert (response.status_code, response.json()["error"]["code"]) == (status, code)
    assert "secret detail" not in response.text


async def test_when_to_come_back_is_said(client: httpx.AsyncClient) -> None:
    limited, down = await client.get("/v1/refusals/rate"), await client.get("/v1/refusals/down")
    assert (limited.status_code, limited.headers["retry-after"]) == (429, "2")
    assert (down.status_code, down.headers["retry-after"]) == (503, "2")


async def test_a_token_that_was_wrong_is_told_from_one_that_was_missing(client: httpx.AsyncClient) -> None:
    wrong = await client.get("/v1/things/x", headers={"Authorization": "Bearer no"})
    missing = httpx.AsyncClient(transport=client._transport, base_url="http://localhost")
    assert 'error="invalid_token"' in wrong.headers["www-authenticate"]
    assert "invalid_token" not in (await missing.get("/v1/things/x")).headers["www-authenticate"]


async def test_every_response_carries_the_security_headers(client: httpx.AsyncClient) -> None:
    for path in ("/v1/things/x", "/docs", "/nothing"):
        headers = (await client.get(path)).headers
        assert (headers["x-content-type-options"], headers["referrer-policy"]) == ("nosniff", "no-referrer")
