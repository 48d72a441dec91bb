"""Which format a file has: by its first bytes, and by its name where bytes do not tell."""

import io
import zipfile
from typing import BinaryIO, Literal

from engine.documents.blocks import Unreadable

Format = Literal["pdf", "docx", "html", "markdown", "text", "csv"]
FORMATS: tuple[Format, ...] = ("pdf", "docx", "html", "markdown", "text", "csv")
ENDINGS: dict[str, Format] = {
    "pdf": "pdf",
    "docx": "docx",
    "html": "html",
    "htm": "html",
    "xhtml": "html",
    "md": "markdown",
    "markdown": "markdown",
    "txt": "text",
    "text": "text",
    "log": "text",
    "rst": "text",
    "csv": "csv",
    "tsv": "csv",
}
SNIFFED = 4096
_FOREIGN = {
    b"\x89PNG": "a picture",
    b"\xff\xd8\xff": "a picture",
    b"GIF8": "a picture",
    b"\xd0\xcf\x11\xe0": "an old Office file",
    b"{\\rtf": "RTF",
    b"\x1f\x8b": "compressed",
    b"7z\xbc\xaf": "compressed",
    b"PAR1": "Parquet",
    b"MZ": "a program",
    b"\x7fELF": "a program",
}


def find_format(file: BinaryIO, name: str, wanted: str = "") -> Format:
    """The format of a file. Raises Unreadable when it is none of ours, or not the one that it is said to be."""
    file.seek(0)
    head = file.read(SNIFFED)
    file.seek(0)
    if not head.strip(b"\x00 \r\n\t"):
        raise Unreadable("The file is empty")
    said = wanted or ENDINGS.get(name.rpartition(".")[2].lower(), "")
    found = _by_bytes(file, head)
    if found in ("pdf", "docx"):
        if said and said != found:
            raise Unreadable(f"The file is called {said}, but it is {found}")
        return found
    if said in ("pdf", "docx"):
        raise Unreadable(f"The file is called {said}, but it is not")
    if found == "html" and said in ("", "html"):
        return "html"
    return next((format_ for format_ in FORMATS if format_ == said), "text")


def _by_bytes(file: BinaryIO, head: bytes) -> Format:
    for start, what in _FOREIGN.items():
        if head.startswith(start):
            raise Unreadable(f"The file is {what}; PDF, DOCX, HTML, Markdown, text and CSV can be read")
    if b"%PDF-" in head[:1024]:
        return "pdf"
    if head.startswith(b"PK"):
        return _zipped(file)
    is_wide = head.startswith((b"\xff\xfe", b"\xfe\xff"))
    if b"\x00" in head and not is_wide:
        raise Unreadable("The file is not text; PDF, DOCX, HTML, Markdown, text and CSV can be read")
    start = head.lstrip(b"\xef\xbb\xbf \r\n\t")[:200].lower()
    return "html" if start.startswith((b"<!doctype html", b"<html", b"<head", b"<body")) else "text"


def _zipped(file: BinaryIO) -> Format:
    try:
        with zipfile.ZipFile(file) as archive:
            names = set(archive.namelist())
    except (zipfile.BadZipFile, ValueError, OSError, NotImplementedError):
        raise Unreadable("The file is a broken archive") from None
    finally:
        file.seek(0)
    if "word/document.xml" in names:
        return "docx"
    raise Unreadable("The file is an archive, but not DOCX; PDF, DOCX, HTML, Markdown, text and CSV can be read")


def decode(data: bytes) -> str:
    """Text in UTF-8, in UTF-16 with its mark, else in the code page of western Windows."""
    if data.startswith((b"\xff\xfe", b"\xfe\xff")):
        return data.decode("utf-16", "replace")
    try:
        return data.decode("utf-8-sig")
    except UnicodeDecodeError:
        return data.decode("cp1252", "replace")


def lines_of(file: BinaryIO) -> io.StringIO:
    """The whole file as text, with one kind of line end."""
    return io.StringIO(decode(file.read()).replace("\x00", ""), newline=None)
