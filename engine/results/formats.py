"""The formats of exports: what goes with what, and tables in, bytes of a file out."""

import io
import zlib
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, Protocol

from core.errors import Conflict

if TYPE_CHECKING:
    import pyarrow as pa

Format = Literal["CSV", "JSON", "AVRO", "PARQUET", "ARROW"]
Compression = Literal["GZIP", "DEFLATE", "NONE", "ZSTD"]

PAIRS: dict[Format, tuple[Compression, ...]] = {
    "CSV": ("GZIP", "NONE", "ZSTD"),
    "JSON": ("GZIP", "NONE", "ZSTD"),
    "AVRO": ("DEFLATE", "NONE"),
    "PARQUET": ("GZIP", "NONE", "ZSTD"),
    "ARROW": ("ZSTD", "NONE"),
}
"""What each format can be compressed with; the first is its default."""

_MEDIA = {
    "CSV": "text/csv; charset=utf-8",
    "JSON": "application/x-ndjson",
    "AVRO": "application/vnd.apache.avro",
    "PARQUET": "application/vnd.apache.parquet",
    "ARROW": "application/vnd.apache.arrow.file",
}
_ENDING = {"CSV": ".csv", "JSON": ".jsonl", "AVRO": ".avro", "PARQUET": ".parquet", "ARROW": ".arrow"}
_OUTER_MEDIA = {"GZIP": "application/gzip", "ZSTD": "application/zstd"}
_OUTER_ENDING = {"GZIP": ".gz", "ZSTD": ".zst"}
GZIP_LEVEL = 1  # five times the speed of the default, for a tenth more bytes
GROUP_ROWS, GROUP_BYTES = 128 * 1024, 64 * 2**20


def choose_compression(kind: Format, asked: Compression | None) -> Compression:
    """The compression asked for, or the format's default. Raises Conflict when the two do not go together."""
    if asked is None:
        return PAIRS[kind][0]
    if asked not in PAIRS[kind]:
        raise Conflict(f"{kind} is not written with {asked}.", hint=f"{kind} goes with {', '.join(PAIRS[kind])}.")
    return asked


def media_type(kind: str, compression: str) -> str:
    return _OUTER_MEDIA.get(compression, _MEDIA[kind]) if kind in ("CSV", "JSON") else _MEDIA[kind]


def file_ending(kind: str, compression: str) -> str:
    outer = _OUTER_ENDING.get(compression, "") if kind in ("CSV", "JSON") else ""
    return _ENDING[kind] + outer


class Encoder(Protocol):
    """Writes one file. Not for several threads at once."""

    def add(self, table: "pa.Table") -> bytes:
        """Take rows, and give what of the file is ready."""
        ...

    def end(self) -> bytes:
        """The rest of the file."""
        ...


def open_encoder(kind: Format, compression: Compression, schema: "pa.Schema", *, is_defused: bool = False) -> Encoder:
    """An encoder for tables of one schema. `is_defused`: CSV text that a spreadsheet would run gets a `'` before it."""
    if kind == "AVRO":
        from engine.results.avro import AvroEncoder  # brings fastavro

        return AvroEncoder(schema, compression)
    if kind == "PARQUET":
        return _Grouped(schema, lambda fitted, sink: _parquet(fitted, sink, compression), without_intervals)
    if kind == "ARROW":
        return _Grouped(schema, lambda fitted, sink: _arrow(fitted, sink, compression), lambda table: table)
    return _Text(kind, compression, is_defused=is_defused)


class _Text:
    """CSV and JSON lines, made a column at a time."""

    def __init__(self, kind: Format, compression: Compression, *, is_defused: bool):
        self._kind = kind
        self._is_defused = is_defused
        self._is_first = True
        self._squeeze = _squeezer(compression)

    def add(self, table: "pa.Table") -> bytes:
        from engine.results.text import csv_lines, json_lines

        if self._kind == "JSON":
            return self._squeeze(json_lines(table), False)
        lines = csv_lines(table, has_header=self._is_first, is_defused=self._is_defused)
        self._is_first = False
        return self._squeeze(lines, False)

    def end(self) -> bytes:
        return self._squeeze(b"", True)


