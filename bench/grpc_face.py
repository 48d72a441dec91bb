"""The gRPC face beside bare grpc.aio (CPU per unary call) and beside Arrow Flight (1 M rows as a stream).

Run: python -m bench.grpc_face. Servers run in processes of their own; rounds alternate, so that a noisy
machine disturbs both sides alike. `gate` is the dispatcher with ports in memory."""

import asyncio
import os
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import grpc
import pyarrow as pa
from pydantic import Field

from api.grpc import GrpcServer
from api.rpc import Rpcs, build_rpcs
from core.context import Context
from core.portable import Model
from core.registry import Registry
from core.settings import ServerSettings
from core.tool import Tool, tool
from tests.fakes.gate import dispatcher_over

CALLS, AT_ONCE, ROUNDS = 2_000, 16, 7
ROWS, COLUMNS = 1_000_000, 10
# 0.65 MB a chunk. Above 1 MB the allocator gives each buffer back to the system, and the page faults of
# taking it again cost three times what sending costs.
CHUNK_ROWS = 8_192
UNARY_BUDGET, STREAM_BUDGET = 2.0, 1.0
TOKEN = (("authorization", "Bearer viewer-token"),)
NO_LIMIT = [("grpc.max_receive_message_length", -1)]


class Ask(Model):
    """A request of ordinary size."""

    name: str = Field(description="A name.", max_length=64)
    count: int = Field(1, ge=0, description="A number.")
    tags: list[str] = Field([], description="Texts.")


class Answer(Model):
    """A result of ordinary size."""

    name: str = Field(description="The name.")
    total: int = Field(description="A sum.")
    rows: list[Ask] = Field([], description="Some rows.")


class Chunk(Model):
    arrow_record_batch: bytes = Field(description="An Arrow IPC stream.")


class Sent(Model):
    row_count: int = Field(description="Rows in all.")


@tool("POST /bench/ask", needs="catalog.read", effect="read")
async def get_answer(ctx: Context[None], request: Ask) -> Answer:
    """Answer what was asked."""
    return Answer(name=request.name, total=request.count, rows=[request] * 3)


@tool("POST /bench/rows", needs="query.run", effect="read", emits=Chunk)
async def stream_rows(ctx: Context[None], request: Ask) -> Sent:
    """Send the resident table in chunks."""
    for batch in TABLE.to_batches(max_chunksize=CHUNK_ROWS):
        await ctx.emit(Chunk(arrow_record_batch=encoded(batch)))
    return Sent(row_count=TABLE.num_rows)


TABLE = pa.table({})


def table() -> pa.Table:
    return pa.table({f"c{number}": pa.array(range(number, ROWS + number), pa.int64()) for number in range(COLUMNS)})


def encoded(batch: pa.RecordBatch) -> bytes:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def rpcs() -> Rpcs:
    return build_rpcs(registry(), Path("no-lock"))


def registry() -> Registry:
    declared = [run.__dict__["tool"] for run in (get_answer, stream_rows)]
    return Registry(item for item in declared if isinstance(item, Tool))


async def serve_ours() -> None:
    global TABLE
    TABLE = table()
    dispatcher, _ = dispatcher_over(registry())
    server = GrpcServer(dispatcher, rpcs(), settings=ServerSettings(grpc_port=0))
    print(await server.start(), flush=True)
    await asyncio.Event().wait()


async def serve_bare() -> None:
    """The same messages by generated-style handlers: what anyone would write without Headwater."""
    method = rpcs().by_tool["get_answer"]

    async def answer(request: Any, context: Any) -> Any:
        row = {"name": request.name, "count": request.count, "tags": list(request.tags)}
        return method.response(name=request.name, total=request.count, rows=[row] * 3)

    server = grpc.aio.server()
    handlers = {
        method.name: grpc.unary_unary_rpc_method_handler(
            answer,
            request_deserializer=method.request.FromString,
            response_serializer=method.response.SerializeToString,
        )
    }
    server.add_generic_rpc_handlers((grpc.method_handlers_generic_handler(method.service, handlers),))
    print(server.add_insecure_port("127.0.0.1:0"), flush=True)
    await server.start()
    await server.wait_for_termination()


