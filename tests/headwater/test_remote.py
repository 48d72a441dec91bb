"""The command line against a real server: same commands, same answers, same codes."""

import json
import socket
from pathlib import Path

import pyarrow as pa
import pytest

from tests.headwater.processes import Said, Server, headwater


@pytest.fixture
def remote(server: Server) -> list[str]:
    return ["--server", server.url, "--token", server.token(), "--json"]


def test_a_tool_with_query_parameters_answers_like_in_process(server: Server, remote: list[str]) -> None:
    there = headwater("list-tables", "--connection-id", "data", "--page-size", "1", *remote)
    here = headwater("list-tables", "--connection-id", "data", "--page-size", "1", "--home", str(server.home), "--json")
    assert there.code == 0
    assert there.json()["tables"] == here.json()["tables"]
    assert [table["name"] for table in there.json()["tables"]] == ["orders"]


def test_a_tool_with_path_parameters_is_found_also_by_their_defaults(remote: list[str]) -> None:
    assert headwater("list-tables", *remote).json()["total_count"] == 0  # connection_id: the lakehouse
    assert headwater("get-table", "--connection-id", "data", "--table", "orders", *remote).json()["columns"]


def test_a_path_without_a_parameter_that_is_not_said_is_taken(remote: list[str]) -> None:
    assert headwater("get-tenant", *remote).json()["id"] == "default"
    assert headwater("get-tenant-usage", *remote).json()["tenant_id"] == "default"


def test_path_values_are_escaped(remote: list[str]) -> None:
    said = headwater("get-table", "--connection-id", "data", "--table", "a/b?c d", *remote)
    assert said.json()["error"]["code"] in ("NOT_FOUND", "INVALID_ARGUMENT")


def test_a_body_is_sent_whole(remote: list[str]) -> None:
    sql = "SELECT region, count(*) AS n FROM orders WHERE id >= :least GROUP BY region ORDER BY region"
    arguments = {"sql": sql, "connection_id": "data", "parameters": {"least": "1000"}}
    assert headwater("call", "execute_query", json.dumps(arguments), *remote).json()["data"] == [
        {"region": "eu", "n": 500},
        {"region": "us", "n": 500},
    ]


def test_streamed_rows_are_one_arrow_stream_here_and_there(server: Server, remote: list[str], tmp_path: Path) -> None:
    sql = "SELECT a.id, b.id AS other, a.region FROM orders a, orders b WHERE a.id < 300"  # 600,000 rows: many chunks
    arguments = ["execute-query-stream", "--sql", sql, "--connection-id", "data", "--output"]
    there = headwater(*arguments, str(tmp_path / "there"), *remote)
    here = headwater(*arguments, str(tmp_path / "here"), "--home", str(server.home), "--json")
    assert (there.code, here.code) == (0, 0)
    assert there.json()["size_bytes"] == (tmp_path / "there").stat().st_size
    tables = [pa.ipc.open_stream((tmp_path / name).read_bytes()).read_all() for name in ("there", "here")]
    assert [table.num_rows for table in tables] == [600_000, 600_000]
    assert tables[0].schema == tables[1].schema
    assert here.json()["metadata"]["row_count"] == 600_000


def test_an_error_has_the_same_code_and_words(server: Server, remote: list[str]) -> None:
    arguments = ["get-connection", "--connection-id", "none"]
    there, here = headwater(*arguments, *remote), headwater(*arguments, "--home", str(server.home), "--json")
    assert (there.code, there.out) == (here.code, here.out) == (5, "")
    assert _without_id(there) == _without_id(here)


def _without_id(said: Said) -> dict[str, str]:
    error: dict[str, str] = said.json()["error"]
    assert error.pop("request_id").startswith("req_")
    return error


@pytest.mark.parametrize("token", ["nonsense", ""])
def test_without_a_good_token_nothing_is_answered(server: Server, token: str) -> None:
    said = headwater("list-tables", "--server", server.url, "--token", token, "--json")
    assert (said.code, said.json()["error"]["code"]) == (3, "UNAUTHENTICATED")
    assert ("headwater login --server" in said.json()["error"]["hint"]) is (not token)


