"""A catalog that others run: REST, Hive or Glue. It has no counter of commits, so it is asked again after a while."""

import hashlib
import threading
import time
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from typing import TYPE_CHECKING
from urllib.parse import urlsplit

from core.errors import Conflict, InvalidArgument, Unavailable
from engine.lake.names import FAR_TRASH, MAX_PART, TRASH, TableName, checked_parts, join_name
from engine.lake.sites import DISTANT, HIVE, REST, Gate, Site
from engine.lake.storage import Storage

if TYPE_CHECKING:  # 66 MB that only users of such a catalog pay
    from pyiceberg.catalog import Catalog

FRESH_S = 3.0
WAIT_S = 10.0
HIVE_PORT = 9083
_HIDDEN = (TRASH, FAR_TRASH)
SHARE = 20  # a look is not repeated before this many times of what it took
AT_ONCE = 8
MAX_DEPTH = 8
MAX_TABLES = 20_000
Parts = tuple[str, ...]
Listed = tuple[str, list[tuple[TableName, str]], set[str]]
"""A mark of the listing, its tables with their metadata files, and its namespaces."""


class DistantCatalog:
    """The catalog of one site, for this process. Blocking."""

    def __init__(self, site: Site, storage: Storage, gate: Gate, *, clock: Callable[[], float] = time.monotonic):
        self._site = site
        self._storage = storage
        self._gate = gate
        self._clock = clock
        self._client: Catalog | None = None
        self._listed: Listed | None = None
        self._until = 0.0
        self._failed_at: float | None = None
        self._turn = threading.Lock()

    def version(self) -> str:
        """Another text when a look found other tables or other metadata files."""
        return self._look()[0]

    def locations(self) -> Iterator[tuple[TableName, str]]:
        """The tables whose metadata lies in the warehouse; others are not there."""
        yield from self._look()[1]

    def namespaces(self) -> set[str]:
        return self._look()[2]

    def forget(self) -> None:
        """Ask again at the next look: something was changed."""
        self._until = 0.0

    def writable(self) -> "Catalog":
        """pyiceberg's client, whose files stay in the warehouse."""
        with answering():
            return self._open()

    def close(self) -> None:
        client, self._client = self._client, None
        session = getattr(client, "_session", None)
        if session is not None:
            session.close()

    def _open(self) -> "Catalog":
        if self._client is None:
            from engine.lake.clients import open_client

            self._client = open_client(self._site, self._storage, self._gate)
        return self._client

    def _look(self) -> Listed:
        # A server that hangs must not hold a thread for everybody who asks.
        if not self._turn.acquire(timeout=WAIT_S):
            raise _silent()
        try:
            started = self._clock()
            if self._failed_at is not None and started - self._failed_at < FRESH_S:
                raise _silent()
            if self._listed is None or started >= self._until:
                self._failed_at = started
                with answering():
                    self._listed = self._list(self._open())
                now, self._failed_at = self._clock(), None
                self._until = now + max(FRESH_S, SHARE * (now - started))
            return self._listed
        finally:
            self._turn.release()

    def _list(self, client: "Catalog") -> Listed:
        spaces = sorted(parts for parts in _namespaces(client, self._site.kind) if parts[0] not in _HIDDEN)
        names = [tuple(name) for parts in spaces for name in _below(client.list_tables, parts)]
        if len(names) > MAX_TABLES:
            raise Unavailable(f"The catalog has more than {MAX_TABLES:,} tables.", hint="Choose a smaller warehouse.")
        with ThreadPoolExecutor(AT_ONCE) as pool:
            places = pool.map(lambda name: _metadata_file(client, name), [name for name in names if _is_name(name)])
        found = [
            (TableName(name[:-1], name[-1]), place)
            for name, place in zip((name for name in names if _is_name(name)), places, strict=True)
            if place and self._storage.holds(place)
        ]
        shown = {join_name(parts) for parts in spaces}
        told = "\n".join([*(f"{name} {place}" for name, place in found), *sorted(shown), repr(self._site.root)])
        return hashlib.blake2b(told.encode(), digest_size=16).hexdigest(), found, shown


def _namespaces(client: "Catalog", kind: str) -> list[Parts]:
    found = level = [tuple(parts) for parts in client.list_namespaces() if _is_name(tuple(parts))]
    for _ in range(MAX_DEPTH if kind == REST else 0):
        below = [tuple(name) for parts in level for name in _below(client.list_namespaces, parts)]
        level = [parts for parts in below if parts not in found and _is_name(parts)]
        if not level:
            break
        found = [*found, *level]
    return found


