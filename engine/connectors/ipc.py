"""Arrow batches as self-contained IPC streams of a megabyte or two, which may be passed on unread."""

import threading
from collections.abc import Iterable
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import pyarrow as pa

CHUNK_MIN_BYTES = 1_000_000
CHUNK_MAX_BYTES = 2_600_000
_loading = threading.Lock()


def load_arrow() -> None:
    """Load the library, by one thread: two that begin at once meet it half initialised."""
    with _loading:
        import pyarrow.ipc  # noqa: F401


def unique_names(schema: "pa.Schema") -> "pa.Schema":
    """The schema with repeated names told apart: `id`, `id_2`, `id_3`."""
    import pyarrow as pa

    taken = set(schema.names)
    if len(taken) == len(schema.names):
        return schema
    seen: set[str] = set()
    fields = []
    for field in schema:
        name, number = field.name, 1
        while name in seen or (number > 1 and name in taken):
            number += 1
            name = f"{field.name}_{number}"
        seen.add(name)
        fields.append(field.with_name(name))
    return pa.schema(fields)


def ipc_stream(schema: "pa.Schema", batches: "Iterable[pa.RecordBatch]", compression: str = "lz4") -> bytes:
    """One self-contained Arrow IPC stream."""
    import pyarrow as pa

    sink = pa.BufferOutputStream()
    codec = None if compression == "none" else pa.Codec("zstd" if compression == "zstd" else "lz4")
    options = pa.ipc.IpcWriteOptions(compression=codec)
    with pa.ipc.new_stream(sink, schema, options=options) as writer:
        for batch in batches:
            writer.write_batch(batch.rename_columns(schema.names) if batch.schema != schema else batch)
    return sink.getvalue().to_pybytes()


def split(batch: "pa.RecordBatch") -> "Iterable[pa.RecordBatch]":
    """The batch in parts that each fit a chunk, as far as rows can be parted."""
    if batch.nbytes <= CHUNK_MAX_BYTES or batch.num_rows < 2:
        return [batch]
    middle = batch.num_rows // 2
    return [*split(batch.slice(0, middle)), *split(batch.slice(middle))]


class Regrouped:
    """Collects batches into groups of the size of a chunk."""

    def __init__(self) -> None:
        self._waiting: list[pa.RecordBatch] = []
        self._size = 0

    def add(self, batch: "pa.RecordBatch") -> "Iterable[list[pa.RecordBatch]]":
        """The groups that are complete now."""
        for part in split(batch):
            if self._size + part.nbytes > CHUNK_MAX_BYTES and self._waiting:
                yield self.rest()
            self._waiting.append(part)
            self._size += part.nbytes
            if self._size >= CHUNK_MIN_BYTES:
                yield self.rest()

    def rest(self) -> "list[pa.RecordBatch]":
        waiting, self._waiting, self._size = self._waiting, [], 0
        return waiting
