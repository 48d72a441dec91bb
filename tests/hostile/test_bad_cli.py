"""Bad command lines and bad JSON on the command line: refused with exit code 2, never with a traceback."""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

from api.cli import Answer, Options, tool_command
from headwater.commands import cli
from headwater.local import call_once
from tests.faces.served import Served
from tests.hostile.test_bad_http import BODIES
from tests.hostile.wire import DEADLINE_S, LITERAL, REGISTRY, Doors, problems

CODES = ("INVALID_ARGUMENT",)


@pytest.mark.parametrize("name", BODIES)
def test_bad_json_is_refused(house: Served, doors: Doors, name: str, tmp_path: Path) -> None:
    (tmp_path / "arguments.json").write_bytes(BODIES[name])
    for argument in ("-", f"@{tmp_path}/arguments.json"):
        reply = doors.cli.send(["execute_query", argument], house.tokens["viewer"], stdin=BODIES[name])
        assert problems(reply, house, allowed=CODES, private=(LITERAL,)) == []


@pytest.mark.parametrize("argument", ["@/no/such/file", "@/proc/self/mem", "@", "@/", "", "[]", "null", "{"])
def test_arguments_from_nowhere_are_refused(house: Served, doors: Doors, argument: str) -> None:
    reply = doors.cli.send(["execute_query", argument], house.tokens["viewer"])
    assert problems(reply, house, allowed=CODES) == []


@pytest.mark.parametrize(
    "line",
    [
        ["no-such-command"],
        ["list-tables", "--no-such-option"],
        ["list-tables", "--page-size", "many"],
        ["list-tables", "--page-size", "1.5"],
        ["list-tables", "--page-size"],
        ["list-tables", "a", "b"],
        ["list-jobs", "--status", "exploded"],
        ["execute-query"],
        ["execute-query", "--sql", "SELECT 1", "--parameters", "{"],
        ["execute-query", "--sql", "SELECT 1", "--call-timeout", "soon"],
        ["call"],
        ["call", "list_tables", "{}", "{}"],
        ["serve", "--rest-port", "many"],
        ["token", "--hours", "-1"],
        ["token", "--hours", "nan"],
        ["token", "--role", "emperor"],
        ["token", "--tenant", "../../x"],
        ["worker", "--concurrency", "0"],
    ],
    ids=" ".join,
)
def test_a_bad_command_line_is_refused(house: Served, line: list[str]) -> None:
    home = {"HEADWATER_HOME": str(house.platform.settings.home)}
    done = CliRunner().invoke(cli, line, env=home)
    assert done.exit_code in (2, 4, 5), (done.exit_code, done.output, done.exception)
    assert done.stdout == "" and "Traceback" not in done.stderr and done.stderr


def test_options_of_a_command_meet_the_gates_errors(house: Served) -> None:
    table: list[tuple[str, list[str], int]] = [
        ("list_tables", ["--page-size", "-1"], 2),
        ("list_tables", ["--page-size", "1", "--skip", "1"], 2),
        ("list_tables", ["--connection-id", "theirs"], 5),
        ("list_tables", ["--connection-id", "dead"], 8),
        ("execute_query", ["--sql", ""], 2),
        ("execute_query", ["--sql", "DROP TABLE shop.orders"], 4),
    ]
    for tool, options, code in table:
        done = CliRunner().invoke(tool_command(REGISTRY.get(tool), execute(house)), [*options, "--json"])
        assert done.exit_code == code, (tool, options, done.output)
        assert json.loads(done.stderr)["error"]["request_id"]


def execute(house: Served) -> Callable[[str, dict[str, Any], Options], Answer]:
    def run(tool: str, arguments: dict[str, Any], options: Options) -> Answer:
        work = call_once(house.platform, house.tokens["viewer"], tool, arguments, options)
        return house.run(work, timeout_s=DEADLINE_S)

    return run
