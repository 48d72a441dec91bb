"""Backup while serving, restore into a new home, and the schema's upgrade."""

from pathlib import Path

import pytest

from tests.fixtures_postgres import postgres_server
from tests.headwater.processes import Server, headwater


def _connections(home: Path) -> list[str]:
    said = headwater("list-connections", "--home", str(home), "--json")
    assert said.code == 0, said
    return [connection["connection_id"] for connection in said.json()["connections"]]


@pytest.fixture
def archive(server: Server, tmp_path: Path) -> Path:
    target = tmp_path / "state.tar.gz"
    said = headwater("backup", str(target), "--home", str(server.home))
    assert said.code == 0, said
    assert f"Wrote {target}" in said.out
    assert str(server.home / "warehouse") in said.out
    assert f"`headwater restore {target} --home NEW`" in said.out
    return target


def test_state_saved_while_serving_comes_back_in_a_new_home(server: Server, archive: Path, tmp_path: Path) -> None:
    new = tmp_path / "new"
    said = headwater("restore", str(archive), "--home", str(new))
    assert said.code == 0, said
    assert "keys/root.key" in said.out
    assert f"`headwater serve --home {new}` starts it" in said.out
    assert _connections(new) == ["lakehouse", "data"]
    assert headwater("get-current-user", "--token", server.token(), "--home", str(new)).code == 0
    assert headwater("verify-audit-log", "--home", str(new), "--json").json()["is_valid"]


def test_an_archive_holds_the_root_key_and_is_private(archive: Path) -> None:
    assert archive.stat().st_mode & 0o077 == 0


def test_nothing_is_overwritten_unless_forced(server: Server, archive: Path, tmp_path: Path) -> None:
    again = headwater("backup", str(archive), "--home", str(server.home))
    assert (again.code, f"{archive} exists" in again.err) == (6, True)
    assert headwater("backup", str(archive), "--home", str(server.home), "--force").code == 0
    other = tmp_path / "other"
    headwater("token", "--home", str(other))
    refused = headwater("restore", str(archive), "--home", str(other))
    assert (refused.code, "has state already" in refused.err) == (6, True)
    assert headwater("restore", str(archive), "--home", str(other), "--force").code == 0
    assert "data" in _connections(other)


def test_a_home_that_is_served_is_not_restored(server: Server, archive: Path) -> None:
    said = headwater("restore", str(archive), "--home", str(server.home), "--force")
    assert said.code == 6
    assert f"A server runs on {server.home}: process {server.process.pid}" in said.err
    assert f"headwater stop --home {server.home}" in said.err


def test_a_home_without_a_store_has_nothing_to_save(tmp_path: Path) -> None:
    said = headwater("backup", str(tmp_path / "a.tar.gz"), "--home", str(tmp_path / "nothing"))
    assert said.code == 5
    assert "holds no store" in said.err


def test_a_target_in_no_folder_is_said(server: Server, tmp_path: Path) -> None:
    said = headwater("backup", str(tmp_path / "no" / "a.tar.gz"), "--home", str(server.home))
    assert said.code == 8
    assert str(tmp_path / "no") in said.err


def test_a_damaged_archive_is_refused_and_leaves_nothing(tmp_path: Path) -> None:
    (tmp_path / "bad.tar.gz").write_bytes(b"no archive")
    said = headwater("restore", str(tmp_path / "bad.tar.gz"), "--home", str(tmp_path / "new"))
    assert said.code == 2
    assert "The archive is damaged" in said.err
    assert not (tmp_path / "new" / "headwater.db").exists()


def test_an_upgrade_makes_a_store_and_then_has_nothing_to_do(tmp_path: Path) -> None:
    made = headwater("db", "upgrade", "--home", str(tmp_path))
    assert (made.code, made.out.startswith("Made the store")) == (0, True)
    again = headwater("db", "upgrade", "--home", str(tmp_path))
    assert (again.code, "is up to date" in again.out) == (0, True)


@pytest.mark.postgres
def test_a_store_on_postgresql_is_put_back_where_its_settings_say_or_elsewhere(tmp_path: Path) -> None:
    postgres = postgres_server()
    first, second = postgres.create(), postgres.create()
    try:
        home, archive = tmp_path / "home", str(tmp_path / "state.tar.gz")
        home.mkdir()
        (home / "headwater.toml").write_text(f'[store]\nurl = "{postgres.url(first)}"\n')
        token = headwater("token", "--home", str(home)).out.strip()
        assert headwater("backup", archive, "--home", str(home)).code == 0

        in_place = headwater("restore", archive, "--home", str(tmp_path / "new"))
        assert (in_place.code, "its store" in in_place.err) == (6, True)
        elsewhere = {"HEADWATER_STORE__URL": postgres.url(second)}
        said = headwater("restore", archive, "--home", str(tmp_path / "new"), **elsewhere)
        assert said.code == 0, said
        assert "names another store than that: correct it before starting" in said.out
        known = headwater("get-current-user", "--token", token, "--home", str(tmp_path / "new"), **elsewhere)
        assert known.code == 0
    finally:
        for name in (first, second):
            postgres.drop(name)
