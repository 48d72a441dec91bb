"""PDF as blocks, page by page."""

import logging
from collections.abc import Iterator
from typing import BinaryIO

from pypdf import PdfReader
from pypdf.errors import PyPdfError

from engine.documents.blocks import Block, Unreadable

MAX_PAGES = 10_000
BROKEN = (PyPdfError, ValueError, KeyError, TypeError, AttributeError, IndexError, AssertionError, RecursionError)
"""What pypdf raises on files that are not as they should be."""


def read_pdf(file: BinaryIO) -> Iterator[Block]:
    """The text of each page. Raises Unreadable when there is none, as in what a scanner made."""
    logging.getLogger("pypdf").setLevel(logging.CRITICAL)
    try:
        reader = PdfReader(file, strict=False)
        if reader.is_encrypted and not reader.decrypt(""):
            raise Unreadable("The PDF is encrypted; save it without a password")
        count = len(reader.pages)
    except BROKEN as error:
        raise Unreadable("The PDF is broken") from error
    except (NotImplementedError, ImportError):
        raise Unreadable("The PDF is encrypted in a way that cannot be read; save it without a password") from None
    if count > MAX_PAGES:
        raise Unreadable(f"The PDF has more than {MAX_PAGES:,} pages; split it")
    has_text = False
    for number in range(count):
        try:
            text = reader.pages[number].extract_text()
        except BROKEN:
            continue  # one page that cannot be read does not take the others away
        has_text = has_text or bool(text.strip())
        for part in text.split("\n\n"):
            yield Block(part, page=number + 1)
    if not has_text:
        raise Unreadable("The PDF holds no text, only pictures; have its text recognised (OCR) first")
