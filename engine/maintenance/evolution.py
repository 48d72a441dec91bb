"""Changes of a table's columns, partitions and sort order: metadata only, no file is rewritten."""

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

from pyiceberg.exceptions import CommitFailedException, ValidationError
from pyiceberg.table import Table
from pyiceberg.table.sorting import NullOrder
from pyiceberg.transforms import (
    BucketTransform,
    DayTransform,
    HourTransform,
    IdentityTransform,
    MonthTransform,
    Transform,
    TruncateTransform,
    YearTransform,
)

from core.errors import Conflict, NotFound
from engine.maintenance.types import parse_type

_TRANSFORMS: dict[str, type[Transform[Any, Any]]] = {
    "identity": IdentityTransform,
    "year": YearTransform,
    "month": MonthTransform,
    "day": DayTransform,
    "hour": HourTransform,
}
_SIZED: dict[str, Callable[[int], Transform[Any, Any]]] = {"bucket": BucketTransform, "truncate": TruncateTransform}


@dataclass(frozen=True, slots=True)
class PartitionField:
    """A column and what partitions are made of it: identity, year, month, day, hour, bucket or truncate."""

    column: str
    transform: str = "identity"
    width: int = 0  # buckets, or characters or units kept


@dataclass(frozen=True, slots=True)
class SortField:
    """A column to sort new files by."""

    column: str
    is_descending: bool = False
    nulls_first: bool = False


def add_column(table: Table, name: str, kind: str, *, after: str = "", comment: str = "") -> None:
    """Add an optional column; `after` names the one before it. Raises Conflict, NotFound."""
    if after:
        _known(table, after)
    if name.lower() in _names(table):
        raise Conflict(f"The column name {name!r} is taken.", hint="Choose another.")
    with _committed(), table.update_schema() as change:
        change.add_column((name,), parse_type(kind), doc=comment or None)
        if after:
            change.move_after(name, after)


def rename_column(table: Table, old_name: str, new_name: str) -> None:
    """Rename a column; old files keep being read, by the column's id. Raises Conflict, NotFound."""
    _known(table, old_name)
    if new_name.lower() in _names(table) and new_name.lower() != old_name.lower():
        raise Conflict(f"The column name {new_name!r} is taken.", hint="Choose another.")
    with _committed(), table.update_schema() as change:
        change.rename_column((old_name,), new_name)


def drop_column(table: Table, name: str) -> None:
    """Take a column away; snapshots before still have it. Raises Conflict, NotFound."""
    field_id = _known(table, name)
    used = {field.source_id for field in table.spec().fields} | {field.source_id for field in table.sort_order().fields}
    if field_id in used:
        raise Conflict(
            f"Partitions or the sort order are made of {name!r}.",
            hint="Change them first with evolve_partitioning and set_sort_order.",
        )
    if len(table.schema().fields) == 1:
        raise Conflict("It is the table's only column.", hint="delete_managed_table deletes a table.")
    with _committed(), table.update_schema() as change:
        change.delete_column((name,))


def alter_column(
    table: Table,
    name: str,
    *,
    kind: str = "",
    comment: str | None = None,
    is_optional: bool = False,
    after: str | None = None,
) -> None:
    """Widen, describe, make optional or move a column; `after` empty means first. Raises Conflict, NotFound."""
    _known(table, name)
    if after:
        _known(table, after)
    wanted = parse_type(kind) if kind else None
    with _committed(), table.update_schema() as change:
        if wanted is not None or comment is not None:
            change.update_column((name,), field_type=wanted, doc=comment)
        if is_optional:
            change.make_column_optional((name,))
        if after is not None:
            change.move_after(name, after) if after else change.move_first(name)


def set_partitioning(table: Table, fields: Sequence[PartitionField]) -> None:
    """Partition new files so; old ones stay as they are until they are compacted. Raises Conflict, NotFound."""
    for field in fields:
        _known(table, field.column)
    with _committed(), table.update_spec() as change:
        kept = {(field.source_id, str(field.transform)) for field in _wanted(table, fields)}
        present = {(field.source_id, str(field.transform)): field.name for field in table.spec().fields}
        for key, name in present.items():
            if key not in kept:
                change.remove_field(name)
        for field in fields:
            transform = _transform(field)
            if (_known(table, field.column), str(transform)) not in present:
                change.add_field(field.column, transform)


@dataclass(frozen=True, slots=True)
class _Wanted:
    source_id: int
    transform: Transform[Any, Any]


def _wanted(table: Table, fields: Sequence[PartitionField]) -> Iterator[_Wanted]:
    for field in fields:
        yield _Wanted(_known(table, field.column), _transform(field))


def set_sort_order(table: Table, fields: Sequence[SortField]) -> None:
    """The order that compaction with `sort` gives files by default; none means no order. Raises Conflict, NotFound."""
    for field in fields:
        _known(table, field.column)
    with _committed(), table.update_sort_order() as change:
        for field in fields:
            nulls = NullOrder.NULLS_FIRST if field.nulls_first else NullOrder.NULLS_LAST
            if field.is_descending:
                change.desc(field.column, IdentityTransform(), nulls)
            else:
                change.asc(field.column, IdentityTransform(), nulls)


def _transform(field: PartitionField) -> Transform[Any, Any]:
    if field.transform in _SIZED:
        if field.width < 1:
            raise Conflict(f"{field.transform} needs a width.", hint="For example bucket with width 16.")
        return _SIZED[field.transform](field.width)
    return _TRANSFORMS[field.transform]()


def _names(table: Table) -> set[str]:
    return {field.name.lower() for field in table.schema().fields}


def _known(table: Table, name: str) -> int:
    """The id of a column by its exact name. Raises NotFound."""
    for field in table.schema().fields:
        if field.name == name:
            return field.field_id
    raise NotFound(f"The table has no column {name[:80]!r}.", hint="get_table_schema shows the columns.")


@contextmanager
def _committed() -> Iterator[None]:
    try:
        yield
    except CommitFailedException as error:
        raise Conflict("Another writer was faster.", hint="Look at the table again, then retry.") from error
    except (ValidationError, ValueError) as error:
        raise Conflict(
            "That change does not fit the table.",
            hint="Types only widen: int to bigint, float to double, decimal to more digits; nothing becomes required.",
        ) from error
