"""Where a tenant's notices go: webhooks and mail addresses."""

import asyncio
import json
import secrets
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, Row, delete, func, insert, select, update

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.notices.webhook import Webhooks
from engine.store.db import Store
from engine.store.tables import notice_destinations as table

T = table.c
WEBHOOK, EMAIL = "webhook", "email"
EVENTS = ("approval.opened", "approval.decided", "approval.expired")
MAX_DESTINATIONS = 50

Seal = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class Destination:
    """One place. `target` is a URL, or a JSON list of addresses."""

    destination_id: str
    tenant: str
    name: str
    kind: str
    target: str
    events: tuple[str, ...]
    secret: bytes | None
    created_at: float
    updated_at: float

    @property
    def addresses(self) -> list[str]:
        return list(json.loads(self.target)) if self.kind == EMAIL else []


class Destinations:
    """Changed by administrators; agents never do."""

    def __init__(self, store: Store, webhooks: Webhooks, *, seal: Seal, clock: Callable[[], float] = time.time):
        self._store = store
        self._webhooks = webhooks
        self._seal = seal
        self._clock = clock

    async def all(self, by: Principal) -> list[Destination]:
        query = select(table).where(T.tenant_id == by.tenant).order_by(T.created_at, T.destination_id)
        found = await self._store.read(lambda connection: connection.execute(query).all())
        return [_destination(row) for row in found]

    async def get(self, by: Principal, destination_id: str) -> Destination:
        """Raises NotFound."""
        found = await self._store.read(lambda connection: read_destination(connection, by.tenant, destination_id))
        if found is None:
            raise NotFound(
                f"No notice destination {destination_id[:64]!r}.", hint="list_notice_destinations shows them."
            )
        return found

    async def create(
        self, by: Principal, name: str, *, url: str = "", addresses: Sequence[str] = (), events: Sequence[str] = ()
    ) -> tuple[Destination, bytes]:
        """A webhook with its secret, or some mail addresses. Raises Conflict, Unauthorized."""
        _refuse_agents(by)
        if bool(url) == bool(addresses):
            raise Conflict("Send either `url` or `addresses`.", hint="Make two destinations to have both.")
        if url:
            self._check(url)
        at, secret = self._clock(), secrets.token_bytes(32) if url else b""
        row = {
            "tenant_id": by.tenant,
            "destination_id": f"dst_{secrets.token_hex(8)}",
            "name": name,
            "kind": WEBHOOK if url else EMAIL,
            "target": url or json.dumps(list(addresses)),
            "events": json.dumps(sorted(set(events))),
            "secret": await asyncio.to_thread(self._seal, by.tenant, secret) if url else None,
            "created_at": at,
            "updated_at": at,
        }

        def work(connection: Connection) -> Row[Any]:
            count = connection.scalar(select(func.count()).select_from(table).where(T.tenant_id == by.tenant)) or 0
            if count >= MAX_DESTINATIONS:
                raise Conflict(f"There are {count} destinations already.", hint="Delete one that is not used.")
            connection.execute(insert(table).values(row))
            return connection.execute(select(table).where(T.destination_id == row["destination_id"])).one()

        return _destination(await self._store.write(work)), secret

    async def rotate(self, by: Principal, destination_id: str) -> tuple[Destination, bytes]:
        """A new secret for a webhook. Raises NotFound, Conflict, Unauthorized."""
        _refuse_agents(by)
        found, secret = await self.get(by, destination_id), secrets.token_bytes(32)
        if found.kind != WEBHOOK:
            raise Conflict("Only webhooks have a secret.", hint="Mail is not signed.")
        sealed = await asyncio.to_thread(self._seal, by.tenant, secret)
        statement = update(table).where(T.tenant_id == by.tenant, T.destination_id == destination_id)
        statement = statement.values(secret=sealed, updated_at=self._clock())
        await self._store.write(lambda connection: connection.execute(statement))
        return found, secret

    async def delete(self, by: Principal, destination_id: str) -> None:
        """Raises NotFound, Unauthorized."""
        _refuse_agents(by)
        await self.get(by, destination_id)
        statement = delete(table).where(T.tenant_id == by.tenant, T.destination_id == destination_id)
        await self._store.write(lambda connection: connection.execute(statement))

    def _check(self, url: str) -> None:
        try:
            self._webhooks.check(url)
        except InvalidArgument as error:
            raise Conflict(error.message, hint=error.hint) from None


def read_destination(connection: Connection, tenant: str, destination_id: str) -> Destination | None:
    query = select(table).where(T.tenant_id == tenant, T.destination_id == destination_id)
    row = connection.execute(query).first()
    return None if row is None else _destination(row)


def _refuse_agents(by: Principal) -> None:
    if by.via == "agent":
        raise Unauthorized("Agents do not say where notices go.", hint="Ask the person to do it themselves.")


def _destination(row: Row[Any]) -> Destination:
    return Destination(
        destination_id=row.destination_id,
        tenant=row.tenant_id,
        name=row.name,
        kind=row.kind,
        target=row.target,
        events=tuple(json.loads(row.events)),
        secret=row.secret,
        created_at=row.created_at,
        updated_at=row.updated_at,
    )
