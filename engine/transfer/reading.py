"""Reads a file with a DuckDB that can open it, the table's folder, and nothing else."""

import re
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import duckdb
import pyarrow as pa
import pyarrow.parquet as pq

from core.errors import Conflict
from engine.connectors.duck import extension_path, quote
from engine.transfer.avro_blocks import check_blocks
from engine.transfer.sifting import LINE_BYTES, Dialect, read_header
from engine.transfer.sources import Source
from engine.transfer.types import kept_type

BATCH_BYTES = 512 * 2**20
SAMPLE_ROWS = 20_480
KEYS_BYTES = 64 * 2**20  # JSON up to here is looked through for keys that the sample does not have
ARROW = "arrow_source"
SIFTED = "sifted.csv"  # in the folder for temporary files
# Pattern in DuckDB's message, what to say, what to do next. First match wins.
_FAILURES = (
    (
        "[Mm]aximum line size|max_line_size|does not support a full read",
        "A line of the file is longer than 8 MB.",
        "Check its quotes and newlines.",
    ),
    ("maximum_object_size|object exceeds", "An object of the file is larger than 8 MB.", "Write one object a line."),
    ("Out of Memory|failed to allocate|could not allocate", "A row of the file is too large.", "Split its values."),
    ("No magic bytes|too small to be a|truncated|Invalid footer|metadata", "The file is damaged or cut off.", ""),
    ("sniffing|detect", "The file's columns cannot be told.", "Give `delimiter`, or check that it is CSV."),
    ("[Uu]nicode|utf-8|UTF8|byte sequence", "The file is not UTF-8 text.", "Convert it to UTF-8."),
    ("Unimplemented type for cast|No function matches", "A column cannot become what the table's is.", "Convert it."),
)


@dataclass(frozen=True, slots=True)
class CsvOptions:
    """How a CSV file is written; None means that the file tells."""

    delimiter: str | None = None
    has_header: bool = True
    null_text: str = ""
    quote: str = '"'


@dataclass(frozen=True, slots=True)
class Reading:
    """A file that was looked into: its columns in order, with the types that a table would give them."""

    source: Source
    columns: Mapping[str, str]
    csv: Mapping[str, str] = field(default_factory=dict)  # what read_csv is told, in SQL
    dialect: Dialect | None = None
    kinds: Mapping[str, str] = field(default_factory=dict)  # the columns' types as DuckDB has found them


@contextmanager
def opened(
    source: Source, *, folder: Path, memory_mb: int, threads: int, temp: Path
) -> Iterator["duckdb.DuckDBPyConnection"]:
    """A DuckDB of this import's own."""
    connection = duckdb.connect(
        config={
            "memory_limit": f"{memory_mb}MB",
            "threads": str(threads),
            "preserve_insertion_order": "false",
            "temp_directory": str(temp),
            "autoload_known_extensions": "false",
            "autoinstall_known_extensions": "false",
            "python_enable_replacements": "false",
        }
    )
    try:
        if source.format == "AVRO":
            connection.execute(f"LOAD {quote(str(extension_path('avro')))}")
        connection.execute("SET TimeZone='UTC'")
        paths = ", ".join(quote(str(path)) for path in (source.path, temp / SIFTED))
        connection.execute(f"SET allowed_paths=[{paths}]")
        connection.execute(f"SET allowed_directories=[{quote(str(folder))}]")
        connection.execute("SET enable_external_access=false")
        connection.execute("SET lock_configuration=true")
        yield connection
    finally:
        connection.close()


def look(connection: "duckdb.DuckDBPyConnection", source: Source, csv: CsvOptions) -> Reading:
    """The file's columns. Raises Conflict when it is not what it should be."""
    options: dict[str, str] = {}
    dialect = None
    with explained(source):
        if source.format == "CSV":
            dialect, found, options = _sniffed(connection, source, csv)
        else:
            if source.format == "AVRO":
                check_blocks(source.path)
            found = _described(connection, source)
        names = list(found)
        if dialect is not None and dialect.has_header:
            names = read_header(source.path, dialect)
        elif dialect is None and _is_renamed(names):
            names = _own_names(connection, source)
    columns = {name: kept_type(kind) for name, kind in found.items()}
    if not columns or any(not name.strip() or not name.isprintable() for name in columns):
        raise Conflict("The file has no columns, or one without a usable name.", hint="Its first line names them.")
    if len(columns) == 1 and not csv.delimiter and dialect and re.search(r"[,;|\t]", names[0] if names else ""):
        raise Conflict("The file's columns cannot be told.", hint="Check its quotes, or give `delimiter` and `quote`.")
    lowered = [name.strip().lower() for name in names if name.strip()]
    if len(set(lowered)) != len(lowered):
        raise Conflict("Two columns of the file differ only by case, or not at all.", hint="Rename one of them.")
    return Reading(source, columns, options, dialect, found)


