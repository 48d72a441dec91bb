"""Many small manifests made into few, sorted by partition, so that queries open fewer of them to plan."""

from collections.abc import Iterator, Sequence
from math import ceil

from pyiceberg.exceptions import CommitFailedException, ValidationException
from pyiceberg.io import FileIO
from pyiceberg.manifest import ManifestContent, ManifestEntry, ManifestFile
from pyiceberg.table import Table, Transaction

from core.errors import Conflict
from engine.maintenance.replace import Replacement

PER_MANIFEST = 8_000  # entries: about 8 MB, Iceberg's usual target, for a table of twenty columns


class ManifestRewrite(Replacement):
    """A REPLACE snapshot with the same files in other manifests. It fits whatever the table has become meanwhile."""

    def __init__(self, transaction: Transaction, io: FileIO):
        super().__init__(transaction, io, properties={})
        self.before = 0
        self.after = 0

    def _validate_concurrency(self) -> None:
        return

    def _existing_manifests(self) -> list[ManifestFile]:
        snapshot = self._transaction.table_metadata.snapshot_by_name(self._target_branch or "main")
        manifests = snapshot.manifests(self._io) if snapshot else []
        kept = [manifest for manifest in manifests if manifest.content != ManifestContent.DATA]
        by_spec: dict[int, list[ManifestFile]] = {}
        for manifest in manifests:
            if manifest.content == ManifestContent.DATA:
                by_spec.setdefault(manifest.partition_spec_id, []).append(manifest)
        for spec_id, group in by_spec.items():
            kept += group if len(group) == 1 else list(self._merged(spec_id, group))
        self.before, self.after = len(manifests), len(kept)
        return kept

    def _merged(self, spec_id: int, manifests: Sequence[ManifestFile]) -> Iterator[ManifestFile]:
        entries: list[ManifestEntry] = []
        for manifest in manifests:
            entries += manifest.fetch_manifest_entry(self._io, discard_deleted=True)
        entries.sort(key=lambda entry: (str(entry.data_file.partition), entry.data_file.file_path))
        for start in range(0, len(entries), PER_MANIFEST):
            with self.new_manifest_writer(self.spec(spec_id)) as writer:
                for entry in entries[start : start + PER_MANIFEST]:
                    writer.existing(entry)
            yield writer.to_manifest_file()


def plan_manifests(table: Table) -> tuple[int, int]:
    """How many manifests the current snapshot has, and about how many `rewrite_manifests` would leave. Blocking."""
    snapshot = table.current_snapshot()
    manifests = snapshot.manifests(table.io) if snapshot else []
    by_spec: dict[int, list[int]] = {}
    for manifest in manifests:
        if manifest.content == ManifestContent.DATA:
            entries = (manifest.added_files_count or 0) + (manifest.existing_files_count or 0)
            by_spec.setdefault(manifest.partition_spec_id, []).append(entries)
    others = len(manifests) - sum(map(len, by_spec.values()))
    after = sum(min(len(counts), ceil(sum(counts) / PER_MANIFEST)) for counts in by_spec.values())
    return len(manifests), others + after


def rewrite_manifests(table: Table) -> tuple[int, int]:
    """Commit the table's data files in fewer manifests; returns how many there were and are. Blocking.

    Raises Conflict when other writers were faster each time."""
    if table.format_version > 2:
        raise Conflict("Manifests of tables with format version 3 cannot be written here.")
    transaction = table.transaction()
    rewrite = ManifestRewrite(transaction, table.io)
    try:
        rewrite.commit()
        transaction.commit_transaction()
    except (CommitFailedException, ValidationException) as error:
        raise Conflict("Other writers were faster each time.", hint="Run it again when it is quieter.") from error
    return rewrite.before, rewrite.after
