"""One import, from a plain file to a commit. Blocking; it can be killed between any two lines and started again."""

import shutil
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING, Literal

import duckdb
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table

from core.errors import Cancelled, Conflict
from engine.connectors.duck import quote, quote_name
from engine.datasets.columns import Column
from engine.datasets.reshaping import add_columns, is_wider
from engine.lake.storage import Desk, storage_of
from engine.maintenance.compaction import check_table
from engine.maintenance.layout import layout_of
from engine.maintenance.types import parse_type
from engine.transfer.commits import commit, find_committed, find_folder
from engine.transfer.files import write_rows
from engine.transfer.reading import CsvOptions, Reading, explained, look, opened
from engine.transfer.rejects import Target, lenient_sql, refuse, strict_sql
from engine.transfer.sifting import Reject
from engine.transfer.sources import Source
from engine.transfer.types import duck_type

if TYPE_CHECKING:
    from pyiceberg.table import Transaction

Mode = Literal["append", "overwrite", "upsert"]
Evolution = Literal["refuse", "add_columns", "widen"]


@dataclass(frozen=True, slots=True)
class Wish:
    """How a file goes into a table. `columns`: what the file's columns are to be; none: what they seem to be."""

    mode: Mode = "append"
    evolution: Evolution = "refuse"
    key_columns: tuple[str, ...] = ()
    columns: Sequence[Column] = ()
    csv: CsvOptions = field(default_factory=CsvOptions)
    max_bad_rows: int = 0


@dataclass(frozen=True, slots=True)
class Rules:
    """What policies ask of the writer: the columns that they may write, and a condition that rows must meet."""

    writable: frozenset[str] | None = None  # None: all, also new ones
    condition: str = ""
    alias: str = "r"


@dataclass(frozen=True, slots=True)
class Limits:
    """What one import may use."""

    memory_mb: int
    threads: int
    temp: Path


@dataclass(slots=True)
class Imported:
    """What an import did."""

    row_count: int = 0
    snapshot_id: int | None = None
    rejects: list[Reject] = field(default_factory=list)


@dataclass(frozen=True, slots=True)
class Run:
    """One try of a job."""

    job_id: str
    attempt: str  # no two tries have the same
    now: float
    keep: Callable[[list[Reject]], None] = lambda rejects: None
    on_start: Callable[[Callable[[], None]], None] = lambda interrupt: None
    is_cancelled: Callable[[], bool] = lambda: False


@dataclass(frozen=True, slots=True)
class Place:
    """Where a try writes: folders of its own among the table's data."""

    desk: Desk
    data: str
    folder: str

    def paths(self, files: Sequence[DataFile]) -> str:
        """The files as DuckDB's list of what it reads."""
        found = self.desk.files([file.file_path for file in files])
        return "[" + ", ".join(quote(str(path)) for path in found) + "]"

    def publish(self) -> None:
        for folder in (self.folder, f"{self.folder}-kept"):
            self.desk.publish(f"{self.data}/{folder}")

    def clear(self) -> None:
        """Remove what was drafted."""
        shutil.rmtree(self.desk.draft(f"{self.data}/{self.folder}"), ignore_errors=True)


def run_import(table: Table, source: Source, wish: Wish, rules: Rules, limits: Limits, run: Run) -> Imported:
    """Read, check, write and commit. Raises Conflict with nothing changed, Unavailable when it must be tried again."""
    done = find_committed(table, run.job_id)
    if done is not None:
        _clear_tries(table, run.job_id)
        return _found(table, done)
    check_table(table)
    storage, data = storage_of(table), f"{table.location()}/data"
    folder = f"import-{run.job_id}-{run.attempt}"
    try:
        with (
            storage.desk(table.location()) as desk,
            opened(
                source, folder=desk.folder, memory_mb=limits.memory_mb, threads=limits.threads, temp=limits.temp
            ) as connection,
        ):
            place = Place(desk, data, folder)

            def interrupt() -> None:
                with suppress(duckdb.Error):  # it may have ended already
                    connection.interrupt()

            run.on_start(interrupt)
            imported = _load(connection, table, source, wish, rules, run, place)
    except BaseException:
        table = table.catalog.load_table(table.name())
        if find_committed(table, run.job_id) is None:
            storage.remove_tree(f"{data}/{folder}")
            storage.remove_tree(f"{data}/{folder}-kept")
        else:
            _clear_tries(table, run.job_id)
        raise
    _clear_tries(table.catalog.load_table(table.name()), run.job_id)
    return imported


