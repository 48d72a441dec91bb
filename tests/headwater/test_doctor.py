"""`headwater doctor`: what holds, and the next step where something does not."""

import shutil
from pathlib import Path

from tests.headwater.processes import headwater


def _doctor(home: Path, **environment: str) -> tuple[int, str]:
    said = headwater("doctor", "--home", str(home), **environment)
    assert "Traceback" not in said.out + said.err
    return said.code, " ".join((said.out + said.err).split())


def test_a_new_home_is_well_and_is_not_touched(tmp_path: Path) -> None:
    code, told = _doctor(tmp_path / "home")
    assert code == 0, told
    assert "the first start makes" in told
    assert not (tmp_path / "home").exists()


def test_a_used_home_is_well(home: str) -> None:
    headwater("token", "--home", home)
    code, told = _doctor(Path(home))
    assert code == 0, told
    assert "the root key opens it" in told
    assert "root key is private" in told


def test_a_key_that_others_can_read_is_bad(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    (tmp_path / "keys" / "root.key").chmod(0o644)
    code, told = _doctor(tmp_path)
    assert code == 1
    assert f"chmod 600 {tmp_path / 'keys' / 'root.key'}" in told


def test_a_missing_key_is_bad_and_is_not_made(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    shutil.rmtree(tmp_path / "keys")
    code, told = _doctor(tmp_path)
    assert code == 1
    assert "The root key is missing." in told
    assert not (tmp_path / "keys").exists()


def test_a_wrong_key_is_bad(tmp_path: Path) -> None:
    headwater("token", "--home", str(tmp_path))
    (tmp_path / "keys" / "root.key").write_bytes(b"x" * 32)
    code, told = _doctor(tmp_path)
    assert code == 1
    assert "does not open its store" in told


def test_a_store_that_does_not_answer_is_bad(tmp_path: Path) -> None:
    code, told = _doctor(tmp_path, HEADWATER_STORE__URL="postgresql://nobody:secret@127.0.0.1:9/none")
    assert code == 1
    assert "store does not answer" in told
    assert "secret" not in told


def test_a_damaged_store_is_bad(tmp_path: Path) -> None:
    (tmp_path / "headwater.db").write_bytes(b"no database" * 100)
    code, told = _doctor(tmp_path)
    assert code == 1
    assert "store:" in told


def test_an_open_door_is_bad(tmp_path: Path) -> None:
    code, told = _doctor(tmp_path, HEADWATER_SERVER__HOST="0.0.0.0", HEADWATER_AUTH__ENABLED="false")
    assert code == 1
    assert "Authentication is off" in told


def test_plain_text_beyond_loopback_is_noted(tmp_path: Path) -> None:
    code, told = _doctor(tmp_path, HEADWATER_SERVER__HOST="0.0.0.0")
    assert code == 0
    assert "tokens travel in plain text" in told


def test_a_home_that_cannot_be_written_is_bad(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    code, told = _doctor(tmp_path / "file" / "home")
    assert code == 1
    assert "cannot be written" in told


def test_wrong_settings_are_told_like_everywhere(tmp_path: Path) -> None:
    (tmp_path / "headwater.toml").write_text("[server]\nrest_port = 'x'\n")
    code, told = _doctor(tmp_path)
    assert code == 2
    assert "server.rest_port" in told
