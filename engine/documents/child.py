"""A process that reads one file and ends: whatever the file does to it, nothing else is harmed.

It gets the file as its standard input, opened for reading, and writes one line of JSON for each passage."""

import contextlib
import ctypes
import json
import os
import resource
import signal
import sys
from collections.abc import Callable, Iterator
from typing import Any, BinaryIO

from engine.documents.blocks import Block, Unreadable, cut_passages
from engine.documents.formats import Format, find_format

CPU_S = 120
MEMORY_BYTES = 1024 * 2**20
STACK_DEPTH = 3_000
_DEATH_SIGNAL = 1
Read = Callable[[BinaryIO], Iterator[Block]]


def main(name: str, wanted: str) -> None:
    """Read standard input, and say what is in it or why that cannot be read."""
    _confine()
    file = os.fdopen(0, "rb")
    try:
        format_ = find_format(file, name, wanted)
        _say({"format": format_})
        for passage in cut_passages(find_reader(format_)(file)):
            _say({"text": passage.text, "page": passage.page, "headings": passage.headings})
        _say({"done": True})
    except Unreadable as error:
        _say({"unreadable": str(error)})
    except MemoryError:
        _say({"unreadable": "The file needs more memory than a document may"})


def find_reader(format_: Format) -> Read:
    """What reads a format; its library is imported here, in the process that needs it."""
    from engine.documents import plain

    if format_ == "pdf":
        from engine.documents.pdf import read_pdf

        return read_pdf
    if format_ in ("docx", "html"):
        from engine.documents.markup import read_docx, read_html

        return read_docx if format_ == "docx" else read_html
    return {"markdown": plain.read_markdown, "csv": plain.read_csv}.get(format_, plain.read_text)


def _confine() -> None:
    """Limits of memory and time, no files, no other processes, and an end with whoever started this."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL(None).prctl(_DEATH_SIGNAL, signal.SIGKILL)
    for limit, value in (
        (resource.RLIMIT_AS, MEMORY_BYTES),
        (resource.RLIMIT_CPU, CPU_S),
        (resource.RLIMIT_FSIZE, 0),
        (resource.RLIMIT_CORE, 0),
    ):
        with contextlib.suppress(OSError, ValueError):
            resource.setrlimit(limit, (value, value))
    sys.setrecursionlimit(STACK_DEPTH)


def _say(what: dict[str, Any]) -> None:
    sys.stdout.write(json.dumps(what, ensure_ascii=True) + "\n")
    sys.stdout.flush()
