"""Bad envelopes, headers and addresses: MCP."""

import json
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faces.served import Served
from tests.hostile.wire import DEADLINE_S, LEGACY, MODERN, Doors, Reply, faults, problems, read_mcp, still_answers

INVALID = "INVALID_ARGUMENT"
RPC_INVALID = ("rpc -32700", "rpc -32600", "rpc -32601", "rpc -32602", "rpc -32020", "rpc -32022", INVALID, "NOT_FOUND")
MB = 2**20


@pytest.fixture(autouse=True)
def still_serves(house: Served, doors: Doors) -> Iterator[None]:
    yield
    still_answers(house, doors)


def rpc(**changes: Any) -> bytes:
    meta = {
        "io.modelcontextprotocol/protocolVersion": MODERN,
        "io.modelcontextprotocol/clientInfo": {"name": "hostile", "version": "1"},
        "io.modelcontextprotocol/clientCapabilities": {},
    }
    params = {"name": "list_tables", "arguments": {}, "_meta": meta}
    return json.dumps({"jsonrpc": "2.0", "id": 1, "method": "tools/call", "params": params, **changes}).encode()


ENVELOPES: dict[str, bytes] = {
    "nothing": b"",
    "cut off": rpc()[:-5],
    "no JSON": b"tools/call",
    "no UTF-8": b'{"jsonrpc": "2.0", "id": 1, "method": "\xff"}',
    "UTF-16": rpc().decode().encode("utf-16"),
    "an array": b"[" + rpc() + b"]",
    "an empty array": b"[]",
    "a text": b'"tools/call"',
    "null": b"null",
    "100,000 brackets": b"[" * 100_000 + b"]" * 100_000,
    "100,000 objects": b'{"a":' * 100_000 + b"1" + b"}" * 100_000,
    "another version of JSON-RPC": rpc(jsonrpc="1.0"),
    "no version of JSON-RPC": b'{"id": 1, "method": "tools/list"}',
    "no method": b'{"jsonrpc": "2.0", "id": 1}',
    "a method that is a number": rpc(method=7),
    "a method that is none": rpc(method="tools/destroy"),
    "a method of an older era": rpc(method="logging/setLevel"),
    "an id that is an object": rpc(id={"a": 1}),
    "an id that is a list": rpc(id=[1]),
    "an answer": b'{"jsonrpc": "2.0", "id": 1, "result": {}}',
    "params that are a list": rpc(params=["list_tables"]),
    "params that are a text": rpc(params="list_tables"),
    "no params": b'{"jsonrpc": "2.0", "id": 1, "method": "tools/call"}',
    "NaN": b'{"jsonrpc": "2.0", "id": NaN, "method": "tools/list"}',
    "a tool that is a number": rpc(params={"name": 7, "arguments": {}}),
    "arguments that are a list": rpc(params={"name": "list_tables", "arguments": [1]}),
    "arguments that are a text": rpc(params={"name": "list_tables", "arguments": "{}"}),
    "no _meta": rpc(params={"name": "list_tables", "arguments": {}}),
    "_meta that is a list": rpc(params={"name": "list_tables", "arguments": {}, "_meta": []}),
}


@pytest.mark.parametrize("era", [MODERN, LEGACY])
def test_malformed_envelopes_are_refused(house: Served, doors: Doors, era: str) -> None:
    wrong = {}
    for name, body in ENVELOPES.items():
        headers = {"mcp-protocol-version": era, "mcp-method": "tools/call", "mcp-name": "list_tables"}
        reply = doors.mcp.send(
            body, house.tokens["viewer"], headers=headers if era == MODERN else {"mcp-protocol-version": era}
        )
        if not is_mcp_refusal(reply, house) and not is_fine(name, era, reply):
            wrong[name] = reply
    assert wrong == {}


def is_mcp_refusal(reply: Reply, house: Served) -> bool:
    """Refused by us, or by the SDK in JSON-RPC's own words; with a request id either way."""
    return reply.code in RPC_INVALID and reply.status in (200, 400, 406, 415) and not faults(reply, house)


