"""Bad HTTP: bodies, addresses, headers and sockets that no client library would send."""

import json
import socket
import time
from collections.abc import Iterator
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx
import pytest

from tests.faces.served import Served
from tests.hostile.wire import DEADLINE_S, FACES, LITERAL, Doors, bearer, problems, read_http, still_answers, talk

JSON = "application/json"
MB = 2**20
INVALID = "INVALID_ARGUMENT"


@pytest.fixture(autouse=True)
def still_serves(house: Served, doors: Doors) -> Iterator[None]:
    yield
    still_answers(house, doors)


def nested(opening: bytes, closing: bytes, depth: int) -> bytes:
    return opening * depth + b"1" + closing * depth


BODIES: dict[str, bytes] = {
    "cut off": b'{"sql": "SELECT 1',
    "not JSON": b"sql=SELECT 1",
    "a trailing comma": b'{"sql": "SELECT 1",}',
    "single quotes": b"{'sql': 'SELECT 1'}",
    "a comment": b'{"sql": "SELECT 1"} // ' + LITERAL.encode(),
    "two objects": b'{"sql": "SELECT 1"}{"sql": "SELECT 2"}',
    "a byte that is no UTF-8": b'{"sql": "SELECT \xff"}',
    "an overlong slash": b'{"sql": "SELECT \xc0\xaf"}',
    "half a character as bytes": b'{"sql": "SELECT \xed\xa0\x80"}',
    "half a character escaped": b'{"sql": "SELECT \\ud800"}',
    "a broken escape": b'{"sql": "SELECT \\u12"}',
    "UTF-16": '{"sql": "SELECT 1"}'.encode("utf-16"),
    "a byte order mark": b'\xef\xbb\xbf{"sql": "SELECT 1"}',
    "NUL": b'{"sql": "SELECT \x00 1"}',
    "NUL escaped": b'{"sql": "SELECT \\u0000 1"}',
    "a bare newline in a text": b'{"sql": "SELECT\n1"}',
    "a name twice": b'{"sql": "SELECT 1", "sql": "SELECT 2"}',
    "a name twice inside": b'{"sql": "SELECT 1", "parameters": {"a": "1", "a": "2"}}',
    "NaN": b'{"sql": "SELECT 1", "max_rows": NaN}',
    "Infinity": b'{"sql": "SELECT 1", "max_rows": -Infinity}',
    "a number beyond floats": b'{"sql": "SELECT 1", "max_rows": 1e999}',
    "a number of 10,000 digits": b'{"sql": "SELECT 1", "max_rows": ' + b"9" * 10_000 + b"}",
    "an array": b'["SELECT 1"]',
    "a text": b'"SELECT 1"',
    "a number": b"7",
    "null": b"null",
    "nothing but space": b"  ",
    "nothing": b"",
    "an empty object": b"{}",
    "100,000 brackets": nested(b"[", b"]", 100_000),
    "100,000 brackets that do not end": b"[" * 100_000,
    "100,000 objects": nested(b'{"a":', b"}", 100_000),
    "deep in a field": b'{"sql": "SELECT 1", "parameters": {"a": ' + nested(b"[", b"]", 100_000) + b"}}",
    "deep in an unknown field": b'{"sql": "SELECT 1", "x": ' + nested(b"[", b"]", 100_000) + b"}",
    "100,000 unknown fields": b"{" + b",".join(b'"f%d":1' % n for n in range(100_000)) + b"}",
}


@pytest.mark.parametrize("name", BODIES)
def test_a_bad_body_is_refused(house: Served, doors: Doors, name: str) -> None:
    reply = doors.rest.send("POST", "/v1/query", BODIES[name], house.tokens["viewer"], headers={"content-type": JSON})
    assert problems(reply, house, allowed=(INVALID,), private=(LITERAL,)) == []
    assert reply.status == 400


@pytest.mark.parametrize("name", ["100,000 brackets", "a byte that is no UTF-8", "cut off"])
def test_a_strangers_bad_body_is_a_strangers_first(house: Served, doors: Doors, name: str) -> None:
    reply = doors.rest.send("POST", "/v1/query", BODIES[name], None)
    assert reply.status == 401 and not problems(reply, house, allowed=("UNAUTHENTICATED",))


@pytest.mark.parametrize(
    "kind",
    [
        "text/plain",
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=x",
        "application/json; charset=utf-16",
        "application/octet-stream",
        "application/xml",
        "application/grpc",
        "json",
        "x" * 5_000,
        "application/json, text/plain",
    ],
)
def test_a_body_of_another_type_is_refused(house: Served, doors: Doors, kind: str) -> None:
    body = b'{"sql": "SELECT 1"}'
    reply = doors.rest.send("POST", "/v1/query", body, house.tokens["viewer"], headers={"content-type": kind})
    assert (reply.status, problems(reply, house, allowed=(INVALID,))) == (415, [])