def _squeezer(compression: Compression) -> Callable[[bytes, bool], bytes]:
    """Bytes in, compressed bytes out; the last call says that it is the last."""
    if compression == "GZIP":
        gzip = zlib.compressobj(GZIP_LEVEL, zlib.DEFLATED, 31)
        return lambda data, is_last: gzip.compress(data) + (gzip.flush() if is_last else b"")
    if compression == "ZSTD":
        return _zstd()
    return lambda data, is_last: data


def _zstd() -> Callable[[bytes, bool], bytes]:
    import pyarrow as pa

    sink = Growing()
    stream = pa.CompressedOutputStream(pa.PythonFile(sink, mode="w"), "zstd")

    def squeeze(data: bytes, is_last: bool) -> bytes:
        stream.write(data)
        if is_last:
            stream.close()
        return sink.take()

    return squeeze


class _Grouped:
    """Formats with groups of rows: small pieces are put together first, or readers would pay for each."""

    def __init__(
        self,
        schema: "pa.Schema",
        open_file: "Callable[[pa.Schema, Growing], Any]",
        fit: "Callable[[pa.Table], pa.Table]",
    ):
        self._fit = fit
        self._sink = Growing()
        self._writer = open_file(fit(schema.empty_table()).schema, self._sink)
        self._waiting: list[pa.Table] = []

    def add(self, table: "pa.Table") -> bytes:
        self._waiting.append(self._fit(table))
        rows, size = sum(item.num_rows for item in self._waiting), sum(item.nbytes for item in self._waiting)
        if rows >= GROUP_ROWS or size >= GROUP_BYTES:
            self._flush()
        return self._sink.take()

    def end(self) -> bytes:
        self._flush()
        self._writer.close()
        return self._sink.take()

    def _flush(self) -> None:
        import pyarrow as pa

        if any(table.num_rows for table in self._waiting):
            self._writer.write_table(pa.concat_tables(self._waiting))
        self._waiting = []


def _parquet(schema: "pa.Schema", sink: "Growing", compression: Compression) -> Any:
    import pyarrow.parquet as pq

    options: Any = {"compression": compression.lower()}
    if compression == "GZIP":
        options["compression_level"] = GZIP_LEVEL
    file: Any = sink
    return pq.ParquetWriter(file, schema, **options)


def _arrow(schema: "pa.Schema", sink: "Growing", compression: Compression) -> Any:
    import pyarrow as pa

    options = pa.ipc.IpcWriteOptions(compression="zstd" if compression == "ZSTD" else None)
    return pa.ipc.new_file(sink, schema, options=options)


def without_intervals(table: "pa.Table") -> "pa.Table":
    """Intervals of months, days and time as ISO 8601 text, where a format has no such type."""
    import pyarrow as pa

    from engine.results.text import interval_text

    for index, field in enumerate(table.schema):
        if pa.types.is_interval(field.type):
            values = [None if value is None else interval_text(value) for value in table.column(index).to_pylist()]
            table = table.set_column(index, field.name, pa.array(values, pa.string()))
    return table


class Growing(io.RawIOBase):
    """A file in memory that is emptied as it grows; it knows how much went through."""

    def __init__(self) -> None:
        super().__init__()
        self._parts: list[bytes] = []
        self._size = 0

    def writable(self) -> bool:
        return True

    def write(self, data: Any) -> int:
        part = bytes(data)
        self._parts.append(part)
        self._size += len(part)
        return len(part)

    def tell(self) -> int:
        return self._size

    def take(self) -> bytes:
        parts, self._parts = self._parts, []
        return parts[0] if len(parts) == 1 else b"".join(parts)
