"""Logging: one stream to stderr, as text or JSON lines, with request ids and without secrets."""

import json
import logging
import sys
import time
from contextvars import ContextVar
from typing import TextIO

from core.settings import TelemetrySettings
from engine.telemetry.redact import redact

request_id: ContextVar[str] = ContextVar("request_id", default="")
"""Only for log lines: the request that the current task serves. Nothing else may read it."""

# Other libraries' chatter: access lines with query strings, each outbound URL, each SQL parameter.
QUIET = (
    "httpcore",
    "httpx",
    "httpx2",
    "mcp",
    "fastmcp",
    "grpc",
    "asyncio",
    "urllib3",
    "pyiceberg",
    "alembic",
    "docket",
    "uvicorn.error",  # one line per face, and faces are announced
)
NEVER_BELOW_WARNING = ("sqlalchemy", "sqlalchemy.engine", "sqlalchemy.pool", "uvicorn.access")
_CONTROL = {code: f"\\x{code:02x}" for code in (*range(32), 127) if chr(code) not in "\n\t"}
_LINE = _CONTROL | {10: "\\n"}


class Redacted(logging.Formatter):
    """Formats a record and takes secrets out of the whole of it, its exceptions included."""

    def message_of(self, record: logging.LogRecord) -> str:
        """The message on one line, so that text from outside cannot forge a second one."""
        return redact(record.getMessage()).translate(_LINE)

    def trace_of(self, record: logging.LogRecord) -> str:
        parts = []
        if record.exc_info:
            parts.append(self.formatException(record.exc_info))
        if record.stack_info:
            parts.append(record.stack_info)
        return redact("\n".join(parts)).translate(_CONTROL)

    def request_of(self, record: logging.LogRecord) -> str:
        return str(getattr(record, "request_id", "") or request_id.get())

    def time_of(self, record: logging.LogRecord) -> str:
        return f"{time.strftime('%Y-%m-%dT%H:%M:%S', time.gmtime(record.created))}.{int(record.msecs):03d}Z"


class TextLines(Redacted):
    """For people: time, level, logger, request, message; traces indented below."""

    def format(self, record: logging.LogRecord) -> str:
        request = self.request_of(record)
        parts = [self.time_of(record), f"{record.levelname:<7}", record.name]
        parts += [f"[{request}]"] if request else []
        line = " ".join([*parts, self.message_of(record)])
        trace = self.trace_of(record)
        return line + "".join(f"\n    {row}" for row in trace.splitlines())


class JsonLines(Redacted):
    """For machines: one object per line."""

    def format(self, record: logging.LogRecord) -> str:
        entry = {
            "time": self.time_of(record),
            "level": record.levelname.lower(),
            "logger": record.name,
            "request_id": self.request_of(record),
            "message": self.message_of(record),
            "trace": self.trace_of(record),
        }
        return json.dumps({name: value for name, value in entry.items() if value}, ensure_ascii=False)


def configure_logging(settings: TelemetrySettings, *, stream: TextIO | None = None) -> None:
    """Send all logging of the process to `stream` (stderr), and take other libraries' handlers away."""
    output = logging.StreamHandler(stream or sys.stderr)
    output.setFormatter(JsonLines() if settings.log_json else TextLines())
    logging.root.handlers[:] = [output]
    logging.root.setLevel(settings.log_level.upper())
    logging.captureWarnings(True)
    take_over(settings)


def take_over(settings: TelemetrySettings) -> None:
    """Send what other libraries log our way. Again after importing one that brings handlers of its own."""
    loud = settings.log_level == "debug"
    for name in list(logging.root.manager.loggerDict):
        other = logging.getLogger(name)
        other.handlers.clear()
        other.propagate = True
    for name in QUIET:
        logging.getLogger(name).setLevel("DEBUG" if loud else "WARNING")
    for name in NEVER_BELOW_WARNING:
        logging.getLogger(name).setLevel("WARNING")
