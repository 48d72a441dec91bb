"""`headwater audit-export`, through the gate."""

import json
from pathlib import Path

from click.testing import CliRunner

from headwater.commands import cli


def test_the_audit_log_is_written_as_json_lines(tmp_path: Path) -> None:
    home, target = str(tmp_path / "home"), tmp_path / "audit.jsonl"
    runner = CliRunner()
    for _ in range(2):
        assert runner.invoke(cli, ["get-current-user", "--home", home]).exit_code == 0
    assert runner.invoke(cli, ["get-query", "--query-id", "nowhere", "--home", home]).exit_code != 0
    told = runner.invoke(cli, ["audit-export", str(target), "--home", home])
    assert told.exit_code == 0, told.output
    events = [json.loads(line) for line in target.read_text().splitlines()]
    assert {"get_current_user", "get_query"} <= {event["tool"] for event in events}
    assert [event["seq"] for event in events] == sorted((event["seq"] for event in events), reverse=True)
    refused = runner.invoke(cli, ["audit-export", "--decision", "refused", "--home", home])
    assert [json.loads(line)["code"] for line in refused.stdout.splitlines()] == ["NOT_FOUND"]
    assert runner.invoke(cli, ["audit-export", "--since", "yesterday", "--home", home]).exit_code != 0
