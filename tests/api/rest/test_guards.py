"""Which Hosts are answered to, and which web pages may call."""

import httpx
import pytest

from api.guards import host_name, is_loopback
from tests.api.rest.serving import ADMIN, build_face

PREFLIGHT = {"Access-Control-Request-Method": "POST", "Access-Control-Request-Headers": "authorization,x-thing"}


def client_of(**settings: object) -> httpx.AsyncClient:
    transport = httpx.ASGITransport(build_face(**settings).app)
    return httpx.AsyncClient(transport=transport, base_url="http://localhost", headers=ADMIN)


@pytest.mark.parametrize(
    "host", ["localhost:8000", "127.0.0.1", "127.9.9.9:1", "[::1]:8000", "LOCALHOST.", "a.localhost"]
)
async def test_loopback_is_always_answered_to(host: str) -> None:
    async with client_of() as client:
        assert (await client.get("/v1/things/x", headers={"Host": host})).status_code == 200


@pytest.mark.parametrize(
    "host", ["evil.example", "localhost.evil.example", "10.0.0.1", "0.0.0.0", "[::2]", "a:b:c", "x y"]
)
async def test_other_hosts_are_refused(host: str) -> None:
    async with client_of() as client:
        response = await client.get("/v1/things/x", headers={"Host": host})
    assert (response.status_code, response.json()["error"]["code"]) == (421, "INVALID_ARGUMENT")
    assert response.headers["x-request-id"]


async def test_configured_hosts_are_answered_to() -> None:
    settings = {"allowed_hosts": ["data.corp", "*.apps.corp"], "public_url": "https://hub.corp:8443/x"}
    async with client_of(**settings) as client:
        for host in ("data.corp", "a.apps.corp:80", "HUB.corp"):
            assert (await client.get("/v1/things/x", headers={"Host": host})).status_code == 200
        assert (await client.get("/v1/things/x", headers={"Host": "apps.corp"})).status_code == 421


@pytest.mark.parametrize("origin", ["http://evil.example", "null", "http://localhost:9", "https://app.corp:1", ""])
async def test_foreign_pages_may_not_call(origin: str) -> None:
    async with client_of(cors_origins=["https://app.corp"]) as client:
        response = await client.get("/v1/things/x", headers={"Origin": origin})
        preflight = await client.options("/v1/things/x", headers={"Origin": origin, **PREFLIGHT})
    assert (response.status_code, preflight.status_code) == (403, 403)
    assert "access-control-allow-origin" not in response.headers


async def test_the_servers_own_pages_may_call() -> None:
    async with client_of() as client:
        assert (await client.get("/v1/things/x", headers={"Origin": "http://localhost"})).status_code == 200


async def test_allowed_pages_get_cors_headers() -> None:
    async with client_of(cors_origins=["https://app.corp/"]) as client:
        headers = {"Origin": "https://app.corp"}
        preflight = await client.options("/v1/things", headers={**headers, **PREFLIGHT})
        assert preflight.headers["access-control-allow-headers"] == "authorization,x-thing"
        response = await client.get("/v1/things/x", headers=headers)
        refused = await client.get("/v1/nothing", headers=headers)
    for answer in (preflight, response, refused):
        assert answer.headers["access-control-allow-origin"] == "https://app.corp"
        assert answer.headers["vary"] == "Origin"
    assert "X-Request-Id" in response.headers["access-control-expose-headers"]


def test_host_names_are_read_strictly() -> None:
    assert host_name("A.example.:80") == "a.example"
    assert [host_name(host) for host in ("a@b", "a:99999", "a/b", "a?b", "[::1", "")] == [""] * 6
    assert not is_loopback("localhost.example")
