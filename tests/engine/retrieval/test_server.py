"""An index in a real ChromaDB server, spoken to through the gate; and what happens when it is not there."""

import asyncio
import os
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest

from core.errors import InvalidArgument, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.retrieval.lexical import embed_words
from engine.retrieval.retrieval import Retrieval
from engine.retrieval.server import ServedVectors
from engine.retrieval.vectors import Changes, Mark, Place
from tests.engine.catalog.conftest import ADA, BOB
from tests.engine.retrieval.test_retrieval import Counting, Notes, titles

START_S = 30.0
pytestmark = pytest.mark.slow  # the server takes a second of CPU to start


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    """The server that comes with the package, on a port of its own."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port = probe.getsockname()[1]
    folder = tmp_path_factory.mktemp("chroma")
    command = [
        str(Path(sys.executable).parent / "chroma"),
        "run",
        "--path",
        str(folder),
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
    ]
    environment = {"PATH": os.environ["PATH"], "HOME": str(folder)}
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL, env=environment)
    end = time.monotonic() + START_S
    while not _answers(port) and time.monotonic() < end:
        assert process.poll() is None, "the server did not start"
        time.sleep(0.05)
    yield f"http://127.0.0.1:{port}"
    process.kill()
    process.wait()


def _answers(port: int) -> bool:
    try:
        socket.create_connection(("127.0.0.1", port), timeout=0.2).close()
    except OSError:
        return False
    return True


def open_server(url: str) -> ServedVectors:
    return ServedVectors(url, EgressClient(EgressSettings(allowed_private_hosts=[url.removeprefix("http://")])))


@pytest.fixture
async def vectors(server: str) -> AsyncIterator[ServedVectors]:
    opened = open_server(server)
    await opened.drop("acme")
    yield opened
    await opened.drop("acme")
    await opened.aclose()


async def test_a_server_keeps_what_folders_keep(vectors: ServedVectors, server: str) -> None:
    notes, place = Notes("Refunds take ten days", "Holidays are thirty days"), Place("acme", "notes")
    retrieval = Retrieval([notes], vectors=vectors)
    assert titles(await retrieval.search(ADA, "vacation", ("knowledge",))) == ["Holidays"]
    assert await retrieval.search(BOB, "vacation", ("knowledge",)) == []
    notes.texts[2] = "Parcels arrive late"
    del notes.texts[0]
    await retrieval.refresh("acme")
    other = open_server(server)  # as another process sees it
    held = await other.digests(place)
    assert sorted(held["knowledge"]) == ["1", "2"]
    near = await other.nearest(place, "knowledge", embed_words(["parcels"])[0], 5)
    assert near[0][0] == "2" and near[0][1] > near[1][1]
    assert await other.nearest(place, "metric", embed_words(["parcels"])[0], 5) == []
    mark = await other.mark(place)
    assert mark is not None and not await other.change(place, mark, Changes(), since=Mark("x", "y"))
    again = Retrieval([notes], vectors=other, embedder=Counting("another"))
    await again.refresh("acme")
    assert (await vectors.mark(place)) == Mark("another", mark.version)
    assert sorted((await vectors.digests(place))["knowledge"]) == ["1", "2"]
    await other.drop("acme")
    assert await vectors.mark(place) is None and await vectors.digests(place) == {}
    await other.aclose()


async def test_without_its_server_words_still_find() -> None:
    for url in ("http://127.0.0.1:9", "http://127.0.0.1:9/"):
        retrieval = Retrieval([Notes("Refunds take ten days")], vectors=open_server(url))
        began = time.monotonic()
        for _ in range(3):
            assert titles(await retrieval.search(ADA, "refunds", ("knowledge",))) == ["Refunds"]
        assert time.monotonic() - began < 10
        with pytest.raises((Unavailable, InvalidArgument)):
            await retrieval.refresh("acme")
        await retrieval.aclose()


async def test_a_server_that_nobody_allowed_is_not_called(server: str) -> None:
    closed = ServedVectors(server, EgressClient(EgressSettings()))
    with pytest.raises(InvalidArgument, match="may not be called"):
        await closed.mark(Place("acme", "notes"))
    await closed.aclose()


async def test_what_answers_as_no_index_server_does_is_unavailable() -> None:
    async def answer(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.read(4096)
        writer.write(
            b"HTTP/1.1 200 OK\r\ncontent-type: text/html\r\ncontent-length: 4\r\nconnection: close\r\n\r\n<h1>"
        )
        await writer.drain()
        writer.close()

    listening = await asyncio.start_server(answer, "127.0.0.1", 0)
    port = listening.sockets[0].getsockname()[1]
    vectors = open_server(f"http://127.0.0.1:{port}")
    with pytest.raises(Unavailable):
        await vectors.mark(Place("acme", "notes"))
    await vectors.aclose()
    listening.close()
    await listening.wait_closed()
