"""CSV taken apart record by record, for files that DuckDB's reader has refused: its own list of errors knows no bounds.

A record that is none is set aside, the others go into a plain file with their numbers in front."""

import csv
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import TextIO

from core.errors import Conflict

LINE_BYTES = 8 * 2**20  # the longest record of CSV, and the longest line of JSON
TEXT_CHARS = 10_000
csv.field_size_limit(LINE_BYTES)  # Python's own bound is lower, and one for the whole process


@dataclass(frozen=True, slots=True)
class Reject:
    """A row that was set aside. `row` counts from 1, for CSV its line; `text` is the row as it came."""

    row: int
    reason: str
    text: str


@dataclass(frozen=True, slots=True)
class Dialect:
    """How a CSV file is written. No quote: every quote is a sign like others."""

    delimiter: str
    quote: str
    escape: str
    skip: int
    has_header: bool


class _Lines:
    """Lines of a file with what belongs to the present record."""

    def __init__(self, file: TextIO):
        self._file = file
        self.number = 0  # of the last line that was read
        self.first = 0  # where the record began
        self.text: list[str] = []
        self._size = 0

    def begin(self) -> None:
        self.first, self.text, self._size = self.number + 1, [], 0

    def __iter__(self) -> Iterator[str]:
        return self

    def __next__(self) -> str:
        line = self._file.readline(LINE_BYTES)
        if not line:
            raise StopIteration
        self.number += 1
        self._size += len(line)
        if self._size >= LINE_BYTES:
            raise _unclosed(self.first) if self.text else _overlong(self.number)
        self.text.append(line)
        return line


def read_header(path: Path, dialect: Dialect) -> list[str]:
    """The first record of a file. Raises Conflict where it is none, or where anything but empty lines is before it."""
    with _opened(path) as file:
        lines = _Lines(file)
        for _ in range(dialect.skip):
            if next(lines, "").strip():
                raise Conflict("The file begins with lines that are no table.", hint="Its first line names columns.")
        try:
            return next((record for record in _records(lines, dialect) if record), [])
        except csv.Error:
            raise Conflict("The first line of the file is no header.", hint="Check its quotes.") from None


def sift(path: Path, target: Path, dialect: Dialect, width: int, limit: int) -> list[Reject]:
    """Write records of `width` values into `target`, each after its number; answers with at most `limit` + 1 others.

    Raises Conflict for a line without end and for a quote that is not closed: which rows it has swallowed, nobody
    can tell."""
    rejects: list[Reject] = []
    with _opened(path) as file, target.open("w", encoding="utf-8", newline="") as out:
        lines = _Lines(file)
        for _ in range(dialect.skip):
            next(lines, "")
        records = _records(lines, dialect)
        if dialect.has_header:
            next((record for record in records if record), None)
        while len(rejects) <= limit:
            lines.begin()
            try:
                reason = _judge(records, lines, width)
            except StopIteration:
                break
            if reason is None:
                continue
            text = "".join(lines.text).rstrip("\r\n")
            if reason:
                rejects.append(Reject(lines.first, reason, _readable(text)))
            else:
                out.write(f"{dialect.quote}{lines.first}{dialect.quote}{dialect.delimiter}{text}\n")
    return rejects


def _judge(records: Iterator[list[str]], lines: _Lines, width: int) -> str | None:
    """What is wrong with the next record; nothing when it is good, None when it is none. Raises StopIteration."""
    try:
        record = next(records)
    except csv.Error as error:
        if "unexpected end" in str(error):
            raise _unclosed(lines.first) from None
        return "a quote stands where none may stand"
    if not record and width > 1:
        return None
    return _misfit(record, width) or _garbled(lines.text)


def _opened(path: Path) -> TextIO:
    return path.open(encoding="utf-8-sig", errors="surrogateescape", newline="")


def _records(lines: _Lines, dialect: Dialect) -> "Iterator[list[str]]":
    is_doubled = dialect.escape in ("", dialect.quote)
    return csv.reader(
        lines,
        delimiter=dialect.delimiter,
        quotechar=dialect.quote or None,
        quoting=csv.QUOTE_MINIMAL if dialect.quote else csv.QUOTE_NONE,
        doublequote=is_doubled,
        escapechar=None if is_doubled else dialect.escape,
        strict=True,
    )


def _misfit(record: list[str], width: int) -> str:
    if record and len(record) < width:
        return "the row has too few columns"
    return "the row has too many columns" if any(record[width:]) else ""


def _garbled(text: list[str]) -> str:
    for line in text:
        if not line.isascii():
            try:
                line.encode()
            except UnicodeEncodeError:
                return "the line is not UTF-8"
    return ""


def _readable(text: str) -> str:
    return text[:TEXT_CHARS].encode(errors="surrogateescape").decode(errors="replace")


def _unclosed(row: int) -> Conflict:
    return Conflict(
        f"Row {row}: a quote is not closed within 8 MB, or not at all.",
        hint="Close it, double quotes inside of values, or let `quote` be empty where quotes mean nothing.",
    )


def _overlong(row: int) -> Conflict:
    return Conflict(f"Line {row} of the file is longer than 8 MB.", hint="Check its quotes and newlines.")