def padded(size: int) -> bytes:
    """A good query in a body of exactly this many bytes."""
    body = b'{"sql": "SELECT 1 AS one"}'
    return body[:-1] + b" " * (size - len(body)) + b"}"


@pytest.mark.parametrize("is_chunked", [False, True], ids=["declared", "chunked"])
def test_a_body_at_the_limit_passes_and_one_byte_more_does_not(house: Served, doors: Doors, is_chunked: bool) -> None:
    limit = house.platform.settings.server.max_body_mb * MB
    for size, status in ((limit, 200), (limit + 1, 413)):
        body = padded(size)
        content = iter([body[at : at + MB] for at in range(0, size, MB)]) if is_chunked else body
        answer = httpx.post(
            house.url("rest") + "/v1/query",
            content=content,
            headers={**bearer(house.tokens["viewer"]), "content-type": JSON},
            timeout=DEADLINE_S,
        )
        assert answer.status_code == status
        if status == 413:
            assert problems(read_http(answer), house, allowed=(INVALID,)) == []


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("DELETE", "/v1/query", 405),
        ("GET", "/v1/query", 405),
        ("POST", "/v1/users/me", 405),
        ("PUT", "/v1/health", 405),
        ("PROPFIND", "/v1/query", 405),
        ("TRACE", "/v1/query", 405),
        ("get", "/v1/users/me", 405),
        ("X" * 200, "/v1/users/me", 405),
        ("POST", "/v1/nowhere", 404),
        ("GET", "/v2/users/me", 404),
        ("GET", "/v1/users/me/", 404),
        ("GET", "//v1/users/me", 404),
        ("GET", "/v1//users/me", 404),
        ("GET", "/V1/users/me", 404),
        ("GET", "/v1/users%2Fme", 404),
        ("GET", "/v1/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/v1/table/%ff/schema", 400),
        ("GET", "/v1/table/%c0%af/schema", 400),
        ("GET", "/v1/table/%00/schema", 400),
        ("GET", "/v1/table/%zz/schema", 404),
        ("GET", "/v1/table/a%0d%0aX-Evil:%201/schema", 400),
        ("GET", "/v1/users/me?x=%ff", 400),
        ("GET", "/v1/users/me?unknown=1", 400),
        ("GET", "/v1/tables?" + "a=1&" * 2_000, 400),
        ("GET", "/v1/connections?page_size=1&page_size=2", 400),
        ("GET", "/v1/connections?page_size[]=1", 400),
        ("GET", "/v1/connections?page_size", 400),
        ("GET", "/v1/table/" + "t" * 20_000 + "/schema", 400),
        ("GET", "/v1/catalog/schemas/%2e%2e%2f%2e%2e", 404),
        ("GET", "/auth/token", 405),
        ("GET", "/docs/../../etc/passwd", 404),
        ("GET", "/docs/%2e%2e/%2e%2e/pyproject.toml", 404),
    ],
)
def test_a_bad_address_is_refused(house: Served, method: str, path: str, status: int) -> None:
    token = house.tokens["viewer"].encode()
    request = f"{method} {path} HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n".encode()
    answer = talk(house.ports.rest, request + b"Authorization: Bearer " + token + b"\r\n\r\n")
    found = Raw.read(answer)
    assert found.status in ({status, 400} if method in ("get", "X" * 200) else {status}), answer[:500]
    assert b"\r\nX-Evil" not in answer and b"root:" not in answer
    if found.status in (404, 405) or found.is_json:
        assert found.error["request_id"] and found.error["code"] in (INVALID, "NOT_FOUND")


@dataclass(frozen=True, slots=True)
class Raw:
    """An HTTP answer read from bytes."""

    status: int
    is_json: bool = False
    error: dict[str, str] = field(default_factory=dict)
    answers: int = 0

    @classmethod
    def read(cls, data: bytes) -> "Raw":
        if not data:
            return cls(0)
        head, _, body = data.partition(b"\r\n\r\n")
        is_json = b"application/json" in head
        error = json.loads(body).get("error", {}) if is_json and data.count(b"HTTP/1.1 ") == 1 else {}
        return cls(int(head.split(b" ")[1]), is_json, error, data.count(b"HTTP/1.1 "))


def head(*lines: str, request: str = "POST /v1/query HTTP/1.1") -> bytes:
    return "\r\n".join([request, *lines, "", ""]).encode("latin-1")


