"""Where settings come from, and what a wrong one says."""

from pathlib import Path

import pytest

from headwater.settings import find_home, read_settings
from tests.headwater.processes import headwater


def test_the_command_line_goes_before_the_environment_before_the_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "headwater.toml").write_text("[server]\nrest_port = 1\nmcp_port = 1\ngrpc_port = 1\n")
    monkeypatch.setenv("HEADWATER_SERVER__MCP_PORT", "2")
    monkeypatch.setenv("HEADWATER_SERVER__REST_PORT", "2")
    server = read_settings(tmp_path, server={"rest_port": 3}).server
    assert (server.rest_port, server.mcp_port, server.grpc_port, server.grpc_web_port) == (3, 2, 1, 8001)


@pytest.mark.parametrize("text", ["/a,/b", " /a , /b ", '["/a", "/b"]'])
def test_a_list_in_the_environment_is_words_or_json(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, text: str) -> None:
    monkeypatch.setenv("HEADWATER_QUERY__ALLOWED_ROOTS", text)
    assert read_settings(tmp_path).query.allowed_roots == [Path("/a"), Path("/b")]


@pytest.mark.parametrize(
    ("name", "text", "words"),
    [
        ("HEADWATER_SERVER__REST_PORT", "many", "server.rest_port"),
        ("HEADWATER_QUERY__ALLOWED_ROOTS", '["/a"', "cannot be read"),
        ("HEADWATER_QUERY", "/a", "query"),
        ("HEADWATER_SERVER__NO_SUCH", "1", "server.no_such"),
        ("HEADWATER_AUTH__ENABLED", "perhaps", "auth.enabled"),
    ],
)
def test_a_wrong_variable_is_named(tmp_path: Path, name: str, text: str, words: str) -> None:
    said = headwater("token", "--home", str(tmp_path), **{name: text})
    assert said.code == 2
    assert words in said.err


def test_the_home_is_given_or_in_the_environment_or_here(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.delenv("HEADWATER_HOME", raising=False)
    assert find_home() == tmp_path / ".headwater"
    monkeypatch.setenv("HEADWATER_HOME", "~/there")
    assert find_home() == Path.home() / "there"
    assert find_home(Path("given")) == tmp_path / "given"
