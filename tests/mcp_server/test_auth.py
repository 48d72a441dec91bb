"""The door: tokens, hosts, origins, sizes, paths."""

import pytest

from core.registry import Registry
from core.settings import ServerSettings
from tests.mcp_server.conftest import LEGACY, PACKAGES, Face, running


@pytest.mark.parametrize("token", [None, "bad-token"])
@pytest.mark.parametrize("method", ["tools/list", "server/discover", "resources/list", "tools/call"])
def test_without_a_valid_token_nothing_is_served(face: Face, token: str | None, method: str) -> None:
    params = {"name": "get_thing", "arguments": {"thing_id": "x"}} if method == "tools/call" else {}
    answer = face.post(method, token=token, params=params)
    assert answer.status_code == 401
    assert answer.headers["www-authenticate"].startswith('Bearer realm="headwater"')
    assert ('error="invalid_token"' in answer.headers["www-authenticate"]) == (token is not None)
    error = answer.json()["error"]
    assert error["code"] == "UNAUTHENTICATED"
    assert error["request_id"] == answer.headers["x-request-id"]


def test_a_refused_call_is_audited_like_any_other(face: Face) -> None:
    answer = face.post("tools/call", token="bad-token", params={"name": "get_thing", "arguments": {}})
    assert [(r.tool, r.code, r.face) for r in face.gate.records] == [("get_thing", "UNAUTHENTICATED", "mcp")]
    assert face.gate.records[0].request_id == answer.json()["error"]["request_id"]


def test_a_tool_for_anyone_needs_no_token(face: Face) -> None:
    assert face.call("ping", token=None)["structuredContent"] == {"total": 1}
    assert face.call("ping", token="bad-token")["structuredContent"] == {"total": 1}


def test_naming_a_tool_for_anyone_opens_no_other(face: Face) -> None:
    body = (
        b'{"jsonrpc":"2.0","id":1,"method":"tools/call","params":{"name":"get_thing","arguments":{"thing_id":"x"}},'
        b'"params":{"name":"ping"}}'
    )
    headers = {"accept": "application/json, text/event-stream", "content-type": "application/json"}
    answer = face.http.post(face.url, content=body, headers={**headers, "mcp-protocol-version": LEGACY})
    assert '"thing x"' not in answer.text


@pytest.mark.parametrize("scheme", ["Basic", "bearer", "BEARER"])
def test_the_scheme_is_bearer_in_any_case(face: Face, scheme: str) -> None:
    answer = face.post("tools/list", token=None, headers={"authorization": f"{scheme} admin-token"})
    assert answer.status_code == (401 if scheme == "Basic" else 200)


def test_a_foreign_host_or_origin_is_turned_away(face: Face) -> None:
    assert face.post("tools/list", headers={"host": "evil.example"}).status_code == 421
    assert face.post("tools/list", headers={"origin": "https://evil.example"}).status_code == 403
    assert face.post("tools/list", headers={"origin": "null"}).status_code == 403
    assert face.post("tools/list", headers={"origin": "http://localhost:3000"}).status_code == 200


def test_the_public_url_and_allowed_names_are_let_in() -> None:
    settings = ServerSettings(
        public_url="https://data.example.org", allowed_hosts=["inner.example"], cors_origins=["https://app.example"]
    )
    with running(Registry.walk(PACKAGES), settings) as face:
        for host in ("data.example.org", "inner.example:8002"):
            assert face.post("tools/list", headers={"host": host}).status_code == 200
        public = {"host": "data.example.org", "origin": "https://data.example.org"}
        assert face.post("tools/list", headers=public).status_code == 200
        answer = face.post("tools/list", headers={"origin": "https://app.example"})
        assert answer.headers["access-control-allow-origin"] == "https://app.example"
        preflight = {"origin": "https://app.example", "access-control-request-method": "POST"}
        assert face.http.options(face.url, headers=preflight).status_code == 200
        assert face.post("tools/list", headers={"origin": "https://other.example"}).status_code == 403


def test_a_body_beyond_the_limit_is_refused() -> None:
    with running(Registry.walk(PACKAGES), ServerSettings(max_body_mb=1)) as face:
        arguments = {"thing_id": "x", "text": "y" * (1 << 20)}
        answer = face.post("tools/call", params={"name": "echo_thing", "arguments": arguments})
        assert answer.status_code == 413
        assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
        assert face.post("tools/call", token=None, params={"name": "ping", "arguments": arguments}).status_code == 401


def test_the_trailing_slash_is_served_and_other_paths_are_not(face: Face) -> None:
    assert face.post("tools/list", path="/mcp/").status_code == 200
    assert face.post("tools/list", path="/other").status_code == 404


def test_there_is_no_stream_to_open_with_get(face: Face) -> None:
    answer = face.http.get(face.url, headers={"authorization": "Bearer admin-token", "accept": "text/event-stream"})
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST, DELETE")
    assert face.http.get(face.url).status_code == 401