SMUGGLED = b"GET /v1/users/me HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: smuggled-1\r\n\r\n"
HOST = "Host: localhost"
BROKEN: dict[str, bytes] = {
    "both lengths": head(HOST, "Content-Length: 6", "Transfer-Encoding: chunked") + b"0\r\n\r\nG" + SMUGGLED,
    "both lengths, the other way": head(HOST, "Transfer-Encoding: chunked", "Content-Length: 4") + b"5c\r\n" + SMUGGLED,
    "two lengths": head(HOST, "Content-Length: 2", "Content-Length: 40") + b"{}" + SMUGGLED,
    "a list of lengths": head(HOST, "Content-Length: 2, 40") + b"{}" + SMUGGLED,
    "a length below nothing": head(HOST, "Content-Length: -1") + b"{}",
    "a length with a sign": head(HOST, "Content-Length: +2") + b"{}",
    "a length with an underscore": head(HOST, "Content-Length: 1_0") + b"{}" + SMUGGLED,
    "a length in hex": head(HOST, "Content-Length: 0x2") + b"{}",
    "a length without end": head(HOST, "Content-Length: " + "9" * 30) + b"{}",
    "an unknown coding": head(HOST, "Transfer-Encoding: xchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a coding twice": head(HOST, "Transfer-Encoding: chunked, chunked") + b"0\r\n\r\n" + SMUGGLED,
    "a hidden coding": head(HOST, "Transfer-Encoding : chunked", "Content-Length: 0") + b"0\r\n\r\n" + SMUGGLED,
    "a coding with a control character": head(HOST, "Transfer-Encoding: \x0bchunked") + b"0\r\n\r\n" + SMUGGLED,
    "a bad chunk size": head(HOST, "Transfer-Encoding: chunked") + b"zz\r\n{}\r\n0\r\n\r\n",
    "a negative chunk": head(HOST, "Transfer-Encoding: chunked") + b"-2\r\n{}\r\n0\r\n\r\n",
    "a chunk without end": head(HOST, "Transfer-Encoding: chunked") + b"F" * 40 + b"\r\n{}\r\n0\r\n\r\n",
    "a folded header": head(HOST, "X-A: 1", " Content-Length: 40") + SMUGGLED,
    "a header without a colon": head(HOST, "nonsense") + b"{}",
    "a header without a name": head(HOST, ": x"),
    "a space in a name": head(HOST, "Content Length: 2") + b"{}",
    "NUL in a header": head(HOST, "X-A: \x00"),
    "a bare return in a header": head(HOST, "X-A: 1\rContent-Length: 40") + SMUGGLED,
    "no host": head("Content-Length: 0"),
    "two hosts": head(HOST, "Host: evil.example", "Content-Length: 0"),
    "a foreign host": head("Host: evil.example", "Content-Length: 0"),
    "a host with a path": head("Host: localhost/x", "Content-Length: 0"),
    "an address of another server": head(HOST, request="GET http://169.254.169.254/latest HTTP/1.1"),
    "a tunnel": head(HOST, request="CONNECT 127.0.0.1:22 HTTP/1.1"),
    "HTTP of another century": b"GET /v1/users/me\r\n\r\n",
    "HTTP/9.9": head(HOST, request="GET /v1/users/me HTTP/9.9"),
    "HTTP/2": b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n" + bytes(20),
    "TLS": b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03" + bytes(100),
    "zeros": bytes(2_000),
    "noise": bytes(range(256)) * 10,
    "an endless header": b"GET /v1/users/me HTTP/1.1\r\nHost: localhost\r\nX-A: " + b"a" * 300_000,
    "ten thousand headers": head(HOST, *(f"X-{n}: 1" for n in range(10_000))),
    "an endless line": b"GET /" + b"a" * 300_000,
}


@pytest.mark.parametrize("face", ["rest", "grpc_web", "mcp"])
def test_broken_requests_are_refused_and_smuggle_nothing(house: Served, face: str) -> None:
    wrong = {}
    for name, sent in BROKEN.items():
        answer = talk(getattr(house.ports, face), sent, then_close=True)
        found = Raw.read(answer)
        if not (found.status == 0 or 400 <= found.status < 500) or b"smuggled-1" in answer:
            wrong[name] = answer[:400]
        if b"Traceback" in answer or any(path.encode() in answer for path in house.paths):
            wrong[name] = answer[:400]
    assert wrong == {}


@pytest.mark.parametrize("face", ["rest", "grpc_web", "mcp", "grpc"])
def test_a_port_that_hears_noise_goes_on(house: Served, face: str) -> None:
    started = time.monotonic()
    for sent in (bytes(5_000), b"\x16\x03\x01\x02\x00" + bytes(600), b"GET / HTTP/1.1\r\n\r\n", b"\xff" * 70_000):
        talk(getattr(house.ports, face), sent, then_close=True)
    assert time.monotonic() - started < DEADLINE_S


# Slow and half-closed clients


def good_request(house: Served, *, length: int = 19) -> bytes:
    lines = [HOST, f"Content-Length: {length}", "Content-Type: application/json", "Connection: close"]
    return head(*lines, f"Authorization: Bearer {house.tokens['viewer']}")


def test_a_request_that_dribbles_in_is_served(house: Served) -> None:
    whole = good_request(house) + b'{"sql": "SELECT 1"}'
    parts = [whole[at : at + 40] for at in range(0, len(whole), 40)]
    answer = talk(house.ports.rest, *parts, pause_s=0.02)
    assert Raw.read(answer).status == 200


def test_clients_that_leave_in_the_middle_leave_nothing_behind(house: Served) -> None:
    whole = good_request(house) + b'{"sql": "SELECT 1"}'
    for at in (1, 30, len(whole) - 10):
        assert Raw.read(talk(house.ports.rest, whole[:at], then_close=True)).status in (0, 400)


def test_a_client_that_closes_its_sending_half_may_still_be_answered(house: Served) -> None:
    whole = good_request(house) + b'{"sql": "SELECT 1"}'
    assert Raw.read(talk(house.ports.rest, whole, then_close=True)).status in (0, 200)


def test_a_hundred_silent_clients_keep_nobody_waiting(house: Served, doors: Doors) -> None:
    with ExitStack() as stack:
        for number in range(100):
            port = (house.ports.rest, house.ports.mcp, house.ports.grpc_web, house.ports.grpc)[number % 4]
            peer = stack.enter_context(socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S))
            peer.sendall(b"" if number % 2 else good_request(house)[:60])
        for face in FACES:
            started = time.monotonic()
            assert doors[face].call("list_tables", {}, house.tokens["viewer"]).code == "OK"
            assert time.monotonic() - started < 5, face


