"""The egress client against real servers."""

import asyncio
import gzip
import tracemalloc
from collections.abc import AsyncIterator

import pytest

from core.errors import InvalidArgument, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from tests.engine.egress.servers import Write, reply, serving


@pytest.fixture
async def client() -> AsyncIterator[EgressClient]:
    opened = EgressClient(EgressSettings(allowed_private_hosts=["127.0.0.1"], timeout_s=2.0))
    yield opened
    await opened.aclose()


async def test_an_allowed_server_is_called(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b'{"a": 1}', content_type="application/json"))

    async with serving(answer) as server:
        response = await client.get(f"{server.url}/x?y=z", headers={"X-Own": "yes"})
    assert (response.status, response.json(), response.headers["content-type"]) == (200, {"a": 1}, "application/json")
    head = server.requests[0].lower()
    assert head.startswith(b"get /x?y=z http/1.1") and b"x-own: yes" in head and b"cookie" not in head


async def test_a_body_is_posted(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(201, b"made"))

    async with serving(answer) as server:
        response = await client.post(f"{server.url}/x", body=b"abc", headers={"content-type": "text/plain"})
    assert (response.status, response.body) == (201, b"made")
    assert b"content-length: 3" in server.requests[0]


async def test_gzip_is_unpacked(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(body=gzip.compress(b"hello"), content_encoding="gzip"))

    async with serving(answer) as server:
        assert (await client.get(server.url)).body == b"hello"


async def test_an_address_that_is_not_allowed_is_not_called() -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply())

    closed = EgressClient(EgressSettings())
    async with serving(answer) as server:
        for url in (server.url, f"https://127.0.0.1:{server.port}", f"https://localhost:{server.port}"):
            with pytest.raises(InvalidArgument, match=r"^This address may not be called\.$"):
                await closed.get(url)
        assert server.requests == []


async def test_an_unknown_name_and_a_forbidden_one_look_alike() -> None:
    async def nothing(host: str, port: int) -> list[str]:
        raise OSError("no such name")

    async def private(host: str, port: int) -> list[str]:
        return ["10.0.0.1"]

    texts = set()
    for resolver in (nothing, private):
        with pytest.raises(InvalidArgument) as refused:
            await EgressClient(EgressSettings(), resolver=resolver).get("https://inside.example/")
        texts.add((refused.value.message, refused.value.hint))
    assert len(texts) == 1


async def test_a_resolver_that_changes_its_answer_is_asked_once_and_checked_each_time() -> None:
    answers = [["127.0.0.1"], ["169.254.169.254"]]

    async def rebinding(host: str, port: int) -> list[str]:
        return answers.pop(0)

    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b"first"))

    async with serving(answer) as server:
        settings = EgressSettings(allowed_private_hosts=["rebind.example"])
        client = EgressClient(settings, resolver=rebinding)
        url = f"http://rebind.example:{server.port}/"
        assert (await client.get(url)).body == b"first"
        assert b"host: rebind.example" in server.requests[0].lower()
        with pytest.raises(InvalidArgument):
            await client.get(url)
        assert len(server.requests) == 1 and answers == []
        await client.aclose()


async def test_a_redirect_is_followed_and_drops_our_secrets_on_another_host(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b"there"))

    async with serving(answer) as second:

        async def redirect(path: str, write: Write) -> None:
            await write(reply(302, location=f"{second.url}/there"))

        async with serving(redirect) as first:
            response = await client.get(f"{first.url}/here", headers={"Authorization": "Bearer secret"})
    assert (response.body, response.url) == (b"there", f"{second.url}/there")
    assert b"secret" in first.requests[0] and b"secret" not in second.requests[0]


@pytest.mark.parametrize("location", ["http://169.254.169.254/latest/", "http://localhost:1/", "file:///etc/passwd"])
async def test_a_redirect_to_a_forbidden_address_is_refused(client: EgressClient, location: str) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(302, location=location))

    async with serving(answer) as server:
        with pytest.raises(InvalidArgument, match="may not be called"):
            await client.get(server.url)


