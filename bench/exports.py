"""Exports: CPU of a whole export (read the sealed result, encode, seal, store) beside the bare library's for one file.

1 M rows x 9 columns, of the kinds of TPC-H's orders. The last column is our CPU over the library's."""

import asyncio
import gzip
import io
import os
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import duckdb
import fastavro
import pyarrow as pa
import pyarrow.csv as pv
import pyarrow.parquet as pq
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from sqlalchemy import insert

from bench._measure import compare
from core.context import Cancellation, JobRun, Principal
from engine.results.avro import avro_type
from engine.results.exports import Exports, Wish
from engine.results.folder import FolderObjects
from engine.results.formats import PAIRS, Compression, Format
from engine.results.links import Links
from engine.results.manifests import Outcome
from engine.results.shelf import Shelf
from engine.results.stored import Send, StoredResults
from engine.sql.rows import ipc_stream
from engine.store.db import Store, sqlite_url
from engine.store.tables import jobs, metadata

ROWS = 1_000_000
ROWS_OF_A_PIECE = 20_000
ROUNDS = 3
SLOW = ("AVRO",)  # one round: fastavro works a record at a time, on both sides
ADA = Principal("ada", "acme")
ORDERS = f"""
SELECT i AS o_orderkey, (i * 7919) % 150000 AS o_custkey, ['O', 'F', 'P'][1 + i % 3] AS o_orderstatus,
       ((i * 104729) % 50000000 / 100)::DECIMAL(15, 2) AS o_totalprice,
       DATE '1992-01-01' + (i % 2400)::INTEGER AS o_orderdate,
       (1 + i % 5) || '-PRIORITY' AS o_orderpriority, 'Clerk#' || lpad((i % 1000)::VARCHAR, 9, '0') AS o_clerk,
       0 AS o_shippriority, 'final deposits sleep furiously ' || md5(i::VARCHAR) AS o_comment
FROM range({ROWS}) r(i)
"""


class Desk:
    """A result of a million rows, and what exports it."""

    def __init__(self, folder: Path):
        key = AESGCM(bytes(32))
        self.store = Store(sqlite_url(folder))
        metadata.create_all(self.store.engine)

        def seal(tenant: str, data: bytes, aad: bytes) -> bytes:
            nonce = os.urandom(12)
            return nonce + key.encrypt(nonce, data, aad)

        async def look(by: Principal, connection_id: str) -> Any:
            return SimpleNamespace(find=lambda parts: None)

        self.shelf = Shelf(
            store=self.store,
            objects=FolderObjects(folder / "store"),
            seal=seal,
            unseal=lambda tenant, data, aad: key.decrypt(data[:12], data[12:], aad),
            look=look,
            keep_s=1e6,
            max_bytes=2**40,
        )
        self.results = StoredResults(self.shelf)
        self.exports = Exports(self.shelf, self.results, Links(bytes(32)))

    async def begin(self, job_id: str) -> JobRun:
        texts = {"tenant_id": "acme", "job_id": job_id, "tool": "t", "owner": "ada", "principal": "{}", "request": "{}"}
        more = {"request_id": "r", "idempotency_key": "", "status": "running", "worker": "", "cancel_requested": 0}
        numbers = {"attempt": 1, "fence": 1, "created_at": 0.0, "updated_at": 0.0}
        row = {**texts, **more, **numbers}
        await self.store.write(lambda connection: connection.execute(insert(jobs).values(**row)))
        return JobRun(job_id, 1, 1, SimpleNamespace())  # type: ignore[arg-type]

    async def keep(self, table: pa.Table) -> None:
        async def produce(send: Send) -> Outcome:
            for batch in table.to_batches(max_chunksize=ROWS_OF_A_PIECE):
                await send(ipc_stream(table.schema, [batch]))
            return Outcome("bench", [], [])

        await self.results.write(ADA, await self.begin("result"), [], "bench", produce)

    async def export(self, name: str, kind: Format, compression: Compression) -> float:
        async def report(done: int, total: int) -> None:
            return None

        run, wish = await self.begin(name), Wish(kind, compression)
        started = time.process_time()
        await self.exports.write(ADA, run, "result", wish, cancelled=Cancellation(), report=report)
        return time.process_time() - started


def bare(table: pa.Table, kind: Format, compression: Compression, folder: Path) -> Callable[[], object]:
    """The same file, written by a library alone."""
    path = str(folder / "bare")
    if kind == "CSV":
        return lambda: _csv(table, compression, path)
    if kind == "JSON":
        option = {"NONE": "uncompressed", "GZIP": "gzip", "ZSTD": "zstd"}[compression]
        return lambda: duckdb.sql(f"COPY (FROM bare_table) TO '{path}' (FORMAT json, COMPRESSION {option})")
    if kind == "PARQUET":
        level = 1 if compression == "GZIP" else None
        options: Any = {"compression": compression.lower(), "compression_level": level}
        return lambda: pq.write_table(table, path, **options)
    if kind == "ARROW":
        return lambda: _arrow(table, compression, path)
    return lambda: _avro(table, compression, path)


def _csv(table: pa.Table, compression: Compression, path: str) -> None:
    if compression == "GZIP":
        with gzip.open(path, "wb", compresslevel=1) as file:
            pv.write_csv(table, file)
    elif compression == "ZSTD":
        with pa.CompressedOutputStream(path, "zstd") as stream:
            pv.write_csv(table, stream)
    else:
        pv.write_csv(table, path)


def _arrow(table: pa.Table, compression: Compression, path: str) -> None:
    options = pa.ipc.IpcWriteOptions(compression="zstd" if compression == "ZSTD" else None)
    with pa.OSFile(path, "wb") as file, pa.ipc.new_file(file, table.schema, options=options) as writer:
        writer.write_table(table)


def _avro(table: pa.Table, compression: Compression, path: str) -> None:
    fields = [{"name": field.name, "type": ["null", avro_type(field.type, field.name)]} for field in table.schema]
    codec = "deflate" if compression == "DEFLATE" else "null"
    schema = {"type": "record", "name": "Row", "fields": fields}
    records = (row for batch in table.to_batches(max_chunksize=ROWS_OF_A_PIECE) for row in batch.to_pylist())
    with io.FileIO(path, "wb") as file:
        fastavro.writer(file, schema, records, codec=codec, codec_compression_level=1)  # type: ignore[arg-type]


def _timed(work: Callable[[], object]) -> float:
    started = time.process_time()
    work()
    return time.process_time() - started


async def main(only: list[str]) -> None:
    with tempfile.TemporaryDirectory() as name:
        folder, table = Path(name), duckdb.sql(ORDERS).to_arrow_table()
        duckdb.register("bare_table", table)
        desk = Desk(folder)
        await desk.keep(table)
        for kind, compressions in PAIRS.items():
            for compression in compressions if not only or kind in only else ():
                write, pairs = bare(table, kind, compression, folder), []
                for number in range(1 if kind in SLOW else ROUNDS):
                    ours = await desk.export(f"{kind}-{compression}-{number}", kind, compression)
                    pairs.append((ours * 1000, await asyncio.to_thread(_timed, write) * 1000))
                compare(f"{kind} {compression}, {ROWS:,} rows x {table.num_columns}", "ms", pairs)
        desk.store.close()


if __name__ == "__main__":
    asyncio.run(main(sys.argv[1:]))
