"""Bad messages and frames: gRPC and gRPC-Web."""

import base64
import struct
import time
from collections.abc import Iterator

import httpx
import pytest

from tests.faces.served import Served
from tests.hostile.wire import (
    DEADLINE_S,
    LITERAL,
    Doors,
    faults,
    framed,
    methods,
    problems,
    read_grpc_web,
    still_answers,
)

INVALID = "INVALID_ARGUMENT"
MB = 2**20


@pytest.fixture(autouse=True)
def still_serves(house: Served, doors: Doors) -> Iterator[None]:
    yield
    still_answers(house, doors)


def text_field(number: int, raw: bytes) -> bytes:
    length, size = b"", len(raw)
    while size > 127:
        length, size = length + bytes([size & 127 | 128]), size >> 7
    return bytes([number << 3 | 2]) + length + bytes([size]) + raw


MESSAGES: dict[str, bytes] = {
    "noise": bytes(range(256)),
    "ones": b"\xff" * 100,
    "cut off": b"\x0a\x50SELECT",
    "a length beyond all": b"\x0a\xff\xff\xff\xff\xff\xff\xff\xff\x7f",
    "a varint without end": b"\x18" + b"\x80" * 20,
    "field number zero": b"\x00\x01",
    "a wire type that is none": b"\x0f\x01",
    "a group that does not end": b"\x0b" * 10,
    "10,000 groups": b"\x0b" * 10_000,
    "no UTF-8": text_field(1, b"SELECT '\xff\xfe'"),
    "half a character": text_field(1, b"SELECT '\xed\xa0\x80'"),
    "an overlong slash": text_field(1, b"SELECT '\xc0\xaf'"),
    "NUL": text_field(1, b"SELECT '\x00'"),
    "a number where a text belongs": b"\x08\x07",
    "nothing": b"",
    "a timeout below nothing": text_field(1, b"SELECT 1") + b"\x18" + b"\xff" * 9 + b"\x01",
    "JSON": b'{"sql": "SELECT 1"}',
    "10 MB of SQL": text_field(1, b"SELECT '" + LITERAL.encode() * (10 * MB // len(LITERAL)) + b"'"),
}


@pytest.mark.parametrize("face", ["grpc", "grpc_web"])
def test_a_bad_message_is_refused(house: Served, doors: Doors, face: str) -> None:
    path, token, wrong = methods()["execute_query"].path, house.tokens["viewer"], {}
    for name, raw in MESSAGES.items():
        reply = doors.grpc.send(path, raw, token) if face == "grpc" else doors.grpc_web.send(path, framed(raw), token)
        found = problems(reply, house, allowed=(INVALID, "QUERY_UNAUTHORIZED"), private=(LITERAL,))
        if found:
            wrong[name] = found
    assert wrong == {}


@pytest.mark.parametrize("face", ["grpc", "grpc_web"])
def test_a_deep_value_in_a_message_is_refused(house: Served, doors: Doors, face: str) -> None:
    """A JSON value as protobuf nests it: a list in a list in a list."""
    value = b"\x18\x01"
    for _ in range(90):
        value = b"\x32" + varint(len(inner := b"\x0a" + varint(len(value)) + value)) + inner
    entry = text_field(1, b"a") + b"\x12" + varint(len(value)) + value
    lock = methods()["create_schedule"].request.DESCRIPTOR.fields_by_name["arguments"].number
    raw = bytes([lock << 3 | 2]) + varint(len(entry)) + entry
    path, token = methods()["create_schedule"].path, house.tokens["admin"]
    reply = doors.grpc.send(path, raw, token) if face == "grpc" else doors.grpc_web.send(path, framed(raw), token)
    assert problems(reply, house, allowed=(INVALID,)) == []


def varint(number: int) -> bytes:
    found = b""
    while number > 127:
        found, number = found + bytes([number & 127 | 128]), number >> 7
    return found + bytes([number])


def test_unknown_grpc_methods_are_unimplemented(house: Served, doors: Doors) -> None:
    for path in (
        "/headwater.v1.CatalogService/DropEverything",
        "/headwater.v1.NoService/ListTables",
        "/headwater.v2.CatalogService/ListTables",
        "/",
        "/headwater.v1.CatalogService/listtables",
        "/headwater.v1.CatalogService/ListTables/",
        "/headwater.v1.CatalogService/../AdminService/GetCurrentUser",
        "/headwater.v1.SystemService/CallTool",
    ):
        reply = doors.grpc.send(path, b"", house.tokens["admin"])
        assert reply.code == "grpc UNIMPLEMENTED", path


def test_a_grpc_message_at_the_limit_passes_and_a_larger_one_does_not(house: Served, doors: Doors) -> None:
    limit = house.platform.settings.server.max_body_mb * MB
    path, token = methods()["search_catalog"].path, house.tokens["viewer"]
    overhead = len(text_field(1, b"x" * limit)) - limit
    at_limit = doors.grpc.send(path, text_field(1, b"x" * (limit - overhead)), token)
    assert problems(at_limit, house, allowed=(INVALID,)) == []  # read, and refused as the long text it is
    assert doors.grpc.send(path, text_field(1, b"x" * limit), token).code == "grpc RESOURCE_EXHAUSTED"


@pytest.mark.parametrize(
    "metadata",
    [
        ("idempotency-key", "k" * 256),
        ("x-arrow-compression", "rar"),
        ("x-arrow-compression", "../../x"),
    ],
)
def test_bad_metadata_is_refused(house: Served, doors: Doors, metadata: tuple[str, str]) -> None:
    path, token, raw = methods()["execute_query"].path, house.tokens["viewer"], text_field(1, b"SELECT 1")
    reply = doors.grpc.send(path, raw, token, metadata=(metadata,))
    assert problems(reply, house, allowed=(INVALID,)) == []
    reply = doors.grpc_web.send(path, framed(raw), token, **{metadata[0].replace("-", "_"): metadata[1]})
    assert problems(reply, house, allowed=(INVALID,)) == []


def test_metadata_beyond_the_limit_is_refused_by_grpc_itself(house: Served, doors: Doors) -> None:
    path, token = methods()["list_tables"].path, house.tokens["viewer"]
    reply = doors.grpc.send(path, b"", token, metadata=(("x-a", "a" * 100_000),))
    assert reply.code in ("grpc RESOURCE_EXHAUSTED", "grpc UNAVAILABLE", "grpc INTERNAL")


def test_a_deadline_that_is_too_short_is_kept(house: Served, doors: Doors) -> None:
    path, token = methods()["execute_query"].path, house.tokens["viewer"]
    slow = b"SELECT count(*) FROM shop.orders a, shop.orders b, shop.orders c, shop.orders d"
    started = time.monotonic()
    reply = doors.grpc.send(path, text_field(1, slow), token, timeout_s=0.4)
    assert reply.status == "DEADLINE_EXCEEDED" and time.monotonic() - started < 5
    reply = doors.grpc_web.send(path, framed(text_field(1, slow)), token, grpc_timeout="400m")
    assert reply.status == "DEADLINE_EXCEEDED"


GOOD = text_field(1, b"SELECT 1")
FRAMES: dict[str, bytes] = {
    "nothing": b"",
    "half a frame's head": b"\x00\x00\x00",
    "a length beyond the body": struct.pack(">BI", 0, 1_000) + GOOD,
    "a length beyond all": struct.pack(">BI", 0, 2**32 - 1) + GOOD,
    "two messages": framed(GOOD) + framed(GOOD),
    "an unknown flag": framed(GOOD, 0x40),
    "trailers as a message": framed(b"grpc-status: 0\r\n", 0x80),
    "said to be compressed": framed(GOOD, 0x01),
    "bytes behind": framed(GOOD) + b"\x00",
    "no frame": GOOD,
}
REFUSED = {  # otherwise than as INVALID_ARGUMENT: the protocol's own rules
    "nothing": ("UNIMPLEMENTED",),
    "two messages": ("UNIMPLEMENTED",),
    "a length beyond all": ("RESOURCE_EXHAUSTED",),
    "said to be compressed": ("INTERNAL",),
}


def test_malformed_grpc_web_frames_are_refused(house: Served, doors: Doors) -> None:
    wrong = {}
    for name, body in FRAMES.items():
        reply = doors.grpc_web.send(methods()["execute_query"].path, body, house.tokens["viewer"])
        if reply.status not in REFUSED.get(name, ("INVALID_ARGUMENT",)) or faults(reply, house):
            wrong[name] = reply
    assert wrong == {}


def test_malformed_text_frames_are_refused(house: Served, doors: Doors) -> None:
    path, token = methods()["execute_query"].path, house.tokens["viewer"]
    for name, body in {
        "not base64": b"!!!!",
        "cut off": base64.b64encode(framed(GOOD))[:-3],
        "binary": framed(GOOD),
        "URL form": b"____",
    }.items():
        reply = doors.grpc_web.send(path, body, token, content_type="application/grpc-web-text+proto")
        assert reply.status == "INVALID_ARGUMENT" and faults(reply, house) == [], (name, reply)


@pytest.mark.parametrize(
    ("method", "path", "kind", "status"),
    [
        ("POST", "/headwater.v1.NoService/No", "application/grpc-web+proto", 404),
        ("POST", "/", "application/grpc-web+proto", 404),
        ("GET", "/headwater.v1.CatalogService/ListTables", "application/grpc-web+proto", 405),
        ("POST", "/headwater.v1.CatalogService/ListTables", "text/plain", 415),
        ("POST", "/headwater.v1.CatalogService/ListTables", "application/grpc", 415),
        ("POST", "/headwater.v1.CatalogService/ListTables", "application/grpc-web+json", 415),
        ("POST", "/headwater.v1.CatalogService/ListTables", "application/json", 415),
    ],
)
def test_what_is_no_grpc_web_is_refused(house: Served, method: str, path: str, kind: str, status: int) -> None:
    answer = httpx.request(method, house.url("grpc_web") + path, headers={"content-type": kind}, timeout=DEADLINE_S)
    assert answer.status_code == status
    assert problems(read_grpc_web(answer), house, allowed=(INVALID, "NOT_FOUND")) == []


def test_a_grpc_web_message_beyond_the_limit_is_refused(house: Served, doors: Doors) -> None:
    limit = house.platform.settings.server.max_body_mb * MB
    path, token = methods()["search_catalog"].path, house.tokens["viewer"]
    reply = doors.grpc_web.send(path, framed(text_field(1, b"x" * limit)), token)
    assert reply.status in ("RESOURCE_EXHAUSTED", 413), reply
    reply = doors.grpc_web.send(path, framed(text_field(1, b"x" * (limit - 100))), token)
    assert problems(reply, house, allowed=(INVALID,)) == []
