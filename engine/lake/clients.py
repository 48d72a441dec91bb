"""pyiceberg's clients of catalogs that others run: REST, Hive, Glue. None calls a host that the gate refuses, takes
properties from a server, or uses credentials of this machine. Loaded by the first use of such a catalog only."""

import importlib
import socket
import time
from typing import Any

import requests
from pyiceberg.catalog import Catalog
from pyiceberg.catalog.rest import RestCatalog
from pyiceberg.exceptions import NoSuchNamespaceError, NoSuchPropertyException, NoSuchTableError, RESTError
from pyiceberg.table import Table
from pyiceberg.table.update import ValidatableTableRequirement
from requests.adapters import HTTPAdapter
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool

from core.errors import Conflict
from engine.lake.distant import check_addresses, hive_address
from engine.lake.fence import StorageIO, io_properties
from engine.lake.names import CATALOG
from engine.lake.sites import GLUE, HIVE, Gate, Site
from engine.lake.storage import Storage

CONNECT_S, READ_S, WHOLE_S = 5.0, 15.0, 60.0
MAX_BODY = 64 * 2**20
OURS = "headwater-"  # requirements that no server knows
_THEIRS = (
    ("botocore.exceptions", "BotoCoreError"),
    ("botocore.exceptions", "ClientError"),
    ("thrift.Thrift", "TException"),
)
_FROM_SERVERS = ("prefix", "namespace-separator", "rest-page-size")


def open_client(site: Site, storage: Storage, gate: Gate) -> Catalog:
    """Raises Conflict where a library is missing, PlatformError of the gate, and what the client raises."""
    check_addresses(site, gate)
    if site.kind == HIVE:
        return _hive(site, storage, gate)
    if site.kind == GLUE:
        return _glue(site, storage, gate)
    return GuardedRest(site, storage, gate)


class GuardedRest(RestCatalog):
    """A REST catalog's client whose every connection goes to an address that was checked."""

    def __init__(self, site: Site, storage: Storage, gate: Gate):
        self._gate = gate
        self._storage = storage
        self._given = {**site.given, "uri": site.uri, **io_properties(storage)}
        if "credential" in self._given or "token" in self._given:  # else pyiceberg warns that it will want this said
            self._given.setdefault("oauth2-server-uri", f"{site.uri.rstrip('/')}/v1/oauth/tokens")
        super().__init__(CATALOG, **self._given)

    def _fetch_config(self) -> None:
        super()._fetch_config()
        told = {name: self.properties[name] for name in _FROM_SERVERS if name in self.properties}
        self.properties = {**told, **self._given}
        self.uri = self._given["uri"]

    def _config_headers(self, session: requests.Session) -> None:
        super()._config_headers(session)
        session.headers.pop("X-Iceberg-Access-Delegation", None)  # what it would hand out is not used
        session.trust_env = False
        for scheme in ("https://", "http://"):
            session.mount(scheme, _guarded(HTTPAdapter(), self._gate))
        session.request = _bounded(session.request, self._gate)  # type: ignore[method-assign]

    def _init_sigv4(self, session: requests.Session) -> None:
        super()._init_sigv4(session)
        _guarded(session.get_adapter(self.uri), self._gate)

    def _load_file_io(self, properties: Any = None, location: str | None = None) -> StorageIO:
        return StorageIO(self._given)

    def create_table(self, identifier: Any, schema: Any, location: str | None = None, **more: Any) -> Table:  # type: ignore[override]
        """The catalog chooses the place; one outside of the warehouse is given back. Raises Conflict."""
        table: Table = super().create_table(identifier, schema, **more)
        if not self._storage.holds(table.location()):
            self.drop_table(identifier)
            raise Conflict(
                "The catalog put the table outside the warehouse, so that it could not be read here.",
                hint="Set `warehouse` to where that catalog's tables lie.",
            )
        return table

    def commit_table(self, table: Table, requirements: Any, updates: Any) -> Any:
        """Requirements of our own are looked at here, just before: a server would not know them."""
        own = [item for item in requirements if isinstance(item, ValidatableTableRequirement) and _is_ours(item)]
        if own:
            now = self.load_table(table.name()).metadata
            for item in own:
                item.validate(now)
        return super().commit_table(table, tuple(item for item in requirements if item not in own), updates)


