"""HTML and DOCX as blocks: what people read of them, without scripts, entities or anything from elsewhere."""

import zipfile
from collections.abc import Iterator
from typing import Any, BinaryIO

from lxml import etree, html  # type: ignore[import-untyped]

from engine.documents.blocks import Block, Unreadable
from engine.documents.formats import decode

MAX_PART_BYTES = 256 * 2**20
MAX_TIMES = 200  # what a part may grow to when it is unpacked, above a size that harms nobody
HARMLESS_BYTES = 16 * 2**20
UNSEEN = frozenset(
    ("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "math", "canvas", "head", "form")
)
OWN_LINE = frozenset(
    (
        "p", "div", "li", "tr", "br", "hr", "ul", "ol", "table", "section", "article", "blockquote", "pre", "dd", "dt",
        "td", "th", "caption", "figcaption", "header", "footer", "main", "nav", "aside", "body",
        "h1", "h2", "h3", "h4", "h5", "h6",
    )
)  # fmt: skip
WORD = "{http://schemas.openxmlformats.org/wordprocessingml/2006/main}"
DOCUMENT, STYLES = "word/document.xml", "word/styles.xml"
PAGE_MARKS, MARK_BYTES, PIECE_BYTES = (b"lastRenderedPageBreak", b'type="page"'), 32, 2**20
XML = {"resolve_entities": False, "no_network": True, "load_dtd": False, "huge_tree": False}


def read_html(file: BinaryIO) -> Iterator[Block]:
    """The text of a page, in order."""
    text = decode(file.read())
    if not text.strip():
        raise Unreadable("The file is empty")
    # As text and with an encoding of our own: what the page says of its encoding is not asked.
    parser = html.HTMLParser(encoding="utf-8", no_network=True, remove_comments=True, remove_pis=True, huge_tree=False)
    try:
        root = html.document_fromstring(text.encode("utf-8", "replace"), parser=parser)
    except (etree.ParserError, etree.XMLSyntaxError, ValueError):
        raise Unreadable("The HTML cannot be read") from None
    yield from _Lines(root).read()


class _Lines:
    """Walks a page without recursion, since pages may be nested as deep as they like."""

    def __init__(self, root: Any):
        self._root = root
        self._held: list[str] = []

    def read(self) -> Iterator[Block]:
        skipped: Any = None
        for event, node in etree.iterwalk(self._root, events=("start", "end")):
            if skipped is not None:
                if event == "end" and node is skipped:
                    skipped = None
                    self._hold(node.tail)
                continue
            tag = node.tag if isinstance(node.tag, str) else ""
            if event == "start" and (tag in UNSEEN or not tag):
                skipped = node
                continue
            if tag in OWN_LINE:
                yield from self._line(tag if event == "end" else "")
            self._hold(node.text if event == "start" else node.tail)
        yield from self._line("")

    def _hold(self, text: str | None) -> None:
        if text and text.strip():
            self._held.append(text)

    def _line(self, tag: str) -> Iterator[Block]:
        if self._held:
            level = int(tag[1]) if len(tag) == 2 and tag[0] == "h" and tag[1].isdigit() else 0
            yield Block(" ".join(self._held), level=level)
        self._held = []


def read_docx(file: BinaryIO) -> Iterator[Block]:
    """Paragraphs and rows of tables; pages as the program that saved it last had broken them."""
    try:
        with zipfile.ZipFile(file) as archive:
            levels = _levels(archive) if STYLES in archive.namelist() else {}
            with _part(archive, DOCUMENT) as part:
                has_pages = _has_pages(part)
            with _part(archive, DOCUMENT) as part:
                yield from _paragraphs(part, levels, 1 if has_pages else 0)
    except (zipfile.BadZipFile, NotImplementedError, EOFError, OSError, etree.XMLSyntaxError) as error:
        raise Unreadable("The DOCX is broken") from error
    except RuntimeError:  # what zipfile says of a part under a password
        raise Unreadable("The DOCX is encrypted; save it without a password") from None


def _part(archive: zipfile.ZipFile, name: str) -> Any:
    """A part of the archive. What it says of its size is also all that is read of it."""
    info = archive.getinfo(name)
    grown = info.file_size > HARMLESS_BYTES and info.file_size > MAX_TIMES * max(1, info.compress_size)
    if info.file_size > MAX_PART_BYTES or grown:
        raise Unreadable("The DOCX unpacks to far more than it is; it may be an archive bomb")
    return archive.open(info)


def _levels(archive: zipfile.ZipFile) -> dict[str, int]:
    """Styles that are headings, with their level: by the outline that they stand for, or by their English name."""
    found: dict[str, int] = {}
    with _part(archive, STYLES) as part:
        for _, node in etree.iterparse(part, tag=f"{WORD}style", **XML):
            _refuse_types(node)
            style = node.get(f"{WORD}styleId", "")
            outline = node.find(f"{WORD}pPr/{WORD}outlineLvl")
            name = node.find(f"{WORD}name")
            said = "" if name is None else name.get(f"{WORD}val", "").lower()
            if outline is not None and outline.get(f"{WORD}val", "").isdigit():
                found[style] = int(outline.get(f"{WORD}val")) + 1
            elif said.startswith("heading ") and said[8:].isdigit():
                found[style] = int(said[8:])
            elif said == "title":
                found[style] = 1
            node.clear()
    return {style: level for style, level in found.items() if 1 <= level <= 9}


def _has_pages(part: Any) -> bool:
    """Whether it is written anywhere where pages end."""
    kept = b""
    while piece := part.read(PIECE_BYTES):
        if any(mark in kept + piece for mark in PAGE_MARKS):
            return True
        kept = piece[-MARK_BYTES:]
    return False


def _paragraphs(part: Any, levels: dict[str, int], page: int) -> Iterator[Block]:
    """The text in order; `page` is that of the first paragraph, and 0 where pages are not known."""
    cells: list[str] = []
    depth = 0
    checked = False
    for event, node in etree.iterparse(part, events=("start", "end"), **XML):
        if not checked:
            _refuse_types(node)
            checked = True
        if node.tag == f"{WORD}tr":
            depth += 1 if event == "start" else -1
            if event == "end" and depth == 0:
                yield Block(" | ".join(cells), page)
                cells = []
                node.clear()
        elif event == "end" and node.tag == f"{WORD}p":
            breaks = sum(1 for _ in node.iter(f"{WORD}lastRenderedPageBreak"))
            breaks += sum(1 for item in node.iter(f"{WORD}br") if item.get(f"{WORD}type") == "page")
            text = _text(node)
            if depth:
                cells.append(text)
            else:
                style = node.find(f"{WORD}pPr/{WORD}pStyle")
                level = 0 if style is None else levels.get(style.get(f"{WORD}val", ""), 0)
                yield Block(text, page, level)
                node.clear()
            page += breaks if page else 0


def _text(paragraph: Any) -> str:
    found = []
    for node in paragraph.iter(f"{WORD}t", f"{WORD}tab", f"{WORD}br"):
        found.append(node.text or "" if node.tag == f"{WORD}t" else " ")
    return "".join(found)


def _refuse_types(node: Any) -> None:
    """Word writes no document types: one that is there defines entities."""
    if node.getroottree().docinfo.doctype:
        raise Unreadable("The DOCX declares a document type, which Word never does")
