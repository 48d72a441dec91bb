"""Where each tenant's lakehouse lies: its own folder, unless its configuration names another that is allowed."""

import json
import os
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from sqlalchemy import Connection, select, text

from core.errors import Conflict, Unauthorized, Unavailable
from engine.connectors.places import Places, real_path, touches
from engine.lake.shared import check_catalog
from engine.store.db import Store
from engine.store.flights import DEFAULT_TTL_S
from engine.store.tables import catalog_configs, connections

MAX_KNOWN = 10_000
URL_KEY = "uri"  # among a configuration's secrets
Place = tuple[Path, str]
"""A lakehouse's folder, and the URL of its catalog; empty for the folder's own."""


class Warehouses:
    """Answers from memory for two seconds, so that readers may ask before every query."""

    def __init__(
        self,
        store: Store,
        *,
        folder: Path,
        home: Path,
        roots: Sequence[Path],
        private_hosts: Sequence[str] = (),
        unseal: Callable[[str, bytes], bytes] = lambda tenant, sealed: sealed,
        ttl_s: float = DEFAULT_TTL_S,
        clock: Callable[[], float] = time.monotonic,
    ):
        self._store = store
        self._folder = folder
        # The home holds the keys and the other tenants' tables: never in it, nor around it.
        self._denied = [real_path(home), real_path(folder)]
        self._roots = [real_path(root) for root in roots]
        self._ttl_s = ttl_s
        self._clock = clock
        self._unseal = unseal
        self.check_host = Places(home=home, roots=roots, private_hosts=private_hosts).check_host
        self._known: dict[str, tuple[float, Place]] = {}
        self._changes = 0

    def locate(self, tenant: str) -> Path:
        """The folder of a tenant's catalog and tables. Raises Unavailable when it is no longer allowed."""
        return self._place(tenant)[0]

    def shared(self, tenant: str) -> Place | None:
        """Folder and URL of a tenant whose catalog is in PostgreSQL. Raises as `locate`."""
        place = self._place(tenant)
        return place if place[1] else None

    def check_shared(self, url: str, folder: Path | None) -> None:
        """Blocking. Raises Conflict, Unauthorized or Unavailable when no catalog can be behind the URL."""
        check_catalog(url, folder or self._folder, self.check_host)

    def _place(self, tenant: str) -> Place:
        known, now = self._known.get(tenant), self._clock()
        if known is not None and now - known[0] < self._ttl_s:
            return known[1]
        changes = self._changes
        place = self._read(tenant)
        # A look that began before a change must not outlive it.
        if changes == self._changes:
            if len(self._known) >= MAX_KNOWN:
                self._known.clear()
            self._known[tenant] = (now, place)
        return place

    def forget(self, tenant: str) -> None:
        """Call after a change by this process: the next look reads the store."""
        self._changes += 1
        self._known.pop(tenant, None)

    def allowed(self, tenant: str, folder: str) -> Path:
        """The real folder behind a path, symbolic links resolved. Raises Unauthorized unless it is allowed."""
        found = real_path(folder.removeprefix("file://"))
        if not self._is_allowed(tenant, found):
            raise Unauthorized(
                f"The warehouse {folder[:200]!r} is not a folder that the operator of this server allows.",
                hint="Leave `warehouse` out for the built-in place, or have its root added to query.allowed_roots.",
            )
        return found

    def folders(self) -> list[Path]:
        """Every folder that holds tables of some tenant: no connection reads them."""
        taken = self._store.read_now(lambda connection: [folder for _, folder in _taken(connection)])
        return [real_path(self._folder), *taken]

    def take(self, connection: Connection, tenant: str, folder: Path) -> None:
        """Make the folder, unless something else lives there, in the transaction that will say so.

        Two lakehouses in one folder would remove each other's files, and a connection would read them past
        all policies, so this one look crosses tenants. Raises Conflict."""
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(text("LOCK TABLE catalog_config IN SHARE ROW EXCLUSIVE MODE"))
        others = [taken for owner, taken in _taken(connection) if owner != tenant]
        if any(touches(folder, taken) for taken in (*others, *_read_by_connections(connection))):
            raise Conflict(
                "This folder cannot be used as a warehouse: something else reads or writes there.",
                hint="Choose a folder that no other warehouse and no connection lies in or around.",
            )
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise _not_writable() from None
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _not_writable()

    def _read(self, tenant: str) -> Place:
        columns = catalog_configs.c
        query = select(columns.config, columns.secret).where(columns.tenant_id == tenant)
        row = self._store.read_now(lambda connection: connection.execute(query).first())
        config = json.loads(row.config) if row is not None else {}
        url = json.loads(self._unseal(tenant, row.secret))[URL_KEY] if row is not None and config.get("uri") else ""
        named = config.get("warehouse")
        return (self._folder / tenant if named is None else self._still_allowed(tenant, named)), url

    def _still_allowed(self, tenant: str, named: str) -> Path:
        folder = real_path(named)
        if not self._is_allowed(tenant, folder):
            raise Unavailable(
                "The operator of this server no longer allows the place of the lakehouse.",
                hint="set_catalog_config names another; left out, `warehouse` is the built-in place.",
            )
        return folder

    def _is_allowed(self, tenant: str, folder: Path) -> bool:
        if folder == real_path(self._folder / tenant):
            return True
        if any(touches(folder, denied) for denied in self._denied):
            return False
        return any(folder.is_relative_to(root) for root in self._roots)


def still_used(earlier: str | None) -> list[str]:
    """What a configuration keeps of the one before it: folders whose tables come back when it names them again."""
    if earlier is None:
        return []
    config = json.loads(earlier)
    folders = {*config.get("earlier", ()), config["warehouse"]} - {None}
    # One whose catalog is in PostgreSQL has no file of it: whatever lies there may be tables.
    shared = {*config.get("shared", ())} | ({config["warehouse"]} if config.get("uri") else set())
    return sorted(
        folder
        for folder in folders
        if os.access(Path(folder) / "catalog.db", os.F_OK) or (folder in shared and _holds_files(Path(folder)))
    )


def still_shared(earlier: str | None) -> list[str]:
    """Of the folders still used, those whose catalog was in PostgreSQL."""
    if earlier is None:
        return []
    config = json.loads(earlier)
    return sorted(({*config.get("shared", ())} | ({config["warehouse"]} if config.get("uri") else set())) - {None})


def _holds_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _taken(connection: Connection) -> Iterator[tuple[str, Path]]:
    """Warehouses in use, and those used earlier, which belong to their tenant still."""
    for tenant, config in connection.execute(select(catalog_configs.c.tenant_id, catalog_configs.c.config)):
        kept = json.loads(config)
        for folder in (kept["warehouse"], *kept.get("earlier", ())):
            if folder is not None:
                yield tenant, Path(folder)


def _read_by_connections(connection: Connection) -> Iterator[Path]:
    for (options,) in connection.execute(select(connections.c.options)):
        path = json.loads(options).get("path")
        if path is not None:
            yield real_path(path)


def _not_writable() -> Conflict:
    return Conflict(
        "The server cannot make the warehouse's folder, or not write there.",
        hint="Have it made for the user that the server runs as, or choose another.",
    )
