"""The commit that puts files in the place of others that hold the same rows.

pyiceberg 0.12 can write every other kind of snapshot but has no public form of this one, so it leans on that
version's private classes; `tests/engine/maintenance/test_replace.py` fails when they change."""

from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from pyiceberg.avro.codecs import AvroCompressionCodec
from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.io import FileIO, OutputFile
from pyiceberg.manifest import DataFile, ManifestContent, ManifestEntry, ManifestEntryStatus, ManifestFile
from pyiceberg.manifest import ManifestWriterV2 as ManifestWriter
from pyiceberg.partitioning import PartitionSpec
from pyiceberg.schema import Schema
from pyiceberg.table import Table, Transaction
from pyiceberg.table.refs import MAIN_BRANCH
from pyiceberg.table.snapshots import Operation, Snapshot, Summary
from pyiceberg.table.update.snapshot import _OverwriteFiles
from pyiceberg.table.update.validate import _added_delete_files, _validate_data_files_exist
from sqlalchemy.exc import SQLAlchemyError

from core.errors import Conflict, Unavailable


class OneSpec:
    """Adds files to one partitioning only: pyiceberg lists them, on each try, under the spec of that moment."""

    _transaction: Transaction

    def __init__(self, *arguments: Any, **named: Any):
        super().__init__(*arguments, **named)
        self._written_spec_id = self._transaction.table_metadata.default_spec_id

    def check_spec(self) -> None:
        """Raises ValidationException when the table was partitioned anew since the files were written."""
        if self._transaction.table_metadata.default_spec_id != self._written_spec_id:
            raise ValidationException("The table was partitioned anew meanwhile.")


class Replacement(OneSpec, _OverwriteFiles):
    """Removes files and adds others in one REPLACE snapshot.

    Rows appended since the base stay. Whatever touched a removed file since then (a delete, an overwrite, another
    replacement, the expiry of the base) ends it with a ValidationException before anything is committed."""

    def __init__(
        self,
        transaction: Transaction,
        io: FileIO,
        *,
        dangling: Iterable[DataFile] = (),
        properties: Mapping[str, str],
        branch: str = MAIN_BRANCH,
    ):
        super().__init__(Operation.REPLACE, transaction, io, snapshot_properties=dict(properties), branch=branch)
        self._dangling = set(dangling)

    def _validate_concurrency(self) -> None:
        self.check_spec()
        window = self._commit_window
        if window is None or window.is_empty() or window.head is None:
            return
        check_untouched(self._transaction._table, window.head, window.base, self._deleted_data_files)

    def _existing_manifests(self) -> list[ManifestFile]:
        manifests = super()._existing_manifests()
        if not self._dangling:
            return manifests
        return [kept for manifest in manifests if (kept := self._without_dangling(manifest)) is not None]

    def _without_dangling(self, manifest: ManifestFile) -> ManifestFile | None:
        """A manifest of delete files less those that no longer apply to any file; None when nothing is left."""
        if manifest.content != ManifestContent.DELETES:
            return manifest
        entries = manifest.fetch_manifest_entry(self._io, discard_deleted=True)
        kept = [entry for entry in entries if entry.data_file not in self._dangling]
        if len(kept) == len(entries):
            return manifest
        if not kept:
            return None
        spec = self.spec(manifest.partition_spec_id)
        writer = _DeletesWriter(spec, self.schema(), self.new_manifest_output(), self._snapshot_id, self._compression)
        with writer:
            for entry in kept:
                writer.add_entry(_existing(entry))
        return writer.to_manifest_file()

    def _summary(self, snapshot_properties: dict[str, str] | None = None) -> Summary:
        """pyiceberg refuses to sum up a REPLACE, whose sums are those of an overwrite."""
        removed = self._deleted_data_files
        self._operation, self._deleted_data_files = Operation.OVERWRITE, removed | self._dangling
        try:
            summary = super()._summary(snapshot_properties or {})
        finally:
            self._operation, self._deleted_data_files = Operation.REPLACE, removed
        return Summary(operation=Operation.REPLACE, **summary.additional_properties)


