"""Files made into passages, each by a process of its own with bounds on memory, time and what it says."""

import asyncio
import json
import os
import sys
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core.context import Cancellation
from core.errors import Cancelled, Conflict, Unavailable
from engine.documents.blocks import Passage

MAX_FILE_BYTES = 200 * 2**20
TIMEOUT_S = 180.0
LINE_BYTES = 2 * 2**20
REPORT_EVERY = 200
_START = (
    "import json, sys; sys.path[:] = json.loads(sys.argv[3]);"
    " from engine.documents.child import main; main(*sys.argv[1:3])"
)
SAVE_HINT = "Attach a file that can be read: PDF, DOCX, HTML, Markdown, text or CSV."


@dataclass(slots=True)
class Extracted:
    """What a file holds."""

    format: str = ""
    passages: list[Passage] = field(default_factory=list)

    @property
    def page_count(self) -> int:
        return max((passage.page for passage in self.passages), default=0)


def check_size(size_bytes: int) -> None:
    """Raises Conflict when a file is too large for a document."""
    if size_bytes > MAX_FILE_BYTES:
        raise Conflict(f"A document has at most {MAX_FILE_BYTES // 2**20} MB.", hint="Split it.")


Report = Callable[[int], Awaitable[None]]


async def extract(path: Path, name: str, wanted: str, cancelled: Cancellation, report: Report) -> Extracted:
    """The passages of a file. Raises Conflict when it has none that can be read, Cancelled, Unavailable."""
    descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW)
    try:
        process = await asyncio.create_subprocess_exec(
            sys.executable,
            "-I",
            "-c",
            _START,
            name,
            wanted,
            json.dumps(sys.path),
            stdin=descriptor,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.DEVNULL,
            limit=LINE_BYTES,
            env={"LANG": "C.UTF-8"},
        )
    except OSError as error:
        raise Unavailable("No process could be started to read the file.", hint="Retry in a moment.") from error
    finally:
        os.close(descriptor)
    cancelled.on_set(lambda: process.kill() if process.returncode is None else None)
    try:
        async with asyncio.timeout(TIMEOUT_S):
            return await _collect(process, cancelled, report)
    except TimeoutError:
        raise Conflict("The file takes too long to read.", hint=SAVE_HINT) from None
    finally:
        if process.returncode is None:
            process.kill()
        await process.wait()


async def _collect(process: asyncio.subprocess.Process, cancelled: Cancellation, report: Report) -> Extracted:
    assert process.stdout is not None, "it was asked for"
    found = Extracted()
    while line := await _line(process.stdout):
        if "unreadable" in line:
            raise Conflict(f"{line['unreadable']}.", hint=SAVE_HINT)
        if "done" in line:
            if not found.passages:
                raise Conflict("The file holds no text.", hint=SAVE_HINT)
            return found
        if "format" in line:
            found.format = line["format"]
        else:
            found.passages.append(Passage(line["text"], line["page"], tuple(line["headings"])))
            if len(found.passages) % REPORT_EVERY == 0:
                await report(len(found.passages))
    if cancelled:
        raise Cancelled("Reading the file was cancelled.")
    raise Conflict("The file cannot be read: it is broken, or needs too much memory or time.", hint=SAVE_HINT)


async def _line(stream: asyncio.StreamReader) -> dict[str, Any]:
    """The next line; empty at the end, and for what is none of ours."""
    try:
        line = await stream.readline()
        found = json.loads(line) if line else {}
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}
