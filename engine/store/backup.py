"""Backup and restore of platform state: the store, the home's keys and its settings, in one archive.

Lakehouse tables, results and exports are not in it: they are files, and are copied as files."""

import hashlib
import json
import shutil
import sqlite3
import tarfile
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Literal

from pydantic import BaseModel, ConfigDict, ValidationError

from core.errors import Conflict, InvalidArgument, NotFound
from engine.store.db import open_engine, sqlite_url
from engine.store.migrate import current, head, revisions, upgrade
from engine.store.rows import drop_tables, dump_rows, load_rows

FORMAT = 1
MANIFEST = "manifest.json"
DATABASE = "headwater.db"
SETTINGS = ("headwater.toml", "auth_clients.yml", "issuers.yml")
KEYS = "keys"
_DAMAGED = "The archive is damaged, or is not a backup of Headwater."


class Member(BaseModel):
    """One file of an archive."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    name: str
    size_bytes: int
    sha256: str


class Manifest(BaseModel):
    """What an archive holds. `sqlite` is a copy of the database, `rows` a dump that any database takes."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    format: int
    kind: Literal["sqlite", "rows"]
    revision: str
    created_at: float
    members: list[Member]


def backup(
    home: Path, target: Path, *, url: str = "", force: bool = False, clock: Callable[[], float] = time.time
) -> Manifest:
    """Write the state of a home (and of the store at `url`) to `target`; safe while servers run.

    Raises Conflict when the target exists, unless forced, and when the store is not up to date."""
    if target.exists() and not force:
        raise Conflict(f"{target} exists.", hint="Choose another name, or force it.")
    if not url and not (home / DATABASE).exists():
        raise NotFound(f"{home} holds no store.", hint="Name the home that `headwater serve` uses.")
    store_url = url or sqlite_url(home)
    if current(store_url) != head():
        raise Conflict("The store's schema is not up to date.", hint="Run `headwater db upgrade` first.")
    with tempfile.TemporaryDirectory(dir=target.parent, prefix=".headwater-backup-") as folder:
        staging = Path(folder)
        kind = _stage_store(home, store_url, staging / "store")
        _stage_home(home, staging / "home")
        members = [_member(path, staging) for path in sorted(staging.rglob("*")) if path.is_file()]
        manifest = Manifest(format=FORMAT, kind=kind, revision=head(), created_at=clock(), members=members)
        _pack(staging, manifest, target)
    return manifest


def restore(archive: Path, home: Path, *, url: str = "", force: bool = False) -> Manifest:
    """Put an archive's state into a home (and its store into `url`), then bring the schema up to date.

    Stop servers of that home first. Raises InvalidArgument on a damaged archive, and Conflict when
    state is there already, unless forced."""
    home.mkdir(mode=0o700, parents=True, exist_ok=True)
    with tempfile.TemporaryDirectory(dir=home, prefix=".headwater-restore-") as folder:
        staging = Path(folder)
        manifest = _unpack(archive, staging)
        if manifest.kind == "sqlite" and url:
            raise InvalidArgument("This archive holds an SQLite store.", hint="Restore it without a store URL.")
        store_url = url or sqlite_url(home)
        if not force:
            _refuse_overwriting(staging, home, store_url)
        _place_store(manifest, staging / "store", home, store_url)
        _place_home(staging / "home", home)
    upgrade(store_url)
    return manifest


def _stage_store(home: Path, url: str, folder: Path) -> Literal["sqlite", "rows"]:
    folder.mkdir()
    if url != sqlite_url(home):
        engine = open_engine(url)
        dump_rows(engine, folder)
        engine.dispose()
        return "rows"
    with closing(sqlite3.connect(home / DATABASE)) as source, closing(sqlite3.connect(folder / DATABASE)) as copy:
        source.backup(copy)
    return "sqlite"


def _stage_home(home: Path, folder: Path) -> None:
    (folder / KEYS).mkdir(parents=True)
    for name in SETTINGS:
        if (home / name).is_file():
            shutil.copy2(home / name, folder / name)
    for path in (home / KEYS).glob("*"):
        if path.is_file():
            shutil.copy2(path, folder / KEYS / path.name)


def _member(path: Path, staging: Path) -> Member:
    with path.open("rb") as file:
        digest = hashlib.file_digest(file, "sha256").hexdigest()
    return Member(name=path.relative_to(staging).as_posix(), size_bytes=path.stat().st_size, sha256=digest)


def _pack(staging: Path, manifest: Manifest, target: Path) -> None:
    (staging / MANIFEST).write_text(manifest.model_dump_json(indent=1))
    draft = staging / "archive"
    draft.touch(mode=0o600)  # it holds the root key
    with tarfile.open(draft, "w:gz", compresslevel=6) as tar:
        for name in [MANIFEST, *(member.name for member in manifest.members)]:
            tar.add(staging / name, arcname=name, recursive=False)
    draft.replace(target)


def _unpack(archive: Path, staging: Path) -> Manifest:
    """Extract what the manifest names, and nothing else; every file is checked against its digest."""
    try:
        with tarfile.open(archive, "r:gz") as tar:
            manifest = Manifest.model_validate(json.loads(_content(tar, MANIFEST)))
            if manifest.format != FORMAT or manifest.revision not in revisions():
                raise Conflict("A newer Headwater made this archive.", hint="Restore it with that version.")
            for member in manifest.members:
                _extract(tar, member, staging)
    except (tarfile.TarError, EOFError, OSError, ValueError, KeyError, ValidationError) as error:
        raise InvalidArgument(_DAMAGED, hint="Use another copy.") from error
    return manifest


def _content(tar: tarfile.TarFile, name: str) -> bytes:
    file = tar.extractfile(name)
    if file is None:
        raise InvalidArgument(_DAMAGED)
    return file.read()


def _extract(tar: tarfile.TarFile, member: Member, staging: Path) -> None:
    path = (staging / member.name).resolve()
    source = tar.extractfile(member.name)
    if source is None or not path.is_relative_to(staging.resolve()) or not member.name.startswith(("home/", "store/")):
        raise InvalidArgument(_DAMAGED)
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    path.touch(mode=0o600)
    with path.open("wb") as file:
        shutil.copyfileobj(source, file)
    if _member(path, staging.resolve()) != member:
        raise InvalidArgument(_DAMAGED, hint="Use another copy.")


def _refuse_overwriting(staging: Path, home: Path, url: str) -> None:
    there = [path for path in _files(staging / "home") if (home / path).exists()]
    has_store = (home / DATABASE).exists() if url == sqlite_url(home) else current(url) is not None
    if there or has_store:
        what = ", ".join([*map(str, there), *(["its store"] if has_store else [])])
        raise Conflict(f"The home has state already: {what}.", hint="Restore into an empty home, or force it.")


def _place_store(manifest: Manifest, folder: Path, home: Path, url: str) -> None:
    if manifest.kind == "sqlite":
        for suffix in ("-wal", "-shm"):
            (home / (DATABASE + suffix)).unlink(missing_ok=True)
        (folder / DATABASE).replace(home / DATABASE)
        return
    engine = open_engine(url)
    drop_tables(engine)
    upgrade(url, manifest.revision)
    load_rows(engine, folder)
    engine.dispose()


def _place_home(folder: Path, home: Path) -> None:
    for path in _files(folder):
        (home / path).parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        (folder / path).replace(home / path)


def _files(folder: Path) -> list[Path]:
    return sorted(path.relative_to(folder) for path in folder.rglob("*") if path.is_file())