def _is_renamed(names: list[str]) -> bool:
    """Whether DuckDB may have given a column a number because another has its name."""
    lowered = {name.lower() for name in names}
    return any(re.sub(r"_[0-9]+$", "", name) in lowered - {name} for name in lowered)


def _own_names(connection: "duckdb.DuckDBPyConnection", source: Source) -> list[str]:
    if source.format == "PARQUET":
        return list(pq.read_schema(source.path).names)
    if source.format == "ARROW":
        return list(_arrow(source.path).schema.names)
    if source.format == "AVRO":
        import fastavro  # for this rare question only

        with source.path.open("rb") as file:
            schema = fastavro.reader(file).writer_schema
        return [item["name"] for item in schema["fields"]] if isinstance(schema, dict) else []
    return list(_keys(connection, source))


def _keys(connection: "duckdb.DuckDBPyConnection", source: Source) -> list[str]:
    """All keys of the objects of a JSON file."""
    objects = f"read_json_objects({quote(str(source.path))}, maximum_object_size={LINE_BYTES})"
    query = f"SELECT DISTINCT unnest(keys) FROM (SELECT DISTINCT json_keys(json) AS keys FROM {objects})"  # noqa: S608
    return sorted(row[0] for row in connection.execute(query).fetchall())


def _described(connection: "duckdb.DuckDBPyConnection", source: Source) -> dict[str, str]:
    query = f"DESCRIBE SELECT * FROM {relation(connection, source)}"  # noqa: S608 - the path is quoted
    try:
        rows = connection.execute(query).fetchall()
    except duckdb.Error:
        if source.format != "JSON":
            raise
        return _structure(connection, source)
    found = {row[0]: row[1] for row in rows}
    if source.format == "JSON" and found.keys() != {"json"} and source.path.stat().st_size <= KEYS_BYTES:
        late: list[str] = []
        with suppress(duckdb.Error):  # a line that is no JSON is met again when rows are read
            late = [name for name in _keys(connection, source) if name not in found]
        if late and not _is_renamed([*found, *late]):
            wider = f"{relation(connection, source).removesuffix(f'{SAMPLE_ROWS})')}-1)"
            found = {row[0]: row[1] for row in connection.execute(f"DESCRIBE SELECT * FROM {wider}").fetchall()}  # noqa: S608
    return found


def json_lines(source: Source) -> str:
    """The FROM item with each line of a file as it is, or each element where it is one list, numbered from 1."""
    path = quote(str(source.path))
    with source.path.open("rb") as file:
        is_list = file.read(64).removeprefix(b"\xef\xbb\xbf").lstrip().startswith(b"[")
    if is_list:
        objects = f"read_json_objects({path}, format='array', maximum_object_size={LINE_BYTES})"
        return f"(SELECT row_number() OVER () AS row, json::VARCHAR AS line FROM {objects})"  # noqa: S608
    return (
        f"(SELECT row_number() OVER () AS row, line FROM read_csv({path}, header=false, "  # noqa: S608
        f"columns={{'line': 'VARCHAR'}}, delim='', quote='', escape='', auto_detect=false, strict_mode=false, "
        f"max_line_size={LINE_BYTES}))"
    )


IS_OBJECT = "(json_valid(line) AND json_type(CASE WHEN json_valid(line) THEN line END) = 'OBJECT')"


def _structure(connection: "duckdb.DuckDBPyConnection", source: Source) -> dict[str, str]:
    """The columns of those lines of a file that are objects. Raises Conflict when there are none."""
    objects = f"SELECT line FROM {json_lines(source)} WHERE {IS_OBJECT} LIMIT {SAMPLE_ROWS}"  # noqa: S608
    query = (
        "SELECT e.key, list(DISTINCT e.type) FROM (SELECT row_number() OVER () AS at, line "  # noqa: S608
        f"FROM ({objects})) AS o, json_each(o.line) AS e GROUP BY e.key ORDER BY min(o.at), min(e.id)"
    )
    found = {row[0]: _plain_type(set(row[1]) - {"NULL"}) for row in connection.execute(query).fetchall()}
    if not found:
        raise Conflict("The file holds no JSON objects.", hint="Write one object a line, or a list of them.")
    return found


def _plain_type(kinds: set[str]) -> str:
    if kinds and kinds <= {"BIGINT", "UBIGINT"}:
        return "BIGINT"
    if kinds and kinds <= {"BIGINT", "UBIGINT", "DOUBLE"}:
        return "DOUBLE"
    return "BOOLEAN" if kinds == {"BOOLEAN"} else "VARCHAR"


