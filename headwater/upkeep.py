"""Upkeep of platform state: schema, backup and restore, in the words of the command line."""

import contextlib
import tarfile
import tomllib
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import make_url, select

from core.errors import Conflict, Unavailable
from core.settings import Settings
from engine.identity.vault import Vault, load_root_key
from engine.store import backup as archives
from engine.store.db import Store, sqlite_url
from engine.store.migrate import current, head, upgrade
from engine.store.tables import tenants
from headwater.build import store_url
from headwater.running import running
from headwater.settings import prepare_home, read_settings

TOML_IN_ARCHIVE = "home/headwater.toml"


def upgrade_store(settings: Settings) -> str:
    """Bring the store to the schema of this version, and say what was done."""
    prepare_home(settings.home)
    before = _revision(settings)
    after = upgrade(store_url(settings))
    if before is None:
        return f"Made the store {_name(settings)} with schema {after}. `headwater serve` fills it."
    if before == after:
        return f"The store {_name(settings)} is up to date: schema {after}."
    return f"Upgraded the store {_name(settings)} from schema {before} to {after}."


def back_up(settings: Settings, target: Path, *, force: bool = False) -> str:
    """Copy store, keys and settings into `target`, and say what is in it and what is not."""
    with _readable_errors():
        made = archives.backup(settings.home, target, url=settings.store.url.get_secret_value(), force=force)
        size_kb = target.stat().st_size // 1024
    return (
        f"Wrote {target}: {size_kb:,} kB, store with schema {made.revision}, keys and settings of {settings.home}.\n"
        "It holds the root key: keep it as safe as a password.\n"
        f"Tables of the lakehouse are not in it: copy the folder {settings.home / 'warehouse'} beside it.\n"
        f"`headwater restore {target} --home NEW` puts it back."
    )


def put_back(home: Path, archive: Path, *, force: bool = False) -> str:
    """Put an archive's state into a home. Raises Conflict while a server runs there."""
    for server in running(home):
        hint = f"`headwater stop --home {home}` ends it."
        raise Conflict(f"A server runs on {home}: {server}.", hint=hint)
    archived = _archived_url(archive)
    url = read_settings(home).store.url.get_secret_value() or archived
    with _readable_errors():
        made = archives.restore(archive, home, url=url, force=force)
    names = ", ".join(member.name.removeprefix("home/") for member in made.members if member.name.startswith("home/"))
    store = make_url(url).render_as_string() if url else home / archives.DATABASE
    lines = [
        f"Restored the store {store} with schema {head()}, and {names} in {home}.",
        f"Tables of the lakehouse come back by copying their folder to {home / 'warehouse'}.",
        f"`headwater doctor --home {home}` looks it over; `headwater serve --home {home}` starts it.",
    ]
    if archived and url != archived:
        lines.insert(1, f"{home / 'headwater.toml'} names another store than that: correct it before starting.")
    return "\n".join(lines)


def describe_store(settings: Settings) -> str:
    """What the store is, after trying that it answers, fits this version and opens with the root key."""
    found = _revision(settings)
    if found is None:
        return f"no store at {_name(settings)} yet; the first start makes it"
    if found != head():
        raise Conflict(
            f"{_name(settings)} has schema {found}, this version needs {head()}.",
            hint="`headwater db upgrade` brings an older one up to date; `serve` does it too.",
        )
    _try_key(settings)
    return f"{_name(settings)}, schema {found}; the root key opens it"


def _revision(settings: Settings) -> str | None:
    url = store_url(settings)
    if url == sqlite_url(settings.home) and not (settings.home / archives.DATABASE).exists():
        return None
    return current(url)


def _try_key(settings: Settings) -> None:
    store = Store(store_url(settings), pool_size=1)
    living = select(tenants.c.wrapped_key).where(tenants.c.wrapped_key != b"")
    try:
        wrapped = store.read_now(lambda connection: connection.scalar(living.limit(1)))
    finally:
        store.close()
    if wrapped is not None:
        if not (settings.home / "keys" / "root.key").exists():
            hint = "Put keys/root.key back from the backup of this home; without it the store cannot be read."
            raise Unavailable("The root key is missing.", hint=hint)
        Vault(load_root_key(settings.home)).tenant_purpose_key(bytes(wrapped), "check")


def _name(settings: Settings) -> str:
    return make_url(store_url(settings)).render_as_string()  # with the password as ***


def _archived_url(archive: Path) -> str:
    """The store that the archive's own settings name, where it has one."""
    with contextlib.suppress(OSError, tarfile.TarError, EOFError, KeyError, ValueError):
        with tarfile.open(archive) as tar:
            file = tar.extractfile(TOML_IN_ARCHIVE)
            settings = tomllib.loads(file.read().decode()) if file else {}
        url = settings.get("store", {}).get("url", "")
        return url if isinstance(url, str) else ""
    return ""  # a damaged archive is refused with reasons when it is unpacked


@contextlib.contextmanager
def _readable_errors() -> Iterator[None]:
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{error.filename}: {error.strerror}.", hint="Check the path and its permissions.") from error
