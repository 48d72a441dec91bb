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
from engine.catalog.warehouses import URL_KEY, Warehouses, still_shared, still_used
from engine.lake.names import CATALOG
from engine.lake.shared import masked_url
from engine.store.db import Store
from engine.store.tables import catalog_configs

MASK = "***"
SUPPORTED_TYPES = ("sql", "hadoop")
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
        """Raises Unauthorized for a folder or host that is not allowed, Conflict when something else lives there.

        Tables of the warehouse before stay where they are, and are seen again when it is set back."""
        _check_supported(config)
        folder = None if config.warehouse is None else self._warehouses.allowed(tenant, config.warehouse)
        row = await self._store.read(lambda connection: _row(connection, tenant))
        earlier = json.loads(self._open(tenant, row["secret"])) if row and row["secret"] else {}
        url = _unmasked(config.uri, earlier)
        if url:
            await asyncio.to_thread(self._warehouses.check_shared, url, folder)
        open_props, secret_props = _split(config.extra_props, earlier)
        secret_props |= {URL_KEY: url} if url else {}
        secret = self._seal(tenant, json.dumps(secret_props).encode()) if secret_props else None

        def work(connection: Connection) -> None:
            if folder is not None:
                self._warehouses.take(connection, tenant, folder)
            row = _row(connection, tenant)
            kept = {
                "catalog_type": config.catalog_type,
                "warehouse": None if folder is None else str(folder),
                "catalog_name": config.catalog_name,
                "uri": masked_url(url) if url else None,
                "extra_props": open_props,
                "earlier": still_used(row["config"] if row else None),
                "shared": still_shared(row["config"] if row else None),
            }
            values = {"config": json.dumps(kept), "secret": secret, "updated_at": self._clock()}
            connection.execute(delete(catalog_configs).where(catalog_configs.c.tenant_id == tenant))
            connection.execute(insert(catalog_configs).values(tenant_id=tenant, **values))

        try:
            await self._store.write(work)
        except IntegrityError:  # another writer of this tenant came between
            raise Conflict("The configuration was set by someone else just now.", hint="Look, then retry.") from None
        finally:
            self._warehouses.forget(tenant)
        return await self.get(tenant)


def _check_supported(config: CatalogConfig) -> None:
    if config.uri and config.catalog_type != "sql":
        raise Conflict("Only a catalog of type `sql` has a `uri`.", hint="Send catalog_type `sql`, or leave uri out.")
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


def _split(props: Mapping[str, str], earlier: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Open and secret properties; a mask that was read and sent back keeps the stored value."""
    open_props = {name: value for name, value in props.items() if not is_secret(name)}
    secret_props = {name: earlier.get(name, value) if value == MASK else value for name, value in props.items()}
    return open_props, {name: value for name, value in secret_props.items() if is_secret(name)}


def _row(connection: Connection, tenant: str) -> Mapping[Any, Any] | None:
    return connection.execute(select(catalog_configs).where(catalog_configs.c.tenant_id == tenant)).mappings().first()
