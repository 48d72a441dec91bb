"""The commit of written records: once for each idempotency key, and only on what was read.

Other writers may append meanwhile. Whoever touched a file that is to be replaced has been faster: then all is
done again on the table as it is now. It leans on pyiceberg 0.12's private classes, as maintenance does."""

import json
from collections.abc import Iterable
from dataclasses import asdict, dataclass, replace
from typing import Any

from pyiceberg.exceptions import CommitFailedException, CommitStateUnknownException, ValidationException
from pyiceberg.manifest import DataFile, ManifestFile
from pyiceberg.table import Table
from pyiceberg.table.snapshots import Operation
from pyiceberg.table.update.snapshot import _MergeAppendFiles, _OverwriteFiles
from sqlalchemy.exc import SQLAlchemyError

from core.errors import Conflict, Unavailable
from engine.maintenance.replace import OneSpec, check_untouched, delete_files, has_landed
from engine.records.wishes import Outcome

KEY, DIGEST, OUTCOME = (f"headwater.records.{word}" for word in ("key", "digest", "outcome"))


class Lost(Exception):
    """Somebody else's commit made this one void; its files are gone again."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a repeated call is known by; an empty key is never known again."""

    key: str = ""
    digest: str = ""


@dataclass(frozen=True, slots=True)
class Files:
    """What a commit changes."""

    added: tuple[DataFile, ...] = ()
    removed: tuple[DataFile, ...] = ()


def find_done(table: Table, mark: Mark) -> Outcome | None:
    """What an equal call has done already. Raises Conflict when its key came with other arguments."""
    if not mark.key:
        return None
    for snapshot in reversed(table.metadata.snapshots):
        told = {} if snapshot.summary is None else snapshot.summary.additional_properties
        if told.get(KEY) != mark.key:
            continue
        if told.get(DIGEST) != mark.digest:
            raise Conflict("The idempotency key was used with other arguments.", hint="Use a new key.")
        return replace(Outcome(**json.loads(told[OUTCOME])), snapshot_id=snapshot.snapshot_id)
    return None


class _Once(OneSpec):
    """Looks again whenever another commit came in between: it may have been this very call, in other hands."""

    mark: Mark
    is_alone = False

    def _validate_concurrency(self) -> None:
        self.check_spec()
        producer: Any = self
        window, table = producer._commit_window, producer._transaction._table
        if window is None or window.is_empty() or window.head is None:
            return
        if self.is_alone or find_done(table, self.mark) is not None:
            raise ValidationException("Another writer was faster.")
        check_untouched(table, window.head, window.base, producer._deleted_data_files)


class _Append(_Once, _MergeAppendFiles):
    """Adds files."""


class _Exchange(_Once, _OverwriteFiles):
    """Adds files and takes others away."""

    def _build_delete_files_partition_predicate(self) -> None:
        # pyiceberg looks for files by a predicate on their partitions, which misses nulls and NaN; we look everywhere.
        return None

    def _build_manifest_evaluator(self, spec_id: int) -> Any:
        return _matches


def _matches(manifest: ManifestFile) -> bool:
    return True


def commit(table: Table, files: Files, outcome: Outcome, mark: Mark, *, is_alone: bool = False) -> Outcome:
    """Commit on the very table object that was read; with `is_alone` no other commit may have come in between.

    Raises Lost, and Unavailable when the catalog did not say how it ended."""
    transaction = table.transaction()
    counts = {name: count for name, count in asdict(outcome).items() if isinstance(count, int) and count}
    told = {KEY: mark.key, DIGEST: mark.digest, OUTCOME: json.dumps(counts)} if mark.key else {}
    producer: Any
    if files.removed:
        operation = Operation.OVERWRITE if files.added else Operation.DELETE
        producer = _Exchange(operation, transaction, table.io, snapshot_properties=told)
    else:
        producer = _Append(Operation.APPEND, transaction, table.io, snapshot_properties=told)
    producer.mark, producer.is_alone = mark, is_alone
    for file in files.removed:
        producer.delete_data_file(file)
    for file in files.added:
        producer.append_data_file(file)
    try:
        producer.commit()
        transaction.commit_transaction()
    except (CommitFailedException, ValidationException):
        discard(table, files.added)
        raise Lost from None
    except (CommitStateUnknownException, SQLAlchemyError, OSError) as error:
        if not has_landed(table, producer.snapshot_id):  # perhaps not yet: the files stay for remove_orphan_files
            raise Unavailable(
                "The catalog did not take the commit.", hint="Retry with the same idempotency key."
            ) from error
    except ValueError:  # how pyiceberg refuses a snapshot whose base the table went back to
        if not has_landed(table, producer.snapshot_id):
            discard(table, files.added)
            raise Lost from None
    return replace(outcome, snapshot_id=producer.snapshot_id)


def discard(table: Table, files: Iterable[DataFile]) -> None:
    """Delete files that were written and never committed."""
    delete_files(table.io, [file.file_path for file in files])
