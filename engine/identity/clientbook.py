"""Clients: programs with an id and a secret, made by administrators; a secret is replaced without a gap."""

import json
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, TypeVar
from uuid import uuid4

from sqlalchemy import Connection, RowMapping, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, NotFound
from engine.identity.auth_file import FileClient
from engine.identity.departures import end_access
from engine.identity.directory import Directory, checked_id, touch_tenant
from engine.identity.grants import Giver, Grants, canonical_roles, check_version, read_roles
from engine.identity.names import checked_name, name_key
from engine.identity.secrets import hash_secret, new_client_secret
from engine.store.db import Store
from engine.store.tables import clients

C = clients.c
HOUR_S = 3600.0
T = TypeVar("T")


@dataclass(frozen=True, slots=True)
class Client:
    """A client without its secret. What stands in `auth_clients.yml` is changed there alone."""

    client_id: str
    name: str
    description: str
    roles: frozenset[str]
    created_at: float | None
    updated_at: float | None
    rotated_at: float | None
    previous_until: float | None
    version: int
    is_from_file: bool = False


@dataclass(frozen=True, slots=True)
class Change:
    """What to change of a client; None stays."""

    name: str | None = None
    description: str | None = None
    roles: Sequence[str] | None = None


class ClientBook:
    """Lists, makes and retires clients of the caller's tenant."""

    def __init__(
        self,
        *,
        store: Store,
        directory: Directory,
        grants: Grants,
        changed: Callable[[str], None],
        from_file: Mapping[str, FileClient],
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid4().hex,
    ):
        self._store = store
        self._from_file = from_file
        self._directory = directory
        self._grants = grants
        self._changed = changed
        self._clock = clock
        self._new_id = new_id

    async def listing(self, by: Principal, *, offset: int = 0, size: int = 100) -> tuple[Sequence[Client], int]:
        """Clients that were not deleted, by age, then those of the file, and how many there are."""
        where = (C.tenant_id == by.tenant, C.disabled_at.is_(None))
        listed = [_shown(client) for _, client in sorted(self._from_file.items()) if client.tenant == by.tenant]

        def work(connection: Connection) -> tuple[Sequence[Client], int]:
            total = connection.scalar(select(func.count()).select_from(clients).where(*where)) or 0
            order = select(clients).where(*where).order_by(C.created_at, C.client_id).offset(offset).limit(size)
            found = [_read(row) for row in connection.execute(order).mappings()]
            first = max(0, offset - total)
            return [*found, *listed[first : first + size - len(found)]], total + len(listed)

        return await self._store.read(work)

    async def get(self, by: Principal, client_id: str) -> Client:
        """Raises NotFound."""
        return await self._store.read(lambda connection: self._find(connection, by.tenant, client_id))

    async def create(
        self, by: Principal, name: str, *, roles: Sequence[str], client_id: str = "", description: str = ""
    ) -> tuple[Client, str]:
        """A client and its secret, which is not kept. Raises Unauthorized, NotFound for a role, Conflict."""
        chosen, secret = checked_id(client_id or self._new_id()), new_client_secret()

        def work(connection: Connection, giver: Giver) -> Client:
            given, shown = canonical_roles(roles), checked_name(name, "a client")
            giver.check_roles(connection, by.tenant, given)
            self._directory.check_free(connection, by.tenant, chosen)
            self._check_name_free(connection, by.tenant, shown)
            row = {
                "client_id": chosen,
                "tenant_id": by.tenant,
                "name": shown,
                "name_key": name_key(shown),
                "description": description,
                "secret_hash": hash_secret(secret),
                "roles": json.dumps(sorted(given)),
                "created_at": self._clock(),
            }
            connection.execute(insert(clients).values(row))
            return self._stored(connection, by.tenant, chosen)

        return await self._write(by, work), secret

    async def update(self, by: Principal, client_id: str, change: Change, *, expected: int | None = None) -> Client:
        """Rename, describe, or give other roles, which hold within 2 s. Raises NotFound, Unauthorized, Conflict."""

        def work(connection: Connection, giver: Giver) -> Client:
            found = self._stored(connection, by.tenant, client_id)
            check_version(expected, found.version, "The client")
            values: dict[str, Any] = {"updated_at": self._clock(), "version": found.version + 1}
            if change.name is not None:
                shown = checked_name(change.name, "a client")
                self._check_name_free(connection, by.tenant, shown, but=client_id)
                values |= {"name": shown, "name_key": name_key(shown)}
            if change.description is not None:
                values["description"] = change.description
            if change.roles is not None:
                after = canonical_roles(change.roles)
                giver.check_new_roles(connection, by.tenant, client_id, before=found.roles, after=after)
                values["roles"] = json.dumps(sorted(after))
            connection.execute(update(clients).where(*_where(by.tenant, client_id)).values(values))
            return self._stored(connection, by.tenant, client_id)

        return await self._write(by, work)

    async def rotate(
        self, by: Principal, client_id: str, *, overlap_hours: float, expected: int | None = None
    ) -> tuple[Client, str]:
        """A new secret; the old one works on for the overlap. Without one its tokens end too.

        Raises NotFound, Unauthorized, Conflict."""
        secret = new_client_secret()

        def work(connection: Connection, giver: Giver) -> Client:
            found = self._stored(connection, by.tenant, client_id)
            check_version(expected, found.version, "The client")
            giver.check_above(connection, by.tenant, found.roles)
            now = self._clock()
            values = {
                "secret_hash": hash_secret(secret),
                "previous_hash": C.secret_hash if overlap_hours else None,
                "previous_until": now + overlap_hours * HOUR_S if overlap_hours else None,
                "rotated_at": now,
                "updated_at": now,
                "version": found.version + 1,
            }
            connection.execute(update(clients).where(*_where(by.tenant, client_id)).values(values))
            return self._stored(connection, by.tenant, client_id)

        return await self._write(by, work), secret

    async def delete(self, by: Principal, client_id: str) -> None:
        """From now on (2 s at most) the client is out, with all its tokens. Raises NotFound, Unauthorized."""

        def work(connection: Connection, giver: Giver) -> None:
            found = self._stored(connection, by.tenant, client_id)
            giver.check_above(connection, by.tenant, found.roles)
            now = self._clock()
            connection.execute(update(clients).where(*_where(by.tenant, client_id)).values(disabled_at=now))
            end_access(connection, by.tenant, client_id, now)

        await self._write(by, work)

    def _find(self, connection: Connection, tenant: str, client_id: str) -> Client:
        from_file = self._from_file.get(client_id)
        if from_file is not None and from_file.tenant == tenant:
            return _shown(from_file)
        where = (*_where(tenant, client_id), C.disabled_at.is_(None))
        row = connection.execute(select(clients).where(*where)).mappings().first()
        if row is None:
            raise NotFound(f"No client {client_id[:64]!r}.", hint="list_clients shows the clients.")
        return _read(row)

    def _stored(self, connection: Connection, tenant: str, client_id: str) -> Client:
        found = self._find(connection, tenant, client_id)
        if found.is_from_file:
            raise Conflict(
                f"{client_id} stands in auth_clients.yml.", hint="It is changed there, by the operator of the server."
            )
        return found

    def _check_name_free(self, connection: Connection, tenant: str, name: str, *, but: str = "") -> None:
        taken = select(C.client_id).where(C.tenant_id == tenant, C.name_key == name_key(name), C.disabled_at.is_(None))
        taken = taken.where(C.client_id != but)
        if connection.scalar(taken.limit(1)) is not None:
            raise Conflict("Another client has that name, or one that looks like it.", hint="Choose another name.")

    async def _write(self, by: Principal, work: Callable[[Connection, Giver], T]) -> T:
        def held(connection: Connection) -> T:
            touch_tenant(connection, by.tenant)
            return work(connection, self._grants.giver(connection, by))

        try:
            return await self._store.write(held)
        finally:
            self._changed(by.tenant)


def _where(tenant: str, client_id: str) -> tuple[Any, Any]:
    return C.tenant_id == tenant, C.client_id == client_id


def _read(row: RowMapping) -> Client:
    return Client(
        client_id=row["client_id"],
        name=row["name"],
        description=row["description"],
        roles=read_roles(row["roles"]),
        created_at=row["created_at"],
        updated_at=row["updated_at"],
        rotated_at=row["rotated_at"],
        previous_until=row["previous_until"],
        version=row["version"],
    )


def _shown(client: FileClient) -> Client:
    return Client(
        client_id=client.client_id,
        name=client.client_id,
        description="",
        roles=client.roles,
        created_at=None,
        updated_at=None,
        rotated_at=None,
        previous_until=None,
        version=1,
        is_from_file=True,
    )
