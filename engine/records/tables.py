"""Writing records of a lakehouse table: append for new ones, copy on write for the others. Blocking."""

import random
import time
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import TYPE_CHECKING, Any

import pyarrow as pa
from pyiceberg.io.pyarrow import schema_to_pyarrow
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table
from pyiceberg.types import NestedField

from core.errors import Conflict
from engine.connectors.duck import quote, quote_name
from engine.lake.metadata import read_metadata
from engine.lake.storage import Desk, storage_of
from engine.records.bench import Bench, Run, Workshop, open_bench, remove_folder
from engine.records.commits import Files, Lost, commit, discard, find_done
from engine.records.misfits import fit_all
from engine.records.reach import Reach, refused
from engine.records.values import fit
from engine.records.wishes import Change, Deletion, Insertion, Outcome, Wish
from engine.sql.filters import SOURCE
from engine.transfer.files import write_rows

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog

TRIES = 6
GIVEN = "given"
PAUSE_S = 0.05


class Stale(Exception):
    """The table is another one than the caller's view was made of."""


@dataclass(frozen=True, slots=True)
class Field:
    """A column of the table, as values are made for it."""

    field: NestedField

    @property
    def name(self) -> str:
        return self.field.name

    @property
    def is_required(self) -> bool:
        return self.field.required

    def fit(self, value: Any) -> Any:
        return fit(value, self.field.field_type)


@dataclass(frozen=True, slots=True)
class Plan:
    """What a try found: files that are read anew, and the FROM item of all that is written."""

    outcome: Outcome
    rows: Sequence[str] = ()
    removed: Sequence[DataFile] = ()
    expected: int = 0
    is_alone: bool = False
    columns: Sequence[str] = field(default=())


def write_table(
    catalog: "SqlCatalog", parts: Sequence[str], wish: Wish, reach: Reach, run: Run, shop: Workshop
) -> Outcome:
    """Write, again and again while others are faster. Raises Stale, Conflict, QueryUnauthorized, Unavailable."""
    check_names(wish, reach)
    for number in range(TRIES):
        run.check()
        table = catalog.load_table(tuple(parts))
        _check_table(table, reach)
        done = find_done(table, run.mark)
        if done is not None:
            return done
        try:
            return _try(table, wish, reach, replace(run, run_id=f"{run.run_id}-{number}"), shop)
        except Lost:
            time.sleep(PAUSE_S * (number + random.random()))  # noqa: S311 - not a secret
    raise Conflict("Other writers change the same records all the time.", hint="Retry when it is quieter.")


def check_names(wish: Wish, reach: Reach) -> None:
    """Refuse what the caller may not name before anything is opened. Raises QueryUnauthorized, Conflict."""
    if isinstance(wish, Insertion):
        reach.records(wish.records)
        for name in wish.key_columns:
            reach.name(name)
        return
    reach.matching(wish.filters)
    if isinstance(wish, Change):
        reach.records([wish.values])


def _check_table(table: Table, reach: Reach) -> None:
    if table.format_version > 2:
        raise Conflict(
            f"The table has format version {table.format_version}, which is read but not written here.",
            hint="Write it with the engine that made it.",
        )
    now, then = read_metadata(table.metadata_location, storage_of(table)), reach.governed.source
    columns = [(column.field_id, column.name, column.data_type, not column.is_required) for column in now.columns]
    if now.table_uuid != then.identity or columns != [
        (column.field_id, column.name, column.data_type, column.nullable) for column in then.columns
    ]:
        raise Stale


def _try(table: Table, wish: Wish, reach: Reach, run: Run, shop: Workshop) -> Outcome:
    folder = f"records-{run.run_id}"
    reads = not isinstance(wish, Insertion) or bool(wish.key_columns)
    with (
        storage_of(table).desk(table.location()) as desk,
        open_bench(table, shop, run, desk.folder, reads=reads) as bench,
    ):
        plan = _PLANS[type(wish)](bench, wish, reach)
        run.check()
        if run.dry_run or not plan.outcome.affected:
            return plan.outcome
        added: list[DataFile] = []
        try:
            for number, rows in enumerate(plan.rows):
                added += _written(bench, rows, plan, f"{folder}/{number}", desk)
            _check_count(plan, added)
            run.before_commit()
            run.check()
        except BaseException:
            discard(table, added)
            remove_folder(table, folder)
            raise
        files = Files(tuple(added), tuple(plan.removed))
        return commit(table, files, plan.outcome, run.mark, is_alone=plan.is_alone)


def _written(bench: Bench, rows: str, plan: Plan, folder: str, desk: Desk) -> list[DataFile]:
    table = bench.table
    try:
        added = write_rows(bench.connection, table, rows, columns=plan.columns, folder=folder, desk=desk)
    except ZeroDivisionError as error:  # how pyiceberg 0.12 misses the rows of a partition that equals nothing
        raise Conflict("NaN cannot be the value of a partition.", hint="Write null instead.") from error
    desk.publish(f"{table.location()}/data/{folder}")
    return added


