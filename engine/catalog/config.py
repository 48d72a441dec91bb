"""Where a tenant's lakehouse lies: one configuration per tenant, inside what the operator allows."""

import json
import re
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, delete, insert, select
from sqlalchemy.exc import IntegrityError

from core.errors import Conflict, InvalidArgument
from engine.lake.names import CATALOG
from engine.store.db import Store
from engine.store.tables import catalog_configs

MASK = "***"
SUPPORTED_TYPES = ("sql", "hadoop")
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
    """Reads and changes the tenants' configurations. Only the embedded catalog is supported."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Callable[[str, bytes], bytes],
        open: Callable[[str, bytes], bytes],  # noqa: A002 - the counterpart of seal
        home: Path,
        allowed_roots: Sequence[Path],
        own_folder: Callable[[str], Path],
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self._seal = seal
        self._open = open
        self._home = home.resolve()
        self._roots = [root.resolve() for root in allowed_roots]
        self._own_folder = own_folder
        self._clock = clock

    async def get(self, tenant: str) -> CatalogConfig:
        """The configuration as anyone may read it; the built-in values where none was set."""
        row = await self._store.read(lambda connection: _row(connection, tenant))
        if row is None:
            return CatalogConfig()
        kept = json.loads(row["config"])
        secret_names = json.loads(self._open(tenant, row["secret"])) if row["secret"] else {}
        props = {**kept.pop("extra_props"), **dict.fromkeys(secret_names, MASK)}
        return CatalogConfig(is_configured=True, extra_props=dict(sorted(props.items())), **kept)

    async def set(self, tenant: str, config: CatalogConfig) -> CatalogConfig:
        """Raises InvalidArgument saying what is supported, Conflict when another lakehouse lies there."""
        warehouse = self._checked_warehouse(tenant, config)
        row = await self._store.read(lambda connection: _row(connection, tenant))
        earlier = json.loads(self._open(tenant, row["secret"])) if row and row["secret"] else {}
        open_props, secret_props = _split(config.extra_props, earlier)
        kept = {
            "catalog_type": config.catalog_type,
            "warehouse": warehouse,
            "catalog_name": config.catalog_name,
            "uri": None,
            "extra_props": open_props,
        }
        values = {
            "config": json.dumps(kept),
            "secret": self._seal(tenant, json.dumps(secret_props).encode()) if secret_props else None,
            "updated_at": self._clock(),
        }

        def work(connection: Connection) -> None:
            if warehouse is not None:
                _refuse_shared(connection, tenant, Path(warehouse))
            connection.execute(delete(catalog_configs).where(catalog_configs.c.tenant_id == tenant))
            connection.execute(insert(catalog_configs).values(tenant_id=tenant, **values))

        try:
            await self._store.write(work)
        except IntegrityError:  # another writer of this tenant came between
            raise Conflict("The configuration was set by someone else just now.", hint="Look, then retry.") from None
        return await self.get(tenant)

    def _checked_warehouse(self, tenant: str, config: CatalogConfig) -> str | None:
        if config.catalog_type not in SUPPORTED_TYPES or config.uri:
            raise InvalidArgument(
                "Only the embedded catalog is supported now: catalog_type `sql` or `hadoop`, and no `uri`.",
                hint="Send catalog_type `sql` with a `warehouse` folder; create_connection reaches data elsewhere.",
            )
        if not re.fullmatch(r"[A-Za-z_][A-Za-z0-9_]{0,63}", config.catalog_name):
            raise InvalidArgument("catalog_name is a plain name of letters, digits and _.", hint="Send `headwater`.")
        if config.warehouse is None:
            return None
        own = self._own_folder(tenant).resolve()
        given = Path(config.warehouse.removeprefix("file://"))
        folder = given.resolve()
        if not given.is_absolute() or not self._is_allowed(folder, own):
            raise InvalidArgument(
                f"The warehouse {config.warehouse[:200]!r} is not a folder that the operator of this server allows.",
                hint="Leave `warehouse` out for the built-in place, or have its root added to query.allowed_roots.",
            )
        return str(folder)

    def _is_allowed(self, folder: Path, own: Path) -> bool:
        if folder.is_relative_to(own):
            return True
        # The home holds the keys and the other tenants' tables: never in it, nor around it.
        if folder.is_relative_to(self._home) or self._home.is_relative_to(folder):
            return False
        return any(folder.is_relative_to(root) for root in self._roots)


def is_secret(name: str) -> bool:
    return _SECRET_NAME.search(name) is not None


def _split(props: Mapping[str, str], earlier: Mapping[str, str]) -> tuple[dict[str, str], dict[str, str]]:
    """Open and secret properties; a mask that was read and sent back keeps the stored value."""
    open_props = {name: value for name, value in props.items() if not is_secret(name)}
    secret_props = {name: earlier.get(name, value) if value == MASK else value for name, value in props.items()}
    return open_props, {name: value for name, value in secret_props.items() if is_secret(name)}


def _row(connection: Connection, tenant: str) -> Mapping[Any, Any] | None:
    return connection.execute(select(catalog_configs).where(catalog_configs.c.tenant_id == tenant)).mappings().first()


def _refuse_shared(connection: Connection, tenant: str, folder: Path) -> None:
    """Two lakehouses in one folder would remove each other's files, so this one look crosses tenants."""
    others = connection.execute(select(catalog_configs.c.config).where(catalog_configs.c.tenant_id != tenant))
    for (config,) in others:
        warehouse = json.loads(config)["warehouse"]
        if warehouse is None:
            continue
        taken = Path(warehouse)
        if folder.is_relative_to(taken) or taken.is_relative_to(folder):
            raise Conflict("This folder cannot be used as a warehouse.", hint="Choose another folder.")
