"""A command made from a tool: its options are the request's fields, typed; its answers are the gate's."""

import asyncio
import json
from typing import Any

import click
import pytest
from click.testing import CliRunner, Result

from api.cli import EXIT_CODES, Answer, Options, call_command, tool_command
from core.dispatch import Call
from core.errors import PlatformError, error_classes
from tests.fakes.gate import PRINCIPALS, sample_dispatcher


def _execute(tool: str, arguments: dict[str, Any], options: Options) -> Answer:
    dispatcher, _ = sample_dispatcher()
    call = Call(tool, arguments, "cli", "req_1", principal=PRINCIPALS["admin-token"], form="json")
    try:
        return Answer("req_1", result=json.loads(asyncio.run(dispatcher.call(call)).model_dump_json()))
    except PlatformError as error:
        return Answer("req_1", error=error)


def _run(command: click.Command, *arguments: str, stdin: str | None = None) -> Result:
    return CliRunner(catch_exceptions=False).invoke(command, list(arguments), input=stdin)


def _tool(name: str, *arguments: str) -> Result:
    return _run(tool_command(sample_dispatcher()[0].registry.get(name), _execute), *arguments)


def _echo(*arguments: str) -> dict[str, Any]:
    said = _tool("echo_thing", "--thing-id", "t", *arguments, "--json")
    assert said.exit_code == 0, said.output
    echoed: dict[str, Any] = json.loads(said.stdout)
    return echoed


@pytest.mark.parametrize(
    ("arguments", "field", "value"),
    [
        (["--text", "ü [red]"], "text", "ü [red]"),
        (["--count", "7"], "count", 7),
        (["--ratio", "0.5"], "ratio", 0.5),
        (["--no-is-big"], "is_big", False),
        (["--is-big"], "is_big", True),
        (["--raw", "aGk="], "raw", "aGk="),
        (["--at", "2026-01-02T03:04:05Z"], "at", "2026-01-02T03:04:05Z"),
        (["--price", "1.10"], "price", "1.10"),
        (["--colour", "blue"], "colour", "blue"),
        (["--mode", "async"], "mode", "async"),
        (["--tags", "a", "--tags", "b"], "tags", ["a", "b"]),
        (
            ["--parts", '{"name": "p"}', "--parts", '{"name": "q"}'],
            "parts",
            [{"name": n, "weight": None} for n in "pq"],
        ),
        (["--labels", '{"a": "b"}'], "labels", {"a": "b"}),
        (["--cell", "[1, null]"], "cell", [1, None]),
    ],
)
def test_an_option_has_the_type_of_its_field(arguments: list[str], field: str, value: object) -> None:
    assert _echo(*arguments)[field] == value


def test_options_left_out_keep_the_fields_defaults() -> None:
    echoed = _echo()
    assert (echoed["count"], echoed["is_big"], echoed["tags"]) == (1, True, [])


@pytest.mark.parametrize(
    ("arguments", "words"),
    [
        (["--count", "x"], "'x' is not a valid integer"),
        (["--colour", "green"], "'green' is not one of 'red', 'blue'"),
        (["--parts", "{"], "is not JSON"),
        (["--bogus", "1"], "No such option '--bogus'"),
    ],
)
def test_a_wrong_option_is_named_before_anything_runs(arguments: list[str], words: str) -> None:
    said = _tool("echo_thing", "--thing-id", "t", *arguments)
    assert said.exit_code == 2
    assert words in said.stderr


def test_a_required_option_is_demanded() -> None:
    assert "Missing option '--thing-id'" in _tool("echo_thing").stderr


def test_help_shows_the_docstring_and_every_field() -> None:
    said = _tool("echo_thing", "--help").stdout
    assert "Answer with what was sent." in said
    for text in ("A number with a default other than zero.", "[red|blue]", "[sync|async]", "--json"):
        assert text in said


def test_only_writing_tools_take_an_idempotency_key() -> None:
    assert "--idempotency-key" in _tool("create_thing", "--help").stdout
    assert "--idempotency-key" not in _tool("get_thing", "--help").stdout


@pytest.mark.parametrize("kind", list(error_classes()))
def test_every_error_leaves_with_its_exit_code(kind: type[PlatformError]) -> None:
    def fail(tool: str, arguments: dict[str, Any], options: Options) -> Answer:
        return Answer("req_1", error=kind("What [was] wrong.", hint="Do this."))

    command = call_command(fail)
    in_json = _run(command, "x", "--json")
    assert (in_json.exit_code, in_json.stdout) == (EXIT_CODES[kind.code], "")
    assert json.loads(in_json.stderr)["error"] == {
        "code": kind.code,
        "message": "What [was] wrong.",
        "hint": "Do this.",
        "request_id": "req_1",
    }
    in_words = _run(command, "x")
    assert in_words.stderr == f"{kind.code} What [was] wrong.\n  Do this.\n  request req_1\n"


def test_call_takes_names_with_hyphens_too() -> None:
    said = _run(call_command(_execute), "get-thing", '{"thing_id": "a"}', "--json")
    assert json.loads(said.stdout)["name"] == "thing a"


def test_an_internal_error_says_nothing_of_its_cause() -> None:
    said = _tool("fail_thing", "--kind", "crash", "--json")
    assert said.exit_code == 1
    assert "secret" not in said.stderr


def test_rows_are_shown_as_a_table_and_the_rest_by_name() -> None:
    lines = _tool("list_rows", "--count", "2").stdout.splitlines()
    assert lines[-1] == "row_count 2"
    assert len(lines) == 4


def test_a_result_with_nothing_to_say_says_done() -> None:
    assert _tool("delete_thing", "--thing-id", "a").stdout == "done\n"
