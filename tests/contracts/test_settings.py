"""Settings stay few and described, and only the wiring reads the environment."""

import re
from pathlib import Path

import pytest

from core.errors import InvalidArgument
from core.settings import Group, Settings
from headwater.settings import read_settings

ROOT = Path(__file__).parents[2]


def _fields() -> dict[str, str]:
    groups = {name: info.default for name, info in Settings.model_fields.items() if isinstance(info.default, Group)}
    return {
        f"{group}.{name}": info.description or ""
        for group, value in groups.items()
        for name, info in type(value).model_fields.items()
    }


def test_every_setting_is_described() -> None:
    assert [name for name, description in _fields().items() if not description.endswith(".")] == []


def test_there_are_fewer_than_sixty_settings() -> None:
    assert len(_fields()) < 60


def test_only_the_wiring_reads_the_environment() -> None:
    folders = ("core", "engine", "tools", "api", "mcp_server", "gateway", "agents", "evals")
    readers = [
        str(path.relative_to(ROOT))
        for folder in folders
        for path in (ROOT / folder).rglob("*.py")
        if re.search(r"os\.environ\b(?!\.setdefault)|os\.getenv", path.read_text())
    ]
    assert readers == []


def test_the_environment_goes_before_the_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "headwater.toml").write_text("[server]\nrest_port = 1234\nmcp_port = 4321\n")
    monkeypatch.setenv("HEADWATER_SERVER__REST_PORT", "2345")
    settings = read_settings(tmp_path)
    assert (settings.server.rest_port, settings.server.mcp_port) == (2345, 4321)


def test_the_command_line_goes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HEADWATER_SERVER__REST_PORT", "2345")
    assert read_settings(tmp_path, server={"rest_port": 3456}).server.rest_port == 3456


@pytest.mark.parametrize("text", ["[server]\nrest_port = 99999\n", "[server]\nno_such = 1\n", "[nothing]\nx = 1\n"])
def test_a_wrong_setting_is_named(tmp_path: Path, text: str) -> None:
    (tmp_path / "headwater.toml").write_text(text)
    with pytest.raises(InvalidArgument, match=r"rest_port|no_such|nothing"):
        read_settings(tmp_path)
