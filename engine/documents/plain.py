"""Text, Markdown and CSV as blocks."""

import csv
import re
from collections.abc import Iterator
from typing import BinaryIO

from engine.documents.blocks import Block, Unreadable
from engine.documents.formats import lines_of

MAX_FIELD_CHARS = 1_000_000
MAX_COLUMNS = 1_000
_HEADING = re.compile(r"(#{1,6})\s+(.*?)(?:\s+#+)?\s*$")
_UNDERLINE = re.compile(r"\s{0,3}(=+|-{3,})\s*$")
_FENCE = re.compile(r"\s{0,3}(```|~~~)")


def read_text(file: BinaryIO) -> Iterator[Block]:
    """Paragraphs: lines up to an empty one."""
    held: list[str] = []
    for line in lines_of(file):
        if line.strip():
            held.append(line.strip())
        elif held:
            yield Block(" ".join(held))
            held = []
    if held:
        yield Block(" ".join(held))


def read_markdown(file: BinaryIO) -> Iterator[Block]:
    """Paragraphs below their headings. HTML inside stays the text that it is: nothing here shows it as a page."""
    held: list[str] = []
    is_fenced = False
    for line in lines_of(file):
        is_fence = bool(_FENCE.match(line))
        is_fenced = is_fenced != is_fence
        found = None if is_fenced or is_fence else _HEADING.match(line)
        if found:
            if held:
                yield Block(" ".join(held))
            held = []
            yield Block(found[2], level=len(found[1]))
        elif not is_fenced and len(held) == 1 and (under := _UNDERLINE.match(line)):
            yield Block(held[0], level=1 if under[1].startswith("=") else 2)
            held = []
        elif line.strip():
            held.append(line.strip())
        elif held:
            yield Block(" ".join(held))
            held = []
    if held:
        yield Block(" ".join(held))


def read_csv(file: BinaryIO) -> Iterator[Block]:
    """Each row with the names of its columns, so that a row is found by itself."""
    csv.field_size_limit(MAX_FIELD_CHARS)
    text = lines_of(file)
    sample = text.read(SAMPLE_CHARS)
    text.seek(0)
    rows = csv.reader(text, delimiter=max(",;\t|", key=sample.count))
    try:
        names = next(rows, [])
        for row in rows:
            pairs = zip(names, row, strict=False)
            yield Block("; ".join(f"{name}: {value}" for name, value in pairs if value.strip()))
            if len(row) > MAX_COLUMNS:
                raise Unreadable(f"A row has more than {MAX_COLUMNS:,} columns")
        if rows.line_num <= 1 and names:
            yield Block("; ".join(names))
    except csv.Error as error:
        raise Unreadable(f"The CSV cannot be read: {error}") from None


SAMPLE_CHARS = 8_192