def _check_count(plan: Plan, added: Iterable[DataFile]) -> None:
    found = sum(file.record_count for file in added)
    if found != plan.expected:
        raise Conflict(
            f"Writing gave {found:,} rows where {plan.expected:,} were due; it was given up.",
            hint="The table is unchanged. Please report this.",
        )


# Inserting


def _plan_insertion(bench: Bench, wish: Insertion, reach: Reach) -> Plan:
    records = reach.records(wish.records)
    names = [name for name in bench.columns if any(name in record for record in records)]
    keys = [reach.name(name) for name in wish.key_columns]
    _give(bench, records, names, all_required=True)
    if reach.policy:
        _check_given(bench, reach, names)
    if not keys:
        rows = _given(bench, names, bench.columns)
        return Plan(Outcome(inserted=len(records)), [rows], expected=len(records), columns=bench.columns)
    _check_keys(bench, records, keys)
    return _plan_keyed(bench, wish, reach, names, keys)


def _plan_keyed(bench: Bench, wish: Insertion, reach: Reach, names: Sequence[str], keys: Sequence[str]) -> Plan:
    """Records of a key that the caller already sees are left out, change what is there, or end it all."""
    own = " AND ".join(f"{_column(name)} = {GIVEN}.{quote_name(name)}" for name in keys)
    match = f"{reach.policy} AND {own}" if reach.policy else own
    count, taken = len(wish.records), 0
    seen = f"EXISTS (SELECT 1 FROM {bench.source} WHERE {match})"  # noqa: S608 - names are quoted, the rest is ours
    if not bench.is_empty:
        taken = bench.rows(f"SELECT count(*) FROM {GIVEN} WHERE {seen}")[0][0]  # noqa: S608
    if taken and wish.on_conflict == "error":
        raise Conflict(
            f"{taken} of the records have a key that is there already.",
            hint="Let on_conflict be ignore or update, or leave them out.",
        )
    new = _given(bench, names, bench.columns)
    if taken:
        new = f"(SELECT * FROM {new} AS {GIVEN} WHERE NOT {seen})"  # noqa: S608
    fresh = count - taken
    if wish.on_conflict == "update" and taken:
        changes = {name: f"{GIVEN}.{quote_name(name)}" for name in names if name not in keys}
        join = f"LEFT JOIN {GIVEN} ON {match}"
        touched = _touch(bench, reach, changes, join, f"{GIVEN}.{quote_name(keys[0])} IS NOT NULL")
        outcome = Outcome(inserted=fresh, updated=touched.outcome.updated)
        rows, expected = [*touched.rows, *([new] if fresh else [])], touched.expected + fresh
        return replace(touched, outcome=outcome, rows=rows, expected=expected, is_alone=True)
    outcome = Outcome(inserted=fresh, skipped=taken)
    return Plan(outcome, [new], expected=fresh, is_alone=True, columns=bench.columns)


def _check_keys(bench: Bench, records: Sequence[Mapping[str, Any]], keys: Sequence[str]) -> None:
    plain = {item.name for item in bench.table.schema().fields if item.field_type.is_primitive}
    if not plain.issuperset(keys):
        raise Conflict("key_columns names a column of lists or objects.", hint="Name columns of plain values.")
    for number, record in enumerate(records):
        if any(record.get(name) is None for name in keys):
            raise Conflict(f"records[{number}] has no key.", hint="Give each record its key columns, none null.")
    listed = ", ".join(map(quote_name, keys))
    query = f"SELECT 1 FROM {GIVEN} GROUP BY {listed} HAVING count(*) > 1 LIMIT 1"  # noqa: S608
    if bench.rows(query):
        raise Conflict("Two of the records have the same key.", hint="Keep the one that counts.")
    first = set(records[0])
    for number, record in enumerate(records):
        if set(record) != first:
            raise Conflict(
                f"records[{number}] has other columns than records[0].", hint="With a key, all name the same columns."
            )


def _check_given(bench: Bench, reach: Reach, names: Sequence[str]) -> None:
    rows = _given(bench, names, bench.columns)
    query = f"SELECT count(*) FROM {rows} AS {quote_name(SOURCE)} WHERE {reach.broken}"  # noqa: S608
    broken = bench.rows(query)[0][0]
    if broken:
        raise refused(broken, "of the records")


# Changing and deleting


def _plan_change(bench: Bench, wish: Change, reach: Reach) -> Plan:
    values = reach.records([wish.values])[0]
    names = [name for name in bench.columns if name in values]
    _give(bench, [values], names, label="values")
    match = reach.matching(wish.filters)
    changes = {name: f"(SELECT {quote_name(name)} FROM {GIVEN})" for name in names}  # noqa: S608
    return _touch(bench, reach, changes, "", match)


