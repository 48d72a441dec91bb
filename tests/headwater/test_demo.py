"""`headwater demo`: questions, the care of a table, agents of others; where a port is taken, without a terminal."""

import re
import shlex
import socket
from pathlib import Path

import pytest

from tests.headwater.processes import Said, finished, headwater, spawn


def test_the_demo_loads_answers_cares_and_ends(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        said = headwater("demo", "--home", str(tmp_path / "home"), HEADWATER_SERVER__GRPC_PORT=port, COLUMNS="80")
    assert (said.code, said.err) == (0, "")
    assert re.search(r"loaded 36\d,\d{3} rows in \d+ s", said.out)
    assert "is taken. Taking free ports instead." in " ".join(said.out.split())
    assert re.search(r"mcp\s+http://127\.0\.0\.1:(?!8002)\d+", said.out)
    _answers_well(said)
    _answers_in_plain_words(said.out)
    _cares_for_the_table(said.out)
    _reaches_agents(said.out)
    _connects_as_printed(said, tmp_path / "home")


@pytest.mark.slow
def test_a_second_demo_loads_nothing_and_finds_the_table_healthy(tmp_path: Path) -> None:
    _demo(tmp_path / "home")
    headwater("delete-user", "--user-id", "viewer", "--home", str(tmp_path / "home"))
    said = _demo(tmp_path / "home")
    assert "already there" in said.out
    _answers_well(said)
    assert "Healthy: nothing needs doing." in said.out.partition("5. Care")[2].partition("compact_table")[0]


def _demo(home: Path, **environment: str) -> Said:
    said = finished(spawn("demo", "--home", str(home), **environment), within_s=120)
    assert (said.code, said.err) == (0, "")
    return said


def _answers_well(said: Said) -> None:
    answers = said.out.partition("7. Connect")[0]
    assert re.search(r"flights\.airports\s+table\s+1458", answers)
    assert "Actual departure, HHMM local" in answers
    assert re.search(r"United Air Lines Inc\.\s+58665", answers)
    assert [line for line in answers.splitlines() if len(line.rstrip()) > 80] == []


def _answers_in_plain_words(out: str) -> None:
    """Five questions: SQL, range of time, rows, a picture, who answered and how sure; and one that is declined."""
    text = " ".join(out.partition("4. Questions")[2].partition("5. Care")[0].replace("#", "█").split())
    steps = ["LIMIT 5", "ORD", "17283", "answered by the planner, 95% sure", "chart 2013-01-01 █", "2013-12-01 █"]
    steps += ["range the last 30 days: [2013-12-01, 2014-01-01)", "9146", "> 15", "'BOEING'", "1630"]
    steps += ["Declined: Nothing in this connection stands for", "'price'", "nearest flights.airports"]
    for step in steps:
        assert step in text, step
        text = text.partition(step)[2]


def _cares_for_the_table(out: str) -> None:
    """Health, a plan, a compaction that was approved, an expiry that the server asked about, and health again."""
    text = " ".join(out.partition("5. Care")[2].split())
    steps = ["53 of 53 files are small", "under 1 MB █", "waits for a decision.", "approve_request", "approved"]
    steps += ["rewritten_files 53 new_files 1", "The server asks: Expire snapshots", "Go ahead? yes"]
    steps += ["expired_snapshots 4", "data_file_count 1", "Healthy: nothing needs doing.", "1 to 8 MB █"]
    text = text.replace("#", "█")
    for step in steps:
        assert step in text, step
        text = text.partition(step)[2]


def _reaches_agents(out: str) -> None:
    """Both are registered and called, alone and by project; one is limited, one changes and is approved."""
    text = " ".join(out.partition("6. Agents of others")[2].split())
    steps = ["gateway_url /a2a/echo-", "gateway_url /mcp/agents/weather-", "Echo echo: Hello", "Weather CONFLICT"]
    steps += ["sky clear", "call 1: answered", "RATE_LIMITED: The agent's limit of 3 requests per minute"]
    steps += ["status quarantined", "CONFLICT: The agent is in quarantine", "is now: Forecast", "send the user's files"]
    steps += ["approve_agent_change", "status active", 'Weather {"city": "Graz"']
    for step in steps:
        assert step in text, step
        text = text.partition(step)[2]


def _connects_as_printed(said: Said, home: Path) -> None:
    for client in ("Claude Desktop", "Claude Code", "ChatGPT", "MCP Inspector", "curl"):
        assert client in said.out
    line = next(line for line in said.out.splitlines() if line.startswith("TOKEN=$("))
    arguments = shlex.split(line.removeprefix("TOKEN=$(").removesuffix(")"))[1:]
    assert headwater(*arguments).out.count(".") == 2
    assert f"serve --home {home}" in said.out.splitlines()[-1]
