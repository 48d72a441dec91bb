"""Bytes of uploads over a real gRPC channel."""

from collections.abc import AsyncIterator, Iterable
from pathlib import Path
from typing import Any

import grpc
import pytest
import pytest_asyncio
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from api.protolock import shipped_lock
from api.rpc import Rpc, build_rpcs
from headwater.faces import grpc_server
from tests.fixtures_results import Shop, opened_shop, shop_template

__all__ = ["shop_template"]

pytestmark = pytest.mark.asyncio(loop_scope="module")
DATA = bytes(range(256)) * 40
STATUS = grpc.StatusCode


class Line:
    """A channel to a platform's gRPC server."""

    def __init__(self, shop: Shop, rpc: Rpc, channel: grpc.aio.Channel):
        self.shop = shop
        self._rpc = rpc
        self._channel = channel

    async def send(self, parts: Iterable[dict[str, Any] | bytes], *, by: str = "ada", token: str | None = None) -> Any:
        if token is None:
            tenant = "other" if by == "olga" else "default"
            token = await self.shop.platform.engine.identity.mint(subject=by, tenant=tenant)
        raw = (part if isinstance(part, bytes) else self._rpc.request(**part).SerializeToString() for part in parts)
        channel: Any = self._channel
        call = channel.stream_unary(self._rpc.path)
        answer = await call(raw, metadata=(("authorization", f"Bearer {token}"),), timeout=20)
        return self._rpc.response.FromString(answer)

    async def refused(self, parts: Iterable[dict[str, Any] | bytes], **who: Any) -> tuple[grpc.StatusCode, str]:
        with pytest.raises(grpc.aio.AioRpcError) as error:
            await self.send(parts, **who)
        trailers: Any = dict(error.value.trailing_metadata() or ())  # type: ignore[arg-type]
        status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
        info = error_details_pb2.ErrorInfo()
        assert status.details[0].Unpack(info) and info.metadata["request_id"]
        return error.value.code(), str(status.message)

    async def open(self, size: int = len(DATA), **more: Any) -> str:
        return str((await self.shop.call("create_upload", name="a.csv", size_bytes=size, **more)).upload_id)

    async def received(self, upload_id: str) -> int:
        return int((await self.shop.call("get_upload", upload_id=upload_id)).received_bytes)


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def line(shop_template: Path, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Line]:
    async with opened_shop(shop_template, tmp_path_factory.mktemp("line")) as shop:
        server = grpc_server(shop.platform, shared=False)
        port = await server.start()
        rpcs = build_rpcs(shop.platform.dispatcher.registry, shipped_lock())
        async with grpc.aio.insecure_channel(f"127.0.0.1:{port}") as channel:
            yield Line(shop, rpcs.streams["/headwater.v1.AssetsService/SendUpload"], channel)
        await server.stop(0)


async def test_a_stream_fills_an_upload_and_can_be_resumed(line: Line) -> None:
    upload_id = await line.open()
    done = await line.send([{"upload_id": upload_id, "data": DATA[:1000]}, {"data": DATA[1000:1500]}])
    assert (done.received_bytes, done.status) == (1500, "open")
    rest = [{"upload_id": upload_id, "offset": 1500, "data": DATA[1500:2000]}, {"offset": 2000, "data": DATA[2000:]}]
    done = await line.send(rest)
    assert (done.received_bytes, done.status, done.name) == (len(DATA), "complete", "a.csv")
    _, path = await line.shop.platform.engine.uploads.source(await line.shop.who("ada"), upload_id)
    assert path.read_bytes() == DATA


async def test_who_may_not_send_sends_nothing(line: Line) -> None:
    upload_id = await line.open()
    parts = [{"upload_id": upload_id, "data": DATA}]
    assert (await line.refused(parts, token="nonsense"))[0] == STATUS.UNAUTHENTICATED
    assert (await line.refused(parts, token=""))[0] == STATUS.UNAUTHENTICATED
    for stranger in ("olga", "cora"):
        assert (await line.refused(parts, by=stranger))[0] == STATUS.NOT_FOUND
    await line.shop.give("ada", "viewer")
    assert (await line.refused(parts))[0] == STATUS.PERMISSION_DENIED
    await line.shop.give("ada", "editor")
    assert await line.received(upload_id) == 0


async def test_parts_out_of_order_and_of_other_uploads_are_refused(line: Line) -> None:
    upload_id, other = await line.open(), await line.open()
    first = {"upload_id": upload_id, "data": DATA[:100]}
    for wrong, start in (({"offset": 99}, 0), ({"offset": 101}, 100), ({"upload_id": other, "data": b"x"}, 200)):
        code, message = await line.refused([{**first, "offset": start}, {"data": b"", **wrong}])
        assert code == STATUS.FAILED_PRECONDITION and message
    for start in (0, 299, 301, -1):
        code, message = await line.refused([{**first, "offset": start}])
        assert code == STATUS.FAILED_PRECONDITION and "300" in message
    assert (await line.received(upload_id), await line.received(other)) == (300, 0)


async def test_too_many_bytes_and_wrong_ones_are_refused(line: Line) -> None:
    upload_id = await line.open(100)
    code, message = await line.refused([{"upload_id": upload_id, "data": b"x" * 60}] + [{"data": b"x" * 60}] * 1000)
    assert (code, await line.received(upload_id)) == (STATUS.FAILED_PRECONDITION, 60) and "100 bytes" in message
    digest = await line.open(10, sha256="0" * 64)
    assert (await line.refused([{"upload_id": digest, "data": b"x" * 10}]))[0] == STATUS.FAILED_PRECONDITION
    assert await line.received(digest) == 0
    full = await line.open(0)
    assert (await line.refused([{"upload_id": full, "data": b"x"}]))[0] == STATUS.FAILED_PRECONDITION


async def test_streams_that_say_nothing_are_refused(line: Line) -> None:
    nothing: list[list[dict[str, Any] | bytes]] = [
        [],
        [b"\xff\xff"],
        [{"data": b"x"}],
        [{"upload_id": ""}],
        [b"\xa0\x06\x01"],  # a field that there is not
    ]
    for parts in nothing:
        assert (await line.refused(parts))[0] == STATUS.INVALID_ARGUMENT
    upload_id = await line.open(100)
    assert (await line.refused([{"upload_id": upload_id, "data": b"abc"}, b"\xff"]))[0] == STATUS.INVALID_ARGUMENT
    assert await line.received(upload_id) == 3
