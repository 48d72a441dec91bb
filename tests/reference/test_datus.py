"""Every example of the Datus workflow API: signing in, serving, and running workflows, as printed."""

import json
from base64 import urlsafe_b64decode
from collections.abc import Mapping
from pathlib import Path

import httpx
import pytest
from click.testing import CliRunner

from core.errors import InvalidArgument
from engine.identity.auth_file import read_auth_file
from headwater.commands import cli
from tests.faces.served import Served
from tests.reference.examples import curl, differences

TOKEN_ANSWER = {
    "access_token": "eyJhbGciOiJIUzI1NiIsInR5cCI6IkpXVCJ9...",
    "token_type": "Bearer",
    "expires_in": 7200,
}
SIGN_IN = """curl -X POST "http://localhost:8000/auth/token" \\
  -H "Content-Type: application/x-www-form-urlencoded" \\
  -d "client_id=your_client_id&client_secret=your_client_secret&grant_type=client_credentials\""""
AUTH_CLIENTS = """\
clients:
  your_client_id: your_client_secret
  another_client: another_secret

jwt:
  secret_key: your-jwt-secret-key-change-in-production
  algorithm: HS256
  expiration_hours: 2
"""


def test_the_documented_command_gets_a_token(platform: Served) -> None:
    answer = curl(platform, SIGN_IN)
    assert differences(TOKEN_ANSWER, answer) == []
    assert (answer["token_type"], answer["expires_in"]) == ("Bearer", 7200)
    header = json.loads(urlsafe_b64decode(answer["access_token"].partition(".")[0] + "=="))
    assert (header["alg"], header["typ"]) == ("HS256", "JWT")


def test_the_documented_request_text_gets_a_token(platform: Served) -> None:
    answer = httpx.post(
        platform.url("rest") + "/auth/token",
        content="client_id=your_client_id&client_secret=your_client_secret&grant_type=client_credentials",
        headers={"Content-Type": "application/x-www-form-urlencoded"},
    )
    assert answer.status_code == 200 and answer.headers["cache-control"] == "no-store"
    assert differences(TOKEN_ANSWER, answer.json()) == []


def test_the_token_is_used_as_documented(platform: Served) -> None:
    token = curl(platform, SIGN_IN)["access_token"]
    who = curl(
        platform,
        """curl -X GET "http://localhost:8000/v1/users/me" \\
  -H "Authorization: Bearer your_jwt_token" \\
  -H "Content-Type: application/json\"""",
        token=token,
    )
    assert (who["id"], who["tenant_id"], who["roles"]) == ("your_client_id", "default", ["editor"])


def test_basic_credentials_work_as_curl_sends_them(platform: Served) -> None:
    answer = curl(
        platform,
        """curl -X POST "http://localhost:8000/auth/token" -u another_client:another_secret \\
  -d "grant_type=client_credentials\"""",
    )
    assert differences(TOKEN_ANSWER, answer) == []


def test_a_wrong_secret_is_refused_in_oauths_shape(platform: Served) -> None:
    form = {"client_id": "another_client", "client_secret": "wrong", "grant_type": "client_credentials"}
    answer = httpx.post(platform.url("rest") + "/auth/token", data=form)
    assert (answer.status_code, answer.json()["error"]) == (401, "invalid_client")
    assert answer.json()["code"] == "UNAUTHENTICATED" and answer.json()["request_id"]


def test_the_documented_clients_file_reads_once_its_example_secret_is_replaced(tmp_path: Path) -> None:
    path = tmp_path / "auth_clients.yml"
    path.write_text(AUTH_CLIENTS)
    with pytest.raises(InvalidArgument, match="example from the documentation"):
        read_auth_file(path)
    path.write_text(AUTH_CLIENTS.replace("your-jwt-secret-key-change-in-production", "k" * 40))
    found = read_auth_file(path)
    assert set(found.clients) == {"your_client_id", "another_client"}
    assert found.lifetime_s == 7200 and found.shared is not None and found.shared.algorithm == "HS256"


@pytest.mark.parametrize("flag", ["--host", "--port", "--workers", "--reload", "--debug", "--daemon"])
def test_the_documented_server_parameters_exist(flag: str) -> None:
    shown = CliRunner().invoke(cli, ["serve", "--help"])
    assert shown.exit_code == 0 and flag in shown.output


RUN = """curl -X POST "http://localhost:8000/workflows/run" \\
  -H "Authorization: Bearer your_jwt_token" \\
  -H "Content-Type: application/json" \\
  -d '{"workflow": "fixed", "namespace": "your_db", "task": "Show me users"}'"""