def test_a_token_without_the_permission_is_refused(server: Server) -> None:
    said = headwater("create-connection", "--name", "x", "--kind", "files", *_as_viewer(server))
    assert (said.code, said.json()["error"]["code"]) == (4, "UNAUTHORIZED")


def _as_viewer(server: Server) -> list[str]:
    return ["--server", server.url, "--token", server.token("viewer"), "--json"]


def test_a_dead_server_is_named() -> None:
    with socket.create_server(("127.0.0.1", 0)) as listener:
        url = f"http://127.0.0.1:{listener.getsockname()[1]}"
    said = headwater("list-tables", "--server", url, "--token", "x", "--json")
    assert (said.code, said.json()["error"]["code"]) == (8, "UNAVAILABLE")
    assert url in said.json()["error"]["message"]


@pytest.mark.parametrize("url", ["127.0.0.1:8000", "nonsense", "ftp://somewhere", "http://does-not-exist.invalid"])
def test_a_wrong_server_is_named(url: str) -> None:
    said = headwater("list-tables", "--server", url, "--token", "x", "--json")
    assert said.code == 8
    assert url in said.json()["error"]["message"]
    assert "http://127.0.0.1:8000" in said.json()["error"]["hint"]


def test_a_port_that_is_not_rest_is_said(server: Server) -> None:
    url = f"http://127.0.0.1:{server.ports.admin}"
    said = headwater("list-tables", "--server", url, "--token", "x", "--json")
    assert said.code == 8
    assert "Is --server the REST face?" in said.json()["error"]["hint"]


def test_a_call_may_be_given_up(server: Server, remote: list[str]) -> None:
    sql = "SELECT max(a.amount * b.amount + c.id) AS m FROM orders a, orders b, orders c"
    arguments = ["execute-query", "--sql", sql, "--connection-id", "data", "--call-timeout", "0.5"]
    said = headwater(*arguments, *remote)
    assert (said.code, said.json()["error"]["code"]) == (9, "TIMEOUT")


def test_a_job_is_submitted_waited_for_and_followed(remote: list[str]) -> None:
    submitted = headwater("refresh-schema", "--connection-id", "data", "--wait", "0", *remote).json()
    assert submitted["tool"] == "refresh_schema"
    followed = headwater("watch-job", "--job-id", submitted["job_id"], *remote)
    assert followed.json()["job"]["status"] == "succeeded"
    assert headwater("refresh-schema", "--connection-id", "data", *remote).json()["table_count"] == 1


def test_events_of_a_followed_job_are_shown(server: Server, remote: list[str]) -> None:
    job = headwater("refresh-schema", "--connection-id", "data", "--wait", "0", *remote).json()
    said = headwater("watch-job", "--job-id", job["job_id"], *remote[:-1])
    assert "succeeded" in said.err


def test_a_repeated_write_with_a_key_is_one_write(remote: list[str]) -> None:
    arguments = ["create-token", "--name", "laptop", "--idempotency-key", "once", *remote]
    first, second = headwater(*arguments).json(), headwater(*arguments).json()
    assert first["token_id"] == second["token_id"]


def test_a_tool_for_models_alone_points_home(remote: list[str]) -> None:
    said = headwater("call", "search", '{"query": "orders"}', *remote)
    assert said.code == 2
    assert "MCP" in said.json()["error"]["message"]


def test_the_server_is_read_from_the_environment(server: Server) -> None:
    environment = {"HEADWATER_SERVER_URL": server.url, "HEADWATER_TOKEN": server.token("viewer")}
    said = headwater("get-current-user", "--json", **environment)
    assert "catalog.read" in said.json()["permissions"]
    assert "catalog.manage" not in said.json()["permissions"]


def test_the_doctor_sees_the_server(server: Server) -> None:
    said = headwater("doctor", "--home", str(server.home))
    assert f"a server runs on this home: process {server.process.pid}, REST on port {server.ports.rest}" in said.out
