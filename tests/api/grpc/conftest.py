"""Real servers of both gRPC faces over the sample tools."""

import socket
from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import grpc
import pytest
import uvicorn
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from api.grpc import GrpcServer
from api.grpc_web import grpc_web_app
from api.rpc import Rpcs, build_rpcs
from core.context import Emit, Principal
from core.dispatch import Dispatcher
from core.jobs import Job, Progress
from core.registry import Registry
from core.settings import ServerSettings
from tests.fakes.gate import FakeGate, sample_dispatcher

VIEWER = (("authorization", "Bearer viewer-token"),)
ADMIN = (("authorization", "Bearer admin-token"),)
NOW = datetime(2026, 1, 2, tzinfo=UTC)


class Jobs:
    """A queue whose one job is done at once, unless nobody waits for it."""

    def __init__(self) -> None:
        self.waits: list[float] = []

    async def submit(self, principal: Principal, tool: str, request_json: str, **kwargs: Any) -> Job:
        return Job(job_id="j1", tool=tool, status="pending", owner=principal.subject, created_at=NOW, updated_at=NOW)

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        self.waits.append(timeout_s)
        await emit(Progress(message="half", done=1, total=2))
        job = await self.submit(principal, "rebuild_things", "")
        return job.model_copy(update={"status": "succeeded", "result": {"total": 2}})


@dataclass(frozen=True)
class Served:
    """A running pair of faces and what they serve."""

    gate: FakeGate
    jobs: Jobs
    rpcs: Rpcs
    dispatcher: Dispatcher[None]

    def method(self, name: str) -> Any:
        return self.rpcs.methods[f"/headwater.v1.TestsService/{name}"]


def _served() -> Served:
    sample, gate = sample_dispatcher()
    registry = Registry.walk(["tests.fakes.sample_tools", "tests.api.grpc.more_tools"])
    jobs = Jobs()
    ports = replace(sample._ports, jobs=jobs)
    dispatcher = Dispatcher(registry, None, ports, timeout_s=0.5)
    return Served(gate, jobs, build_rpcs(registry, Path("no-lock")), dispatcher)


@pytest.fixture
def served() -> Served:
    return _served()


class Client:
    """Calls methods over a real channel."""

    def __init__(self, served: Served, channel: grpc.aio.Channel):
        self.channel = channel
        self._served = served

    def start(self, name: str, arguments: dict[str, Any] | None = None, **kwargs: Any) -> Any:
        method = self._served.method(name)
        make = self.channel.unary_stream if method.is_streaming else self.channel.unary_unary
        stub = make(
            method.path,
            request_serializer=method.request.SerializeToString,
            response_deserializer=method.response.FromString,
        )
        kwargs.setdefault("metadata", VIEWER)
        return stub(method.request(**(arguments or {})), **kwargs)

    async def parts(self, name: str, arguments: dict[str, Any] | None = None, **kwargs: Any) -> list[Message]:
        return [part async for part in self.start(name, arguments, **kwargs)]

    async def raw(self, name: str, content: bytes, metadata: Any = VIEWER) -> bytes:
        answer: bytes = await self.channel.unary_unary(self._served.method(name).path, None, None)(
            content, metadata=metadata
        )
        return answer


@pytest.fixture
async def server(served: Served) -> AsyncIterator[int]:
    running = GrpcServer(served.dispatcher, served.rpcs, settings=ServerSettings(grpc_port=0, max_body_mb=1))
    port = await running.start()
    yield port
    await running.stop(0)


@pytest.fixture
async def client(served: Served, server: int) -> AsyncIterator[Client]:
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server}") as channel:
        yield Client(served, channel)


@pytest.fixture
async def web(served: Served) -> AsyncIterator[str]:
    app = grpc_web_app(served.dispatcher, served.rpcs, settings=ServerSettings(max_body_mb=1))
    with socket.socket() as opened:
        opened.bind(("127.0.0.1", 0))
        config = uvicorn.Config(app, lifespan="off", log_config=None, access_log=False)
        config.load()
        running = uvicorn.Server(config)
        running.lifespan = config.lifespan_class(config)
        await running.startup(sockets=[opened])  # without `serve`, whose loop ends a tenth of a second late
        yield f"http://127.0.0.1:{opened.getsockname()[1]}"
        await running.shutdown(sockets=[opened])


@dataclass(frozen=True)
class Failure:
    """An error as a client reads it from the rich status."""

    code: str
    message: str
    hint: str
    request_id: str
    retry_after_s: float | None


def read_failure(raw: bytes) -> Failure:
    status = status_pb2.Status.FromString(raw)
    info, retry = error_details_pb2.ErrorInfo(), error_details_pb2.RetryInfo()
    status.details[0].Unpack(info)
    assert info.domain == "headwater"
    delay = retry.retry_delay.seconds if len(status.details) > 1 and status.details[1].Unpack(retry) else None
    return Failure(info.reason, status.message, info.metadata["hint"], info.metadata["request_id"], delay)


async def failure_of(call: Any) -> tuple[grpc.StatusCode, Failure]:
    with pytest.raises(grpc.aio.AioRpcError) as caught:
        await call
    pairs: Any = caught.value.trailing_metadata()
    trailers = dict(pairs)
    failure = read_failure(trailers["grpc-status-details-bin"])
    assert caught.value.details() == failure.message
    return caught.value.code(), failure
