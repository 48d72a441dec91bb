"""The commit of an import: its files and columns at once, and once only, however often and by whomever it is tried."""

from collections.abc import Iterable
from typing import Any

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.manifest import DataFile
from pyiceberg.table import Table, Transaction
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _FastAppendFiles, _OverwriteFiles
from sqlalchemy.exc import SQLAlchemyError

from core.errors import Unavailable
from engine.maintenance.replace import OneSpec

JOB = "headwater.import-job"
FOLDER = "headwater.import-folder"
MARK = "headwater.import."
MARK_S = 7 * 24 * 3600.0  # after which no job is tried again


def find_committed(table: Table, job_id: str) -> int | None:
    """The snapshot of an import that is there already: its id, or 0 when only the mark is left."""
    for snapshot in table.metadata.snapshots:
        if snapshot.summary is not None and snapshot.summary.additional_properties.get(JOB) == job_id:
            return snapshot.snapshot_id
    return 0 if MARK + job_id in table.properties else None


def find_folder(table: Table, job_id: str) -> str | None:
    """The folder of the try whose files the import's snapshot has; None when that is not known."""
    for snapshot in table.metadata.snapshots:
        if snapshot.summary is not None and snapshot.summary.additional_properties.get(JOB) == job_id:
            return snapshot.summary.additional_properties.get(FOLDER)
    return None


class _Once(OneSpec):
    """Looks again whenever another commit came in between: it may have been this very job, in other hands."""

    snapshot_properties: dict[str, str]

    def _validate_concurrency(self) -> None:
        self.check_spec()
        super()._validate_concurrency()  # type: ignore[misc]
        if find_committed(self._transaction._table, self.snapshot_properties[JOB]) is not None:
            raise ValidationException("The import was committed by another worker.")


class _Append(_Once, _FastAppendFiles):
    """Adds files."""


class _Replace(_Once, _OverwriteFiles):
    """Adds files and takes others away."""


def commit(
    transaction: Transaction,
    job_id: str,
    *,
    added: Iterable[DataFile],
    removed: Iterable[DataFile] | None = None,
    folder: str,
    now: float,
) -> int | None:
    """Commit what the transaction has staged with the files; the id of the snapshot, None when there is none.

    Raises Unavailable when somebody was faster or the catalog did not answer: the whole import is tried again."""
    table = transaction._table
    added = list(added)
    removed = None if removed is None else list(removed)
    old = [name for name, value in table.properties.items() if name.startswith(MARK) and _is_old(value, now)]
    snapshot_id = None
    try:
        if added or removed:
            producer = _producer(transaction, table, {JOB: job_id, FOLDER: folder}, is_append=removed is None)
            for file in removed or ():
                producer.delete_data_file(file)
            for file in added:
                producer.append_data_file(file)
            producer.commit()
            snapshot_id = producer.snapshot_id
        transaction.set_properties({MARK + job_id: str(round(now))})
        if old:
            transaction.remove_properties(*old)
        transaction.commit_transaction()
    except (CommitFailedException, ValidationException) as error:
        raise Unavailable("The table changed while the import ran.", hint="It is tried again by itself.") from error
    except (SQLAlchemyError, OSError) as error:
        engine = getattr(table.catalog, "engine", None)
        if engine is not None:
            engine.dispose()  # a failed commit can leave its connection inside the transaction
        raise Unavailable("The catalog did not take the commit.", hint="It is tried again by itself.") from error
    return snapshot_id


def _producer(transaction: Transaction, table: Table, properties: dict[str, str], *, is_append: bool) -> Any:
    operation, kind = (Operation.APPEND, _Append) if is_append else (Operation.OVERWRITE, _Replace)
    return kind(operation, transaction, table.io, snapshot_properties=properties)


def _is_old(value: str, now: float) -> bool:
    return value.isdigit() and int(value) < now - MARK_S
