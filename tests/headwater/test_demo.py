"""`headwater demo`: three questions with their answers, also where a port is taken and there is no terminal."""

import re
import shlex
import socket
from pathlib import Path

from tests.headwater.processes import Said, finished, headwater, spawn


def test_the_demo_loads_answers_and_ends_and_does_not_load_again(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        first = _demo(tmp_path / "home", HEADWATER_SERVER__GRPC_PORT=str(taken.getsockname()[1]))
    second = _demo(tmp_path / "home")
    assert re.search(r"loaded 36\d,\d{3} rows in \d+ s", first.out)
    assert "already there" in second.out
    assert "is taken. Taking free ports instead." in " ".join(first.out.split())
    assert re.search(r"mcp\s+http://127\.0\.0\.1:(?!8002)\d+", first.out)
    for said in (first, second):
        _answers_well(said)
    _connects_as_printed(first, tmp_path / "home")


def _demo(home: Path, **environment: str) -> Said:
    said = finished(spawn("demo", "--home", str(home), **environment), within_s=120)
    assert (said.code, said.err) == (0, "")
    return said


def _answers_well(said: Said) -> None:
    answers = said.out.partition("4. Connect")[0]
    assert re.search(r"flights\.airports\s+table\s+1458", answers)
    assert "Actual departure, HHMM local" in answers
    assert re.search(r"United Air Lines Inc\.\s+58665", answers)
    assert [line for line in answers.splitlines() if len(line.rstrip()) > 80] == []


def _connects_as_printed(said: Said, home: Path) -> None:
    for client in ("Claude Desktop", "Claude Code", "ChatGPT", "MCP Inspector", "curl"):
        assert client in said.out
    line = next(line for line in said.out.splitlines() if line.startswith("TOKEN=$("))
    arguments = shlex.split(line.removeprefix("TOKEN=$(").removesuffix(")"))[1:]
    assert headwater(*arguments).out.count(".") == 2
    assert f"serve --home {home}" in said.out.splitlines()[-1]