def _clear_tries(table: Table, job_id: str) -> None:
    """Delete what other tries of an import have written, once it is committed.

    Not before: a worker that lost its lease may still be alive, and commit files that are gone."""
    landed = find_folder(table, job_id)
    if landed is None:
        return
    storage, data = storage_of(table), f"{table.location()}/data"
    for left in storage.folders(data):
        if left.startswith(f"import-{job_id}-") and left not in (landed, f"{landed}-kept"):
            storage.remove_tree(f"{data}/{left}")


def _load(
    connection: "duckdb.DuckDBPyConnection",
    table: Table,
    source: Source,
    wish: Wish,
    rules: Rules,
    run: Run,
    place: Place,
) -> Imported:
    transaction = table.transaction()
    reading = look(connection, source, wish.csv)
    targets = _targets(transaction, reading, wish, rules)
    staged = Table(table.name(), transaction.table_metadata, table.metadata_location, table.io, table.catalog)
    added, rejects = _write(connection, staged, reading, targets, wish, run, place)
    _check_condition(connection, added, rules, place)
    if rejects:
        run.keep(rejects)
    exchange = _exchange(connection, staged, added, wish, place)
    rows = sum(file.record_count for file in added)
    removed, kept = (None, []) if exchange is None else exchange
    if run.is_cancelled():
        raise Cancelled("The import was cancelled; nothing was changed.")
    place.publish()
    snapshot_id = commit(
        transaction, run.job_id, added=[*added, *kept], removed=removed, folder=place.folder, now=run.now
    )
    return Imported(rows, snapshot_id, rejects)


def _targets(transaction: "Transaction", reading: Reading, wish: Wish, rules: Rules) -> dict[str, Target]:
    """The table's columns that the file fills, after new ones were staged. Raises Conflict."""
    given = {column["name"].lower(): column for column in wish.columns}
    wanted = [_wanted(name, kind, given) for name, kind in reading.columns.items()]
    unknown = given.keys() - {name.lower() for name in reading.columns}
    if unknown:
        raise Conflict(f"The file has no column {min(unknown)[:80]!r}.", hint="`columns` names those of the file.")
    known = {field.name.lower(): field for field in transaction.table_metadata.schema().fields}
    new = [column for column in wanted if column["name"].lower() not in known]
    is_first = not known
    if rules.writable is not None:
        forbidden = [column["name"] for column in wanted if column["name"].lower() not in rules.writable]
        if forbidden:
            raise Conflict(
                f"You cannot write the column {forbidden[0][:80]!r}.", hint="list_columns shows those that you can."
            )
    if new and not is_first and wish.evolution == "refuse":
        raise Conflict(
            f"The table has no column {new[0]['name'][:80]!r}.",
            hint="Leave it out of the file, or let schema_evolution be add_columns.",
        )
    wider = [column for column in wanted if wish.evolution == "widen" and _widens(known, column)]
    if new or wider:
        add_columns(transaction, [*new, *wider], may_widen=wish.evolution == "widen")
    fields = {field.name.lower(): field for field in transaction.table_metadata.schema().fields}
    missing = [field.name for name, field in fields.items() if field.required and name not in _lowered(reading)]
    if missing:
        raise Conflict(f"The file lacks the column {missing[0][:80]!r}, which may not be null.", hint="Add it.")
    targets = {}
    for name in reading.columns:
        target = fields[name.lower()]
        targets[target.name] = Target(target.name, duck_type(target.field_type), name, target.required)
    return targets


def _lowered(reading: Reading) -> set[str]:
    return {name.lower() for name in reading.columns}


def _wanted(name: str, kind: str, given: Mapping[str, Column]) -> Column:
    found = given.get(name.lower())
    return {"name": name, "type": kind, "nullable": True, "description": ""} if found is None else found


def _widens(known: Mapping[str, object], column: Column) -> bool:
    old = known.get(column["name"].lower())
    return old is not None and is_wider(old.field_type, parse_type(column["type"]))  # type: ignore[attr-defined]


def _write(
    connection: "duckdb.DuckDBPyConnection",
    staged: Table,
    reading: Reading,
    targets: Mapping[str, Target],
    wish: Wish,
    run: Run,
    place: Place,
) -> tuple[list[DataFile], list[Reject]]:
    """The file's rows as data files. Bad rows are looked for only once one was met: looking costs."""
    try:
        rows = strict_sql(connection, reading, targets)
        added = write_rows(connection, staged, rows, columns=targets, folder=place.folder, desk=place.desk)
        if not _has_forbidden_nulls(staged, added):
            return added, []
    except duckdb.Error:
        if run.is_cancelled():
            raise Cancelled("The import was cancelled; nothing was changed.") from None
    place.clear()
    with explained(reading.source):
        rows, rejects = lenient_sql(connection, reading, targets, wish.max_bad_rows)
        if len(rejects) > wish.max_bad_rows:
            raise refuse(rejects, wish.max_bad_rows)
        added = write_rows(connection, staged, rows, columns=targets, folder=place.folder, desk=place.desk)
    return added, rejects