def serve_flight() -> None:
    import pyarrow.flight as flight

    held = table()

    class Server(flight.FlightServerBase):
        def do_get(self, context: Any, ticket: Any) -> Any:
            return flight.RecordBatchStream(held)

    server = Server("grpc://127.0.0.1:0")
    print(server.port, flush=True)
    server.serve()


class Process:
    """One server in a process of its own."""

    def __init__(self, kind: str):
        command = [sys.executable, "-m", "bench.grpc_face", kind]
        self._process = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)
        assert self._process.stdout is not None
        self.port = int(self._process.stdout.readline())

    def cpu_s(self) -> float:
        fields = Path(f"/proc/{self._process.pid}/stat").read_text().rpartition(")")[2].split()
        return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")

    def stop(self) -> None:
        self._process.kill()
        self._process.wait()


async def unary_us(server: Process) -> float:
    """CPU of the server per call, in microseconds."""
    method = rpcs().by_tool["get_answer"]
    request = method.request(name="a name", count=3, tags=["one", "two", "three"])
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.port}") as channel:
        stub: Any = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

        async def some(count: int) -> None:
            for _ in range(count):
                await stub(request, metadata=TOKEN)

        await some(100)
        before = server.cpu_s()
        await asyncio.gather(*(some(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        return (server.cpu_s() - before) / (CALLS // AT_ONCE * AT_ONCE) * 1e6


def read_ours(server: Process) -> pa.Table:
    method = rpcs().by_tool["stream_rows"]
    with grpc.insecure_channel(f"127.0.0.1:{server.port}", NO_LIMIT) as channel:
        stub: Any = channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        batches = []
        for part in stub(method.request(name="all"), metadata=TOKEN):
            if part.HasField("arrow_record_batch"):
                batches += list(pa.ipc.open_stream(part.arrow_record_batch))
    return pa.Table.from_batches(batches)


def read_flight(server: Process) -> pa.Table:
    import pyarrow.flight as flight

    with flight.connect(f"grpc://127.0.0.1:{server.port}") as client:
        return client.do_get(flight.Ticket(b"all")).read_all()


def stream_ms(read: Callable[[Process], pa.Table], server: Process) -> tuple[float, float]:
    """Wall time, and CPU of server and client together, in milliseconds."""
    cpu, started = server.cpu_s() + time.process_time(), time.perf_counter()
    assert read(server).num_rows == ROWS
    wall = time.perf_counter() - started
    return wall * 1e3, (server.cpu_s() + time.process_time() - cpu) * 1e3


def verdict(what: str, unit: str, budget: float | None, pairs: Sequence[tuple[float, float]]) -> None:
    """The best of each side: on a shared machine the rest measures its other users."""
    ours, theirs = min(pair[0] for pair in pairs), min(pair[1] for pair in pairs)
    limit = f" (budget {budget:g})" if budget else ""
    print(f"{what:48} ours {ours:5.0f} {unit}  theirs {theirs:5.0f} {unit}  ratio {ours / theirs:.2f}{limit}")


def main() -> None:
    ours, bare, flight = Process("ours"), Process("bare"), Process("flight")
    try:
        calls = [(asyncio.run(unary_us(ours)), asyncio.run(unary_us(bare))) for _ in range(ROUNDS)]
        verdict("unary: server CPU, beside bare grpc.aio", "us", UNARY_BUDGET, calls)
        reads = [(stream_ms(read_ours, ours), stream_ms(read_flight, flight)) for _ in range(ROUNDS + 1)][1:]
        walls = [(mine[0], theirs[0]) for mine, theirs in reads]
        verdict("1 M rows x 10 columns: wall, beside Arrow Flight", "ms", STREAM_BUDGET, walls)
        cpus = [(mine[1], theirs[1]) for mine, theirs in reads]
        verdict("1 M rows x 10 columns: CPU of both ends", "ms", None, cpus)
    finally:
        for process in (ours, bare, flight):
            process.stop()


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["ours"]:
            asyncio.run(serve_ours())
        case ["bare"]:
            asyncio.run(serve_bare())
        case ["flight"]:
            serve_flight()
        case _:
            main()
