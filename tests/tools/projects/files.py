"""Files in every format, uploads of them, and what a table holds afterwards."""

import gzip
from collections.abc import AsyncIterator
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq

from engine.results.formats import Format, open_encoder
from tests.fixtures_results import Shop

ROWS = pa.table({"id": [1, 2, 3], "name": ["a", None, "c"], "amount": [1.5, 2.5, None]})


def encoded(table: pa.Table, kind: Format) -> bytes:
    encoder = open_encoder(kind, "NONE", table.schema)
    return encoder.add(table) + encoder.end()


async def send(shop: Shop, name: str, data: bytes, *, by: str = "ada") -> str:
    made = await shop.call("create_upload", by=by, name=name, size_bytes=len(data))

    async def chunks() -> AsyncIterator[bytes]:
        yield data

    if data:
        await shop.platform.engine.uploads.receive(await shop.who(by), made.upload_id, 0, chunks())
    return str(made.upload_id)


async def make_table(shop: Shop, name: str = "t", schema: Any = None) -> str:
    if not (await shop.call("list_datasets")).datasets:
        await shop.call("create_dataset", name="sales", dataset_id="sales")
    made = await shop.call("create_managed_table", name=name, schema=schema, dataset_id="sales")
    return str(made.id)


async def load(shop: Shop, table_id: str, name: str, data: bytes, **arguments: Any) -> Any:
    upload_id = await send(shop, name, data, by=arguments.get("by", "ada"))
    return await shop.call("create_import_job", table_id=table_id, upload_id=upload_id, **arguments)


def rows(shop: Shop, name: str = "t") -> list[dict[str, Any]]:
    """The table as pyiceberg reads it."""
    lake = shop.platform.engine.lake
    table: Any = lake.commit_now("default", lambda catalog: catalog.load_table(("sales", name)))
    found: list[dict[str, Any]] = table.scan().to_arrow().to_pylist()
    return sorted(found, key=str)


def parquet(table: pa.Table) -> bytes:
    sink = pa.BufferOutputStream()
    pq.write_table(table, sink)
    return sink.getvalue().to_pybytes()


def gz(data: bytes) -> bytes:
    return gzip.compress(data)
