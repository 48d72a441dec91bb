"""A folder of Parquet, CSV and JSON files: each file, and each sub-folder of like files, is one table."""

import re
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from core.errors import Conflict, PlatformError
from engine.connectors.connector import ColumnInfo, RelationInfo
from engine.connectors.duck import Duck, DuckPlan, quote
from engine.connectors.duck_backed import DuckBacked
from engine.connectors.places import is_inside
from engine.connectors.stream import in_thread
from engine.lake.names import join_name

READERS = {
    ".parquet": "read_parquet([{files}], union_by_name = true)",
    ".csv": "read_csv([{files}], union_by_name = true)",
    ".tsv": "read_csv([{files}], union_by_name = true)",
    ".json": "read_json([{files}], union_by_name = true)",
    ".jsonl": "read_json([{files}], union_by_name = true, format = 'newline_delimited')",
    ".ndjson": "read_json([{files}], union_by_name = true, format = 'newline_delimited')",
}
MAX_FILES = 20_000


@dataclass(frozen=True, slots=True)
class FileTable:
    name: str
    source: str  # the FROM item that reads it


class FilesConnector(DuckBacked):
    """Looks for files when its schema is read, and reads exactly those files."""

    kind = "files"

    def __init__(self, path: Path, plan: DuckPlan):
        self.path = path
        super().__init__(plan)

    async def schema(self) -> list[RelationInfo]:
        duck = await self._duck.get()
        return await in_thread(lambda: list(_relations(duck, find_tables(self.path))))

    async def sources(self, names: Iterable[str]) -> Mapping[str, str]:
        tables = await in_thread(lambda: {table.name: table.source for table in find_tables(self.path)})
        return {name: tables[name] for name in names if name in tables}


def find_tables(path: Path) -> list[FileTable]:
    """The tables below `path`. Links that lead out of it are left out."""
    if path.is_file():
        return [_table(path.stem, path.suffix.lower(), [path])] if path.suffix.lower() in READERS else []
    found: dict[str, FileTable] = {}
    for entry in sorted(path.iterdir()):
        files = sorted(_data_files(entry, path)) if entry.is_dir() else [entry]
        files = [file for file in files if file.suffix.lower() in READERS and is_inside(file, path)]
        if files:
            suffix = files[0].suffix.lower()
            name = entry.name if entry.is_dir() else entry.stem
            table = _table(name, suffix, [file for file in files if file.suffix.lower() == suffix])
            found.setdefault(table.name, table)
    return list(found.values())


def _data_files(folder: Path, root: Path) -> Iterator[Path]:
    if not is_inside(folder, root):
        return
    for number, file in enumerate(folder.rglob("*")):
        if number > MAX_FILES:
            raise Conflict(f"A sub-folder holds more than {MAX_FILES} files.", hint="Connect a smaller folder.")
        if file.is_file() and not file.name.startswith((".", "_")):
            yield file


def _table(name: str, suffix: str, files: list[Path]) -> FileTable:
    clean = re.sub(r"[/\\\x00-\x1f\x7f]", "_", name)
    # Names are read back as patterns by DuckDB, so their special characters are bracketed.
    listed = ", ".join(quote(re.sub(r"([\[*?])", r"[\1]", str(file))) for file in files)
    return FileTable(join_name((clean,)), READERS[suffix].format(files=listed))


def _relations(duck: Duck, tables: list[FileTable]) -> Iterator[RelationInfo]:
    for table in tables:
        try:
            described = duck.rows(f"DESCRIBE SELECT * FROM {table.source}")  # noqa: S608 - ours, quoted in _table
        except PlatformError:
            continue  # a file that cannot be read is no table; check_connection is where it is reported
        columns = (
            ColumnInfo(row[0], row[1].lower(), row[2] == "YES", ordinal) for ordinal, row in enumerate(described, 1)
        )
        yield RelationInfo(table.name, tuple(columns))
