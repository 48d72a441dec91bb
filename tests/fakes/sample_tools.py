"""Tools of every shape that a face has to carry, for tests of the faces alone."""

import asyncio
import enum
from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Any, Literal

from pydantic import Field, JsonValue

from core.context import Context
from core.errors import Conflict, NotFound, RateLimited
from core.jobs import Progress
from core.portable import Model, Refers, Rows
from core.tool import ANYONE, SIGNED_IN, Empty, tool

Ctx = Context[Any]


class Colour(enum.StrEnum):
    RED = "red"
    BLUE = "blue"


class Part(Model):
    """A nested thing."""

    name: str = Field(description="Its name.")
    weight: float | None = Field(None, description="In grams.")


class EchoThing(Model):
    """One of each."""

    thing_id: str = Field(description="Id, in the path.", max_length=64)
    text: str = Field("", description="A text.")
    count: int = Field(1, ge=0, description="A number with a default other than zero.")
    ratio: float | None = Field(None, description="A real number.")
    is_big: bool = Field(True, description="A flag whose default is true.")
    raw: bytes = Field(b"", description="Bytes.")
    at: datetime | None = Field(None, description="A time.")
    price: Decimal | None = Field(None, description="Exact money.")
    colour: Colour = Field(Colour.RED, description="A choice.")
    mode: Literal["sync", "async"] = Field("sync", description="Another choice.")
    tags: list[str] = Field([], description="Texts.")
    parts: list[Part] = Field([], description="Nested models.")
    labels: dict[str, str] = Field({}, description="A map.")
    cell: JsonValue = Field(None, description="Any JSON.")


class GetThing(Model):
    thing_id: str = Field(description="Id, in the path.", max_length=64)
    verbose: bool = Field(False, description="Say more.")
    tags: list[str] = Field([], description="Texts, repeated.")


class Thing(Model):
    thing_id: str = Field(description="Its id.")
    name: str = Field(description="Its name.")
    made_at: datetime = Field(description="When it was made (UTC).")


class RowsRequest(Model):
    count: int = Field(3, ge=0, le=10_000, description="Rows to make.")


class RowsResult(Model):
    data: Rows = Field(description="The rows.")
    row_count: int = Field(description="How many.")


class Fail(Model):
    kind: Literal["conflict", "not_found", "rate", "crash", "sleep"] = Field(description="How to fail.")


class ConnectionRequest(Model):
    connection_id: Annotated[str, Refers("connection")] = Field(description="A connection.")


class Count(Model):
    to: int = Field(3, ge=0, le=1000, description="Count to this.")


class Counted(Model):
    total: int = Field(description="How far it came.")


@tool("POST /things/{thing_id}/echo", needs="catalog.read", effect="read")
async def echo_thing(ctx: Ctx, request: EchoThing) -> EchoThing:
    """Answer with what was sent."""
    return request


@tool("GET /things/{thing_id}", needs="catalog.read", effect="read")
async def get_thing(ctx: Ctx, request: GetThing) -> Thing:
    """Fetch one thing."""
    return Thing(thing_id=request.thing_id, name=f"thing {request.thing_id}", made_at=datetime(2026, 1, 2, tzinfo=UTC))


@tool("POST /things", needs="catalog.manage", effect="write", status=201, location="/things/{thing_id}")
async def create_thing(ctx: Ctx, request: Part) -> Thing:
    """Make a thing."""
    return Thing(thing_id="t1", name=request.name, made_at=datetime(2026, 1, 2, tzinfo=UTC))


@tool("DELETE /things/{thing_id}", needs="catalog.manage", effect="destroy", status=204)
async def delete_thing(ctx: Ctx, request: GetThing) -> Empty:
    """Delete a thing."""
    return Empty()


@tool("POST /things/rows", needs="query.run", effect="read")
async def list_rows(ctx: Ctx, request: RowsRequest) -> RowsResult:
    """Make rows."""
    return RowsResult(data=_rows(request.count), row_count=request.count)


@tool("POST /things/fail", needs="catalog.read", effect="read")
async def fail_thing(ctx: Ctx, request: Fail) -> Empty:
    """Fail as asked."""
    if request.kind == "conflict":
        raise Conflict("It is there already.", hint="Choose another name.")
    if request.kind == "not_found":
        raise NotFound("No such thing.")
    if request.kind == "rate":
        raise RateLimited("Too many.", retry_after_s=7)
    if request.kind == "sleep":
        await asyncio.sleep(30)
    raise RuntimeError("secret detail")


@tool("GET /things/connections/{connection_id}", needs=SIGNED_IN, effect="read")
async def get_connection_thing(ctx: Ctx, request: ConnectionRequest) -> Empty:
    """Touch a connection that must be visible."""
    return Empty()


@tool("GET //things/ping", "GET /things/ping", needs=ANYONE, effect="read")
async def ping(ctx: Ctx, request: Empty) -> Counted:
    """Answer anyone."""
    return Counted(total=1)


@tool("POST /things/count", needs="catalog.read", effect="read", emits=Progress)
async def count_things(ctx: Ctx, request: Count) -> Counted:
    """Count slowly, saying so."""
    for number in range(request.to):
        await ctx.emit(Progress(message=f"at {number}", done=number + 1, total=request.to))
    return Counted(total=request.to)


@tool("POST /things/rebuild", needs="catalog.manage", effect="write", job=True, emits=Progress)
async def rebuild_things(ctx: Ctx, request: Count) -> Counted:
    """Count as a durable job."""
    return await count_things(ctx, request)


def _rows(count: int) -> Rows:
    import io

    import pyarrow as pa

    table = pa.table({"id": list(range(count)), "name": [f"row {number}" for number in range(count)]})

    def arrow(compression: str) -> bytes:
        sink = io.BytesIO()
        codec: Any = None if compression == "none" else compression
        with pa.ipc.new_stream(sink, table.schema, options=pa.ipc.IpcWriteOptions(compression=codec)) as writer:
            writer.write_table(table)
        return sink.getvalue()

    return Rows(table.to_pylist, arrow)
