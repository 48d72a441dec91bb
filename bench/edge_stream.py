"""1 M rows x 10 columns through the data plane's process, passed on unread, beside Arrow Flight over the same Parquet.

Both ends count: the data plane, the process that reads it, and Flight's server and client. `bench grpc_face` measures
the whole way, gRPC face and governance included, over a server whose statements run in its data plane."""

import asyncio
import sys
import tempfile
import time
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet

from bench._measure import Process, compare, cpu_s
from bench._tools import STREAM_ROWS, resident_table
from bench.grpc_face import STREAM_ROUNDS, read_flight, serve_flight
from core.context import Cancellation
from engine.connectors.connector import ConnectionSpec, Connector, QueryLimits
from engine.connectors.places import Places
from engine.connectors.pool import Connectors
from engine.lake.warehouse import Lake
from headwater.edge.edges import Edges
from headwater.settings import read_settings

BUDGET = 1.5
LIMITS = QueryLimits(max_rows=10**9, max_bytes=2**62, timeout_s=60)
THIS = ("bench.edge_stream",)


async def stream_ms(connector: Connector, source: str, pid: int) -> tuple[float, float]:
    """Wall time, and CPU of the data plane and of this process."""
    cpu, started = cpu_s(pid) + time.process_time(), time.perf_counter()
    stream = await connector.execute(f"SELECT * FROM {source}", {}, limits=LIMITS, cancelled=Cancellation())
    batches = [batch async for chunk in stream.chunks() for batch in pa.ipc.open_stream(chunk)]
    assert pa.Table.from_batches(batches).num_rows == STREAM_ROWS
    wall = time.perf_counter() - started
    return wall * 1e3, (cpu_s(pid) + time.process_time() - cpu) * 1e3


def flight_ms(server: Process) -> tuple[float, float]:
    cpu, started = server.cpu_s() + time.process_time(), time.perf_counter()
    assert read_flight(server, b"query").num_rows == STREAM_ROWS
    wall = time.perf_counter() - started
    return wall * 1e3, (server.cpu_s() + time.process_time() - cpu) * 1e3


async def measure(folder: Path, other: Process) -> list[tuple[Any, Any]]:
    data = folder / "data"
    settings = read_settings(folder / "home", query={"allowed_roots": [str(data)]})
    edges, lake = Edges(settings), Lake(settings.home / "warehouse")
    connectors = Connectors(
        lake=lake,
        places=Places(home=settings.home, roots=[data]),
        settings=settings.query,
        temp_directory=settings.home / "tmp",
        wrap=edges.wrap(lake),
    )
    try:
        edges.start()
        connector = await connectors.get(ConnectionSpec("bench", "files", "files", "files", {"path": str(data)}))
        source = (await connector.sources(["rows"]))["rows"]
        await connector.check()
        pid = int(edges.facts["pid"])
        pairs = [(await stream_ms(connector, source, pid), flight_ms(other)) for _ in range(STREAM_ROUNDS + 1)]
    finally:
        await connectors.close()
        await edges.close()
    return pairs[1:]


def main() -> None:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        (folder / "data").mkdir()
        path = folder / "data" / "rows.parquet"
        pa.parquet.write_table(resident_table(), path)
        with Process(*THIS, "flight", str(path)) as other:
            pairs = asyncio.run(measure(folder, other))
    compare("1 M x 10 through the data plane: wall, beside Flight", "ms", [(a[0], b[0]) for a, b in pairs], BUDGET)
    compare("1 M x 10 through the data plane: CPU of both ends", "ms", [(a[1], b[1]) for a, b in pairs])


if __name__ == "__main__":
    if sys.argv[1:2] == ["flight"]:
        serve_flight(sys.argv[2])
    else:
        main()
