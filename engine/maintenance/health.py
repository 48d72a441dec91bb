"""Table health: how a table's files lie, measured on its metadata alone, and what would help."""

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from math import ceil

from engine.lake.history import History
from engine.maintenance.entries import Manifest, ManifestReader, entries_sql
from engine.maintenance.planning import CompactionPlan

MB = 1024 * 1024
EDGES_MB = (1, 8, 32, 128, 512)
PERIODS = 12
TARGET_MB = 128
MANY_SMALL = 1 / 3  # share of small files above which compaction usually pays
MANY_MANIFESTS = 20
MANY_SNAPSHOTS = 100
_MEASURES = """
WITH entries AS ({entries}), data AS (SELECT * FROM entries WHERE content = 0)
SELECT (SELECT count(*) FROM data), (SELECT coalesce(sum(size_bytes), 0) FROM data),
    (SELECT coalesce(sum(row_count), 0) FROM data), (SELECT count(*) FROM data WHERE size_bytes < {small}),
    (SELECT count(*) FROM entries WHERE content = 1), (SELECT count(*) FROM entries WHERE content = 2),
    (SELECT coalesce(sum(row_count), 0) FROM entries WHERE content = 1)"""
_PARTITIONS = """
WITH entries AS ({entries}), parts AS (
    SELECT spec_id, partition, count(*) AS files, sum(size_bytes) AS size,
        count(*) FILTER (size_bytes < {small}) AS small_files,
        coalesce(sum(size_bytes) FILTER (size_bytes < {small}), 0) AS small_size
    FROM entries WHERE content = 0 GROUP BY ALL)
SELECT count(*), coalesce(max(files), 0), coalesce(median(files), 0), coalesce(max(size), 0), coalesce(median(size), 0),
    coalesce(sum(CASE WHEN small_files > 1 THEN small_files - ceil(small_size / {target}) ELSE 0 END), 0) FROM parts"""
_HISTOGRAM = """
WITH entries AS ({entries})
SELECT {bucket} AS bucket, count(*), sum(size_bytes) FROM entries WHERE content = 0 GROUP BY ALL ORDER BY 1"""


@dataclass(frozen=True, slots=True)
class SizeBucket:
    """Data files below `below_mb` (and not below the bucket before it); None: all larger ones."""

    below_mb: int | None
    file_count: int
    size_bytes: int

    @property
    def label(self) -> str:
        if self.below_mb is None:
            return f"{EDGES_MB[-1]} MB and more"
        place = EDGES_MB.index(self.below_mb)
        return f"{EDGES_MB[place - 1]} to {self.below_mb} MB" if place else f"under {self.below_mb} MB"


@dataclass(frozen=True, slots=True)
class Period:
    """Snapshots of one stretch of a table's past, from `since` (UTC seconds) to the next one's."""

    since: float
    snapshot_count: int


@dataclass(frozen=True, slots=True)
class Health:
    """Counts of one snapshot. Skew is the largest partition against the median one."""

    data_file_count: int = 0
    total_size_bytes: int = 0
    row_count: int = 0
    small_file_count: int = 0
    position_delete_file_count: int = 0
    equality_delete_file_count: int = 0
    deleted_row_count: int = 0
    partition_count: int = 0
    max_files_in_partition: int = 0
    median_files_in_partition: float = 0.0
    size_skew: float = 1.0
    files_saved: int = 0
    manifest_count: int = 0
    manifest_size_bytes: int = 0
    snapshot_count: int = 0
    timeline: tuple[Period, ...] = ()
    histogram: tuple[SizeBucket, ...] = ()
    advice: tuple["Advice", ...] = field(default=())

    @property
    def avg_file_size_bytes(self) -> int:
        return self.total_size_bytes // self.data_file_count if self.data_file_count else 0


@dataclass(frozen=True, slots=True)
class Advice:
    """One operation that would help, why, and what it would change."""

    operation: str  # the tool's name
    reason: str
    gain: str
    tells_rows: bool = False  # how many rows there are, which policies may hide


def measure(history: History, *, small_file_mb: int) -> Health:
    """Measure the current snapshot. Reads manifests, never data. Blocking. Raises Unavailable."""
    current = history.current
    if current is None:
        return Health(snapshot_count=len(history.snapshots), timeline=tuple(_timeline(history)))
    with ManifestReader(history.location, history.storage) as reader:
        manifests = reader.manifests(current.manifest_list)
        found = _measure(reader, manifests, small_file_mb * MB) if manifests else Health()
    found = replace(
        found,
        snapshot_count=len(history.snapshots),
        timeline=tuple(_timeline(history)),
        manifest_count=len(manifests),
        manifest_size_bytes=sum(manifest.size_bytes for manifest in manifests),
    )
    return replace(found, advice=tuple(_advise(found)))


