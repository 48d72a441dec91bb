"""Tools that do next to nothing, so that what is measured is the platform around them."""

from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from typing import TYPE_CHECKING, Any, Literal

from pydantic import Field, JsonValue

from core.context import Context
from core.portable import Model, Rows
from core.tool import Tool, tool

if TYPE_CHECKING:
    import pyarrow as pa

Ctx = Context[Any]
MADE_AT = datetime(2026, 1, 2, tzinfo=UTC)
STREAM_ROWS, STREAM_COLUMNS = 1_000_000, 10
# 0.65 MB a chunk. Above 1 MB the allocator gives each buffer back to the system, and the page faults of
# taking it again cost three times what sending costs.
CHUNK_ROWS = 8_192


class GetItem(Model):
    item_id: str = Field(description="Id, in the path.", max_length=64)
    is_full: bool = Field(False, description="Say more.")


class Item(Model):
    item_id: str = Field(description="Its id.")
    name: str = Field(description="Its name.")
    made_at: datetime = Field(description="When it was made (UTC).")


class Part(Model):
    """A nested thing."""

    name: str = Field(description="Its name.")
    weight: float | None = Field(None, description="In grams.")


class EchoItem(Model):
    """One field of each kind."""

    item_id: str = Field(description="Id, in the path.", max_length=64)
    text: str = Field("", description="A text.")
    count: int = Field(1, ge=0, description="A number.")
    ratio: float | None = Field(None, description="A real number.")
    is_big: bool = Field(True, description="A flag.")
    raw: bytes = Field(b"", description="Bytes.")
    at: datetime | None = Field(None, description="A time.")
    price: Decimal | None = Field(None, description="Exact money.")
    colour: Literal["red", "blue"] = Field("red", description="A choice.")
    mode: Literal["sync", "async"] = Field("sync", description="Another choice.")
    tags: list[str] = Field([], description="Texts.")
    parts: list[Part] = Field([], description="Nested models.")
    labels: dict[str, str] = Field({}, description="A map.")
    cell: JsonValue = Field(None, description="Any JSON.")


class ListItemRows(Model):
    count: int = Field(3, ge=0, le=10_000, description="Rows to make.")


class ItemRows(Model):
    data: Rows = Field(description="The rows.")
    row_count: int = Field(description="How many.")


class Ask(Model):
    """A request of ordinary size."""

    name: str = Field(description="A name, for example `sales`.", max_length=64)
    count: int = Field(1, ge=0, description="How many of them, at most.")
    tags: list[str] = Field([], description="Texts that all must be there.")


class Answer(Model):
    """A result of ordinary size."""

    name: str = Field(description="The name.")
    total: int = Field(description="A sum.")
    rows: list[Ask] = Field([], description="Some rows.")


class Chunk(Model):
    arrow_record_batch: bytes = Field(description="An Arrow IPC stream.")


class Sent(Model):
    row_count: int = Field(description="Rows in all.")


@tool("GET /bench/items/{item_id}", needs="catalog.read", effect="read")
async def get_item(ctx: Ctx, request: GetItem) -> Item:
    """Fetch one item."""
    return Item(item_id=request.item_id, name="an item", made_at=MADE_AT)


@tool("POST /bench/items/{item_id}/echo", needs="catalog.read", effect="read")
async def echo_item(ctx: Ctx, request: EchoItem) -> EchoItem:
    """Answer with what was sent."""
    return request


@tool("POST /bench/rows", needs="query.run", effect="read")
async def list_item_rows(ctx: Ctx, request: ListItemRows) -> ItemRows:
    """Make rows."""
    return item_rows(request.count)


@tool("POST /bench/ask", needs="catalog.read", effect="read")
async def get_answer(ctx: Ctx, request: Ask) -> Answer:
    """Answer what was asked."""
    return Answer(name=request.name, total=request.count, rows=[request] * 3)


@tool("POST /bench/stream", needs="query.run", effect="read", emits=Chunk)
async def stream_table(ctx: Ctx, request: Ask) -> Sent:
    """Send the resident table in chunks."""
    table = resident_table()
    for batch in table.to_batches(max_chunksize=CHUNK_ROWS):
        await ctx.emit(Chunk(arrow_record_batch=ipc_bytes(batch)))
    return Sent(row_count=table.num_rows)


def item_rows(count: int) -> ItemRows:
    rows = [{"id": number, "name": f"row {number}"} for number in range(count)]
    return ItemRows(data=Rows(lambda: rows), row_count=count)


@cache
def resident_table() -> "pa.Table":
    import pyarrow as pa  # lazily, as everywhere: not all benchmarks need it

    columns = range(STREAM_COLUMNS)
    return pa.table({f"c{number}": pa.array(range(number, STREAM_ROWS + number), pa.int64()) for number in columns})


def ipc_bytes(batch: "pa.RecordBatch") -> bytes:
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, batch.schema) as writer:
        writer.write_batch(batch)
    return sink.getvalue().to_pybytes()


def generated_tools(count: int) -> list[Tool]:
    """Tools with schemas of ordinary size."""
    return [_generated(number) for number in range(count)]


def _generated(number: int) -> Tool:
    async def run(ctx: Ctx, request: Ask) -> Answer:
        """Answer what was asked, with its rows.

        It computes nothing."""
        return Answer(name=request.name, total=request.count, rows=[request])

    run.__name__ = f"get_generated_{number}"
    declared = tool(f"POST /bench/generated/{number}", needs="catalog.read", effect="read")(run).__dict__["tool"]
    assert isinstance(declared, Tool)
    return declared
