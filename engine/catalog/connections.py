"""Connections: where a tenant's data is. Options lie open in the store, secrets under the tenant's key."""

import asyncio
import json
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from typing import Any

from sqlalchemy import Connection, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound
from engine.connectors.connector import ConnectionSpec
from engine.connectors.kinds import split_options
from engine.connectors.shared import NAMESPACE, OWNER, SHARE
from engine.lake.names import CATALOG
from engine.projects.shares import SharedDataset, read_shared
from engine.store.db import Store
from engine.store.flights import DEFAULT_TTL_S, TenantCache
from engine.store.tables import catalog_configs, column_tags, connections, descriptions

LAKEHOUSE = "lakehouse"
CONNECTION_ID = r"^[A-Za-z0-9_-]{1,64}$"
NAME = r"^ *[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"

Seal = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class StoredConnection:
    """A connection as listings show it: everything but its secret."""

    connection_id: str
    name: str
    kind: str
    options: Mapping[str, str]
    description: str
    version: int
    created_at: float
    updated_at: float
    has_secret: bool = False
    catalog_name: str = ""  # the first part that names of its tables may begin with
    is_built_in: bool = False


@dataclass(frozen=True, slots=True)
class _Loaded:
    stored: dict[str, StoredConnection]
    sealed: dict[str, bytes]


