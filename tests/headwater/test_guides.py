"""What README and the guides tell a newcomer to type and to write is true."""

import json
import re
import shlex
import tomllib
from pathlib import Path

import click
import pytest

from api.cli import EXIT_CODES
from headwater.commands import cli
from tests.headwater.processes import headwater

ROOT = Path(__file__).parents[2]
PAGES = [ROOT / "README.md", *sorted((ROOT / "docs" / "guides").glob("*.md"))]
TEXTS = {page.name: page.read_text() for page in PAGES}


def _blocks(page: str, language: str) -> list[str]:
    return re.findall(rf"```{language}\n(.*?)```", TEXTS[page], re.DOTALL)


def _commands() -> list[str]:
    typed = [line for name in TEXTS for block in _blocks(name, "sh") for line in _lines(block)]
    inline = [text for page in TEXTS.values() for text in re.findall(r"`([^`\n]+)`", page)]
    found = [re.search(r"(?:^|[ (/])headwater ([a-z][a-z-]+(?: .*)?)$", line) for line in [*typed, *inline]]
    return sorted({re.split(r"  #| > ", match[1])[0].strip().rstrip(")") for match in found if match})


def _lines(block: str) -> list[str]:
    """Its commands; a quote that is open at the end of a line goes on in the next, as does a line that ends with \\."""
    lines = [""]
    for line in block.replace("\\\n", " ").splitlines():
        lines[-1] += line
        if lines[-1].count("'") % 2 == 0:
            lines.append("")
    return lines


@pytest.mark.parametrize("line", _commands())
def test_a_command_of_the_guides_is_one(line: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    for name in ("my-folder", "FOLDER_OR_FILE", "FILE.tar.gz", "tenant.yaml"):
        (tmp_path / name).touch()
    name, *arguments = shlex.split(line.replace("--workers N", "--workers 2"))
    with click.Context(cli) as ctx:
        command = cli.get_command(ctx, name)
        if isinstance(command, click.Group) and arguments:
            command, arguments = command.get_command(ctx, arguments[0]), arguments[1:]
        assert command is not None, line
        if arguments:  # a bare name only speaks of the command
            command.make_context(name, list(arguments), parent=ctx)


def test_the_files_of_the_identity_guide_are_read(tmp_path: Path) -> None:
    clients, issuers = _blocks("identity.md", "yaml")
    (tmp_path / "auth_clients.yml").write_text(clients.replace("sha256:HEX", "sha256:" + "0" * 64))
    (tmp_path / "issuers.yml").write_text(issuers)
    said = headwater("token", "--home", str(tmp_path))
    assert (said.code, said.err) == (0, "")


def test_the_settings_of_the_operations_guide_are_settings(tmp_path: Path) -> None:
    (block,) = _blocks("operations.md", "toml")
    assert tomllib.loads(block)["store"]["url"].startswith("postgresql://")
    (tmp_path / "headwater.toml").write_text(block)
    said = headwater("doctor", "--home", str(tmp_path), HEADWATER_STORE__URL="sqlite:///" + str(tmp_path / "s.db"))
    assert "The settings are not valid" not in said.err


def test_the_variables_of_the_guides_are_settings() -> None:
    reference = (ROOT / "docs" / "reference" / "settings.md").read_text()
    named = {name for text in TEXTS.values() for name in re.findall(r"HEADWATER_[A-Z]+__[A-Z_]+", text)}
    assert [name for name in sorted(named) if name not in reference] == []


def test_the_exit_codes_of_the_guide_are_the_real_ones() -> None:
    rows = re.findall(r"^\| (\d+) \| (.*) \|$", TEXTS["operations.md"], re.MULTILINE)
    told = {code: int(number) for number, words in rows for code in re.findall(r"`([A-Z_]+)`", words)}
    assert told == EXIT_CODES


def test_the_desktop_configuration_of_the_readme_is_json() -> None:
    (block,) = _blocks("README.md", "json")
    assert json.loads(block)["mcpServers"]["headwater"]["args"][0] == "mcp"
