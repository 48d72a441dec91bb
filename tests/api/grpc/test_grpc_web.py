"""The gRPC-Web face over real HTTP."""

import asyncio
import base64
import struct
from typing import Any

import httpx
import pytest

from api.grpc_web import LoopbackOrigins
from tests.api.grpc.conftest import Failure, Served, read_failure

BINARY = "application/grpc-web+proto"
TEXT = "application/grpc-web-text"
TOKEN = {"authorization": "Bearer viewer-token"}
PREFLIGHT = {"access-control-request-method": "POST", "access-control-request-headers": "authorization,x-grpc-web"}


def frame(content: bytes) -> bytes:
    return struct.pack(">BI", 0, len(content)) + content


def frames(content: bytes) -> tuple[list[bytes], dict[str, str]]:
    messages: list[bytes] = []
    while content:
        flag, length = struct.unpack(">BI", content[:5])
        body, content = content[5 : 5 + length], content[5 + length :]
        if flag & 0x80:
            return messages, dict(line.split(": ", 1) for line in body.decode().splitlines())
        messages.append(body)
    return messages, {}


class Web:
    """A gRPC-Web client of few lines."""

    def __init__(self, base: str, served: Served):
        self.http = httpx.AsyncClient(base_url=base, timeout=10)
        self._served = served

    async def call(
        self, name: str, arguments: dict[str, Any] | None = None, headers: dict[str, str] = TOKEN, kind: str = BINARY
    ) -> tuple[list[Any], dict[str, str], httpx.Response]:
        method = self._served.method(name)
        body = frame(method.request(**(arguments or {})).SerializeToString())
        content = base64.b64encode(body) if kind == TEXT else body
        answer = await self.http.post(method.path, content=content, headers={"content-type": kind, **headers})
        raw = answer.content
        if kind == TEXT:  # each chunk is padded on its own
            raw = b"".join(base64.b64decode(part + b"==") for part in raw.replace(b"=", b" ").split())
        messages, trailers = frames(raw)
        return [method.response.FromString(message) for message in messages], trailers, answer


def failure(trailers: dict[str, str]) -> Failure:
    details = trailers["grpc-status-details-bin"]
    return read_failure(base64.b64decode(details + "=" * (-len(details) % 4)))


@pytest.fixture
async def page(web: str, served: Served) -> Any:
    client = Web(web, served)
    yield client
    await client.http.aclose()


async def test_a_call_answers_with_the_tools_result(page: Web, served: Served) -> None:
    messages, trailers, answer = await page.call("GetThing", {"thing_id": "a"}, {**TOKEN, "x-request-id": "mine"})
    assert (messages[0].name, trailers["grpc-status"]) == ("thing a", "0")
    assert answer.headers["x-request-id"] == "mine"
    assert (served.gate.records[-1].face, served.gate.records[-1].request_id) == ("grpc_web", "mine")


async def test_parts_come_before_the_result(page: Web) -> None:
    messages, trailers, _ = await page.call("CountThings", {"to": 2})
    assert [message.message for message in messages] == ["at 0", "at 1", ""]
    assert (messages[-1].total, trailers["grpc-status"]) == (2, "0")


@pytest.mark.parametrize(
    ("name", "arguments", "headers", "status", "code"),
    [
        ("GetThing", {"thing_id": "a"}, {}, "16", "UNAUTHENTICATED"),
        ("GetThing", {"thing_id": "a"}, {"authorization": "Bearer x"}, "16", "UNAUTHENTICATED"),
        ("CreateThing", {"name": "n"}, TOKEN, "7", "UNAUTHORIZED"),
        ("FailThing", {"kind": "rate"}, TOKEN, "8", "RATE_LIMITED"),
        ("FailThing", {"kind": "crash"}, TOKEN, "13", "INTERNAL"),
        ("CountThings", {"to": -1}, TOKEN, "3", "INVALID_ARGUMENT"),
    ],
)
async def test_errors_are_those_of_grpc(
    page: Web, name: str, arguments: dict[str, Any], headers: dict[str, str], status: str, code: str
) -> None:
    _, trailers, answer = await page.call(name, arguments, headers)
    found = failure(trailers)
    assert (trailers["grpc-status"], found.code) == (status, code)
    assert found.request_id == answer.headers["x-request-id"]
    assert found.retry_after_s == (7 if code == "RATE_LIMITED" else None)


