"""Where a tenant's lakehouse lies: one configuration per tenant, inside what the operator allows."""

import asyncio
import json
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict, InvalidArgument
from engine.catalog.warehouses import URL_KEY, Warehouses, place_name, still_shared, still_used
from engine.lake.buckets import NAMES, read_bucket
from engine.lake.distant import check_properties
from engine.lake.names import CATALOG
from engine.lake.shared import masked_url
from engine.lake.sites import DISTANT, GLUE, HIVE, REST
from engine.lake.storage import is_remote
from engine.store.db import Store
from engine.store.tables import catalog_configs

MASK = "***"
_URIS = {REST: re.compile(r"https?://[^\s@]+"), HIVE: re.compile(r"thrift://[^\s@/]+")}
_EXAMPLES = {REST: "https://catalog.example.com/iceberg", HIVE: "thrift://metastore.example.com:9083"}
SUPPORTED_TYPES = ("sql", "hadoop", *DISTANT)
CATALOG_NAME = r"^[A-Za-z_][A-Za-z0-9_]{0,63}$"
_SECRET_NAME = re.compile(r"secret|password|passwd|token|credential|private|sas|[-._]key|^key$|apikey", re.IGNORECASE)


@dataclass(frozen=True, slots=True)
class CatalogConfig:
    """A lakehouse's configuration; secrets among `extra_props` are masked."""

    is_configured: bool = False
    catalog_type: str = "sql"
    warehouse: str | None = None
    catalog_name: str = CATALOG
    uri: str | None = None
    extra_props: Mapping[str, str] = field(default_factory=dict)