def is_fine(name: str, era: str, reply: Reply) -> bool:
    """What the older era allows: answers are taken note of, and calls need no `_meta`."""
    return (name == "an answer" and reply.status == 202) or (
        era == LEGACY and name in ("no _meta", "a method of an older era") and reply.code == "OK"
    )


HEADERS: dict[str, dict[str, str]] = {
    "another tool in the header": {"mcp-name": "delete_connection"},
    "another method in the header": {"mcp-method": "tools/list"},
    "no name in the header": {"mcp-name": ""},
    "a version that never was": {"mcp-protocol-version": "1999-01-01"},
    "a version that is no date": {"mcp-protocol-version": "../../etc/passwd"},
}


@pytest.mark.parametrize("name", HEADERS)
def test_headers_that_contradict_the_body_are_refused(house: Served, doors: Doors, name: str) -> None:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "list_tables"}
    reply = doors.mcp.send(rpc(), house.tokens["viewer"], headers=headers | HEADERS[name])
    assert is_mcp_refusal(reply, house), reply


@pytest.mark.parametrize("header", [{"content-type": "text/plain"}, {"accept": "image/png"}], ids=str)
def test_media_types_that_are_none_of_ours_are_refused(doors: Doors, house: Served, header: dict[str, str]) -> None:
    headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "list_tables"}
    reply = doors.mcp.send(rpc(), house.tokens["viewer"], headers=headers | header)
    assert reply.status in (400, 406, 415) and reply.request_id


def test_headers_of_sessions_that_never_were_open_nothing(house: Served, doors: Doors) -> None:
    for value in ("x", "../../x", "' OR 1=1", "a" * 4_000):
        headers = {"mcp-protocol-version": LEGACY, "mcp-session-id": value}
        assert doors.mcp.send(rpc(), None, headers=headers).code == "UNAUTHENTICATED"


@pytest.mark.parametrize("method", ["GET", "PUT", "PATCH", "HEAD", "OPTIONS", "PROPFIND"])
def test_other_methods_are_refused_in_the_common_shape(house: Served, method: str) -> None:
    headers = {"authorization": f"Bearer {house.tokens['viewer']}", "accept": "text/event-stream"}
    answer = httpx.request(method, house.url("mcp") + "/mcp", headers=headers, timeout=DEADLINE_S)
    assert answer.status_code == 405 and answer.headers["allow"] == "POST, DELETE"
    assert method == "HEAD" or problems(read_mcp(answer), house, allowed=(INVALID,)) == []


def test_other_paths_are_not_found_in_the_common_shape(house: Served) -> None:
    for path in ("/", "/mcp/x", "/sse", "/messages", "/.well-known/x", "/%2e%2e/x"):
        answer = httpx.post(house.url("mcp") + path, timeout=DEADLINE_S)
        assert answer.status_code == 404 and problems(read_mcp(answer), house, allowed=("NOT_FOUND",)) == [], path


@pytest.mark.parametrize(
    "meta",
    [
        {"headwater/token_budget": "many"},
        {"headwater/token_budget": True},
        {"headwater/wait_s": "long"},
        {"headwater/wait_s": [1]},
        {"headwater/idempotency_key": 7},
        {"headwater/idempotency_key": "k" * 257},
    ],
)
def test_wishes_that_make_no_sense_are_refused(house: Served, doors: Doors, meta: dict[str, Any]) -> None:
    params = {"name": "list_tables", "arguments": {}}
    reply = doors.mcp.ask("tools/call", params, house.tokens["viewer"], meta=meta)
    assert problems(reply, house, allowed=(INVALID,)) == []


@pytest.mark.parametrize(
    "name", ["no_such_tool", "", "../list_tables", "list_tables\n", "t" * 10_000, "\u202elist_tables"]
)
def test_tools_that_are_none_are_not_found(house: Served, doors: Doors, name: str) -> None:
    reply = doors.mcp.legacy("tools/call", {"name": name, "arguments": {}}, house.tokens["viewer"])
    assert problems(reply, house, allowed=("NOT_FOUND",)) == []


