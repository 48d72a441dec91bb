"""What a reader makes of a file: blocks of text with their page and headings, and the reasons why there are none."""

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

MAX_TEXT_CHARS = 40_000_000
MAX_PASSAGES = 10_000
PASSAGE_CHARS = 1_200
LEAST_CHARS = 300
MAX_HEADING_CHARS = 200
HEADING_LEVELS = 6


class Unreadable(Exception):
    """The file has no text that can be read; the text says why, and is shown to whoever sent it."""


@dataclass(frozen=True, slots=True)
class Block:
    """A paragraph, a row or a heading. `level` is 1 to 6 for a heading; `page` 0 where there are none."""

    text: str
    page: int = 0
    level: int = 0


@dataclass(frozen=True, slots=True)
class Passage:
    """Some lines of a document, as they are found and cited."""

    text: str
    page: int
    headings: tuple[str, ...]


@dataclass(slots=True)
class _Growing:
    """A passage that is being put together."""

    lines: list[str] = field(default_factory=list)
    size: int = 0
    page: int = 0

    def add(self, text: str) -> None:
        self.lines.append(text)
        self.size += len(text) + 1


def cut_passages(blocks: Iterable[Block]) -> Iterator[Passage]:
    """Passages of about a thousand characters, each of one page and below one heading. Raises Unreadable."""
    headings: list[str] = []
    held = _Growing()
    count = total = 0
    for block in blocks:
        text = " ".join(block.text.split())
        if not text:
            continue
        total += len(text)
        if total > MAX_TEXT_CHARS:
            raise Unreadable(f"The document has more than {MAX_TEXT_CHARS // 1_000_000} million characters")
        breaks = block.page != held.page or block.level or held.size + len(text) > PASSAGE_CHARS
        if breaks and held.lines:
            yield Passage("\n".join(held.lines), held.page, tuple(headings))
            count += 1
            held = _Growing()
        held.page = block.page
        if block.level:
            level = min(block.level, HEADING_LEVELS)
            headings = [*headings[: level - 1], text[:MAX_HEADING_CHARS]]
        for piece in _pieces(text):
            if held.lines and held.size + len(piece) > PASSAGE_CHARS:
                yield Passage("\n".join(held.lines), held.page, tuple(headings))
                count += 1
                held = _Growing(page=block.page)
            held.add(piece)
        if count > MAX_PASSAGES:
            raise Unreadable(f"The document has more than {MAX_PASSAGES:,} passages; split it")
    if held.lines:
        yield Passage("\n".join(held.lines), held.page, tuple(headings))


def _pieces(text: str) -> Iterator[str]:
    """A long text in pieces that end with a sentence, else with a word."""
    at = 0
    while len(text) - at > PASSAGE_CHARS:
        ends = (text.rfind(mark, at + LEAST_CHARS, at + PASSAGE_CHARS) for mark in (". ", "? ", "! ", "; ", " "))
        end = next((place + 1 for place in ends if place > 0), at + PASSAGE_CHARS)
        yield text[at:end].strip()
        at = end
    if text[at:].strip():
        yield text[at:].strip()