class Connections:
    """The connections of every tenant. The embedded lakehouse is there without a row."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Seal,
        open: Seal,  # noqa: A002 - the counterpart of seal
        validate: Callable[[ConnectionSpec], object],
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"conn_{secrets.token_hex(8)}",
        first_version: Callable[[], int] = lambda: 1 + secrets.randbelow(2**30),
        ttl_s: float = DEFAULT_TTL_S,
    ):
        self._store = store
        self._seal = seal
        self._open = open
        self._validate = validate
        self._clock = clock
        self._new_id = new_id
        # Random, or a connection that was deleted and made again would look unchanged to other processes.
        self._first_version = first_version
        self._cache: TenantCache[_Loaded] = TenantCache(self._load, ttl_s=ttl_s)

    async def listing(self, tenant: str) -> list[StoredConnection]:
        """The lakehouse first, then by name."""
        loaded = await self._cache.get(tenant)
        return sorted(loaded.stored.values(), key=lambda item: (not item.is_built_in, item.name, item.connection_id))

    async def visible(self, by: Principal) -> list[StoredConnection]:
        """Those that exist for the caller, in the same order."""
        found = await self.listing(by.tenant)
        return found if by.connections is None else [item for item in found if item.connection_id in by.connections]

    async def see(self, by: Principal, connection_id: str) -> StoredConnection:
        """One that exists for the caller. Raises NotFound."""
        check_reach(by, connection_id)
        return await self.get(by.tenant, connection_id)

    async def get(self, tenant: str, connection_id: str) -> StoredConnection:
        """Raises NotFound."""
        return _pick(await self._cache.get(tenant), connection_id)

    async def spec(self, tenant: str, connection_id: str) -> ConnectionSpec:
        """The connection with its secret opened, for the connectors only. Raises NotFound."""
        loaded = await self._cache.get(tenant)
        stored = _pick(loaded, connection_id)
        return _spec(tenant, stored, self._unseal(tenant, loaded.sealed.get(connection_id)))

    async def create(
        self,
        tenant: str,
        *,
        name: str,
        kind: str,
        options: Mapping[str, str],
        description: str = "",
        connection_id: str = "",
    ) -> StoredConnection:
        """Raises Conflict when the id or the name is taken or the options do not fit the kind.

        Raises Unauthorized or NotFound when they point where they may not, or at nothing.
        Secrets come among the options and are kept apart from them."""
        plain, secret = split_options(_checked_kind(kind), options)
        stored = StoredConnection(
            connection_id=_checked_id(connection_id) if connection_id else self._new_id(),
            name=_checked_name(name),
            kind=kind,
            options=plain,
            description=description,
            version=self._first_version(),
            created_at=self._clock(),
            updated_at=self._clock(),
            has_secret=bool(secret),
        )
        await asyncio.to_thread(self._validate, _spec(tenant, stored, secret))
        sealed = self._sealed(tenant, secret)

        def work(connection: Connection) -> None:
            _refuse_duplicates(connection, tenant, stored, also_id=True)
            connection.execute(insert(connections).values(tenant_id=tenant, secret=sealed, **_row(stored)))

        await self._change(tenant, work)
        return stored

    async def update(
        self,
        tenant: str,
        connection_id: str,
        *,
        name: str | None = None,
        options: Mapping[str, str] | None = None,
        description: str | None = None,
    ) -> StoredConnection:
        """Change what is given; `options` are replaced as a whole, secrets with them."""
        _refuse_built_in(connection_id)
        row = await self._store.read(lambda connection: _row_of(connection, tenant, connection_id))
        old, secret = _stored(row), self._unseal(tenant, row["secret"])
        plain = old.options
        if options is not None:
            plain, secret = _replaced(old, secret, options)
        new = replace(
            old,
            name=old.name if name is None else _checked_name(name),
            options=plain,
            description=old.description if description is None else description,
            version=old.version + 1,
            updated_at=self._clock(),
            has_secret=bool(secret),
        )
        await asyncio.to_thread(self._validate, _spec(tenant, new, secret))
        values = {**_row(new), "secret": self._sealed(tenant, secret)}

        def work(connection: Connection) -> None:
            _refuse_duplicates(connection, tenant, new, also_id=False)
            statement = _where(update(connections), tenant, connection_id).where(connections.c.version == old.version)
            if connection.execute(statement.values(**values)).rowcount == 0:
                raise Conflict("The connection was changed meanwhile.", hint="Look at it again, then retry.")

        await self._change(tenant, work)
        return new

    async def touch(self, tenant: str, connection_id: str) -> None:
        """Raise the version, so that every process reads the source's schema again."""
        if connection_id == LAKEHOUSE:
            return

        def work(connection: Connection) -> None:
            statement = _where(update(connections), tenant, connection_id)
            connection.execute(statement.values(version=connections.c.version + 1))

        await self._change(tenant, work)

    async def delete(self, tenant: str, connection_id: str) -> None:
        """Delete it with its tags and descriptions; a later connection of that id starts clean."""
        _refuse_built_in(connection_id)

        def work(connection: Connection) -> None:
            _row_of(connection, tenant, connection_id)
            for table in (connections, column_tags, descriptions):
                connection.execute(
                    delete(table).where(table.c.tenant_id == tenant, table.c.connection_id == connection_id)
                )

        await self._change(tenant, work)

    def forget(self, tenant: str) -> None:
        """Read the store at the next use."""
        self._cache.forget(tenant)

    async def _change(self, tenant: str, work: Callable[[Connection], Any]) -> Any:
        try:
            return await self._store.write(work)
        except IntegrityError:  # two writers at once; the check inside `work` names the common case
            raise Conflict("A connection with this id or name was just created.", hint=_CHOOSE) from None
        finally:
            self._cache.forget(tenant)

    async def _load(self, tenant: str, previous: _Loaded | None) -> _Loaded:
        def work(connection: Connection) -> _Loaded:
            rows = connection.execute(select(connections).where(connections.c.tenant_id == tenant)).mappings().all()
            config = connection.execute(
                select(catalog_configs.c.config, catalog_configs.c.updated_at).where(
                    catalog_configs.c.tenant_id == tenant
                )
            ).first()
            lakehouse = _lakehouse(json.loads(config[0]), config[1]) if config else _lakehouse({}, 0.0)
            shared = {item.share_id: _shared(item) for item in read_shared(connection, tenant)}
            stored = {lakehouse.connection_id: lakehouse, **shared}
            stored |= {row["connection_id"]: _stored(row) for row in rows}
            return _Loaded(stored, {row["connection_id"]: row["secret"] for row in rows if row["secret"]})

        return await self._store.read(work)

    def _sealed(self, tenant: str, secret: Mapping[str, str]) -> bytes | None:
        return self._seal(tenant, json.dumps(dict(secret)).encode()) if secret else None

    def _unseal(self, tenant: str, sealed: bytes | None) -> dict[str, str]:
        opened: dict[str, str] = json.loads(self._open(tenant, sealed)) if sealed else {}
        return opened


_CHOOSE = "Choose another name or id; list_connections shows those in use."
_CONFIGURE = "set_catalog_config says where the lakehouse lies."


def _lakehouse(config: Mapping[str, Any], updated_at: float) -> StoredConnection:
    return StoredConnection(
        connection_id=LAKEHOUSE,
        name=LAKEHOUSE,
        kind=LAKEHOUSE,
        options={},
        description="The embedded lakehouse: Iceberg tables.",
        version=1 + int(updated_at * 1000),
        created_at=updated_at,
        updated_at=updated_at,
        catalog_name=config.get("catalog_name") or CATALOG,
        is_built_in=True,
    )


def _shared(item: SharedDataset) -> StoredConnection:
    """A dataset of another tenant as a connection, which is there as long as it is shared."""
    return StoredConnection(
        connection_id=item.share_id,
        name=f"{item.project_name}: {item.namespace}"[:255],
        kind=SHARE,
        options={OWNER: item.owner, NAMESPACE: item.namespace},
        description=item.description or f"The dataset {item.namespace} of {item.owner}, shared with you.",
        version=item.version,
        created_at=item.created_at,
        updated_at=item.created_at,
        is_built_in=False,
    )