class CatalogConfigs:
    """Reads and changes the tenants' configurations: SQL catalogs, embedded or in PostgreSQL."""

    def __init__(
        self,
        store: Store,
        *,
        warehouses: Warehouses,
        seal: Callable[[str, bytes], bytes],
        open: Callable[[str, bytes], bytes],  # noqa: A002 - the counterpart of seal
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._warehouses = warehouses
        self._seal = seal
        self._open = open
        self._clock = clock

    async def get(self, tenant: str) -> CatalogConfig:
        """The configuration as anyone may read it; the built-in values where none was set."""
        row = await self._store.read(lambda connection: _row(connection, tenant))
        if row is None:
            return CatalogConfig()
        kept = json.loads(row["config"])
        secret_names = json.loads(self._open(tenant, row["secret"])) if row["secret"] else {}
        secret_names.pop(URL_KEY, None)
        return CatalogConfig(
            is_configured=True,
            catalog_type=kept["catalog_type"],
            warehouse=kept["warehouse"],
            catalog_name=kept["catalog_name"],
            uri=kept["uri"],
            extra_props=dict(sorted({**kept["extra_props"], **dict.fromkeys(secret_names, MASK)}.items())),
        )

    async def set(self, tenant: str, config: CatalogConfig) -> CatalogConfig:
        """Raises Unauthorized for a folder or host that is not allowed, Conflict for what does not fit together.

        Raises Unavailable when what it names does not answer. Tables of the warehouse before stay where they are, and
        are seen again when it is set back."""
        _check_supported(config)
        place = _place(self._warehouses, tenant, config)
        row = await self._store.read(lambda connection: _row(connection, tenant))
        earlier = json.loads(self._open(tenant, row["secret"])) if row and row["secret"] else {}
        url = _unmasked(config.uri, earlier) if config.catalog_type not in DISTANT else ""
        kept = {
            "catalog_type": config.catalog_type,
            "warehouse": place,
            "catalog_name": config.catalog_name,
            "uri": masked_url(url) if url else config.uri or None,
            "extra_props": {name: value for name, value in config.extra_props.items() if not is_secret(name)},
        }
        secret_props = _secrets(config.extra_props, earlier, is_same=row is not None and _is_same(row["config"], kept))
        secret_props |= {URL_KEY: url} if url else {}
        site = self._warehouses.wanted(tenant, kept, secret_props)
        if site.kind in DISTANT:
            check_properties(site, NAMES[place.partition("://")[0]] if place and is_remote(place) else frozenset())
        await asyncio.to_thread(self._warehouses.check, site)
        secret = self._seal(tenant, json.dumps(secret_props).encode()) if secret_props else None

        def work(connection: Connection) -> None:
            if place is not None:
                name = place_name(place, config.extra_props) if is_remote(place) else place
                self._warehouses.take(connection, tenant, name)
            row = _row(connection, tenant)
            before = row["config"] if row else None
            stored = {**kept, "earlier": still_used(before), "shared": still_shared(before)}
            values = {"config": json.dumps(stored), "secret": secret, "updated_at": self._clock()}
            connection.execute(delete(catalog_configs).where(catalog_configs.c.tenant_id == tenant))
            connection.execute(insert(catalog_configs).values(tenant_id=tenant, **values))

        try:
            await self._store.write(work)
        except IntegrityError:  # another writer of this tenant came between
            raise Conflict("The configuration was set by someone else just now.", hint="Look, then retry.") from None
        finally:
            self._warehouses.forget(tenant)
        return await self.get(tenant)


def _place(warehouses: Warehouses, tenant: str, config: CatalogConfig) -> str | None:
    """The warehouse in the one spelling that is stored. Raises Conflict, Unauthorized."""
    if config.warehouse is None:
        return None
    if is_remote(config.warehouse):
        # Masked secrets are filled in later; here only the place itself is read.
        return read_bucket(config.warehouse, config.extra_props).root
    return str(warehouses.allowed(tenant, config.warehouse))


def _check_supported(config: CatalogConfig) -> None:
    kind = config.catalog_type
    if config.uri and kind in ("hadoop", GLUE):
        raise Conflict(f"A catalog of type `{kind}` has no `uri`; one of type `sql` has.", hint="Leave uri out.")
    if kind in (REST, HIVE) and not (config.uri and _URIS[kind].fullmatch(config.uri)):
        raise Conflict(f"A catalog of type `{kind}` needs its `uri`.", hint=f"Write {_EXAMPLES[kind]}.")
    if kind in DISTANT and config.warehouse is None:
        raise Conflict(
            "`warehouse` says where the tables of that catalog lie: nothing outside of it is read.",
            hint="Write /folder, s3://bucket/prefix, gs://bucket/prefix or abfss://container/prefix.",
        )
    if config.catalog_type not in SUPPORTED_TYPES:
        raise InvalidArgument(f"catalog_type is one of {', '.join(SUPPORTED_TYPES)}.", hint="Send `sql`.")
    if not re.fullmatch(CATALOG_NAME, config.catalog_name):
        raise InvalidArgument("catalog_name is a plain name of letters, digits and _.", hint="Send `headwater`.")


def _unmasked(uri: str | None, earlier: Mapping[str, str]) -> str:
    """The URL with its password; one that was read and sent back whole keeps the stored one, and no other does."""
    stored = earlier.get(URL_KEY, "")
    return stored if uri and stored and uri == masked_url(stored) else uri or ""


def is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _secrets(props: Mapping[str, str], earlier: Mapping[str, str], *, is_same: bool) -> dict[str, str]:
    """The secret properties; a mask that was read and sent back keeps the stored value, where all else is the same.

    Raises Conflict where it is not: the secret could go to another host."""
    found = {name: value for name, value in props.items() if is_secret(name)}
    for name in [name for name, value in found.items() if value == MASK]:
        if not is_same or name not in earlier:
            raise Conflict("A changed configuration needs its secrets again.", hint=f"Send {name} whole.")
        found[name] = earlier[name]
    return found


def _is_same(stored: str, kept: Mapping[str, Any]) -> bool:
    before = json.loads(stored)
    return all(before.get(name) == kept[name] for name in ("catalog_type", "warehouse", "uri", "extra_props"))


def _row(connection: Connection, tenant: str) -> Mapping[Any, Any] | None:
    return connection.execute(select(catalog_configs).where(catalog_configs.c.tenant_id == tenant)).mappings().first()