@pytest.mark.parametrize(
    "uri",
    [
        "",
        "x",
        "headwater://",
        "headwater://results/",
        "headwater://results/../../keys",
        "headwater://results/..%2f..%2fmaster.key",
        "headwater://results/" + "a" * 32,
        "headwater://results/x?offset=-1",
        "headwater://results/x?offset=" + "9" * 40,
        "headwater://results/\u0000",
        "headwater://results/" + "a" * 50_000,
        "headwater://tables/no.such",
        "headwater://tables/..%2f..%2fetc%2fpasswd",
        "headwater://tables/%ff",
        "headwater://elsewhere/x",
        "headwater://[::1/x",
        "file:///etc/passwd",
        "http://169.254.169.254/latest",
        "HEADWATER://RESULTS/x",
    ],
)
def test_resources_that_are_none_are_refused(house: Served, doors: Doors, uri: str) -> None:
    for reply in (
        doors.mcp.ask("resources/read", {"uri": uri}, house.tokens["viewer"]),
        doors.mcp.legacy("resources/read", {"uri": uri}, house.tokens["viewer"]),
    ):
        assert is_mcp_refusal(reply, house), reply
        assert "root:" not in reply.text


def test_an_mcp_body_at_the_limit_is_read_and_a_larger_one_is_refused(house: Served, doors: Doors) -> None:
    limit = house.platform.settings.server.max_body_mb * MB
    body = rpc()
    for size, codes in ((limit, ("OK",)), (limit + 1, (INVALID,))):
        padded = body[:-1] + b" " * (size - len(body)) + b"}"
        headers = {"mcp-protocol-version": MODERN, "mcp-method": "tools/call", "mcp-name": "list_tables"}
        reply = doors.mcp.send(padded, house.tokens["viewer"], headers=headers)
        assert problems(reply, house, allowed=codes) == []
        assert reply.status == (200 if codes == ("OK",) else 413)


@pytest.mark.parametrize("toolsets", ["nope", "all,nope", "../x", "x" * 5_000, "%00", "%ff"])
def test_toolsets_that_are_none_are_refused(house: Served, doors: Doors, toolsets: str) -> None:
    reply = doors.mcp.ask("tools/list", {}, house.tokens["viewer"], path=f"/mcp?toolsets={toolsets}")
    assert problems(reply, house, allowed=(INVALID,)) == []


def test_completions_of_nonsense_complete_nothing(house: Served, doors: Doors) -> None:
    ref = {"type": "ref/resource", "uri": "headwater://tables/{table}"}
    for value in ("\u0000", "../..", "a" * 50_000, "%", "\ud83d\ude00"):
        params = {"ref": ref, "argument": {"name": "table", "value": value}}
        reply = doors.mcp.ask("completion/complete", params, house.tokens["viewer"])
        assert reply.code == "OK" and reply.value["completion"]["values"] == [], value


@pytest.mark.parametrize("era", [MODERN, LEGACY])
def test_one_request_id_names_the_call_in_header_body_and_audit(house: Served, doors: Doors, era: str) -> None:
    for sent in ("my-own.id_1", "no id", ""):
        headers = {"mcp-protocol-version": era, "x-request-id": sent}
        if era == MODERN:
            headers |= {"mcp-method": "tools/call", "mcp-name": "list_tables"}
        body = rpc().replace(b'"arguments": {}', b'"arguments": {"page_size": -1}')
        answer = httpx.post(
            house.url("mcp") + "/mcp",
            content=body,
            headers={
                "content-type": "application/json",
                "accept": "application/json, text/event-stream",
                "authorization": f"Bearer {house.tokens['viewer']}",
                **headers,
            },
        )
        assert read_mcp(answer).request_id == answer.headers["x-request-id"]
        assert (answer.headers["x-request-id"] == sent) == (sent == "my-own.id_1")