def _plan_deletion(bench: Bench, wish: Deletion, reach: Reach) -> Plan:
    match = reach.matching(wish.filters)
    if bench.is_empty:
        return Plan(Outcome())
    query = f"SELECT {bench.place}, count(*) FROM {bench.source} WHERE {match} GROUP BY 1"  # noqa: S608 - ours
    found: dict[str, int] = dict(bench.rows(query))
    outcome = Outcome(deleted=sum(found.values()))
    if not outcome.deleted:
        return Plan(outcome)
    files = bench.data_files(found)
    left = [
        place
        for place in found
        if not bench.tells_files or files[bench.storage.spelled(place)].record_count != found[place]
    ]
    if not left:
        return Plan(outcome, removed=list(files.values()))
    listed = ", ".join(map(quote_name, bench.columns))
    where = f"{_within(bench, left)} AND NOT coalesce(({match}), false)"
    kept = f"(SELECT {listed} FROM {bench.source} WHERE {where})"  # noqa: S608
    expected = _count(bench, left) - sum(found[place] for place in left)
    return Plan(outcome, [kept], list(files.values()), expected, columns=bench.columns)


def _touch(bench: Bench, reach: Reach, changes: Mapping[str, str], join: str, match: str) -> Plan:
    """The plan that gives the matching rows other values. `join` finds them among all rows, `match` tells them."""
    if bench.is_empty:
        return Plan(Outcome())
    shown = ", ".join(f"{changes.get(name, _column(name))} AS {quote_name(name)}" for name in bench.columns)
    source = f"{bench.source} {join}"
    broken = f"count(*) FILTER (WHERE {reach.broken})" if reach.policy else "0"
    inner = f"SELECT {bench.place} AS headwater_place, {shown} FROM {source} WHERE {match}"  # noqa: S608
    found: dict[str, int] = {}
    outside = 0
    query = f"SELECT headwater_place, count(*), {broken} FROM ({inner}) AS {quote_name(SOURCE)} GROUP BY 1"  # noqa: S608
    for place, count, bad in bench.rows(query):
        found[place] = count
        outside += bad
    if outside:
        raise refused(outside, "records")
    outcome = Outcome(updated=sum(found.values()))
    if not outcome.updated:
        return Plan(outcome, columns=bench.columns)
    cases = ", ".join(_case(name, changes, match) for name in bench.columns)
    rows = f"(SELECT {cases} FROM {source} WHERE {_within(bench, found)})"  # noqa: S608
    files = list(bench.data_files(found).values())
    return Plan(outcome, [rows], files, _count(bench, found), columns=bench.columns)


def _case(name: str, changes: Mapping[str, str], match: str) -> str:
    column = _column(name)
    if name not in changes:
        return f"{column} AS {quote_name(name)}"
    return f"CASE WHEN coalesce(({match}), false) THEN {changes[name]} ELSE {column} END AS {quote_name(name)}"


def _within(bench: Bench, places: Iterable[str]) -> str:
    listed = ", ".join(map(quote, places))
    return f"{bench.place} IN ({listed})" if bench.tells_files else "true"


def _count(bench: Bench, places: Iterable[str]) -> int:
    """How many live rows are in those files: as many must be there afterwards."""
    query = f"SELECT count(*) FROM {bench.source} WHERE {_within(bench, places)}"  # noqa: S608
    return int(bench.rows(query)[0][0])


# Values


def _give(
    bench: Bench,
    records: Sequence[Mapping[str, Any]],
    names: Sequence[str],
    *,
    all_required: bool = False,
    label: str = "records",
) -> None:
    """The records as the relation `given`, with the columns of that names. Raises Conflict."""
    schema = bench.table.schema()
    fields = [Field(item) for item in schema.fields]
    wanted = [item for item in fields if item.name in names]
    missing = [item.name for item in fields if item.is_required and item.name not in names]
    if all_required and missing:
        raise Conflict("The table has columns that may not be null and are missing.", hint="list_columns shows which.")
    types = schema_to_pyarrow(schema, include_field_ids=False)
    values = fit_all(records, wanted, label=label)
    arrays = {}
    for name, items in values.items():
        try:
            arrays[name] = pa.array(items, types.field(name).type)
        except (pa.ArrowException, OverflowError, ValueError, TypeError) as error:
            raise Conflict(f"The values of {name[:80]!r} cannot be written.", hint="Check their types.") from error
        items.clear()
    bench.connection.register(GIVEN, pa.table(arrays) if arrays else pa.table({"headwater": [0] * len(records)}))


def _given(bench: Bench, names: Sequence[str], columns: Sequence[str]) -> str:
    """The FROM item of the records with all columns of the table, those left out null."""
    from engine.transfer.types import duck_type

    kinds = {item.name: duck_type(item.field_type) for item in bench.table.schema().fields}
    shown = [
        quote_name(name) if name in names else f"CAST(NULL AS {kinds[name]}) AS {quote_name(name)}" for name in columns
    ]
    return f"(SELECT {', '.join(shown)} FROM {GIVEN})"  # noqa: S608


def _column(name: str) -> str:
    return f"{quote_name(SOURCE)}.{quote_name(name)}"


_PLANS: Mapping[type[Any], Callable[[Bench, Any, Reach], Plan]] = {
    Insertion: _plan_insertion,
    Change: _plan_change,
    Deletion: _plan_deletion,
}