def _is_ours(requirement: Any) -> bool:
    return str(requirement.type).startswith(OURS)


def _guarded(adapter: Any, gate: Gate) -> HTTPAdapter:
    """Have an adapter's connections go to addresses that the gate lets through, TLS still for the name."""

    class Plain(HTTPConnection):
        def _new_conn(self) -> socket.socket:
            return _to_checked(self, gate, super()._new_conn)

    class Secure(HTTPSConnection):
        def _new_conn(self) -> socket.socket:
            return _to_checked(self, gate, super()._new_conn)

    class PlainPool(HTTPConnectionPool):
        ConnectionCls = Plain

    class SecurePool(HTTPSConnectionPool):
        ConnectionCls = Secure

    adapter.poolmanager.pool_classes_by_scheme = {"http": PlainPool, "https": SecurePool}
    checked: HTTPAdapter = adapter
    return checked


def _to_checked(connection: Any, gate: Gate, connect: Any) -> socket.socket:
    name = connection._dns_host
    connection._dns_host = gate.check_address(connection.host, connection.port)
    try:
        opened: socket.socket = connect()
    finally:
        connection._dns_host = name
    return opened


def _bounded(send: Any, gate: Gate) -> Any:
    """Requests that end, follow no redirect and read no more than a body of a sane size."""

    def request(method: str, url: str, **more: Any) -> requests.Response:
        gate.check_url(url)
        more |= {"timeout": (CONNECT_S, READ_S), "stream": True, "allow_redirects": False}
        ends_at = time.monotonic() + WHOLE_S
        response: requests.Response = send(method, url, **more)
        with response:
            if response.is_redirect:
                raise requests.TooManyRedirects("The catalog redirects, which is not followed.")
            body = bytearray()
            for chunk in response.iter_content(2**16):
                body += chunk
                if len(body) > MAX_BODY or time.monotonic() > ends_at:
                    raise requests.RequestException("The catalog's answer is too large, or too slow.")
        response._content = bytes(body)
        return response

    return request


def _hive(site: Site, storage: Storage, gate: Gate) -> Catalog:
    try:
        from pyiceberg.catalog.hive import HiveCatalog
    except ImportError:
        raise _missing("hive") from None

    host, port = hive_address(site.uri)
    address = gate.check_address(host, port)
    place = f"[{address}]" if ":" in address else address

    class GuardedHive(HiveCatalog):
        def _load_file_io(self, properties: Any = None, location: str | None = None) -> StorageIO:
            return StorageIO(self.properties)

    own = {**site.given, "uri": f"thrift://{place}:{port}", "warehouse": site.root, **io_properties(storage)}
    made: Catalog = GuardedHive(CATALOG, **own)
    return made


def _glue(site: Site, storage: Storage, gate: Gate) -> Catalog:
    try:
        from pyiceberg.catalog.glue import GlueCatalog
    except ImportError:
        raise _missing("glue") from None

    class GuardedGlue(GlueCatalog):
        def _load_file_io(self, properties: Any = None, location: str | None = None) -> StorageIO:
            return StorageIO(self.properties)

    made: Catalog = GuardedGlue(CATALOG, **{**site.given, "warehouse": site.root, **io_properties(storage)})
    return made


def _missing(extra: str) -> Conflict:
    return Conflict(
        f"This server has no client library for a catalog of type {extra}.",
        hint=f"Have the operator install it: pip install 'pyiceberg[{extra}]'.",
    )


def failures() -> tuple[type[BaseException], ...]:
    """What these clients raise when a catalog is down, refuses, or does not speak its protocol."""
    found: list[type[BaseException]] = [
        *(RESTError, NoSuchNamespaceError, NoSuchTableError, NoSuchPropertyException),
        *(OSError, ValueError, NotImplementedError),
    ]
    for module, name in _THEIRS:
        try:
            found.append(getattr(importlib.import_module(module), name))
        except ImportError:
            continue
    return tuple(found)
