"""What a long call shows while it runs: progress and parts on standard error, streamed rows into a file."""

import json
import sys
from contextlib import ExitStack
from pathlib import Path
from typing import Any, BinaryIO

from pydantic import BaseModel
from rich.console import Console
from rich.progress import Progress as Bar
from rich.progress import TaskID

from api.cli import Options
from api.streams import ARROW_FIELD, ArrowJoin
from core.errors import InvalidArgument
from core.jobs import Progress

MAX_LINE = 100


class Live:
    """A context for one call. The file of `--output` is there whole when the call succeeded, else not at all."""

    def __init__(self, options: Options):
        self._options = options
        self._stack = ExitStack()
        self._join = ArrowJoin()
        self._bar: tuple[Bar, TaskID] | None = None
        self._file: BinaryIO | None = None
        self._draft: Path | None = None
        self._has_chunks = False

    def __enter__(self) -> "Live":
        return self

    def __exit__(self, kind: Any, error: Any, trace: Any) -> None:
        if error is None and self._has_chunks:
            self.write(self._join.end())
        self._stack.close()
        if self._draft is not None and error is None:
            self._draft.replace(self._options.output or "")
        elif self._draft is not None:
            self._draft.unlink()

    async def emit(self, part: BaseModel) -> None:
        """Take a part as the gate gives it."""
        chunk = getattr(part, ARROW_FIELD, None)
        if chunk is not None:
            self._has_chunks = True
            self.write(self._join.add(chunk))
        else:
            self.show(part if isinstance(part, Progress) else part.model_dump(mode="json"))

    def write(self, data: bytes) -> None:
        """Append to the file of `--output`. Raises InvalidArgument when it cannot be written."""
        if self._file is None:
            self._file = self._open()
        self._file.write(data)

    def show(self, part: Progress | dict[str, Any]) -> None:
        """A bar on a terminal, else a line; nothing beside `--json`."""
        if self._options.as_json:
            return
        if isinstance(part, Progress) and sys.stderr.isatty():
            bar, task = self._bar = self._bar or self._new_bar()
            bar.update(task, description=part.message, completed=part.done, total=part.total)
        elif isinstance(part, Progress):
            counted = f" ({part.done}/{part.total})" if part.total else ""
            sys.stderr.write(f"{part.message}{counted}\n")
        else:
            sys.stderr.write(f"{_brief(part)}\n")

    def _new_bar(self) -> tuple[Bar, TaskID]:
        bar = self._stack.enter_context(Bar(console=Console(stderr=True), transient=True))
        return bar, bar.add_task("")

    def _open(self) -> BinaryIO:
        if self._options.output is None:
            raise InvalidArgument("This tool streams bytes.", hint="Say where to with --output FILE.")
        target = Path(self._options.output)
        is_special = target.exists() and not target.is_file()  # /dev/stdout or a pipe cannot be replaced
        if not is_special:
            self._draft = target.with_name(f".{target.name}.part")
        try:
            return self._stack.enter_context((self._draft or target).open("wb"))
        except OSError as error:
            self._draft = None
            raise InvalidArgument(f"{target} cannot be written: {error.strerror}.", hint="Check --output.") from None


def _brief(part: dict[str, Any]) -> str:
    """One line, cut where it is long, for the result says it all; of a part that wraps an object, what is in it."""
    inner = next(iter(part.values())) if len(part) == 1 else part
    fields = inner if isinstance(inner, dict) else part
    line = "  ".join(
        " ".join(value.split()) if isinstance(value, str) else f"{name} {json.dumps(value, ensure_ascii=False)}"
        for name, value in fields.items()
        if value not in (None, "", {}, [])
    )
    return line if len(line) <= MAX_LINE else f"{line[: MAX_LINE - 1]}…"