async def test_the_text_form_is_spoken_too(page: Web) -> None:
    messages, trailers, answer = await page.call("CountThings", {"to": 1}, kind=TEXT)
    assert [message.message for message in messages] == ["at 0", ""]
    assert (trailers["grpc-status"], answer.headers["content-type"]) == ("0", TEXT)


async def test_text_that_comes_in_odd_pieces_is_read(page: Web, served: Served) -> None:
    method = served.method("GetThing")
    text = base64.b64encode(frame(method.request(thing_id="abc").SerializeToString()))

    async def pieces() -> Any:
        for at in range(0, len(text), 3):
            yield text[at : at + 3]
            await asyncio.sleep(0)

    answer = await page.http.post(method.path, content=pieces(), headers={"content-type": TEXT, **TOKEN})
    assert answer.status_code == 200
    assert b"abc" in base64.b64decode(answer.content.split(b"=")[0] + b"==")


async def test_text_that_is_not_base64_is_refused(page: Web) -> None:
    path = "/headwater.v1.TestsService/GetThing"
    answer = await page.http.post(path, content=b"?", headers={"content-type": TEXT, **TOKEN})
    assert b"grpc-status: 3" in base64.b64decode(answer.content)


async def test_a_message_above_the_limit_is_refused(page: Web) -> None:
    _, trailers, _ = await page.call("EchoThing", {"thing_id": "a", "text": "x" * 2**20})
    assert trailers["grpc-status"] == "8"


@pytest.mark.parametrize("kind", ["application/json", "application/grpc", "application/grpc-web+json", ""])
async def test_other_media_types_are_refused_in_words(page: Web, kind: str) -> None:
    answer = await page.http.post("/headwater.v1.TestsService/GetThing", content=b"{}", headers={"content-type": kind})
    assert answer.status_code == 415
    assert answer.json()["error"]["code"] == "INVALID_ARGUMENT"
    assert answer.headers["x-request-id"] == answer.json()["error"]["request_id"]


async def test_unknown_methods_and_verbs_are_refused_in_words(page: Web) -> None:
    answer = await page.http.post("/headwater.v1.TestsService/Nothing", headers={"content-type": BINARY})
    assert (answer.status_code, answer.json()["error"]["code"]) == (404, "NOT_FOUND")
    answer = await page.http.get("/headwater.v1.TestsService/GetThing")
    assert (answer.status_code, answer.headers["allow"]) == (405, "POST")


async def test_pages_of_this_machine_may_call_and_others_may_not(page: Web) -> None:
    for origin, status in (("http://127.0.0.1:1234", 204), ("http://localhost:3000", 204), ("https://evil.test", 403)):
        answer = await page.http.options("/headwater.v1.TestsService/GetThing", headers={**PREFLIGHT, "origin": origin})
        assert answer.status_code == status
        assert (answer.headers.get("access-control-allow-origin") == origin) is (status == 204)


async def test_the_status_can_be_read_by_pages(page: Web) -> None:
    _, _, answer = await page.call("GetThing", {"thing_id": "a"}, {**TOKEN, "origin": "http://localhost:3000"})
    exposed = answer.headers["access-control-expose-headers"]
    assert {"grpc-status", "grpc-message", "grpc-status-details-bin"} <= set(exposed.split(", "))


async def test_a_foreign_host_is_refused(page: Web) -> None:
    answer = await page.http.post("/headwater.v1.TestsService/Ping", headers={"host": "rebound.test"})
    assert answer.status_code == 421


def test_loopback_origins_are_a_set_of_names_and_this_machine() -> None:
    origins = LoopbackOrigins({"https://app.test"})
    assert "https://app.test" in origins
    assert "http://[::1]:9" in origins
    for origin in ("https://other.test", "*", "null", "http://127.0.0.1.evil.test"):
        assert origin not in origins


@pytest.mark.parametrize("name", ["FailThing", "StreamEndless"])
async def test_a_page_that_goes_away_cancels_its_call(page: Web, served: Served, name: str) -> None:
    call = asyncio.create_task(page.call(name, {"kind": "sleep"} if name == "FailThing" else None))
    await asyncio.sleep(0.2)
    call.cancel()
    async with asyncio.timeout(2):
        while not served.gate.records:
            await asyncio.sleep(0.01)
    assert served.gate.records[-1].code == "CANCELLED"


async def test_a_deadline_is_kept(page: Web) -> None:
    _, trailers, _ = await page.call("FailThing", {"kind": "sleep"}, {**TOKEN, "grpc-timeout": "200m"})
    assert (trailers["grpc-status"], failure(trailers).code) == ("4", "TIMEOUT")