def _measure(reader: ManifestReader, manifests: Sequence[Manifest], small_bytes: int) -> Health:
    entries = entries_sql(manifests)
    counts = _numbers(reader.rows(_MEASURES.format(entries=entries, small=small_bytes))[0])
    parts = _numbers(reader.rows(_PARTITIONS.format(entries=entries, small=small_bytes, target=TARGET_MB * MB))[0])
    return Health(
        data_file_count=int(counts[0]),
        total_size_bytes=int(counts[1]),
        row_count=int(counts[2]),
        small_file_count=int(counts[3]),
        position_delete_file_count=int(counts[4]),
        equality_delete_file_count=int(counts[5]),
        deleted_row_count=int(counts[6]),
        partition_count=int(parts[0]),
        max_files_in_partition=int(parts[1]),
        median_files_in_partition=parts[2],
        size_skew=round(parts[3] / parts[4], 2) if parts[4] else 1.0,
        files_saved=int(parts[5]),
        histogram=tuple(_histogram(reader, entries)),
    )


def _histogram(reader: ManifestReader, entries: str) -> Iterator[SizeBucket]:
    cases = " ".join(f"WHEN size_bytes < {edge * MB} THEN {place}" for place, edge in enumerate(EDGES_MB))
    bucket = f"CASE {cases} ELSE {len(EDGES_MB)} END"
    rows = map(_numbers, reader.rows(_HISTOGRAM.format(entries=entries, bucket=bucket)))
    sizes = {int(place): (int(count), int(size)) for place, count, size in rows}
    for place, edge in enumerate((*EDGES_MB, None)):
        yield SizeBucket(edge, *sizes.get(place, (0, 0)))


def _timeline(history: History) -> Iterator[Period]:
    """The kept past in equal periods, so that bursts and pauses of commits show."""
    times = sorted(entry.at for entry in history.snapshots.values())
    if not times:
        return
    periods = min(PERIODS, len(times))
    length_s = max((times[-1] - times[0]) / periods, 0.001)
    counts = [0] * periods
    for at in times:
        counts[min(periods - 1, int((at - times[0]) / length_s))] += 1
    for place, count in enumerate(counts):
        yield Period(times[0] + place * length_s, count)


def project(histogram: Sequence[SizeBucket], plan: CompactionPlan) -> tuple[SizeBucket, ...]:
    """The histogram as it would be about after the plan is carried out."""
    found = {bucket.below_mb: [bucket.file_count, bucket.size_bytes] for bucket in histogram}
    for group in plan.groups:
        for file in group.files:
            _count(found, file.size_bytes, -1)
        for _ in range(group.expected_files):
            _count(found, group.size_bytes // group.expected_files, 1)
    return tuple(SizeBucket(edge, *(max(0, number) for number in numbers)) for edge, numbers in found.items())


def _count(found: dict[int | None, list[int]], size_bytes: int, sign: int) -> None:
    numbers = found[next((edge for edge in EDGES_MB if size_bytes < edge * MB), None)]
    numbers[0] += sign
    numbers[1] += sign * size_bytes


def _numbers(row: tuple[object, ...]) -> list[float]:
    return [float(str(value)) for value in row]


def _files(count: int) -> str:
    return "1 file" if count == 1 else f"{count} files"


def _advise(found: Health) -> list[Advice]:
    """What would help, most useful first."""
    advice: list[Advice] = []
    files, small = found.data_file_count, found.small_file_count
    if files and found.files_saved > 0 and small / files > MANY_SMALL:
        left = files - found.files_saved
        share = round(100 * found.files_saved / files)
        advice.append(
            Advice("compact_table", f"{small} of {files} files are small.", f"About {_files(left)}, {share} % fewer.")
        )
    if found.position_delete_file_count and not any(item.operation == "compact_table" for item in advice):
        deleted = found.deleted_row_count
        reason, gain = "Deleted rows are filtered at each read.", f"{deleted} deleted rows gone for good."
        advice.append(Advice("compact_table", reason, gain, tells_rows=True))
    if found.manifest_count > MANY_MANIFESTS and found.manifest_count * 8 > ceil(files / 8):
        advice.append(Advice("rewrite_manifests", f"{found.manifest_count} manifests.", "Queries plan faster."))
    if found.snapshot_count > MANY_SNAPSHOTS:
        reason = f"{found.snapshot_count} snapshots make every commit slower."
        advice.append(Advice("expire_snapshots", reason, "Faster commits, and files of old snapshots deleted."))
    return advice
