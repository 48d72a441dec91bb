"""Rows of a file that do not fit a table: found with their numbers and reasons, and left out of what is read."""

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import duckdb

from core.errors import Conflict
from engine.connectors.duck import quote, quote_name
from engine.transfer.casts import INTEGERS, demanded, fitted, read_as
from engine.transfer.reading import ARROW, IS_OBJECT, SIFTED, Reading, csv_relation, json_lines, relation
from engine.transfer.sifting import TEXT_CHARS, Reject, sift


@dataclass(frozen=True, slots=True)
class Target:
    """A column of the table that the file fills, and what it is called there."""

    name: str
    kind: str
    source: str
    is_required: bool


def strict_sql(connection: "duckdb.DuckDBPyConnection", reading: Reading, targets: Mapping[str, Target]) -> str:
    """A FROM item with the target columns, which raises at the first value that does not fit."""
    kinds = dict.fromkeys(reading.columns, "VARCHAR") | {item.source: read_as(item.kind) for item in targets.values()}
    if reading.source.format == "CSV":
        from_item = csv_relation(reading, kinds)
    elif reading.source.format == "JSON":
        from_item = relation(connection, reading.source, kinds)
    else:
        kinds = dict(reading.kinds)
        from_item = relation(connection, reading.source)
    values = [
        f"{demanded(quote_name(item.source), kinds[item.source], item.kind, item.name)} AS {quote_name(item.name)}"
        for item in targets.values()
    ]
    return f"(SELECT {', '.join(values)} FROM {from_item})"  # noqa: S608 - names and paths are quoted


def lenient_sql(
    connection: "duckdb.DuckDBPyConnection", reading: Reading, targets: Mapping[str, Target], limit: int
) -> tuple[str, list[Reject]]:
    """A FROM item with the rows that fit, and the others, at most `limit` and one more. Raises what DuckDB raises."""
    early: list[Reject] = []
    structure, text = "", "to_json(raw)::VARCHAR"
    if reading.source.format == "CSV":
        raw, early = _sifted(connection, reading, limit)
        values = _casts(reading, targets)
        cells = ", ".join(f"coalesce({quote_name(name)}, '')" for name in reading.columns)
        text = f"array_to_string([{cells}], {reading.csv['delim']})"
    elif reading.source.format == "JSON":
        raw, values, structure = _json_lines(reading, targets)
        text = "line"
    else:
        number = "file_row_number + 1" if reading.source.format == "PARQUET" else "row_number() OVER ()"
        source = relation(connection, reading.source)
        if reading.source.format == "PARQUET":
            source = source.removesuffix(")") + ", file_row_number=true)"
        raw = f'SELECT {number} AS "#n", * FROM {source}'  # noqa: S608
        values = _casts(reading, targets)
    checks = [
        f"WHEN {found} IS NOT NULL AND {value} IS NULL THEN {quote(_misfit(item))}" for item, value, found in values
    ]
    checks += [f"WHEN {value} IS NULL THEN {quote(_missing(item))}" for item, value, _ in values if item.is_required]
    listed = ", ".join(f"{value} AS {quote_name(item.name)}" for item, value, _ in values)
    reason = f"CASE {structure} {' '.join(checks)} END"
    bad = f'SELECT "#n", {reason} AS reason, left({text}, {TEXT_CHARS}) FROM ({raw}) AS raw WHERE reason IS NOT NULL'  # noqa: S608
    found = [Reject(row[0], row[1], row[2] or "") for row in connection.execute(f"{bad} LIMIT {limit + 1}").fetchall()]
    if reading.source.format == "ARROW":
        connection.unregister(ARROW)  # a reader gives its rows once
        relation(connection, reading.source)
    found = sorted([*early, *found], key=lambda item: item.row)
    return f"(SELECT {listed} FROM ({raw}) AS raw WHERE {reason} IS NULL)", found  # noqa: S608


def _sifted(connection: "duckdb.DuckDBPyConnection", reading: Reading, limit: int) -> tuple[str, list[Reject]]:
    """The query for the records of a CSV file, all values as text, and what is no record."""
    assert reading.dialect is not None, "it was looked into"
    setting = connection.execute("SELECT current_setting('temp_directory')").fetchall()
    target = Path(setting[0][0]) / SIFTED
    found = sift(reading.source.path, target, reading.dialect, len(reading.columns), limit)
    columns = {"#n": "BIGINT", **dict.fromkeys(reading.columns, "VARCHAR")}
    return f"SELECT * FROM {csv_relation(reading, columns, sifted=target)}", found  # noqa: S608


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
        elif item.kind in INTEGERS:
            value = fitted(f"json_extract_string(object, {path})", "VARCHAR", item.kind)
        else:
            value = f"TRY_CAST(CAST({found} AS JSON) AS {item.kind})"
        values.append((item, value, found))
    return raw, values, "WHEN object IS NULL THEN 'the line is not a JSON object'"


def _casts(reading: Reading, targets: Mapping[str, Target]) -> list[tuple[Target, str, str]]:
    is_text = reading.source.format == "CSV"
    names = {"DATE": "dateformat", "TIMESTAMP": "timestampformat", "TIMESTAMPTZ": "timestampformat"}
    formats = {kind: reading.csv[name] for kind, name in names.items() if name in reading.csv}
    values = []
    for item in targets.values():
        found = "VARCHAR" if is_text else reading.kinds[item.source]
        name = quote_name(item.source)
        values.append((item, fitted(name, found, item.kind, formats), name))
    return values


def _misfit(item: Target) -> str:
    return f"{item.name}: is not a value of type {item.kind.lower()}"


def _missing(item: Target) -> str:
    return f"{item.name}: may not be null"


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