def relation(connection: "duckdb.DuckDBPyConnection", source: Source, columns: Mapping[str, str] | None = None) -> str:
    """The FROM item that reads a file other than CSV; `columns` are those of JSON, with their types."""
    path = quote(str(source.path))
    if source.format == "PARQUET":
        return f"read_parquet({path}, hive_partitioning=false)"
    if source.format == "AVRO":
        return f"read_avro({path})"
    if source.format == "ARROW":
        connection.register(ARROW, _arrow(source.path))
        return ARROW
    told = f", columns={_struct(columns)}" if columns else f", sample_size={SAMPLE_ROWS}"
    return f"read_json({path}, maximum_object_size={LINE_BYTES}{told})"


def csv_relation(reading: Reading, columns: Mapping[str, str], *, sifted: Path | None = None) -> str:
    """The FROM item that reads a CSV file with these columns, or what was sifted out of it."""
    options = dict(reading.csv)
    if sifted is not None:
        options |= {"header": "false", "skip": "0"}
    told = ", ".join(f"{name}={value}" for name, value in options.items())
    # A line a little over the limit is the sifted one, with its number in front.
    return (
        f"read_csv({quote(str(sifted or reading.source.path))}, auto_detect=false, columns={_struct(columns)}, "
        f"max_line_size={LINE_BYTES + 64 * (sifted is not None)}, {told})"
    )


@contextmanager
def explained(source: Source) -> Iterator[None]:
    """Says what is wrong with a file, without its values."""
    try:
        yield
    except (duckdb.Error, pa.ArrowException, OSError, UnicodeDecodeError) as error:
        text = str(error).partition("\n")[0] if "Maximum line size" not in str(error) else "Maximum line size"
        for pattern, message, hint in _FAILURES:
            if re.search(pattern, text):
                raise Conflict(message, hint=hint or "Send it again.") from None
        raise Conflict(f"The file cannot be read as {source.format}.", hint="Check that it is whole.") from None


def _sniffed(
    connection: "duckdb.DuckDBPyConnection", source: Source, csv: CsvOptions
) -> tuple[Dialect, dict[str, str], dict[str, str]]:
    """How a file is written, its columns, and what read_csv is told.

    The quote is not sniffed: where the sample holds none, values that are quoted later would be torn apart."""
    asked = f", header={str(csv.has_header).lower()}, nullstr={quote(csv.null_text)}, max_line_size={LINE_BYTES}"
    asked += f", quote={quote(csv.quote)}"
    if csv.delimiter:
        asked += f", delim={quote(csv.delimiter)}"
    query = (
        "SELECT Delimiter, Escape, SkipRows, Columns, DateFormat, TimestampFormat FROM sniff_csv("  # noqa: S608
        f"{quote(str(source.path))}, ignore_errors=true, sample_size={SAMPLE_ROWS}{asked})"
    )
    delimiter, escape, skip, columns, date, timestamp = connection.execute(query).fetchall()[0]
    escape = "" if not csv.quote else csv.quote if escape == "(empty)" else escape
    options = {
        "header": str(csv.has_header).lower(),
        "delim": quote(delimiter),
        "quote": quote(csv.quote),
        "escape": quote(escape),
        "skip": str(skip),
        "nullstr": quote(csv.null_text),
    }
    if csv.quote:
        options["allow_quoted_nulls"] = "false"
    if date:
        options["dateformat"] = quote(date)
    if timestamp:
        options["timestampformat"] = quote(timestamp)
    dialect = Dialect(delimiter, csv.quote, escape, skip, csv.has_header)
    return dialect, {item["name"]: item["type"] for item in columns}, options


def _struct(columns: Mapping[str, str] | None) -> str:
    return "{" + ", ".join(f"{quote(name)}: {quote(kind)}" for name, kind in (columns or {}).items()) + "}"


def _arrow(path: Path) -> pa.RecordBatchReader:
    """The batches of an IPC file or stream, each checked before it is read."""
    file = pa.memory_map(str(path))
    if file.read(6) == b"ARROW1":
        reader = pa.ipc.open_file(file)
        batches: Iterator[pa.RecordBatch] = (reader.get_batch(number) for number in range(reader.num_record_batches))
    else:
        file.seek(0)
        reader = pa.ipc.open_stream(file)  # type: ignore[assignment]
        batches = iter(reader)  # type: ignore[call-overload]
    return pa.RecordBatchReader.from_batches(reader.schema, _checked(batches))


def _checked(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    for batch in batches:
        batch.validate(full=True)
        if batch.nbytes > BATCH_BYTES:
            raise pa.ArrowInvalid("a batch is too large")
        yield batch
