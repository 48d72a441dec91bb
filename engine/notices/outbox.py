"""The outbox: notices are stored with what they tell of, in one transaction, and sent later by whoever comes first.

Nothing that is told of waits for its notice. One that fails is tried again, ever more slowly, for about a day."""

import asyncio
import json
import logging
import re
import secrets
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Connection,
    LargeBinary,
    Row,
    and_,
    func,
    insert,
    literal,
    or_,
    select,
    update,
)

from core.errors import PlatformError, Unavailable
from engine.notices.destinations import WEBHOOK, Destination, read_destination
from engine.notices.mail import Mail, Mailer, describe
from engine.notices.webhook import Refused, Webhooks
from engine.store.db import Store
from engine.store.tables import notice_destinations, notices

log = logging.getLogger("headwater.notices")

T, D = notices.c, notice_destinations.c
PENDING, SENT, FAILED = "pending", "sent", "failed"
MAX_ATTEMPTS = 10
CLAIM_S, FIRST_RETRY_S, MAX_RETRY_S = 60.0, 5.0, 4 * 3600.0
BATCH = 20
EVERY_S = 2.0

Seal = Callable[[str, bytes], bytes]


@dataclass(frozen=True, slots=True)
class _Due:
    row: Row[Any]
    attempt: int


@dataclass(frozen=True, slots=True)
class Notice:
    """A notice and what became of it, without what it says."""

    notice_id: str
    destination_id: str
    event: str
    status: str
    attempts: int
    error: str
    due_at: float | None
    created_at: float


def announce(
    connection: Connection,
    tenant: str | ColumnElement[Any],
    event: str,
    payload: Mapping[str, Any],
    *,
    now: float,
) -> None:
    """Put a notice to every destination of a tenant into the outbox, within a transaction.

    `tenant` may be a scalar statement: the same is executed whether or not there is such a tenant."""
    data = json.dumps({"event": event, "at": now, "data": dict(payload)}, ensure_ascii=False).encode()
    prefix = f"ntc_{secrets.token_hex(12)}_"
    columns = ["tenant_id", "notice_id", "destination_id", "event", "payload", "status", "attempt", "due_at", "error"]
    query = select(
        D.tenant_id,
        literal(prefix) + D.destination_id,
        D.destination_id,
        literal(event),
        literal(data, LargeBinary),
        literal(PENDING),
        literal(0),
        literal(now),
        literal(""),
        literal(now),
    ).where(D.tenant_id == tenant, or_(D.events == "[]", D.events.contains(f'"{event}"', autoescape=True)))
    connection.execute(insert(notices).from_select([*columns, "created_at"], query))


