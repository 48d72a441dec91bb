"""Progress of a long call on a terminal, and the bytes of a stream into a file."""

import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID

from api.cli import Options
from core.errors import InvalidArgument
from core.jobs import Progress


class ProgressBar:
    """A context whose `emit` shows progress on standard error and writes streamed bytes to `--output`."""

    def __init__(self, options: Options):
        self._options = options
        self._stack = ExitStack()
        self._bar: Bar | None = None
        self._task: TaskID | None = None
        self._output: BinaryIO | None = None

    def __enter__(self) -> "ProgressBar":
        return self

    def __exit__(self, *exc: Any) -> None:
        self._stack.close()

    async def emit(self, part: BaseModel) -> None:
        payload = next((value for _, value in part if isinstance(value, bytes)), None)
        if payload is not None:
            self._file().write(payload)
        elif isinstance(part, Progress) and sys.stderr.isatty():
            self._show(part)

    def _show(self, part: Progress) -> None:
        if self._bar is None:
            self._bar = self._stack.enter_context(Bar(console=Console(stderr=True), transient=True))
            self._task = self._bar.add_task(part.message, total=part.total)
        if self._task is not None:
            self._bar.update(self._task, description=part.message, completed=part.done, total=part.total)

    def _file(self) -> BinaryIO:
        if self._output is None:
            if self._options.output is None:
                raise InvalidArgument("This tool streams bytes.", hint="Say where to with --output FILE.")
            self._output = self._stack.enter_context(Path(self._options.output).open("wb"))  # noqa: SIM115 (closed by the stack)
        return self._output
