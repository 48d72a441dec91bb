"""Server-Sent Events and Arrow streams, over a real port where the wire matters."""

import asyncio
import re
from collections.abc import Iterator
from contextlib import nullcontext
from typing import Any, Literal

import httpx
import pyarrow as pa
import pytest
from starlette.types import Message

from api.rest_streams import stream
from api.streams import ARROW, KEEP_ALIVE, SSE, ArrowJoin
from core.dispatch import Call
from tests.api.rest import stream_tools
from tests.api.rest.serving import ADMIN, Face, build_face, serving

Compression = Literal["lz4", "zstd"] | None
EVENTS = {"Accept": SSE}


def chunk(numbers: list[int], compression: Compression = None, words: list[str] | None = None) -> bytes:
    columns: dict[str, Any] = {
        "n": pa.array(numbers, pa.int64()),
        "s": pa.array([f"é{n}" * 50 for n in numbers], pa.string()),
    }
    columns["d"] = pa.array(words or ["x"] * len(numbers), pa.string()).dictionary_encode()
    table, sink = pa.table(columns), pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=compression)) as writer:
        writer.write_table(table, max_chunksize=3)
    return bytes(sink.getvalue())


@pytest.fixture
def chunks() -> Iterator[list[bytes]]:
    stream_tools.CHUNKS[:] = [chunk([1, 2, 3, 4]), chunk([5], words=["y"]), chunk([])]
    yield stream_tools.CHUNKS
    stream_tools.CHUNKS.clear()


@pytest.mark.parametrize("compression", [None, "lz4", "zstd"])
def test_chunks_become_one_arrow_stream(compression: Compression) -> None:
    join = ArrowJoin()
    pieces = [
        chunk([1, 2, 3, 4, 5], compression, ["a", "b", "a", "b", "a"]),
        chunk([6, 7], compression, ["z", "y"]),
        chunk([], compression),
        chunk([8], compression, ["b"]),
    ]
    joined = b"".join(join.add(piece) for piece in pieces) + join.end()
    table = pa.ipc.open_stream(joined).read_all()
    table.validate(full=True)
    assert table["n"].to_pylist() == [1, 2, 3, 4, 5, 6, 7, 8]
    assert table["d"].to_pylist() == ["a", "b", "a", "b", "a", "z", "y", "b"]


def test_a_body_that_looks_like_the_end_mark_is_kept() -> None:
    table, join = pa.table({"n": pa.array([0xFFFFFFFF], pa.uint64())}), ArrowJoin()
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, table.schema) as writer:
        writer.write_table(table)
    whole = bytes(sink.getvalue())
    without_end = whole.removesuffix(join.end())
    joined = join.add(without_end) + join.add(whole) + join.end()
    assert pa.ipc.open_stream(joined).read_all()["n"].to_pylist() == [0xFFFFFFFF] * 2


@pytest.mark.parametrize("broken", [b"", b"x" * 64, chunk([1])[:-20], b"\xff\xff\xff\xff\xff\xff\xff\x7f" + b"0" * 64])
def test_what_is_no_arrow_stream_is_refused(broken: bytes) -> None:
    with pytest.raises(ValueError, match="Arrow"):
        ArrowJoin().add(broken)


def test_a_schema_that_changes_is_refused() -> None:
    join, other = ArrowJoin(), pa.BufferOutputStream()
    join.add(chunk([1]))
    with pa.ipc.new_stream(other, pa.schema([("other", pa.int8())])):
        pass
    with pytest.raises(ValueError, match="schema"):
        join.add(bytes(other.getvalue()))


@pytest.mark.parametrize("accept", ["*/*", ARROW, f"{ARROW}, application/json;q=0.5"])
async def test_rows_come_as_one_arrow_stream(client: httpx.AsyncClient, chunks: list[bytes], accept: str) -> None:
    response = await client.post("/v1/rows/stream", json={}, headers={"Accept": accept})
    assert response.headers["content-type"] == ARROW
    assert pa.ipc.open_stream(response.content).read_all()["n"].to_pylist() == [1, 2, 3, 4, 5]


async def test_json_is_answered_to_who_asks_for_json(client: httpx.AsyncClient, chunks: list[bytes]) -> None:
    response = await client.post("/v1/rows/stream", json={}, headers={"Accept": "application/json"})
    assert response.json() == {"parts": 3}


async def test_an_error_before_the_first_part_has_its_status(client: httpx.AsyncClient, chunks: list[bytes]) -> None:
    arrow = await client.post("/v1/rows/stream", json={"fail_after": 0})
    events = await client.post("/v1/rows/until", json={"stop_at": 0}, headers=EVENTS)
    assert (arrow.status_code, events.status_code) == (409, 404)
    assert (await client.post("/v1/rows/stream", json={"x": 1})).status_code == 400


def test_an_error_amid_arrow_cuts_the_connection(chunks: list[bytes]) -> None:
    with serving(build_face().app) as port, pytest.raises(httpx.RemoteProtocolError):
        httpx.post(f"http://127.0.0.1:{port}/v1/rows/stream", json={"fail_after": 1}, headers=ADMIN)


async def test_events_carry_parts_then_the_result(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/things/count", json={"to": 2}, headers=EVENTS)
    assert response.headers["content-type"].startswith(SSE)
    events = [dict(line.split(": ", 1) for line in block.split("\n")) for block in response.text.strip().split("\n\n")]
    assert [(event["id"], event["event"]) for event in events] == [
        ("1", "progress"),
        ("2", "progress"),
        ("3", "result"),
    ]
    assert events[-1]["data"] == '{"total":2}'


async def test_an_error_amid_events_is_an_event(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/rows/until", json={"stop_at": 1}, headers=EVENTS)
    assert response.status_code == 200
    assert "event: error" in response.text and '"code": "NOT_FOUND"' in response.text


async def test_a_browser_that_reconnects_goes_on_where_it_was(client: httpx.AsyncClient) -> None:
    first = await client.get("/v1/rows/events?after_seq=0", headers=EVENTS)
    again = await client.get("/v1/rows/events?after_seq=0", headers={**EVENTS, "Last-Event-ID": "2"})
    assert re.findall(r"id: (\d+)", first.text) == ["1", "2", "3", "4"]
    assert re.findall(r"id: (\d+)", again.text) == ["3", "4"]


async def test_a_job_that_lasts_ends_its_events_as_a_job(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/things/rebuild?wait_s=0", json={}, headers=EVENTS)
    assert "event: job\n" in response.text


async def test_a_silent_stream_is_kept_alive(face: Face, chunks: list[bytes]) -> None:
    sent: list[Message] = []

    async def send(message: Message) -> None:
        sent.append(message)

    call = Call("stream_rows", {}, "rest", "r1", token="admin-token")
    await stream(face.dispatcher, call, SSE, nullcontext(), send, keep_alive_s=0.005)
    pieces = [message.get("body") for message in sent]
    assert KEEP_ALIVE in pieces and pieces[-1] == b""


@pytest.mark.parametrize("accept", ["application/json", SSE])
async def test_a_client_that_leaves_cancels_its_call(port: int, accept: str) -> None:
    name = f"leaver {accept}"
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", headers={**ADMIN, "Accept": accept}) as client:
        with pytest.raises(httpx.ReadTimeout):
            await client.post("/v1/sleep", json={"name": name}, timeout=0.3)
    for _ in range(100):
        if f"{name} cancelled=True" in stream_tools.SEEN:
            return
        await asyncio.sleep(0.02)
    raise AssertionError(stream_tools.SEEN)
