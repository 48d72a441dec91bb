"""Forged and stale tokens are refused by every face, over the wire, and audited; good ones pass."""

import asyncio
import json
import select
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from click.testing import CliRunner

from core.errors import Unauthenticated
from headwater.commands import cli
from headwater.local import run_stdio
from tests.faces.served import Served
from tests.hostile.forged_tokens import ExternalKey, Forge, forged_tokens, good_tokens
from tests.hostile.wire import DEADLINE_S, LEGACY, Doors, Reply, framed, methods, read_http

TOOL = "get_current_user"
Send = Callable[[Doors, str], Reply]


def can_be_sent(token: str) -> bool:
    """Whether a header can hold a token at all, and its ends are not trimmed as the protocol allows."""
    return token.isascii() and token.isprintable() and token == token.strip() != "" and len(token) < 8_000


@pytest.fixture(scope="module")
def forge(house: Served, outside: ExternalKey) -> Forge:
    return Forge(house.platform.engine.store, house.platform.engine.vault, external=outside)


@pytest.fixture(scope="module")
def forged(forge: Forge) -> dict[str, str]:
    found = {name: token for name, token in forged_tokens(forge).items() if can_be_sent(token)}
    assert len(found) >= 200
    return found


def few(forged: dict[str, str], count: int = 40) -> dict[str, str]:
    """Every kind of forgery, for doors that take longer to knock at."""
    names = sorted(forged)
    return {name: forged[name] for name in names[:: max(1, len(names) // count)]}


SENDS: dict[str, Send] = {
    "REST": lambda doors, token: doors.rest.call(TOOL, {}, token),
    "REST, lower-case scheme": lambda doors, token: doors.rest.send(
        "GET", "/api/users/me", b"", None, headers={"authorization": f"bearer {token}"}
    ),
    "MCP tools/call": lambda doors, token: doors.mcp.call(TOOL, {}, token),
    "gRPC": lambda doors, token: doors.grpc.call(TOOL, {}, token),
    "gRPC-Web": lambda doors, token: doors.grpc_web.call(TOOL, {}, token),
    "CLI": lambda doors, token: doors.cli.call(TOOL, {}, token),
}


def others(doors: Doors, token: str) -> Iterator[tuple[str, Reply]]:
    """The requests of MCP that call no tool, and streams."""
    client = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
    yield "MCP tools/list", doors.mcp.ask("tools/list", {}, token)
    yield "MCP server/discover", doors.mcp.ask("server/discover", {}, token)
    yield "MCP resources/templates/list", doors.mcp.ask("resources/templates/list", {}, token)
    yield "MCP resources/read", doors.mcp.ask("resources/read", {"uri": "headwater://tables/shop.orders"}, token)
    yield "MCP initialize", doors.mcp.legacy("initialize", client, token)
    yield "MCP legacy tools/list", doors.mcp.legacy("tools/list", {}, token)
    yield "MCP legacy tools/call", doors.mcp.legacy("tools/call", {"name": TOOL, "arguments": {}}, token)
    yield "MCP ping", doors.mcp.legacy("ping", {}, token)
    yield (
        "REST stream",
        doors.rest.send(
            "POST", "/v1/query/stream", b'{"sql":"SELECT 1"}', token, headers={"accept": "text/event-stream"}
        ),
    )
    stream = methods()["execute_query_stream"].path
    yield "gRPC stream", doors.grpc.send(stream, b"\n\x08SELECT 1", token, is_streaming=True)
    yield "gRPC-Web stream", doors.grpc_web.send(stream, framed(b"\n\x08SELECT 1"), token)
    yield (
        "gRPC-Web text",
        doors.grpc_web.send(methods()[TOOL].path, b"AAAAAAA=", token, content_type="application/grpc-web-text"),
    )


def is_refused(reply: Reply) -> bool:
    refused = reply.code == "UNAUTHENTICATED" and bool(reply.request_id)
    return refused and reply.status in (401, "UNAUTHENTICATED", 3)


@pytest.mark.parametrize("face", SENDS)
def test_every_forged_token_is_refused(doors: Doors, forged: dict[str, str], face: str) -> None:
    started = time.monotonic()
    replies = {name: SENDS[face](doors, token) for name, token in forged.items()}
    accepted = {name: reply for name, reply in replies.items() if not is_refused(reply)}
    assert accepted == {}
    assert not [name for name, token in forged.items() if len(token) > 20 and token in replies[name].text]
    assert time.monotonic() - started < DEADLINE_S


def test_forged_tokens_open_nothing_beside_tools_either(doors: Doors, forged: dict[str, str]) -> None:
    wrong = {
        (door, name): reply
        for name, token in few(forged).items()
        for door, reply in others(doors, token)
        if not is_refused(reply)
    }
    assert wrong == {}


def test_http_faces_answer_401_with_a_challenge(doors: Doors, forged: dict[str, str]) -> None:
    for name, token in few(forged).items():
        rest = doors.rest.call(TOOL, {}, token)
        mcp = doors.mcp.ask("tools/list", {}, token)
        assert (rest.status, mcp.status) == (401, 401), name
        assert "www-authenticate" in rest.headers and "invalid_token" in rest.headers["www-authenticate"]
        assert mcp.headers["www-authenticate"].startswith("Bearer ")


@pytest.mark.parametrize("token", ["\u00e9" * 40, "x\ty", "a" * 60_000], ids=["latin", "tab", "60 kB"])
def test_headers_that_hold_no_token_are_refused_too(house: Served, token: str) -> None:
    raw = b"Bearer " + token.encode("latin-1")
    for url in (house.url("rest") + "/v1/users/me", house.url("mcp") + "/mcp"):
        answer = httpx.request(
            "POST" if url.endswith("mcp") else "GET", url, headers={b"authorization": raw}, timeout=DEADLINE_S
        )
        assert answer.status_code in (400, 401), url
        assert read_http(answer).code in ("UNAUTHENTICATED", "")


@pytest.mark.parametrize(
    "header",
    ["Basic YTpi", "Token {}", "{}", "Bearer", "Digest {}", "Bearer {}, Bearer {}", "BearerX {}", "Negotiate {}"],
)
def test_a_good_token_in_another_form_is_none(house: Served, doors: Doors, header: str) -> None:
    given = {"authorization": header.replace("{}", house.tokens["admin"])}
    assert is_refused(doors.rest.send("GET", "/v1/users/me", b"", None, headers=given))
    assert is_refused(doors.mcp.send(b'{"jsonrpc":"2.0","id":1,"method":"tools/list"}', None, headers=given))
    metadata = tuple(given.items())
    assert is_refused(doors.grpc.send(methods()[TOOL].path, b"", None, metadata=metadata))
    assert is_refused(doors.grpc_web.send(methods()[TOOL].path, framed(b""), None, **given))


def test_tokens_elsewhere_than_in_the_header_are_not_looked_at(house: Served, doors: Doors) -> None:
    token = house.tokens["admin"]
    for query in ("access_token", "token", "authorization", "api_key"):
        assert is_refused(doors.rest.send("GET", "/v1/users/me", b"", None, params=[(query, token)]))
    for header in ("x-api-key", "cookie", "x-forwarded-authorization", "proxy-authorization", "x-goog-iam-authority"):
        assert is_refused(doors.rest.send("GET", "/v1/users/me", b"", None, headers={header: f"Bearer {token}"}))


def test_every_refusal_is_audited_without_the_token(house: Served, doors: Doors, forged: dict[str, str]) -> None:
    replies = {face: send(doors, forged["expired"]) for face, send in SENDS.items()}
    engine = house.platform.engine
    house.run(asyncio.sleep(0.3))  # reads' records are at most 50 ms behind
    entries = house.run(engine.audit.read("", limit=100_000))
    records = {entry.record.request_id: entry.record for entry in entries if entry.record is not None}
    for face, reply in replies.items():
        record = records[reply.request_id]
        assert (record.tool, record.decision, record.code) == (TOOL, "refused", "UNAUTHENTICATED"), face
        assert (record.subject, record.tenant) == ("", "")
        assert forged["expired"] not in repr(record)
    assert {records[reply.request_id].face for reply in replies.values()} == {"rest", "mcp", "grpc", "grpc_web", "cli"}


def test_good_tokens_pass_everywhere(doors: Doors, forge: Forge) -> None:
    good = {**good_tokens(forge), "external": forge.external.token(groups=["staff"])}
    for name, token in good.items():
        for face, send in SENDS.items():
            assert send(doors, token).code == "OK", (face, name)
    opened = dict(others(doors, forge.token()))
    assert {door for door, reply in opened.items() if reply.code != "OK"} == set()


# Programs: what a shell and a desktop client start


def test_the_command_refuses_forged_tokens(house: Served, forged: dict[str, str]) -> None:
    server, home = house.url("rest"), str(house.platform.settings.home)
    for token in list(few(forged, 25).values())[:26]:
        done = CliRunner().invoke(cli, ["get-current-user", "--json", "--server", server, "--token", token])
        assert done.exit_code == 3 and json.loads(done.stderr)["error"]["code"] == "UNAUTHENTICATED"
    here = CliRunner().invoke(cli, ["get-current-user", "--json", "--home", home, "--token", forged["expired"]])
    assert here.exit_code == 3 and json.loads(here.stderr)["error"]["code"] == "UNAUTHENTICATED"


async def test_stdio_refuses_forged_tokens_before_it_reads_anything(house: Served, forged: dict[str, str]) -> None:
    for name, token in few(forged).items():
        with pytest.raises(Unauthenticated):
            await run_stdio(house.platform.settings, token)
            pytest.fail(f"accepted: {name}")


def test_the_stdio_program_leaves_with_the_refusal(house: Served, forged: dict[str, str]) -> None:
    command = [sys.executable, "-m", "headwater", "mcp", "--home", str(house.platform.settings.home)]
    done = subprocess.run([*command, "--token", forged["expired"]], input=b"", capture_output=True, timeout=30)
    assert done.returncode == 3 and done.stdout == b""
    assert b"UNAUTHENTICATED" in done.stderr and b"Traceback" not in done.stderr


def test_stdio_serves_a_good_token_until_it_is_revoked(house: Served, doors: Doors) -> None:
    made = doors.rest.send("POST", "/v1/tokens", b'{"name": "desk"}', house.tokens["viewer"]).value
    command = [sys.executable, "-m", "headwater", "mcp", "--home", str(house.platform.settings.home)]
    with subprocess.Popen(
        [*command, "--token", made["token"]],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
    ) as program:
        client = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": {"name": "x", "version": "1"}}
        started = ask(program, "initialize", client)
        served = ask(program, "tools/call", {"name": TOOL, "arguments": {}})
        doors.rest.send("DELETE", f"/v1/tokens/{made['token_id']}", b"", house.tokens["viewer"])
        time.sleep(2.1)  # what is revoked elsewhere may live for two seconds
        refused = ask(program, "tools/call", {"name": TOOL, "arguments": {}})
        assert program.stdin is not None
        program.stdin.close()
        program.wait(20)
    assert started["serverInfo"]["name"] == "headwater"
    assert served["structuredContent"]["id"] == "viewer"
    assert refused["structuredContent"]["error"]["code"] == "UNAUTHENTICATED"


def ask(program: "subprocess.Popen[bytes]", method: str, params: dict[str, Any]) -> dict[str, Any]:
    """One request over standard input and its result from standard output."""
    assert program.stdin is not None and program.stdout is not None
    body = {"jsonrpc": "2.0", "id": method, "method": method, "params": params}
    program.stdin.write(json.dumps(body).encode() + b"\n")
    program.stdin.flush()
    assert select.select([program.stdout], [], [], 20)[0], "no answer"
    result: dict[str, Any] = json.loads(program.stdout.readline())["result"]
    return result
