"""What is in the columns of a result: nulls, distinct values, least and greatest. Of the rows of the result alone."""

from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    import pyarrow as pa

MAX_COLUMNS = 200
MAX_TEXT = 80


def profile(
    schema: "pa.Schema",
    batches: "Sequence[pa.RecordBatch]",
    privacy: Mapping[str, str],
    cells: Callable[[Any], list[Any]],
) -> list[dict[str, Any]]:
    """One entry per column. Of aggregate-only columns only the nulls: their values stand for groups, not for rows.

    `cells` makes JSON of values."""
    import pyarrow as pa  # 40 MB that a start does not need

    table = pa.Table.from_batches([batch.rename_columns(schema.names) for batch in batches], _plain(schema, batches))
    found = []
    for name, column in list(zip(schema.names, table.columns, strict=True))[:MAX_COLUMNS]:
        entry: dict[str, Any] = {"column": name, "nulls": column.null_count}
        entry |= {"distinct": None, "min": None, "max": None}
        if privacy.get(name) != "aggregate_only":
            entry |= _values(column, cells)
        found.append(entry)
    return found


def _plain(schema: "pa.Schema", batches: "Sequence[pa.RecordBatch]") -> "pa.Schema":
    import pyarrow as pa

    own = batches[0].schema if batches else schema
    return pa.schema([field.with_name(name) for field, name in zip(own, schema.names, strict=True)])


def _values(column: Any, cells: Callable[[Any], list[Any]]) -> dict[str, Any]:
    import pyarrow as pa
    import pyarrow.compute as pc

    kind = column.type
    if pa.types.is_nested(kind) or pa.types.is_null(kind):
        return {}
    if pa.types.is_dictionary(kind):
        column = column.cast(kind.value_type)
    try:
        found: dict[str, Any] = {"distinct": pc.count_distinct(column).as_py()}
    except pa.ArrowNotImplementedError:
        return {}
    if pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind):
        return found
    try:
        ends = pc.min_max(column)
    except pa.ArrowNotImplementedError:
        return found
    least, greatest = cells(pa.array([ends["min"].as_py(), ends["max"].as_py()], column.type))
    return {**found, "min": _short(least), "max": _short(greatest)}


def _short(value: Any) -> Any:
    return f"{value[:MAX_TEXT]}..." if isinstance(value, str) and len(value) > MAX_TEXT else value
