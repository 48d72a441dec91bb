"""The command line: one command per tool, made from its request model, and `call` for any tool."""

import enum
import json
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal, get_args, get_origin

import click
from pydantic.fields import FieldInfo
from rich.console import Console

from api.cli_render import show
from api.streams import ARROW_FIELD
from core.errors import InvalidArgument, PlatformError
from core.portable import Bars, file_link, plain_type
from core.tool import Tool

EXIT_CODES = {
    "INTERNAL": 1,
    "INVALID_ARGUMENT": 2,
    "UNAUTHENTICATED": 3,
    "UNAUTHORIZED": 4,
    "QUERY_UNAUTHORIZED": 4,
    "NOT_FOUND": 5,
    "CONFLICT": 6,
    "RATE_LIMITED": 7,
    "QUOTA_EXCEEDED": 7,
    "UNAVAILABLE": 8,
    "TIMEOUT": 9,
    "CANCELLED": 10,
}
"""What the shell sees. A test holds the table against the error tree."""


@dataclass(frozen=True, slots=True)
class Options:
    """What every tool command takes beside the tool's own arguments."""

    as_json: bool = False
    wait_s: float | None = None
    timeout_s: float | None = None
    idempotency_key: str = ""
    output: str | None = None


@dataclass(frozen=True, slots=True)
class Answer:
    """A finished call: the result as JSON, or the error with its request id."""

    request_id: str
    result: dict[str, Any] | None = None
    error: PlatformError | None = None
    bars: Mapping[str, Bars] = field(default_factory=dict)  # fields of the result that are shown as pictures


Execute = Callable[[str, dict[str, Any], Options], Answer]
"""Runs one tool, in this process or against a server; given by the wiring."""


def tool_command(tool: Tool, execute: Execute) -> click.Command:
    """The command of one tool: an option per field, `--json`, `--wait`, `--idempotency-key`."""

    def run(**values: Any) -> None:
        options = _take_options(values)
        arguments = {name: value for name, value in values.items() if value is not None and value != ()}
        finish(execute(tool.name, arguments, options), options)

    params: list[click.Parameter] = [_parameter(name, info) for name, info in tool.request.model_fields.items()]
    return click.Command(
        name=tool.name.replace("_", "-"),
        callback=run,
        params=params + _common(tool),
        help=tool.description,
        short_help=tool.summary,
    )


def call_command(execute: Execute) -> click.Command:
    """`headwater call TOOL [JSON]`: any tool, its arguments as one JSON object."""

    def run(tool: str, arguments: str, **values: Any) -> None:
        options = _take_options(values)
        finish(execute(tool.replace("-", "_"), read_arguments(arguments), options), options)

    params: list[click.Parameter] = [
        click.Argument(["tool"]),
        click.Argument(["arguments"], default="{}"),
    ]
    return click.Command(
        "call",
        callback=run,
        params=params + _common(None),
        help="Call any TOOL with ARGUMENTS in JSON.\n\nARGUMENTS is an object, `@FILE`, or `-` for standard input.",
    )


def read_arguments(text: str) -> dict[str, Any]:
    """Arguments given as JSON, `@FILE` or `-`. Raises click.UsageError when they are no object."""
    try:
        if text == "-":
            text = sys.stdin.read()
        elif text.startswith("@"):
            text = Path(text[1:]).read_text(encoding="utf-8")
        value = json.loads(text, object_pairs_hook=_unique)
    except OSError as error:
        raise click.UsageError(f"{error.filename} cannot be read: {error.strerror}") from None
    except (ValueError, RecursionError) as error:  # ValueError: also text that is not UTF-8
        raise click.UsageError(f"ARGUMENTS is not JSON: {error}") from None
    if not isinstance(value, dict):
        raise click.UsageError('ARGUMENTS is a JSON object, for example \'{"table": "flights.airports"}\'')
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise ValueError("a name stands twice in one object")
    return found


def finish(answer: Answer, options: Options) -> None:
    """Print an answer and leave with its exit code."""
    if answer.error is not None:
        body = answer.error.body(answer.request_id)
        if options.as_json:
            click.echo(json.dumps({"error": body}, ensure_ascii=False), err=True)
        else:
            Console(stderr=True).print(f"[red]{body['code']}[/red] ", end="")
            click.echo(body["message"] + (f"\n  {body['hint']}" if body["hint"] else ""), err=True)
            if body["request_id"]:
                click.echo(f"  request {body['request_id']}", err=True)
        raise SystemExit(EXIT_CODES[answer.error.code])
    result = answer.result or {}
    if options.as_json:
        click.echo(json.dumps(result, ensure_ascii=False))
    else:
        show(Console(), result, answer.bars)


def _take_options(values: dict[str, Any]) -> Options:
    taken = {name: values.pop(f"opt_{name}", None) for name in Options.__dataclass_fields__}
    return Options(**{name: value for name, value in taken.items() if value is not None})


def _common(tool: Tool | None) -> list[click.Parameter]:
    options: list[click.Parameter] = [
        click.Option(["--json", "opt_as_json"], is_flag=True, help="Print the result as JSON."),
        click.Option(["--call-timeout", "opt_timeout_s"], type=float, metavar="SECONDS", help="Give up after this."),
    ]
    if tool is None or tool.takes_key:
        options.append(click.Option(["--idempotency-key", "opt_idempotency_key"], help="Makes a retry safe."))
    if tool is None or tool.job or tool.submits:
        text = "How long to wait for the job; 0 answers at once."
        options.append(click.Option(["--wait", "opt_wait_s"], type=float, metavar="SECONDS", help=text))
    if tool is not None and file_link(tool.result):
        options.append(click.Option(["--output", "opt_output"], help="Save the file here instead of showing its link."))
    if tool is None or (tool.emits is not None and ARROW_FIELD in tool.emits.model_fields):
        options.append(click.Option(["--output", "opt_output"], help="File for the rows, as one Arrow IPC stream."))
    return options


def _parameter(name: str, info: FieldInfo) -> click.Parameter:
    kind, is_list = plain_type(info.annotation)
    flag = f"--{name.replace('_', '-')}"
    # An option that is required must not name a default, be it None: click would take that for the value.
    presence = {"required": True} if info.is_required() else {"default": None}
    shared: dict[str, Any] = {"help": info.description, **presence}
    if kind is bool and not is_list:
        return click.Option([f"{flag}/--no-{flag[2:]}", name], **shared)
    return click.Option([flag, name], type=_click_type(kind), multiple=is_list, **shared)


def _click_type(kind: Any) -> click.ParamType[Any]:
    if kind is int:
        return click.INT
    if kind is float:
        return click.FLOAT
    if get_origin(kind) is Literal:
        return click.Choice([str(value) for value in get_args(kind)])
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return click.Choice([str(item.value) for item in kind])
    if isinstance(kind, type) and kind.__module__ in ("builtins", "datetime", "decimal"):
        return click.STRING
    return JsonParameter()


class JsonParameter(click.ParamType[Any]):
    """A nested value, given as JSON."""

    name = "json"

    def convert(self, value: Any, param: click.Parameter | None, ctx: click.Context | None) -> Any:
        if not isinstance(value, str):
            return value
        try:
            return json.loads(value)
        except (ValueError, RecursionError):
            self.fail(f"{value[:40]!r} is not JSON", param, ctx)


def usage_error(error: click.UsageError) -> PlatformError:
    """A wrong command line in the words of the other faces."""
    command = error.ctx.command_path if error.ctx else "headwater"
    return InvalidArgument(error.format_message(), hint=f"See `{command} --help`.")
