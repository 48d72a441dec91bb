"""The command line in one process: what it lists, what it refuses, and how it says so."""

import json
from pathlib import Path

import click
import pyarrow as pa
import pytest

from engine.identity.roles import BUILT_IN
from headwater import __version__
from headwater.commands import cli
from headwater.local import registry
from headwater.tool_index import summaries
from tests.headwater.processes import finished, headwater, spawn


def test_the_version_is_one_line() -> None:
    said = finished(spawn("--version"))
    assert (said.code, said.out, said.err) == (0, f"headwater {__version__}\n", "")


def test_help_lists_every_command_and_every_tool() -> None:
    said = headwater("--help")
    listed = {line.split()[0] for line in said.out.splitlines() if line.startswith("  ") and line.strip()}
    assert said.code == 0
    assert {"serve", "stop", "worker", "mcp", "token", "call", "demo", "doctor", "backup", "restore", "db"} <= listed
    assert {name.replace("_", "-") for name in summaries()} <= listed
    assert "generate" not in listed
    assert "search-tools" not in listed  # for models, over MCP


def test_no_line_of_the_help_is_wider_than_a_terminal() -> None:
    assert [line for line in headwater("--help").out.splitlines() if len(line) > 80] == []


def test_no_option_of_a_tool_hides_another() -> None:
    clashes = []
    with click.Context(cli) as ctx:
        for name in [*summaries(), "call", *cli.commands]:
            command = cli.get_command(ctx, name)
            assert command is not None
            options = [text for param in command.params for text in (*param.opts, *param.secondary_opts)]
            clashes += [(name, text) for text in options if options.count(text) > 1]
    assert clashes == []


def test_home_and_its_variable_belong_to_every_command() -> None:
    with click.Context(cli) as ctx:
        leaves: dict[str, click.Command] = {}
        for name in cli.list_commands(ctx):
            command = cli.get_command(ctx, name)
            assert command is not None
            leaves |= (
                {f"{name} {sub}": leaf for sub, leaf in command.commands.items()}
                if isinstance(command, click.Group)
                else {name: command}
            )
    for name in ("generate", "login", "logout", "evals replay"):  # of this repository, of a server, of a file
        del leaves[name]
    without = [
        name
        for name, command in leaves.items()
        if not any(param.name == "home" and param.envvar == "HEADWATER_HOME" for param in command.params)
    ]
    assert without == []


def test_the_variable_names_the_home(tmp_path: Path) -> None:
    said = headwater("list-connections", "--json", HEADWATER_HOME=str(tmp_path / "there"))
    assert said.json()["connections"][0]["connection_id"] == "lakehouse"
    assert (tmp_path / "there" / "headwater.db").exists()


def test_a_tool_takes_typed_options(home: str) -> None:
    said = headwater("list-tables", "--page-size", "3", "--home", home, "--json")
    assert (said.code, said.json()["tables"]) == (0, [])
    wrong = headwater("list-tables", "--page-size", "three", "--home", home)
    assert wrong.code == 2
    assert "'three' is not a valid integer" in wrong.err


def test_people_get_a_table(home: str) -> None:
    said = headwater("list-connections", "--home", home)
    assert said.out.splitlines()[0].split()[:2] == ["connection_id", "name"]
    assert said.out.splitlines()[1].split()[0] == "lakehouse"


@pytest.mark.parametrize("way", ["literal", "file", "standard input"])
def test_call_takes_json_from_anywhere(home: str, tmp_path: Path, way: str) -> None:
    arguments = json.dumps({"sql": "SELECT 40 + 2 AS n"})
    (tmp_path / "arguments.json").write_text(arguments)
    given = {"literal": arguments, "file": f"@{tmp_path / 'arguments.json'}", "standard input": "-"}[way]
    said = headwater("call", "execute_query", given, "--home", home, "--json", stdin=arguments)
    assert said.json()["data"] == [{"n": 42}]


@pytest.mark.parametrize("given", ["{", "[1]", "@/no/such/file", "[" * 100_000])
def test_call_refuses_what_is_no_object(home: str, given: str) -> None:
    said = headwater("call", "execute_query", given, "--home", home)
    assert said.code in (1, 2)
    assert "Error: " in said.err
    assert "Traceback" not in said.err


def test_a_command_nearly_right_is_suggested() -> None:
    said = headwater("list-tabels")
    assert said.code == 2
    assert "No such command 'list-tabels'. Did you mean list-tables" in said.err


def test_a_command_unlike_any_points_to_the_help() -> None:
    assert "`headwater --help` lists every command" in headwater("zzzzz").err


def test_a_tool_nearly_right_is_suggested_by_call(home: str) -> None:
    said = headwater("call", "list_tabels", "--home", home, "--json")
    assert said.code == 5
    assert said.out == ""
    assert said.json()["error"]["hint"].startswith("Did you mean list_tables")


def test_an_option_nearly_right_is_suggested() -> None:
    assert "Did you mean one of: '--page-size'" in headwater("list-tables", "--page-siez", "3").err


def test_a_wrong_command_line_is_told_in_json_when_asked() -> None:
    said = headwater("list-tables", "--bogus", "--json")
    assert (said.code, said.out) == (2, "")
    assert said.json()["error"]["code"] == "INVALID_ARGUMENT"
    assert said.json()["error"]["hint"] == "See `headwater list-tables --help`."


