"""A table's columns brought to a wanted list: columns added, types widened, comments written, in one commit."""

from collections.abc import Iterable

from pyiceberg.exceptions import CommitFailedException, ValidationError
from pyiceberg.table import Table, Transaction
from pyiceberg.types import DecimalType, IcebergType, PrimitiveType

from core.errors import Conflict
from engine.datasets.columns import Column
from engine.maintenance.types import parse_type

_WIDER = {("int", "long"), ("float", "double")}


def reshape(table: Table, columns: Iterable[Column]) -> None:
    """Commit what the columns add to the table. Raises Conflict for what would drop or narrow."""
    columns = list(columns)
    known = {field.name.lower() for field in table.schema().fields}
    missing = known - {column["name"].lower() for column in columns}
    if missing:
        raise Conflict(
            f"The schema leaves out the column {min(missing)[:80]!r}.",
            hint="Give every column; drop_column takes one away.",
        )
    for column in columns:
        _check_type(table, column)
    try:
        with table.transaction() as transaction:
            add_columns(transaction, columns, may_widen=True)
    except CommitFailedException as error:
        raise Conflict("Another writer was faster.", hint="Look at the table again, then retry.") from error


def _check_type(table: Table, column: Column) -> None:
    old = {field.name.lower(): field.field_type for field in table.schema().fields}.get(column["name"].lower())
    new = parse_type(column["type"])
    if old is not None and isinstance(old, PrimitiveType) and str(old) != str(new) and not is_wider(old, new):
        raise Conflict(
            f"The column {column['name'][:80]!r} cannot become {column['type'][:40]}.",
            hint="Types only widen: int to bigint, float to double, decimal to more digits.",
        )


def add_columns(transaction: Transaction, columns: Iterable[Column], *, may_widen: bool) -> None:
    """Stage new columns and, if allowed, wider types. A type that is not wider is left to those who read it.

    Raises Conflict."""
    schema = transaction.table_metadata.schema()
    known = {field.name.lower(): field for field in schema.fields}
    is_first = not known
    try:
        with transaction.update_schema(allow_incompatible_changes=is_first) as change:
            for column in columns:
                field, kind = known.get(column["name"].lower()), parse_type(column["type"])
                doc = column.get("description") or None
                if field is None:
                    required = is_first and not column["nullable"]
                    change.add_column((column["name"],), kind, doc=doc, required=required)
                elif may_widen and is_wider(field.field_type, kind):
                    change.update_column((field.name,), field_type=kind, doc=doc or field.doc)
                elif doc and doc != field.doc:
                    change.update_column((field.name,), doc=doc)
    except (ValidationError, ValueError) as error:
        raise Conflict(
            "Those columns do not fit the table.", hint="Types only widen; new columns may be null."
        ) from error


def is_wider(old: IcebergType, new: IcebergType) -> bool:
    """Whether every value of the old type is one of the new, so that a table may take it."""
    if isinstance(old, DecimalType) and isinstance(new, DecimalType):
        return new.scale == old.scale and new.precision > old.precision
    is_plain = isinstance(old, PrimitiveType) and isinstance(new, PrimitiveType)
    return is_plain and (str(old), str(new)) in _WIDER