def check_untouched(table: Table, head: Snapshot, base: Snapshot | None, files: set[DataFile]) -> None:
    """Raises ValidationException when what was committed between base and head touched one of the files."""
    _validate_data_files_exist(table, head, files, base)
    if base is None or table.format_version < 2:
        return
    added = _added_delete_files(table, head, None, None, base)
    for file in files:
        # From the base on: pyiceberg's own check starts at the head and misses a delete with a commit after it.
        if added.for_data_file(base.sequence_number or 0, file, file.partition):
            raise ValidationException("Rows of a file to be replaced were deleted meanwhile.")


class _DeletesWriter(ManifestWriter):
    """Writes a manifest of delete files; pyiceberg's own writes data files only."""

    def __init__(
        self,
        spec: PartitionSpec,
        schema: Schema,
        output: OutputFile,
        snapshot_id: int,
        compression: AvroCompressionCodec,
    ):
        super().__init__(spec, schema, output, snapshot_id, compression)

    def content(self) -> ManifestContent:
        return ManifestContent.DELETES

    @property
    def _meta(self) -> dict[str, str]:
        return {**super()._meta, "content": "deletes"}


def _existing(entry: ManifestEntry) -> ManifestEntry:
    return ManifestEntry.from_args(
        status=ManifestEntryStatus.EXISTING,
        snapshot_id=entry.snapshot_id,
        sequence_number=entry.sequence_number,
        file_sequence_number=entry.file_sequence_number,
        data_file=entry.data_file,
    )


def replace_files(
    table: Table,
    *,
    removed: Iterable[DataFile],
    added: Iterable[DataFile],
    dangling: Iterable[DataFile] = (),
    properties: Mapping[str, str],
) -> int:
    """Commit on the very table object that planned, so that every later commit counts as a conflict or is kept.

    Returns the snapshot's id. Raises Conflict when the plan no longer fits the table; the added files are deleted then.
    Raises Unavailable when the catalog did not say how it ended and cannot be asked; then nothing is deleted."""
    added = list(added)
    transaction = table.transaction()
    replacement = Replacement(transaction, table.io, dangling=dangling, properties=properties)
    for file in removed:
        replacement.delete_data_file(file)
    for file in added:
        replacement.append_data_file(file)
    with _settled(table, replacement.snapshot_id, added):
        replacement.commit()
        transaction.commit_transaction()
    return replacement.snapshot_id


@contextmanager
def _settled(table: Table, snapshot_id: int, added: list[DataFile]) -> Iterator[None]:
    """Turns the end of a commit into one of three: it landed, it did not and left nothing, or nobody knows."""
    try:
        yield
    except (CommitFailedException, ValidationException) as error:
        delete_files(table.io, [file.file_path for file in added])
        raise Conflict("The table changed in a way that does not fit this rewrite.", hint="Plan it again.") from error
    except (SQLAlchemyError, OSError) as error:
        if not has_landed(table, snapshot_id):  # perhaps not yet: the files stay for remove_orphan_files
            raise Unavailable("The catalog did not take the commit.", hint="Retry in a moment.") from error
    except ValueError as error:  # how pyiceberg refuses a snapshot whose base the table went back to
        if not has_landed(table, snapshot_id):
            delete_files(table.io, [file.file_path for file in added])
            raise Conflict("The table changed in a way that does not fit this commit.", hint="Retry.") from error


def has_landed(table: Table, snapshot_id: int) -> bool:
    """Whether the catalog holds the snapshot after all. Raises Unavailable when it does not answer."""
    engine = getattr(table.catalog, "engine", None)
    if engine is not None:
        engine.dispose()  # a failed commit can leave its connection inside the transaction that it did not end
    try:
        fresh = table.catalog.load_table(table.name())
    except (SQLAlchemyError, OSError) as error:
        raise Unavailable(
            "Whether the commit landed is not known: the catalog does not answer.",
            hint="Look at list_snapshots before trying again.",
        ) from error
    return fresh.metadata.snapshot_by_id(snapshot_id) is not None


def delete_files(io: FileIO, paths: Iterable[str]) -> int:
    """Delete files that nothing refers to; one that is gone already does not count. Returns how many were deleted."""
    deleted = 0
    for path in paths:
        try:
            io.delete(path)
        except FileNotFoundError:
            continue
        deleted += 1
    return deleted
