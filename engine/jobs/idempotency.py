"""Results kept under idempotency keys, so that a call sent twice has its effect once."""

import base64
import time
import uuid
from collections.abc import Callable
from typing import Any

from sqlalchemy import Connection, and_, delete, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, InvalidArgument
from core.ports import Idempotency
from engine.store.db import Store
from engine.store.tables import idempotency

KEEP_S = 24 * 3600.0
LEASE_S = 120.0
MAX_KEY_LENGTH = 255

_Key = tuple[str, str, str, str]
Transform = Callable[[str, bytes], bytes]
"""Seals or opens bytes for a tenant."""


def as_it_is(tenant: str, data: bytes) -> bytes:
    """For stores that hold nothing secret."""
    return data


class IdempotencyKeys(Idempotency):
    """Keys are scoped by tenant, subject and tool. A first call that crashed is taken over after its lease."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Transform = as_it_is,
        unseal: Transform = as_it_is,
        lease_s: float = LEASE_S,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._lease_s = lease_s
        self._clock = clock
        self._new_id = new_id
        self._held: dict[_Key, str] = {}

    async def begin(self, principal: Principal, tool: str, key: str, argument_digest: str) -> str | None:
        if len(key) > MAX_KEY_LENGTH:
            raise InvalidArgument("The idempotency key is too long.", hint=f"Use at most {MAX_KEY_LENGTH} characters.")
        scope, holder = (principal.tenant, principal.subject, tool, key), self._new_id()

        def work(connection: Connection) -> str | None:
            return self._take(connection, scope, argument_digest, holder)

        try:
            result = await self._store.write(work)
        except IntegrityError:  # an equal key was stored between our look and our insert
            result = await self._store.write(work)
        if result is None:
            self._held[scope] = holder
            return None
        return self._unseal(principal.tenant, base64.b64decode(result)).decode()

    async def finish(self, principal: Principal, tool: str, key: str, result_json: str | None) -> None:
        scope = (principal.tenant, principal.subject, tool, key)
        is_held = and_(*_is(scope), idempotency.c.holder == self._held.pop(scope, ""))
        if result_json is None:
            await self._store.write(lambda connection: connection.execute(delete(idempotency).where(is_held)))
            return
        sealed = base64.b64encode(self._seal(principal.tenant, result_json.encode())).decode()
        kept = {"result": sealed, "expires_at": self._clock() + KEEP_S}
        await self._store.write(lambda connection: connection.execute(update(idempotency).where(is_held).values(kept)))

    async def purge(self) -> int:
        """Delete what has expired; says how many keys."""
        expired = delete(idempotency).where(idempotency.c.expires_at <= self._clock())
        return await self._store.write(lambda connection: connection.execute(expired).rowcount)

    def _take(self, connection: Connection, scope: _Key, argument_digest: str, holder: str) -> str | None:
        """The stored result, or None when the key is ours now."""
        now = self._clock()
        ours = {
            "argument_digest": argument_digest,
            "result": None,
            "holder": holder,
            "expires_at": now + self._lease_s,
        }
        expired = and_(*_is(scope), idempotency.c.expires_at <= now)
        if connection.execute(update(idempotency).where(expired).values(ours)).rowcount:
            return None
        row: Any = connection.execute(select(idempotency).where(*_is(scope))).first()
        if row is None:
            names = ("tenant_id", "subject", "tool", "key")
            connection.execute(insert(idempotency).values(dict(zip(names, scope, strict=True)) | ours))
            return None
        if row.argument_digest != argument_digest:
            raise Conflict(
                "The idempotency key was used with other arguments.", hint="Use a new key for a new request."
            )
        if row.result is None:
            raise Conflict("The first call with this idempotency key still runs.", hint="Retry in a moment.")
        return str(row.result)


def _is(scope: _Key) -> list[Any]:
    columns = (idempotency.c.tenant_id, idempotency.c.subject, idempotency.c.tool, idempotency.c.key)
    return [column == value for column, value in zip(columns, scope, strict=True)]