def _replaced(
    old: StoredConnection, secret: Mapping[str, str], options: Mapping[str, str]
) -> tuple[dict[str, str], dict[str, str]]:
    """New options and secret. Equal options without secrets keep the stored ones: a form sends back what it got."""
    plain, given = split_options(old.kind, options)
    if given or not secret:
        return plain, given
    if plain != old.options:
        # Otherwise a stored password could be sent to a host of the caller's choice.
        raise Conflict("New options need the secrets again.", hint="Send the password among the options.")
    return plain, dict(secret)


def _pick(loaded: _Loaded, connection_id: str) -> StoredConnection:
    try:
        return loaded.stored[connection_id]
    except KeyError:
        raise _unknown(connection_id) from None


def _spec(tenant: str, stored: StoredConnection, secret: Mapping[str, str]) -> ConnectionSpec:
    return ConnectionSpec(
        tenant=tenant,
        connection_id=stored.connection_id,
        name=stored.name,
        kind=stored.kind,
        options=stored.options,
        secret=secret,
        version=stored.version,
    )


def _row(stored: StoredConnection) -> dict[str, Any]:
    return {
        "connection_id": stored.connection_id,
        "name": stored.name,
        "kind": stored.kind,
        "options": json.dumps(dict(stored.options)),
        "description": stored.description,
        "version": stored.version,
        "created_at": stored.created_at,
        "updated_at": stored.updated_at,
    }


def _stored(row: Mapping[Any, Any]) -> StoredConnection:
    return StoredConnection(
        connection_id=row["connection_id"],
        name=row["name"],
        kind=row["kind"],
        options=json.loads(row["options"]),
        description=row["description"],
        version=row["version"],
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        has_secret=row["secret"] is not None,
    )


def _where(statement: Any, tenant: str, connection_id: str) -> Any:
    return statement.where(connections.c.tenant_id == tenant, connections.c.connection_id == connection_id)


def _row_of(connection: Connection, tenant: str, connection_id: str) -> Mapping[Any, Any]:
    row = connection.execute(_where(select(connections), tenant, connection_id)).mappings().first()
    if row is None:
        raise _unknown(connection_id)
    return row


def check_reach(by: Principal, connection_id: str) -> None:
    """Refuse a connection that does not exist for the caller. Raises NotFound."""
    if by.connections is not None and connection_id not in by.connections:
        raise _unknown(connection_id)


def _unknown(connection_id: str) -> NotFound:
    return NotFound(
        f"No connection {connection_id[:64]!r}.", hint="list_connections shows the connections you can use."
    )


def _refuse_duplicates(connection: Connection, tenant: str, stored: StoredConnection, *, also_id: bool) -> None:
    columns = connections.c
    rows = connection.execute(select(columns.connection_id, columns.name).where(columns.tenant_id == tenant)).all()
    if also_id and any(row.connection_id == stored.connection_id for row in rows):
        raise Conflict(f"There is a connection with the id {stored.connection_id!r}.", hint=_CHOOSE)
    if any(row.name == stored.name and row.connection_id != stored.connection_id for row in rows):
        raise Conflict(f"There is a connection named {stored.name!r}.", hint=_CHOOSE)


def _refuse_built_in(connection_id: str) -> None:
    if connection_id == LAKEHOUSE:
        raise Conflict("The lakehouse is built in: it can be neither changed nor deleted.", hint=_CONFIGURE)


def _checked_kind(kind: str) -> str:
    if kind == LAKEHOUSE:
        raise InvalidArgument("The lakehouse is built in; each tenant has one.", hint=_CONFIGURE)
    return kind


def _checked_id(connection_id: str) -> str:
    if connection_id == LAKEHOUSE:
        raise Conflict("The id 'lakehouse' belongs to the built-in lakehouse.", hint=_CHOOSE)
    if not re.fullmatch(CONNECTION_ID, connection_id):
        raise InvalidArgument("An id has 1 to 64 of the characters A-Z a-z 0-9 _ -.", hint="Leave it out to get one.")
    return connection_id


def _checked_name(name: str) -> str:
    if not re.fullmatch(NAME, name) or len(name) > 255:
        raise InvalidArgument("A connection's name has 1 to 255 visible characters.", hint="Send a short name.")
    cleaned = name.strip(" ")
    if cleaned == LAKEHOUSE:
        raise Conflict("The name 'lakehouse' belongs to the built-in lakehouse.", hint=_CHOOSE)
    return cleaned