def _has_forbidden_nulls(table: Table, files: Sequence[DataFile]) -> bool:
    required = [field.field_id for field in table.schema().fields if field.required]
    return any((file.null_value_counts or {}).get(number) for file in files for number in required)


def _check_condition(
    connection: "duckdb.DuckDBPyConnection", added: Sequence[DataFile], rules: Rules, place: Place
) -> None:
    if not rules.condition or not added:
        return
    rows = f"read_parquet({place.paths(added)}, hive_partitioning=false) AS {quote_name(rules.alias)}"
    query = f"SELECT count(*) FROM {rows} WHERE NOT coalesce({rules.condition}, false)"  # noqa: S608 - printed by us
    if connection.execute(query).fetchall()[0][0]:
        raise Conflict("The file holds rows that you may not write.", hint="You write only what you could read.")


def _exchange(
    connection: "duckdb.DuckDBPyConnection", table: Table, added: Sequence[DataFile], wish: Wish, place: Place
) -> tuple[list[DataFile], list[DataFile]] | None:
    """The files that go, and the ones with what stays of their rows; None where files are only added."""
    if wish.mode == "append":
        return None
    tasks = list(table.scan().plan_files())
    if wish.mode == "overwrite":
        return [task.file for task in tasks], []
    _check_keys(connection, table, added, wish, place)
    layout = layout_of(table)
    if layout is None or any(task.delete_files for task in tasks) or not table.spec().is_unpartitioned():
        raise Conflict(
            "Upserts need a table without partitions, deletes in place and columns of rare types.",
            hint="compact_table applies deletes; else append.",
        )
    if not tasks or not added:
        return [], []
    new = f"(SELECT * FROM read_parquet({place.paths(added)}))"  # noqa: S608
    match = " AND ".join(f"o.{quote_name(name)} = n.{quote_name(name)}" for name in wish.key_columns)
    touched = []
    for task in tasks:
        old = f"read_parquet({place.paths([task.file])}, schema={layout.reading})"
        query = f"SELECT 1 FROM {old} AS o SEMI JOIN {new} AS n ON {match} LIMIT 1"  # noqa: S608
        if connection.execute(query).fetchall():
            touched.append(task.file)
    if not touched:
        return [], []
    old = f"read_parquet({place.paths(touched)}, schema={layout.reading})"
    left = f"(SELECT o.* FROM {old} AS o ANTI JOIN {new} AS n ON {match})"  # noqa: S608
    kept = write_rows(connection, table, left, columns=layout.columns, folder=f"{place.folder}-kept", desk=place.desk)
    return touched, kept


def _check_keys(
    connection: "duckdb.DuckDBPyConnection", table: Table, added: Sequence[DataFile], wish: Wish, place: Place
) -> None:
    known = {field.name for field in table.schema().fields if field.field_type.is_primitive}
    unknown = [name for name in wish.key_columns if name not in known]
    if unknown or not wish.key_columns:
        raise Conflict("key_columns does not name plain columns of the table.", hint="They tell rows apart.")
    if not added:
        return
    keys = ", ".join(map(quote_name, wish.key_columns))
    rows = f"read_parquet({place.paths(added)})"
    nulls = " OR ".join(f"{quote_name(name)} IS NULL" for name in wish.key_columns)
    if connection.execute(f"SELECT 1 FROM {rows} WHERE {nulls} LIMIT 1").fetchall():  # noqa: S608
        raise Conflict("A row of the file has no key.", hint="Key columns may not be null.")
    query = f"SELECT 1 FROM {rows} GROUP BY {keys} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    if connection.execute(query).fetchall():
        raise Conflict("Two rows of the file have the same key.", hint="Keep the one that counts.")


def _found(table: Table, snapshot_id: int) -> Imported:
    snapshot = table.metadata.snapshot_by_id(snapshot_id)
    if snapshot is None or snapshot.summary is None:
        return Imported()
    return Imported(int(snapshot.summary.additional_properties.get("added-records", "0")), snapshot_id)