async def test_a_body_does_not_follow_a_redirect_to_another_host(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(307, location="http://127.0.0.1:1/"))

    async with serving(answer) as server:
        with pytest.raises(InvalidArgument):
            await client.post(server.url, body=b"secret")


async def test_a_circle_of_redirects_ends(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(302, location="/again"))

    async with serving(answer) as server:
        with pytest.raises(Unavailable, match="redirects"):
            await client.get(server.url)
        assert len(server.requests) == 4


async def test_a_slow_body_ends_at_the_time_limit(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n")
        for _ in range(100):
            await write(b"x")
            await asyncio.sleep(0.02)

    async with serving(answer) as server:
        with pytest.raises(Unavailable, match="in time"):
            await client.get(server.url, timeout_s=0.2)


async def test_a_huge_body_is_cut_off(client: EgressClient) -> None:
    sent = 0

    async def answer(path: str, write: Write) -> None:
        nonlocal sent
        await write(b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\n")
        for _ in range(1000):
            await write(b"x" * 65536)
            sent += 65536

    async with serving(answer) as server:
        with pytest.raises(Unavailable, match="larger than 1000 bytes"):
            await client.get(server.url, max_bytes=1000)
    assert sent < 30_000_000


async def test_a_gzip_bomb_is_never_unpacked(client: EgressClient) -> None:
    bomb = gzip.compress(b"\0" * 50_000_000)

    async def answer(path: str, write: Write) -> None:
        await write(reply(body=bomb, content_encoding="gzip"))

    async with serving(answer) as server:
        tracemalloc.start()
        with pytest.raises(Unavailable, match="larger"):
            await client.get(server.url, max_bytes=100_000)
        peak = tracemalloc.get_traced_memory()[1]
        tracemalloc.stop()
    assert peak < 5_000_000


@pytest.mark.parametrize(
    "raw",
    [
        b"not http at all\r\n\r\n",
        reply(body=b"abc", content_encoding="br"),
        reply(body=b"not gzip", content_encoding="gzip"),
        reply(body=gzip.compress(b"hello")[:-4], content_encoding="gzip"),
        reply(body=gzip.compress(b"hello") + b"more", content_encoding="gzip"),
        b"",
        b"HTTP/1.1 200 OK\r\ncontent-length: 10\r\n\r\nabc",
    ],
)
async def test_a_broken_answer_is_unavailable(client: EgressClient, raw: bytes) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(raw)

    async with serving(answer) as server:
        with pytest.raises(Unavailable):
            await client.get(server.url)


async def test_a_server_that_is_down_is_unavailable(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None: ...

    async with serving(answer) as server:
        pass
    with pytest.raises(Unavailable, match="does not answer"):
        await client.get(server.url)


@pytest.mark.parametrize("headers", [{"x": "a\r\nb: c"}, {"x\r\n": "a"}, {"Host": "other"}, {"Content-Length": "0"}])
async def test_a_header_that_would_change_the_request_is_refused(client: EgressClient, headers: dict[str, str]) -> None:
    with pytest.raises(InvalidArgument, match="header"):
        await client.get("http://127.0.0.1:1/", headers=headers)


async def test_cookies_are_not_kept(client: EgressClient) -> None:
    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b"", set_cookie="session=1"))

    async with serving(answer) as server:
        await client.get(server.url)
        await client.get(server.url)
    assert b"cookie" not in server.requests[1].lower()


async def test_proxies_of_the_environment_are_not_used(client: EgressClient, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    monkeypatch.setenv("ALL_PROXY", "http://127.0.0.1:1")

    async def answer(path: str, write: Write) -> None:
        await write(reply(body=b"direct"))

    async with serving(answer) as server:
        assert (await client.get(server.url)).body == b"direct"