def test_pipelined_requests_are_answered_in_order(house: Served) -> None:
    request = "GET /v1/ping HTTP/1.1\r\nHost: localhost\r\nX-Request-Id: ID\r\n\r\n"
    sent = b"".join(request.replace("ID", f"p-{n}").encode() for n in range(20))
    last = request.replace("ID", "p-20").replace("\r\n\r\n", "\r\nConnection: close\r\n\r\n").encode()
    answer = talk(house.ports.rest, sent + last).decode()
    found = [line.split(": ")[1] for line in answer.splitlines() if line.lower().startswith("x-request-id")]
    assert found == [f"p-{n}" for n in range(21)]


@pytest.mark.parametrize("sent", ["", "x" * 65, "a b", "a\x7f", "<script>", "../../x", "\u00e9"])
def test_a_request_id_that_is_none_is_replaced(house: Served, sent: str) -> None:
    answer = httpx.get(house.url("rest") + "/v1/ping", headers={b"x-request-id": sent.encode("latin-1")})
    assert answer.status_code in (200, 400)
    assert answer.headers.get("x-request-id", "req_").startswith("req_")


@pytest.mark.parametrize("key", ["", "k" * 256, "a b", "\u00e9"])
def test_a_bad_idempotency_key_is_refused(house: Served, doors: Doors, key: str) -> None:
    reply = doors.rest.send(
        "POST",
        "/v1/tokens",
        b'{"name": "x"}',
        house.tokens["viewer"],
        headers={b"idempotency-key": key.encode("latin-1")},
    )
    assert problems(reply, house, allowed=(INVALID,)) == []


FORMS: dict[str, tuple[bytes, int]] = {
    "nothing": (b"", 400),
    "another grant": (b"grant_type=password&username=a&password=b", 400),
    "no secret": (b"grant_type=client_credentials&client_id=a", 401),
    "a field twice": (b"grant_type=client_credentials&client_id=a&client_id=b&client_secret=c", 400),
    "NUL": (b"grant_type=client_credentials&client_id=a%00&client_secret=c", 400),
    "no UTF-8": (b"grant_type=client_credentials&client_id=%ff&client_secret=c", 400),
    "17 kB": (b"grant_type=client_credentials&client_id=a&client_secret=" + b"s" * 17_000, 413),
    "2,000 fields": (b"&".join(b"f%d=1" % n for n in range(2_000)), 400),
    "JSON": (b'{"grant_type": "client_credentials"}', 400),
    "SQL": (b"grant_type=client_credentials&client_id=' OR '1'='1&client_secret=x", 401),
}


@pytest.mark.parametrize("name", FORMS)
def test_a_bad_sign_in_is_refused_in_oauths_shape(house: Served, name: str) -> None:
    body, status = FORMS[name]
    kind = {"content-type": "application/x-www-form-urlencoded"}
    answer = httpx.post(house.url("rest") + "/auth/token", content=body, headers=kind, timeout=DEADLINE_S)
    assert answer.status_code == status, answer.text
    assert {"error", "error_description", "code", "request_id"} <= set(answer.json())
    assert "access_token" not in answer.text and answer.headers["cache-control"] == "no-store"