def _below(ask: Callable[[Parts], Iterable[Parts]], parts: Parts) -> list[Parts]:
    """What is below a namespace; nothing where it was just dropped, or the server has only one level."""
    from pyiceberg.exceptions import BadRequestError, NoSuchNamespaceError

    try:
        return list(ask(parts))
    except (NoSuchNamespaceError, BadRequestError, NotImplementedError):
        return []


def _is_name(parts: Parts) -> bool:
    """Whether we could name it: a catalog of others may hold what our SQL cannot."""
    try:
        for part in parts:
            checked_parts(join_name((part,)))
    except InvalidArgument:
        return False
    return all("." not in part and len(part) <= MAX_PART for part in parts)


def _metadata_file(client: "Catalog", name: Parts) -> str:
    """Empty for what is gone, no Iceberg table, or not for these credentials."""
    from pyiceberg.exceptions import ForbiddenError, NoSuchPropertyException, NoSuchTableError

    from core.errors import Unauthorized

    try:
        return client.load_table(name).metadata_location
    except (NoSuchTableError, ForbiddenError, NoSuchPropertyException, Unauthorized):
        return ""


def check_addresses(site: Site, gate: Gate) -> None:
    """Raises what the gate raises for an address that the configuration has its catalog's client call."""
    if site.kind == HIVE:
        host, port = hive_address(site.uri)
        gate.check_address(host, port)
    elif site.kind == REST:
        gate.check_url(site.uri)
    for name in ("oauth2-server-uri", "glue.endpoint"):
        if name in site.given:
            gate.check_url(site.given[name])


def hive_address(uri: str) -> tuple[str, int]:
    """Host and port of a metastore. Raises Conflict."""
    try:
        parts = urlsplit(uri)
        return parts.hostname or "", parts.port or HIVE_PORT
    except ValueError:
        raise Conflict("`uri` is no address of a metastore.", hint="Write thrift://host:9083.") from None


def check_distant(site: Site, storage: Storage, gate: Gate) -> None:
    """Raises Conflict, Unauthorized or Unavailable when the catalog cannot be used."""
    catalog = DistantCatalog(site, storage, gate)
    try:
        with answering():
            catalog._open().list_namespaces()
    finally:
        catalog.close()


@contextmanager
def answering() -> Iterator[None]:
    """Turns what its client raises into Unavailable, which shows nothing of what the server said."""
    from engine.lake.clients import failures

    try:
        yield
    except failures() as error:
        raise _silent() from error


def _silent() -> Unavailable:
    return Unavailable(
        "The lakehouse's catalog does not answer, or refuses.",
        hint="Check its address and credentials with set_catalog_config, then retry.",
    )


# Which properties each kind of catalog takes, beside those of the warehouse's bucket.
PROPERTIES: dict[str, frozenset[str]] = {
    "rest": frozenset(
        {"warehouse", "prefix", "token", "credential", "scope", "audience", "resource", "oauth2-server-uri",
         "rest.sigv4-enabled", "rest.signing-region", "rest.signing-name", "client.region", "client.access-key-id",
         "client.secret-access-key", "client.session-token"}
    ),
    "hive": frozenset({"ugi", "hive.hive2-compatible"}),
    "glue": frozenset(
        {"glue.endpoint", "glue.region", "glue.id", "glue.access-key-id", "glue.secret-access-key",
         "glue.session-token"}
    ),
}  # fmt: skip


def check_properties(site: Site, bucket_names: frozenset[str]) -> None:
    """Raises Conflict for a configuration that its kind of catalog cannot be used with."""
    given, kind = site.given, site.kind
    unknown = sorted(given.keys() - PROPERTIES[kind] - bucket_names)
    if unknown:
        known = ", ".join(sorted(PROPERTIES[kind] | bucket_names))
        raise Conflict(f"A catalog of type {kind} takes no property {unknown[0][:80]!r}.", hint=f"It takes: {known}.")
    keys = {"glue": "glue", "rest": "client" if given.get("rest.sigv4-enabled", "").lower() == "true" else ""}.get(kind)
    if keys and not {f"{keys}.region", f"{keys}.access-key-id", f"{keys}.secret-access-key"} <= given.keys():
        raise Conflict(
            f"The catalog needs {keys}.region, {keys}.access-key-id and {keys}.secret-access-key.",
            hint="Send them in extra_props; this server's own credentials are never used.",
        )


__all__ = ["DISTANT", "DistantCatalog", "answering", "check_distant", "check_properties"]
