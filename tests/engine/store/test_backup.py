"""Backup and restore: what comes back, and what is refused."""

import json
import tarfile
from io import BytesIO
from pathlib import Path

import pytest
from sqlalchemy import Connection, insert, select

from core.errors import Conflict, InvalidArgument, NotFound
from engine.store.backup import MANIFEST, backup, restore
from engine.store.db import Store, sqlite_url
from engine.store.migrate import current, head, upgrade
from engine.store.tables import job_events, jobs, tenants

KEY = bytes(range(32))


def fill(connection: Connection) -> None:
    connection.execute(
        insert(tenants).values(
            tenant_id="acme", name="Acmé", tier="free", wrapped_key=b"\0\xff", version=1, created_at=1.25
        )
    )
    job: dict[str, object] = {
        "tenant_id": "acme",
        "job_id": "j",
        "tool": "t",
        "owner": "ada",
        "principal": "{}",
        "request_id": "r",
    }
    job |= {"request": "{}", "idempotency_key": "", "status": "pending", "cancel_requested": 0, "attempt": 0}
    connection.execute(insert(jobs).values(job | {"fence": 0, "worker": "", "created_at": 1.0, "updated_at": 1.0}))
    connection.execute(insert(job_events).values(tenant_id="acme", job_id="j", seq=1, at=1.0, kind="status", data="{}"))


def content(url: str) -> tuple[str, bytes, float, int]:
    store = Store(url)
    tenant = store.read_now(lambda c: c.execute(select(tenants)).one())
    event = store.read_now(lambda c: c.execute(select(job_events)).one())
    store.close()
    return tenant.name, bytes(tenant.wrapped_key), tenant.created_at, event.seq


EXPECTED = ("Acmé", b"\0\xff", 1.25, 1)


@pytest.fixture
def home(tmp_path: Path) -> Path:
    made = tmp_path / "home"
    (made / "keys").mkdir(parents=True)
    (made / "keys" / "root.key").write_bytes(KEY)
    (made / "headwater.toml").write_text("[server]\n")
    (made / "warehouse").mkdir()
    (made / "warehouse" / "big.parquet").write_bytes(b"x")
    return made


@pytest.fixture
def filled(home: Path) -> Path:
    upgrade(sqlite_url(home))
    store = Store(sqlite_url(home))
    store.write_now(fill)
    store.close()
    return home


def test_a_home_comes_back_with_store_keys_and_settings(filled: Path, tmp_path: Path) -> None:
    archive, copy = tmp_path / "b.tar.gz", tmp_path / "copy"
    assert backup(filled, archive).revision == head()
    restore(archive, copy)
    assert content(sqlite_url(copy)) == EXPECTED
    assert (copy / "keys" / "root.key").read_bytes() == KEY
    assert (copy / "headwater.toml").read_text() == "[server]\n"
    assert not (copy / "warehouse").exists()
    for secret in (archive, copy / "keys" / "root.key"):
        assert secret.stat().st_mode & 0o077 == 0


def test_a_backup_beside_a_writer_holds_what_was_committed(filled: Path, tmp_path: Path) -> None:
    store = Store(sqlite_url(filled))

    def half(connection: Connection) -> None:
        connection.execute(tenants.delete())
        backup(filled, tmp_path / "b.tar.gz")

    store.write_now(half)
    store.close()
    restore(tmp_path / "b.tar.gz", tmp_path / "copy")
    assert content(sqlite_url(tmp_path / "copy")) == EXPECTED


@pytest.mark.postgres
def test_rows_of_postgres_come_back_on_either_database(home: Path, tmp_path: Path, postgres_url: str) -> None:
    upgrade(postgres_url)
    store = Store(postgres_url)
    store.write_now(fill)
    store.close()
    archive = tmp_path / "b.tar.gz"
    backup(home, archive, url=postgres_url)
    restore(archive, tmp_path / "copy")
    assert content(sqlite_url(tmp_path / "copy")) == EXPECTED
    with pytest.raises(Conflict):
        restore(archive, tmp_path / "other", url=postgres_url)
    restore(archive, tmp_path / "other", url=postgres_url, force=True)
    assert content(postgres_url) == EXPECTED and current(postgres_url) == head()


def test_nothing_is_overwritten_unless_forced(filled: Path, tmp_path: Path) -> None:
    archive = tmp_path / "b.tar.gz"
    backup(filled, archive)
    with pytest.raises(Conflict):
        backup(filled, archive)
    with pytest.raises(Conflict, match=r"root\.key.*its store"):
        restore(archive, filled)
    backup(filled, archive, force=True)
    restore(archive, filled, force=True)
    assert content(sqlite_url(filled)) == EXPECTED


def test_a_home_without_a_store_cannot_be_backed_up(home: Path, tmp_path: Path) -> None:
    with pytest.raises(NotFound):
        backup(home, tmp_path / "b.tar.gz")


@pytest.mark.parametrize("name", ["../evil", "/tmp/evil", "home/../../evil", "store/headwater.db"])
def test_an_archive_that_was_changed_is_refused(filled: Path, tmp_path: Path, name: str) -> None:
    archive, evil = tmp_path / "b.tar.gz", tmp_path / "evil.tar.gz"
    manifest = json.loads(backup(filled, archive).model_dump_json())
    member = next(each for each in manifest["members"] if each["name"] == "store/headwater.db")
    member["name"] = name
    with tarfile.open(evil, "w:gz") as tar:
        for path, data in ((MANIFEST, json.dumps(manifest).encode()), (name, b"forged")):
            info = tarfile.TarInfo(path)
            info.size = len(data)
            tar.addfile(info, BytesIO(data))
    with pytest.raises(InvalidArgument, match="damaged"):
        restore(evil, tmp_path / "copy")
    assert not (tmp_path / "evil").exists() and not list((tmp_path / "copy").iterdir())


@pytest.mark.parametrize("keep", [0, 40, 400])
def test_an_archive_cut_short_is_refused(filled: Path, tmp_path: Path, keep: int) -> None:
    archive = tmp_path / "b.tar.gz"
    backup(filled, archive)
    archive.write_bytes(archive.read_bytes()[:keep])
    with pytest.raises(InvalidArgument, match="damaged"):
        restore(archive, tmp_path / "copy")


def test_an_archive_of_a_newer_headwater_is_refused(filled: Path, tmp_path: Path) -> None:
    archive, newer = tmp_path / "b.tar.gz", tmp_path / "n.tar.gz"
    manifest = backup(filled, archive).model_copy(update={"revision": "9999"}).model_dump_json().encode()
    with tarfile.open(newer, "w:gz") as tar:
        info = tarfile.TarInfo(MANIFEST)
        info.size = len(manifest)
        tar.addfile(info, BytesIO(manifest))
    with pytest.raises(Conflict, match="newer"):
        restore(newer, tmp_path / "copy")
