"""gRPC beside bare grpc.aio (CPU of the serving process per unary call), and beside Arrow Flight (a stream
of 1 M rows x 10 columns), with `headwater serve` as it is.

The stream is measured twice: a table that both servers hold, and a governed query (`execute_query_stream`
over Parquet) beside a Flight server that runs the same SELECT in DuckDB, both compressed with LZ4."""

import asyncio
import json
import sys
import time
from collections.abc import Callable
from contextlib import ExitStack
from functools import partial
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pyarrow.parquet
from pyarrow import flight

from api.protolock import shipped_lock
from api.rpc import Rpc, build_rpcs
from bench._measure import Process, compare
from bench._platform import registry_of
from bench._tools import STREAM_ROWS, resident_table

CALLS, AT_ONCE, ROUNDS = 1_200, 16, 11
STREAM_ROUNDS = 9
UNARY_BUDGET, HELD_BUDGET, QUERY_BUDGET = 2.0, 1.0, 1.5
NO_LIMIT = [("grpc.max_receive_message_length", -1)]
SELECT = "SELECT * FROM {table}"
Methods = dict[str, Rpc]
Sample = tuple[float, float]


def methods() -> Methods:
    return build_rpcs(registry_of("tools"), shipped_lock()).by_tool


async def serve_bare() -> None:
    """The same messages by generated-style handlers: what anyone would write without Headwater."""
    method = methods()["get_answer"]

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
    print(json.dumps({"grpc": server.add_insecure_port("127.0.0.1:0")}), flush=True)
    await server.start()
    await server.wait_for_termination()


def serve_flight(parquet: str) -> None:
    """The resident table, and with a ticket `query` the Parquet file read by DuckDB."""
    import duckdb

    table, database = resident_table(), duckdb.connect()

    class Server(flight.FlightServerBase):
        def do_get(self, context: Any, ticket: Any) -> Any:
            if ticket.ticket != b"query":
                return flight.RecordBatchStream(table)
            select = SELECT.format(table=f"'{parquet}'")
            rows = database.cursor().execute(select).to_arrow_reader(32_768)
            return flight.RecordBatchStream(rows, options=pa.ipc.IpcWriteOptions(compression="lz4"))

    server = Server("grpc://127.0.0.1:0")
    print(json.dumps({"grpc": server.port}), flush=True)
    server.serve()


async def unary_us(server: Process, method: Rpc, token: str) -> float:
    """CPU of the server per call, in microseconds."""
    request = method.request(name="a name", count=3, tags=["one", "two", "three"])
    metadata = (("authorization", f"Bearer {token}"),)
    async with grpc.aio.insecure_channel(f"127.0.0.1:{server.facts['grpc']}") as channel:
        stub: Any = channel.unary_unary(method.path, method.request.SerializeToString, method.response.FromString)

        async def some(count: int) -> None:
            for _ in range(count):
                await stub(request, metadata=metadata)

        await some(50)
        before = server.cpu_s()
        await asyncio.gather(*(some(CALLS // AT_ONCE) for _ in range(AT_ONCE)))
        return (server.cpu_s() - before) / CALLS * 1e6


def read_ours(server: Process, method: Rpc, request: dict[str, str]) -> pa.Table:
    metadata = (("authorization", f"Bearer {server.facts['token']}"),)
    with grpc.insecure_channel(f"127.0.0.1:{server.facts['grpc']}", NO_LIMIT) as channel:
        stub: Any = channel.unary_stream(method.path, method.request.SerializeToString, method.response.FromString)
        batches = []
        for part in stub(method.request(**request), metadata=metadata):
            if part.HasField("arrow_record_batch"):
                batches += list(pa.ipc.open_stream(part.arrow_record_batch))
    return pa.Table.from_batches(batches)


def read_flight(server: Process, ticket: bytes) -> pa.Table:
    with flight.connect(f"grpc://127.0.0.1:{server.facts['grpc']}") as client:
        return client.do_get(flight.Ticket(ticket)).read_all()


def stream_ms(read: Callable[[Process], pa.Table], server: Process) -> Sample:
    """Wall time, and CPU of server and client together, in milliseconds."""
    cpu, started = server.cpu_s() + time.process_time(), time.perf_counter()
    assert read(server).num_rows == STREAM_ROWS
    wall = time.perf_counter() - started
    return wall * 1e3, (server.cpu_s() + time.process_time() - cpu) * 1e3


def compare_streams(what: str, mine: Callable[[], Sample], theirs: Callable[[], Sample], budget: float) -> None:
    pairs = [(mine(), theirs()) for _ in range(STREAM_ROUNDS + 1)][1:]
    compare(f"{what}: wall, beside Flight", "ms", [(a[0], b[0]) for a, b in pairs], budget)
    compare(f"{what}: CPU of both ends", "ms", [(a[1], b[1]) for a, b in pairs])


def connect_files(server: Process, folder: Path) -> None:
    body = {"connection_id": "files", "name": "files", "kind": "files", "options": {"path": str(folder)}}
    headers = {"authorization": f"Bearer {server.facts['token']}"}
    url = f"http://127.0.0.1:{server.facts['rest']}/v1/connections"
    httpx.post(url, json=body, headers=headers, timeout=60).raise_for_status()


def main() -> None:
    known = methods()
    with ExitStack() as stack:
        ours, bare = (stack.enter_context(Process(*command)) for command in (OURS, (*THIS, "bare")))
        answer, token = known["get_answer"], ours.facts["token"]  # the same request for both
        calls = [
            (asyncio.run(unary_us(ours, answer, token)), asyncio.run(unary_us(bare, answer, token)))
            for _ in range(ROUNDS + 1)
        ]
        compare("unary: server CPU, beside bare grpc.aio", "us", calls[1:], UNARY_BUDGET)
        folder = Path(ours.facts["data"])
        pa.parquet.write_table(resident_table(), folder / "rows.parquet")
        connect_files(ours, folder)
        other = stack.enter_context(Process(*THIS, "flight", str(folder / "rows.parquet")))
        held = partial(read_ours, method=known["stream_table"], request={"name": "all"})
        query = {"sql": SELECT.format(table="rows"), "connection_id": "files"}
        asked = partial(read_ours, method=known["execute_query_stream"], request=query)
        for what, mine, ticket, budget in (
            ("1 M x 10 held in memory", held, b"held", HELD_BUDGET),
            ("1 M x 10 by execute_query_stream", asked, b"query", QUERY_BUDGET),
        ):
            theirs = partial(stream_ms, partial(read_flight, ticket=ticket), other)
            compare_streams(what, partial(stream_ms, mine, ours), theirs, budget)


OURS, THIS = ("bench._server", "tools"), ("bench.grpc_face",)

if __name__ == "__main__":
    match sys.argv[1:]:
        case ["bare"]:
            asyncio.run(serve_bare())
        case ["flight", parquet]:
            serve_flight(parquet)
        case _:
            main()
