"""Streams over HTTP: Server-Sent Events, and Arrow chunks joined to one Arrow IPC stream."""

import json
import re
import struct
from collections.abc import Iterator

from pydantic import BaseModel

SSE = "text/event-stream"
ARROW = "application/vnd.apache.arrow.stream"
ARROW_FIELD = "arrow_record_batch"
END_OF_STREAM = b"\xff\xff\xff\xff\x00\x00\x00\x00"
KEEP_ALIVE = b": keep-alive\n\n"


def sse_event(name: str, data: str, number: int) -> bytes:
    """One event; `data` is JSON, which has no line breaks of its own."""
    return f"id: {number}\nevent: {name}\ndata: {data}\n\n".encode()


def event_name(part: BaseModel) -> str:
    """`QueryChunk` gives `query_chunk`; a part with a text `event` names itself."""
    own = getattr(part, "event", None)
    if isinstance(own, str) and own:
        return own
    return re.sub(r"(?<=[a-z0-9])(?=[A-Z])", "_", type(part).__name__).lower()


def event_data(part: BaseModel) -> str:
    """The part as JSON; a part with a name of its own has data of its own too, under `sse_data`."""
    return getattr(part, "sse_data", None) or part.model_dump_json()


def error_data(body: dict[str, str]) -> str:
    return json.dumps({"error": body})


class ArrowJoin:
    """Joins self-contained Arrow IPC streams of one schema into a single stream.

    Only the framing is read: the schema message of later chunks and the end marks are left out.
    Dictionaries of a later chunk replace the earlier ones, as the stream format allows."""

    def __init__(self) -> None:
        self._schema: bytes | None = None

    def add(self, chunk: bytes) -> bytes:
        """What a chunk contributes. Raises ValueError when it is no stream, or of another schema."""
        bounds = list(_messages(chunk))
        if not bounds:
            raise ValueError("an Arrow chunk holds no schema")
        schema = chunk[: bounds[0]]
        if self._schema is None:
            self._schema = schema
            return chunk[: bounds[-1]]
        if schema != self._schema:
            raise ValueError("the schema of an Arrow stream changed between chunks")
        return chunk[bounds[0] : bounds[-1]]

    def end(self) -> bytes:
        return END_OF_STREAM


def _messages(chunk: bytes) -> Iterator[int]:
    """Where each message of an IPC stream ends: marker, metadata length, metadata, body."""
    at = 0
    while at + 8 <= len(chunk):
        marker, length = struct.unpack_from("<Ii", chunk, at)
        if marker != 0xFFFFFFFF or length < 0 or at + 8 + length > len(chunk):
            raise ValueError("an Arrow chunk is not an IPC stream")
        if length == 0:
            return
        at += 8 + length + _body_length(chunk, at + 8)
        yield at
    if at != len(chunk):
        raise ValueError("an Arrow chunk ends inside a message")


def _body_length(chunk: bytes, start: int) -> int:
    """`Message.bodyLength`: the fourth field of the flatbuffer table at `start`; absent means 0."""
    table = start + int(struct.unpack_from("<I", chunk, start)[0])
    vtable = table - int(struct.unpack_from("<i", chunk, table)[0])
    size, slot = struct.unpack_from("<H", chunk, vtable)[0], 4 + 2 * 3
    offset = struct.unpack_from("<H", chunk, vtable + slot)[0] if size > slot else 0
    return int(struct.unpack_from("<q", chunk, table + offset)[0]) if offset else 0
