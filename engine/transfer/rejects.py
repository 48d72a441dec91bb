"""Rows of a file that do not fit a table: found with their numbers and reasons, and left out of what is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass

import duckdb

from core.errors import Conflict
from engine.connectors.duck import quote, quote_name
from engine.transfer.reading import ARROW, IS_OBJECT, Reading, csv_relation, json_lines, relation

ERRORS_A_ROW = 8  # of one line of CSV, counted before its other columns are not
_CSV_REASONS = {
    "CAST": "is not a value of the column's type",
    "MISSING COLUMNS": "the row has too few columns",
    "TOO MANY COLUMNS": "the row has too many columns",
    "UNQUOTED VALUE": "a quote is not closed",
    "LINE SIZE OVER MAXIMUM": "the line is longer than 8 MB",
    "INVALID ENCODING": "the line is not UTF-8",
}


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was set aside. `row` counts from 1, for CSV with its header; `text` is the row as it came."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Target:
    """A column of the table that the file fills, and what it is called there."""

    name: str
    kind: str
    source: str
    is_required: bool


def strict_sql(connection: "duckdb.DuckDBPyConnection", reading: Reading, targets: Mapping[str, Target]) -> str:
    """A FROM item with the target columns, which raises at the first value that does not fit."""
    if reading.source.format == "CSV":
        from_item = csv_relation(reading, _csv_types(reading, targets))
    elif reading.source.format == "JSON":
        from_item = relation(connection, reading.source, {item.source: item.kind for item in targets.values()})
    else:
        from_item = relation(connection, reading.source)
    values = [f"CAST({quote_name(item.source)} AS {item.kind}) AS {quote_name(item.name)}" for item in targets.values()]
    return f"(SELECT {', '.join(values)} FROM {from_item})"  # noqa: S608 - names and paths are quoted


def lenient_sql(
    connection: "duckdb.DuckDBPyConnection", reading: Reading, targets: Mapping[str, Target], limit: int
) -> tuple[str, list[Reject]]:
    """A FROM item with the rows that fit, and the others, at most `limit` and one more. Raises what DuckDB raises."""
    if reading.source.format == "CSV":
        return _lenient_csv(connection, reading, targets, limit)
    if reading.source.format == "JSON":
        raw, values, structure = _json_lines(reading, targets)
    else:
        number = "file_row_number + 1" if reading.source.format == "PARQUET" else "row_number() OVER ()"
        source = relation(connection, reading.source)
        if reading.source.format == "PARQUET":
            source = source.removesuffix(")") + ", file_row_number=true)"
        raw = f'SELECT {number} AS "#n", * FROM {source}'  # noqa: S608
        values, structure = _casts(targets), ""
    checks = [
        f"WHEN {found} IS NOT NULL AND {value} IS NULL THEN {quote(_misfit(item))}" for item, value, found in values
    ]
    checks += [f"WHEN {value} IS NULL THEN {quote(_missing(item))}" for item, value, _ in values if item.is_required]
    listed = ", ".join(f"{value} AS {quote_name(item.name)}" for item, value, _ in values)
    reason = f"CASE {structure} {' '.join(checks)} END"
    text = "line" if reading.source.format == "JSON" else "to_json(raw)::VARCHAR"
    bad = f'SELECT "#n", {reason} AS reason, left({text}, 10000) FROM ({raw}) AS raw WHERE reason IS NOT NULL'  # noqa: S608
    found = [Reject(row[0], row[1], row[2] or "") for row in connection.execute(f"{bad} LIMIT {limit + 1}").fetchall()]
    if reading.source.format == "ARROW":
        connection.unregister(ARROW)  # a reader gives its rows once
        relation(connection, reading.source)
    return f"(SELECT {listed} FROM ({raw}) AS raw WHERE {reason} IS NULL)", found  # noqa: S608


def _csv_types(reading: Reading, targets: Mapping[str, Target]) -> dict[str, str]:
    wanted = {item.source: item.kind for item in targets.values()}
    return {name: wanted.get(name, "VARCHAR") for name in reading.columns}


def _lenient_csv(
    connection: "duckdb.DuckDBPyConnection", reading: Reading, targets: Mapping[str, Target], limit: int
) -> tuple[str, list[Reject]]:
    keeps = (limit + 1) * ERRORS_A_ROW
    from_item = csv_relation(reading, _csv_types(reading, targets), keeps=keeps)
    connection.execute(f"SELECT count(*) FROM (SELECT * FROM {from_item}) AS t WHERE hash(t) = 0").fetchall()  # noqa: S608
    errors = connection.execute(
        "SELECT line, first(column_name), first(error_type), left(first(csv_line), 10000) FROM reject_errors "  # noqa: S608
        f"GROUP BY line ORDER BY line LIMIT {limit + 1}"
    ).fetchall()
    found = [Reject(row[0], _csv_reason(row[1], row[2]), row[3] or "") for row in errors]
    if connection.execute("SELECT count(*) FROM reject_errors").fetchall()[0][0] >= keeps:
        found = found[:limit] + [Reject(0, "and more rows", "")] * (limit + 1 - len(found[:limit]))
    connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")
    required = [item for item in targets.values() if item.is_required]
    good = csv_relation(reading, _csv_types(reading, targets), keeps=keeps)
    values = ", ".join(f"{quote_name(item.source)} AS {quote_name(item.name)}" for item in targets.values())
    if required:
        empty = " OR ".join(f"{quote_name(item.source)} IS NULL" for item in required)
        count = connection.execute(f"SELECT count(*) FROM {good} WHERE {empty}").fetchall()[0][0]  # noqa: S608
        connection.execute("DROP TABLE reject_errors; DROP TABLE reject_scans")
        found += [Reject(0, _missing(required[0]), "")] * min(count, limit + 1)
        return f"(SELECT {values} FROM {good} WHERE NOT ({empty}))", found  # noqa: S608
    return f"(SELECT {values} FROM {good})", found  # noqa: S608


def _json_lines(reading: Reading, targets: Mapping[str, Target]) -> tuple[str, list[tuple[Target, str, str]], str]:
    """Each line by itself; values are taken out of those that are objects."""
    lines = f"SELECT row AS \"#n\", line FROM {json_lines(reading.source)} WHERE trim(line) <> ''"  # noqa: S608
    raw = f"SELECT *, CASE WHEN {IS_OBJECT} THEN line END AS object FROM ({lines})"  # noqa: S608
    values = []
    for item in targets.values():
        name = item.source.replace("\\", "\\\\").replace('"', '\\"')
        path = quote(f'$."{name}"')
        found = f"nullif(json_extract(object, {path})::VARCHAR, 'null')"
        if item.kind == "VARCHAR":
            value = f"json_extract_string(object, {path})"
            value = f"CASE WHEN {found} IS NULL THEN NULL ELSE {value} END"
        else:
            value = f"TRY_CAST(CAST({found} AS JSON) AS {item.kind})"
        values.append((item, value, found))
    return raw, values, "WHEN object IS NULL THEN 'the line is not a JSON object'"


def _casts(targets: Mapping[str, Target]) -> list[tuple[Target, str, str]]:
    return [
        (item, f"TRY_CAST({quote_name(item.source)} AS {item.kind})", quote_name(item.source))
        for item in targets.values()
    ]


def _misfit(item: Target) -> str:
    return f"{item.name}: is not a value of type {item.kind.lower()}"


def _missing(item: Target) -> str:
    return f"{item.name}: may not be null"


def _csv_reason(column: str | None, kind: str) -> str:
    reason = _CSV_REASONS.get(kind, "the row cannot be read")
    return f"{column}: {reason}" if column and kind == "CAST" else reason


def refuse(rejects: list[Reject], allowed: int) -> Conflict:
    """Why a file was refused for its bad rows."""
    first = rejects[0]
    where = f"Row {first.row}: " if first.row else ""
    return Conflict(
        f"{where}{first.reason[:300]}; {len(rejects)} bad rows or more, {allowed} allowed.",
        hint="Correct the file, give other types, or set bad rows aside with max_bad_rows.",
    )


def dump(rejects: list[Reject]) -> str:
    """Bad rows as JSON lines."""
    return "".join(
        json.dumps({"row": item.row or None, "reason": item.reason, "text": item.text}) + "\n" for item in rejects
    )
