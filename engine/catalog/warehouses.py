"""Where each tenant's lakehouse lies: its own folder, unless its configuration names another place that is allowed."""

import json
import os
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, select, text

from core.errors import Conflict, Unauthorized, Unavailable
from engine.connectors.places import Places, real_path, touches
from engine.lake.distant import check_addresses, check_distant
from engine.lake.shared import check_catalog
from engine.lake.sites import DISTANT, SQL, Site
from engine.lake.storage import is_remote
from engine.lake.warehouse import check_endpoint
from engine.store.db import Store
from engine.store.flights import DEFAULT_TTL_S
from engine.store.tables import catalog_configs, connections

MAX_KNOWN = 10_000
URL_KEY = "uri"  # among a configuration's secrets


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
        self.gate = Places(home=home, roots=roots, private_hosts=private_hosts)
        self._known: dict[str, tuple[float, Site]] = {}
        self._changes = 0

    def locate(self, tenant: str) -> Path:
        """The folder of a tenant's catalog and tables. Raises Unavailable when it is no longer allowed."""
        site = self.site(tenant)
        return site.home if site.is_remote else Path(site.root)

    def site(self, tenant: str) -> Site:
        """Where a tenant's lakehouse is now. Raises as `locate`."""
        return self._place(tenant)

    def wanted(self, tenant: str, config: Mapping[str, Any], secret: Mapping[str, str]) -> Site:
        """The place that a configuration names, as it is stored. Raises Unavailable when it is not allowed."""
        named, kind = config.get("warehouse"), config.get("catalog_type", SQL)
        own = self._folder / tenant
        root, home = (str(own), own) if named is None else (named, own)
        if named is not None and not is_remote(named):
            root = str(self._still_allowed(tenant, named))
            home = Path(root)
        kind = kind if kind in DISTANT else SQL
        uri = (secret[URL_KEY] if kind == SQL else config["uri"]) if config.get("uri") else ""
        given = {**config.get("extra_props", {}), **{name: secret[name] for name in secret if name != URL_KEY}}
        uses_none = kind == SQL and not is_remote(root)
        return Site(root, home, kind, uri, () if uses_none else tuple(sorted(given.items())))

    def check(self, site: Site) -> None:
        """Blocking. Raises Conflict, Unauthorized or Unavailable when there is nothing to be used at the place."""
        storage = site.open_storage()
        check_endpoint(storage, self.gate)
        if site.kind in DISTANT:  # every address, before any of them is called
            check_addresses(site, self.gate)
        if site.is_remote:
            try:
                next(storage.walk(f"{site.root}/metadata-probe"), None)
            except OSError:
                raise Unavailable(
                    "The warehouse's bucket does not answer, or refuses.", hint="Check its name, region and keys."
                ) from None
        if site.kind in DISTANT:
            check_distant(site, storage, self.gate)
        elif site.uri:
            check_catalog(site.uri, self.gate.check_host)

    def _place(self, tenant: str) -> Site:
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
        taken = self._store.read_now(lambda connection: [place for _, place in _taken(connection)])
        return [real_path(self._folder), *(Path(place) for place in taken if not is_remote(place))]

    def take(self, connection: Connection, tenant: str, place: str) -> None:
        """Make the folder, unless something else lives there, in the transaction that will say so.

        Two lakehouses in one folder would remove each other's files, and a connection would read them past
        all policies, so this one look crosses tenants. Raises Conflict."""
        if connection.dialect.name == "postgresql":  # SQLite has one writer anyway
            connection.execute(text("LOCK TABLE catalog_config IN SHARE ROW EXCLUSIVE MODE"))
        others = [taken for owner, taken in _taken(connection) if owner != tenant]
        read = [] if is_remote(place) else list(_read_by_connections(connection))
        if any(_touches(place, taken) for taken in others) or any(touches(Path(place), path) for path in read):
            raise Conflict(
                "This place cannot be used as a warehouse: something else reads or writes there.",
                hint="Choose one that no other warehouse and no connection lies in or around.",
            )
        if is_remote(place):
            return
        folder = Path(place)
        try:
            folder.mkdir(parents=True, exist_ok=True)
        except OSError:
            raise _not_writable() from None
        if not os.access(folder, os.R_OK | os.W_OK | os.X_OK):
            raise _not_writable()

    def _read(self, tenant: str) -> Site:
        columns = catalog_configs.c
        query = select(columns.config, columns.secret).where(columns.tenant_id == tenant)
        row = self._store.read_now(lambda connection: connection.execute(query).first())
        if row is None:
            return Site.local(self._folder / tenant)
        secret = json.loads(self._unseal(tenant, row.secret)) if row.secret else {}
        return self.wanted(tenant, json.loads(row.config), secret)

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
    """What a configuration keeps of the one before it: places whose tables come back when it names them again."""
    if earlier is None:
        return []
    config = json.loads(earlier)
    places = {*config.get("earlier", ()), _place_of(config)} - {None}
    # One whose catalog lies elsewhere has no file of it: whatever lies there may be tables.
    shared = set(still_shared(earlier))
    return sorted(
        place
        for place in places
        if is_remote(place)
        or os.access(Path(place) / "catalog.db", os.F_OK)
        or (place in shared and _holds_files(Path(place)))
    )


def still_shared(earlier: str | None) -> list[str]:
    """Of the places still used, those whose catalog was not in the folder."""
    if earlier is None:
        return []
    config = json.loads(earlier)
    is_elsewhere = config.get("uri") or config.get("catalog_type") in DISTANT
    own = _place_of(config) if is_elsewhere else None
    return sorted({*config.get("shared", ()), *([] if own is None else [own])})


def _place_of(config: Mapping[str, Any]) -> str | None:
    """What a warehouse is compared by: a folder, or a prefix of a bucket and whose bucket it is."""
    named: str | None = config["warehouse"]
    return named if named is None or not is_remote(named) else place_name(named, config.get("extra_props", {}))


def place_name(root: str, properties: Mapping[str, str]) -> str:
    """A prefix of a bucket with the account or endpoint that its name belongs to."""
    names = ("s3.endpoint", "gcs.endpoint", "adls.account-name")
    return " ".join([root, *(properties[name].rstrip("/") for name in names if name in properties)])


def _touches(one: str, other: str) -> bool:
    """Whether one place is, or lies in, the other."""
    if is_remote(one) != is_remote(other):
        return False
    if not is_remote(one):
        return touches(Path(one), Path(other))
    (root, _, owner), (taken, _, others) = one.partition(" "), other.partition(" ")
    return owner == others and (f"{root}/".startswith(f"{taken}/") or f"{taken}/".startswith(f"{root}/"))


def _holds_files(folder: Path) -> bool:
    try:
        return any(folder.iterdir())
    except OSError:
        return False


def _taken(connection: Connection) -> Iterator[tuple[str, str]]:
    """Warehouses in use, and those used earlier, which belong to their tenant still."""
    for tenant, config in connection.execute(select(catalog_configs.c.tenant_id, catalog_configs.c.config)):
        kept = json.loads(config)
        for place in (_place_of(kept), *kept.get("earlier", ())):
            if place is not None:
                yield tenant, place


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
