"""Results and exports as files, saved by the command line: from a server, and in this process."""

import csv
import gzip
from pathlib import Path

import pytest

from tests.headwater.processes import Server, headwater

SQL = "SELECT id, region FROM orders WHERE id < 3 ORDER BY id"
ROWS = [["id", "region"], ["0", "us"], ["1", "eu"], ["2", "us"]]


@pytest.fixture(params=["there", "here"])
def door(request: pytest.FixtureRequest, server: Server) -> list[str]:
    if request.param == "here":
        return ["--home", str(server.home), "--json"]
    return ["--server", server.url, "--token", server.token(), "--json"]


def a_job(door: list[str], sql: str = SQL) -> str:
    said = headwater("run-query", "--query-text", sql, "--connection-id", "data", "--wait", "20", *door)
    assert said.code == 0, said
    job_id: str = said.json()["job_id"]
    headwater("watch-job", "--job-id", job_id, *door)
    return job_id


def test_a_result_and_an_export_are_saved_as_files(door: list[str], tmp_path: Path) -> None:
    job_id, file = a_job(door), tmp_path / "rows"
    said = headwater("download-query-result", "--job-id", job_id, "--output", str(file), *door)
    assert said.json() == {"file": str(file), "size_bytes": file.stat().st_size}
    assert list(csv.reader(file.read_text().splitlines())) == ROWS
    export_id = headwater("create-export", "--job-id", job_id, "--wait", "20", *door).json()["id"]
    said = headwater("download-export", "--export-id", export_id, "--output", str(file), *door)
    assert said.code == 0, said
    assert list(csv.reader(gzip.decompress(file.read_bytes()).decode().splitlines())) == ROWS
    assert list(tmp_path.iterdir()) == [file]


def test_a_result_without_rows_is_a_file_too(door: list[str], tmp_path: Path) -> None:
    job_id, file = a_job(door, "SELECT id FROM orders WHERE id < 0"), tmp_path / "rows"
    arguments = ["--job-id", job_id, "--format", "JSON", "--output", str(file)]
    assert headwater("download-query-result", *arguments, *door).json()["size_bytes"] == 0
    assert file.read_bytes() == b""


def test_what_cannot_be_saved_says_why_and_leaves_the_earlier_file(door: list[str], tmp_path: Path) -> None:
    file = tmp_path / "rows"
    file.write_text("earlier")
    said = headwater("download-export", "--export-id", "none", "--output", str(file), *door)
    assert (said.code, said.json()["error"]["code"]) == (5, "NOT_FOUND")
    assert file.read_text() == "earlier"
    nowhere = str(tmp_path / "no" / "rows")
    said = headwater("download-query-result", "--job-id", a_job(door), "--output", nowhere, *door)
    assert (said.code, said.json()["error"]["code"]) == (2, "INVALID_ARGUMENT")
    assert "cannot be written" in said.json()["error"]["message"]


def test_without_a_file_the_link_is_shown(door: list[str]) -> None:
    assert "/content/CSV?" in headwater("download-query-result", "--job-id", a_job(door), *door).json()["signed_url"]
