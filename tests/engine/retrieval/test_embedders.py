"""Embedders by setting: an endpoint that speaks OpenAI's protocol, and a local file that must be the one named."""

import hashlib
import struct
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from core.errors import InvalidArgument, PlatformError, Unavailable
from core.settings import EgressSettings
from engine.egress.client import EgressClient
from engine.models.model import EmbedderConfig
from engine.retrieval.onnx import OnnxEmbedder
from engine.retrieval.remote import RemoteEmbedder
from engine.retrieval.retrieval import Retrieval
from tests.engine.catalog.conftest import ADA
from tests.engine.retrieval.conftest import open_folders
from tests.engine.retrieval.test_retrieval import Notes, titles
from tests.fakes.model_server import ModelServer, Reply


def remote(server: ModelServer, *, allowed: bool = True, **config: str) -> RemoteEmbedder:
    place = server.url.split("//")[1].split("/")[0]
    egress = EgressClient(EgressSettings(allowed_private_hosts=[place] if allowed else []))
    return RemoteEmbedder(EmbedderConfig(kind="openai", model="small", api_base=server.url, **config), egress)


async def test_an_endpoint_gives_vectors_and_gets_its_key_alone(home: Path) -> None:
    with ModelServer([]) as server:
        embedder = remote(server, key="sk-1")
        found = await embedder.embed([f"text {number}" for number in range(70)])
        assert found.shape[0] == 70 and np.allclose(np.linalg.norm(found, axis=1), 1, atol=1e-4)
        assert [len(asked.body["input"]) for asked in server.requests] == [64, 6]
        assert {
            asked.headers.get("authorization") or asked.headers.get("Authorization") for asked in server.requests
        } == {"Bearer sk-1"}
        retrieval = Retrieval([Notes("Refunds take ten days")], vectors=open_folders(home), embedder=embedder)
        assert titles(await retrieval.search(ADA, "refunds")) == ["Refunds"]
        await retrieval.aclose()
        assert embedder.digest == remote(server, key="sk-2").digest  # another key gives the same vectors


BAD: dict[str, Any] = {
    "no JSON": Reply(body=b"<html>"),
    "another shape": Reply(body=b'{"data": [{"vector": [1]}]}'),
    "too few": Reply(body=b'{"data": []}'),
    "no numbers": Reply(body=b'{"data": [{"index": 0, "embedding": ["a"]}]}'),
    "no finite numbers": Reply(body=b'{"data": [{"index": 0, "embedding": [NaN, 1.0]}]}'),
    "nothing in it": Reply(body=b'{"data": [{"index": 0, "embedding": []}]}'),
    "100 MB": Reply(size_bytes=100 * 2**20),
    "a failure": Reply(status=500),
    "a limit": Reply(status=429),
}


@pytest.mark.parametrize("case", BAD)
async def test_an_endpoint_that_misbehaves_is_unavailable(case: str) -> None:
    with ModelServer(lambda asked: BAD[case]) as server:
        embedder = remote(server)
        with pytest.raises(Unavailable):
            await embedder.embed(["x"])
        await embedder.aclose()


async def test_an_endpoint_that_refuses_or_may_not_be_called_is_said_so() -> None:
    with ModelServer(lambda asked: Reply(status=401)) as server:
        for embedder in (remote(server), remote(server, allowed=False)):
            with pytest.raises(InvalidArgument):
                await embedder.embed(["x"])
            await embedder.aclose()
        assert len(server.requests) == 1


async def test_a_local_model_is_read_when_it_is_the_one_that_was_named(tmp_path: Path, home: Path) -> None:
    path, tokenizer = write_model(tmp_path), write_tokenizer(tmp_path)
    digest = hashlib.sha256(path.read_bytes()).hexdigest()
    config = EmbedderConfig(kind="onnx", path=str(path), sha256=digest, tokenizer=str(tokenizer))
    embedder = OnnxEmbedder(config)
    found = await embedder.embed(["red green", "green red", "blue", ""])
    assert np.allclose(found[0], found[1]) and found[0] @ found[2] < 0.1
    assert np.allclose(found[0], [2**-0.5, 2**-0.5, 0], atol=1e-5)
    assert (await embedder.embed([])).shape[0] == 0
    retrieval = Retrieval([Notes("red green things", "blue things")], vectors=open_folders(home), embedder=embedder)
    assert titles(await retrieval.search(ADA, "blue", ("knowledge",)))[0] == "blue"
    await retrieval.aclose()


@pytest.mark.parametrize("harm", ["another hash", "no hash", "no file", "no model", "no tokenizer"])
async def test_another_file_is_never_read(tmp_path: Path, harm: str) -> None:
    path, tokenizer = write_model(tmp_path), write_tokenizer(tmp_path)
    if harm == "no model":
        path.write_bytes(b"garbage")
    if harm == "no tokenizer":
        tokenizer.write_text("{}")
    digest = {"another hash": "0" * 64, "no hash": ""}.get(harm, hashlib.sha256(path.read_bytes()).hexdigest())
    if harm == "no file":
        path.unlink()
    config = EmbedderConfig(kind="onnx", path=str(path), sha256=digest, tokenizer=str(tokenizer))
    with pytest.raises(PlatformError) as error:
        await OnnxEmbedder(config).embed(["x"])
    assert str(tmp_path) not in f"{error.value.message} {error.value.hint}"


def write_tokenizer(folder: Path) -> Path:
    from tokenizers import Tokenizer
    from tokenizers.models import WordLevel
    from tokenizers.pre_tokenizers import Whitespace

    made = Tokenizer(WordLevel({"[UNK]": 0, "red": 1, "green": 2, "blue": 3}, unk_token="[UNK]"))
    made.pre_tokenizer = Whitespace()
    made.save(str(folder / "tokenizer.json"))
    return folder / "tokenizer.json"


def write_model(folder: Path) -> Path:
    """A model of one layer, which looks a vector up for each token; written as bytes, since nothing here makes ONNX."""
    table = np.array([[0, 0, 0], [1, 0, 0], [0, 1, 0], [0, 0, 1]], dtype=np.float32)
    tensor = b"".join([number(1, 4), number(1, 3), number(2, 1), text(8, b"table"), text(9, table.tobytes())])
    node = b"".join([text(1, b"table"), text(1, b"input_ids"), text(2, b"states"), text(4, b"Gather")])
    graph = b"".join(
        [
            text(1, node),
            text(2, b"g"),
            text(5, tensor),
            text(11, value(b"input_ids", 7, 2)),
            text(12, value(b"states", 1, 3)),
        ]
    )
    path = folder / "model.onnx"
    path.write_bytes(number(1, 8) + text(7, graph) + text(8, number(2, 13)))
    return path


def value(name: bytes, kind: int, rank: int) -> bytes:
    shape = b"".join(text(1, text(2, b"d%d" % place)) for place in range(rank))
    return text(1, name) + text(2, text(1, number(1, kind) + text(2, shape)))


def number(field: int, given: int) -> bytes:
    return varint(field << 3) + varint(given)


def text(field: int, given: bytes) -> bytes:
    return varint(field << 3 | 2) + varint(len(given)) + given


def varint(given: int) -> bytes:
    found = bytearray()
    while given > 127:
        found.append(given & 127 | 128)
        given >>= 7
    return bytes(found) + struct.pack("B", given)