REQUEST = {
    "workflow": "nl2sql",
    "namespace": "your_database_namespace",
    "task": "Show me monthly revenue by product category",
    "mode": "sync",
    "catalog_name": "your_catalog",
    "database_name": "your_database",
}
ANSWER = {
    "task_id": "client_20240115143000",
    "status": "completed",
    "workflow": "nl2sql",
    "sql": "SELECT ...",
    "result": [{"product_category": "Electronics"}],
    "metadata": {"execution_time": 12.5, "nodes_executed": 5, "reflection_rounds": 0},
    "error": None,
    "execution_time": 12.5,
}
EVENTS = {
    "started": {"task_id": "client_20240115143000", "workflow": "nl2sql"},
    "progress": {"message": "Initializing workflow", "progress": 10},
    "node_progress": {"node": "schema_linking", "status": "processing", "progress": 25},
    "node_detail": {"node": "schema_linking", "description": "Analyzing", "details": {}},
    "sql_generated": {"sql": "SELECT ..."},
    "execution_complete": {"status": "success", "rows_affected": 24, "execution_time": 2.1},
    "output_ready": {"result": [{}], "metadata": {}},
    "done": {"task_id": "client_20240115143000", "status": "completed", "total_time": 15.2},
}
FEEDBACK = {"task_id": "client_20240115143000", "acknowledged": True, "recorded_at": "2024-01-15T14:30:15Z"}


def test_the_documented_command_runs_a_workflow(platform: Served) -> None:
    answer = curl(platform, RUN, token=curl(platform, SIGN_IN)["access_token"])
    assert (answer["status"], answer["workflow"]) == ("completed", "fixed")
    assert {row["name"] for row in answer["result"]} == {"Ada", "Bob"}
    assert answer["task_id"].startswith("your_client_id_20")


def test_the_documented_request_is_answered_in_the_documented_shape(platform: Served) -> None:
    answer = httpx.post(platform.url("rest") + "/workflows/run", json=REQUEST, headers=bearer(platform), timeout=60)
    assert answer.status_code == 200, answer.text
    assert differences(ANSWER, answer.json()) == []
    assert {row["product_category"] for row in answer.json()["result"]} == {"Electronics", "Clothing"}


def test_the_documented_stream_has_every_documented_event(platform: Served) -> None:
    found = streamed(platform, {**REQUEST, "mode": "async", "task_id": "stream-1"})
    assert [name for _, name, _ in found][-1] == "done" and {name for _, name, _ in found} == set(EVENTS)
    for name, example in EVENTS.items():
        data = next(data for _, said, data in found if said == name)
        assert differences(example, data) == [], name
    assert next(data for _, name, data in found if name == "started")["task_id"] == "stream-1"
    nodes = {data["node"] for _, name, data in found if name == "node_progress"}
    assert {"schema_linking", "execute_sql", "output"} <= nodes


def test_a_stream_that_broke_off_goes_on_after_the_last_event(platform: Served) -> None:
    request = {**REQUEST, "mode": "async", "task_id": "stream-2"}
    whole = streamed(platform, request)
    assert [number for number, _, _ in whole] == list(range(1, len(whole) + 1))
    assert streamed(platform, request, **{"Last-Event-ID": "7"}) == whole[7:]


def test_feedback_is_acknowledged_as_documented(platform: Served) -> None:
    headers = bearer(platform)
    run = {**REQUEST, "task_id": "client_20240115143000"}
    httpx.post(platform.url("rest") + "/workflows/run", json=run, headers=headers, timeout=60)
    said = {"task_id": "client_20240115143000", "status": "success"}
    answer = httpx.post(platform.url("rest") + "/workflows/feedback", json=said, headers=headers)
    assert answer.status_code == 200 and differences(FEEDBACK, answer.json()) == []


def bearer(platform: Served) -> dict[str, str]:
    return {"Authorization": f"Bearer {curl(platform, SIGN_IN)['access_token']}"}


def streamed(
    platform: Served, request: Mapping[str, object], **headers: str
) -> list[tuple[int, str, dict[str, object]]]:
    """Number, name and data of every event."""
    wanted = {**bearer(platform), "Accept": "text/event-stream", "Cache-Control": "no-cache", **headers}
    answer = httpx.post(platform.url("rest") + "/workflows/run", json=request, headers=wanted, timeout=60)
    assert answer.headers["content-type"].startswith("text/event-stream"), answer.text
    found = []
    for block in answer.text.strip().split("\n\n"):
        lines = dict(line.partition(": ")[::2] for line in block.splitlines() if not line.startswith(":"))
        if lines:
            found.append((int(lines["id"]), lines["event"], json.loads(lines["data"])))
    return found