class Outbox:
    """Sends what is due. Stateless beside its parts: every process may run one."""

    def __init__(
        self,
        store: Store,
        webhooks: Webhooks,
        mailer: Mailer,
        *,
        seal: Seal,
        unseal: Seal,
        clock: Callable[[], float] = time.time,
    ):
        self.store = store
        self.webhooks = webhooks
        self._mailer = mailer
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._bell = asyncio.Event()
        self._is_stopped = False

    @property
    def can_mail(self) -> bool:
        """Whether the settings name a mail server."""
        return self._mailer.is_configured

    def ring(self) -> None:
        """Look at the outbox now."""
        self._bell.set()

    async def mail(self, tenant: str, mail: Mail, *, event: str) -> None:
        """Send one person a mail, for example with a link; it is sealed while it waits.

        Raises Unavailable when no mail server is configured."""
        if not self.can_mail:
            raise Unavailable("This server sends no mail.", hint="The operator sets HEADWATER_NOTICES__SMTP_URL.")
        now = self._clock()
        sealed = await asyncio.to_thread(self._seal, tenant, mail.dump())
        row: dict[str, Any] = {
            "tenant_id": tenant,
            "notice_id": f"ntc_{secrets.token_hex(12)}",
            "destination_id": "",
            "event": event,
        }
        row |= {"status": PENDING, "attempt": 0, "due_at": now, "error": "", "created_at": now, "payload": sealed}
        await self.store.write(lambda connection: connection.execute(insert(notices).values(row)))
        self.ring()

    async def serve(self) -> None:
        """Send until `stop`; through outages of the store."""
        while not self._is_stopped:
            self._bell.clear()
            try:
                busy = await self.deliver()
            except Unavailable as error:
                log.warning("no notices are sent: %s", error.message)
                busy = 0
            if not busy:
                await _wait(self._bell, EVERY_S)

    def stop(self) -> None:
        self._is_stopped = True
        self.ring()

    async def deliver(self) -> int:
        """Send what is due now; how many were tried."""
        due = await self.store.read(lambda connection: _due(connection, self._clock()))
        if not due:
            return 0
        claimed = [item for row in due if (item := await self._claim(row)) is not None]
        await asyncio.gather(*(self._send(item) for item in claimed))
        return len(claimed)

    async def listing(
        self, tenant: str, *, status: str = "", offset: int = 0, size: int = 100
    ) -> tuple[list[Notice], int]:
        """The newest first, and how many there are."""
        where = T.tenant_id == tenant
        if status:
            where = and_(where, T.status == status)
        columns = (T.notice_id, T.destination_id, T.event, T.status, T.attempt, T.error, T.due_at, T.created_at)
        query = select(*columns).where(where).order_by(T.created_at.desc(), T.notice_id).offset(offset).limit(size)

        def work(connection: Connection) -> tuple[list[Notice], int]:
            total = connection.scalar(select(func.count()).select_from(notices).where(where)) or 0
            return [Notice(*row) for row in connection.execute(query)], total

        return await self.store.read(work)

    async def _claim(self, row: Row[Any]) -> _Due | None:
        statement = update(notices).where(
            T.tenant_id == row.tenant_id, T.notice_id == row.notice_id, T.status == PENDING, T.attempt == row.attempt
        )
        values = {"attempt": row.attempt + 1, "due_at": self._clock() + CLAIM_S}
        taken = await self.store.write(lambda connection: connection.execute(statement.values(values)).rowcount)
        return _Due(row, row.attempt + 1) if taken else None

    async def _send(self, item: _Due) -> None:
        try:
            await self._try(item.row)
        except Refused as error:
            await self._settle(item, FAILED, str(error))
        except PlatformError as error:
            await self._settle(item, FAILED if item.attempt >= MAX_ATTEMPTS else PENDING, error.message)
        else:
            await self._settle(item, SENT)

    async def _try(self, row: Row[Any]) -> None:
        if not row.destination_id:
            opened = await asyncio.to_thread(self._unseal, row.tenant_id, row.payload)
            await self._mailer.send(Mail.load(opened))
            return
        to = await self.store.read(lambda connection: read_destination(connection, row.tenant_id, row.destination_id))
        if to is None:
            raise Refused("The destination is gone.")
        if to.kind == WEBHOOK:
            await self._post(to, row)
        else:
            message = describe(json.loads(row.payload))
            await self._mailer.send(Mail(tuple(to.addresses), message.subject, message.text))

    async def _post(self, to: Destination, row: Row[Any]) -> None:
        secret = await asyncio.to_thread(self._unseal, row.tenant_id, to.secret or b"")
        await self.webhooks.post(to.target, row.notice_id, bytes(row.payload), secret)

    async def _settle(self, item: _Due, status: str, error: str = "") -> None:
        row = item.row
        pause_s = min(MAX_RETRY_S, FIRST_RETRY_S * 3 ** (item.attempt - 1))
        due_at = self._clock() + pause_s if status == PENDING else None
        values: dict[str, Any] = {"status": status, "due_at": due_at, "error": re.sub(r"[\x00-\x1f]", " ", error)[:500]}
        if status == SENT and not row.destination_id:
            values["payload"] = b""  # it may have held a link
        statement = update(notices).where(
            T.tenant_id == row.tenant_id, T.notice_id == row.notice_id, T.attempt == item.attempt
        )
        await self.store.write(lambda connection: connection.execute(statement.values(values)))
        if status == FAILED:
            log.warning("notice %s was given up: %s", row.notice_id, values["error"])


def _due(connection: Connection, now: float) -> list[Row[Any]]:
    query = select(notices).where(T.due_at <= now, T.status == PENDING).order_by(T.due_at).limit(BATCH)
    return list(connection.execute(query))


async def _wait(bell: asyncio.Event, timeout_s: float) -> None:
    try:
        await asyncio.wait_for(bell.wait(), timeout_s)
    except TimeoutError:
        return