@pytest.mark.parametrize(
    ("arguments", "code", "exit_code"),
    [
        (["get_connection", '{"connection_id": "none"}'], "NOT_FOUND", 5),
        (["execute_query", '{"sql": ""}'], "INVALID_ARGUMENT", 2),
        (["execute_query", '{"sql": "SELECT * FROM nothing"}'], "QUERY_UNAUTHORIZED", 4),
        (["ping", '{"bogus": 1}'], "INVALID_ARGUMENT", 2),
        (["list_tables", "{}", "--token", "nonsense"], "UNAUTHENTICATED", 3),
    ],
)
def test_errors_go_to_standard_error_with_their_exit_code(
    home: str, arguments: list[str], code: str, exit_code: int
) -> None:
    said = headwater("call", *arguments, "--home", home, "--json")
    error = json.loads(said.err)["error"]
    assert (said.code, said.out, error["code"]) == (exit_code, "", code)
    assert error["request_id"].startswith("req_")
    told = headwater("call", *arguments, "--home", home)
    assert told.err.startswith(f"{code} {error['message']}")


def test_a_token_limits_what_a_command_may_do(home: str) -> None:
    token = headwater("token", "--role", "viewer", "--home", home).out.strip()
    arguments = ["create-connection", "--name", "x", "--kind", "files", "--options", "{}", "--home", home, "--json"]
    said = headwater(*arguments, "--token", token)
    assert (said.code, said.json()["error"]["code"]) == (4, "UNAUTHORIZED")
    assert headwater(*arguments, HEADWATER_TOKEN=token).code == 4


@pytest.mark.parametrize("role", [*BUILT_IN, "DataEngineer", "Dataset user", "Org admin"])
def test_token_prints_a_token_and_nothing_else(home: str, role: str) -> None:
    said = headwater("token", "--home", home, "--role", role)
    assert (said.code, said.err) == (0, "")
    assert said.out.count(".") == 2
    assert len(said.out.split()) == 1
    if role != "super_admin":
        assert headwater("get-current-user", "--token", said.out.strip(), "--home", home).code == 0


@pytest.mark.parametrize(
    ("arguments", "exit_code", "words"),
    [
        (["--role", "kign"], 2, "'kign' is no role"),
        (["--tenant", "nowhere"], None, "nowhere"),
        (["--hours", "48"], 2, "range 0<x<=24"),
    ],
)
def test_token_says_why_there_is_none(home: str, arguments: list[str], exit_code: int | None, words: str) -> None:
    said = headwater("token", "--home", home, *arguments)
    assert (said.code, said.out) == (exit_code or said.code, "")
    assert said.code != 0
    assert words in said.err


def test_a_home_that_cannot_be_made_is_said(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    said = headwater("list-tables", "--home", str(tmp_path / "file" / "home"), "--json")
    assert (said.code, said.json()["error"]["code"]) == (8, "UNAVAILABLE")
    assert "--home or HEADWATER_HOME" in said.json()["error"]["hint"]


@pytest.mark.parametrize("text", ["[server\n", "[server]\nrest_port = 'x'\n", "[nonsense]\na = 1\n"])
def test_wrong_settings_are_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "headwater.toml").write_text(text)
    said = headwater("token", "--home", str(tmp_path))
    assert said.code == 2
    assert "headwater.toml" in said.err
    assert "Traceback" not in said.err


def test_the_wrong_root_key_is_said(tmp_path: Path) -> None:
    home = str(tmp_path)
    assert headwater("token", "--home", home).code == 0
    (tmp_path / "keys" / "root.key").write_bytes(b"x" * 32)
    said = headwater("token", "--home", home)
    assert said.code == 8
    assert "The root key of this home does not open its store." in said.err
    assert "keys/root.key" in said.err


def test_a_job_is_waited_for_or_not(home: str) -> None:
    arguments = ["refresh-schema", "--connection-id", "lakehouse", "--home", home, "--json"]
    submitted = headwater(*arguments, "--wait", "0").json()
    assert submitted["status"] == "pending"
    assert headwater(*arguments).json()["table_count"] == 0
    done = headwater("get-job", "--job-id", submitted["job_id"], "--home", home, "--json").json()
    assert done["status"] == "succeeded"  # by the worker of the command that waited


def test_a_followed_job_shows_its_events_as_they_happen(home: str) -> None:
    job = headwater("refresh-schema", "--connection-id", "lakehouse", "--home", home, "--wait", "0", "--json").json()
    headwater("refresh-schema", "--connection-id", "lakehouse", "--home", home)
    said = headwater("watch-job", "--job-id", job["job_id"], "--home", home)
    assert "succeeded" in said.err
    quiet = headwater("watch-job", "--job-id", job["job_id"], "--home", home, "--json")
    assert (quiet.err, quiet.json()["job"]["status"]) == ("", "succeeded")


def test_streamed_rows_are_one_arrow_stream_in_a_file(home: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.arrow"
    said = headwater("execute-query-stream", "--sql", "SELECT 1 AS n", "--output", str(file), "--home", home, "--json")
    assert said.json()["metadata"]["row_count"] == 1
    assert pa.ipc.open_stream(file.read_bytes()).read_all().to_pylist() == [{"n": 1}]


def test_streamed_rows_need_a_file(home: str) -> None:
    said = headwater("execute-query-stream", "--sql", "SELECT 1 AS n", "--home", home)
    assert said.code == 2
    assert "--output FILE" in said.err


def test_a_failed_stream_leaves_no_file(home: str, tmp_path: Path) -> None:
    file = tmp_path / "rows.arrow"
    said = headwater("execute-query-stream", "--sql", "SELECT * FROM nothing", "--output", str(file), "--home", home)
    assert said.code == 4
    assert list(tmp_path.iterdir()) == []


def test_every_tool_shows_its_help() -> None:
    for tool in registry():
        if not tool.mcp_only:
            said = headwater(tool.name.replace("_", "-"), "--help")
            assert (said.code, said.err) == (0, "")
            assert tool.summary.split()[0] in said.out
