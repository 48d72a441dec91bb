"""Approvals of every kind: opened, listed, talked about, decided once by somebody else, expired."""

import hashlib
import secrets
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from sqlalchemy import Connection, and_
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound, Unauthorized
from engine.approvals import rows
from engine.approvals.approval import APPROVED, PENDING, REJECTED, Approval, Kind, Opening
from engine.notices.outbox import Outbox, announce
from engine.store.db import Store

MAX_PENDING = 500  # of one requester
BATCH = 200


@dataclass(frozen=True, slots=True)
class Comment:
    """What somebody said about an approval."""

    comment_id: str
    author: str
    author_tenant: str
    content: str
    created_at: float


class Approvals:
    """Opens and decides. `kinds` says what each kind of approvals brings about; `register` adds one."""

    def __init__(
        self,
        store: Store,
        outbox: Outbox,
        *,
        unseal: Callable[[str, bytes], bytes] = lambda tenant, data: data,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: f"apr_{secrets.token_hex(12)}",
    ):
        self.unseal = unseal  # opens the arguments of calls
        self._store = store
        self._outbox = outbox
        self._clock = clock
        self._new_id = new_id
        self.kinds: dict[str, Kind] = {}

    def register(self, *kinds: Kind) -> None:
        """Say how approvals of a kind are decided, and what they bring about."""
        self.kinds.update({kind.name: kind for kind in kinds})

    async def open(self, by: Principal, opening: Opening) -> Approval:
        """Ask; as long as it is pending, asking the same again gives the same approval. Raises Conflict.

        A principal without a subject asks for the platform: then everybody who may decide may do so."""
        key = hashlib.sha256("\0".join((opening.kind, by.subject, opening.key)).encode()).hexdigest()
        approval_id, now = self._new_id(), self._clock()

        def work(connection: Connection) -> Any:
            found = rows.find_pending(connection, by.tenant, key, now)
            if found is not None:
                return found
            if by.subject and rows.count_pending(connection, by.tenant, by.subject, now) >= MAX_PENDING:
                raise Conflict("Too many of your requests wait for a decision.", hint="Wait until some are decided.")
            row = rows.insert_pending(connection, by.tenant, by.subject, opening, key, approval_id=approval_id, now=now)
            asked = rows.asked_side(by.tenant, approval_id)
            announce(connection, asked, "approval.opened", _told(rows.read(row, now)), now=now)
            return row

        try:
            row = await self._store.write(work)
        except IntegrityError:  # the same was asked at the same moment
            row = await self._store.write(work)
        self._outbox.ring()
        return rows.read(row, now)

    async def get(self, by: Principal, approval_id: str) -> Approval:
        """One that the tenant asked, or is asked. Raises NotFound."""
        where = and_(rows.visible(by.tenant), rows.T.approval_id == approval_id)
        found, _ = await self._store.read(lambda connection: rows.listing(connection, where))
        if not found:
            raise NotFound(f"No approval {approval_id[:64]!r}.", hint="list_approvals shows those you can see.")
        return rows.read(found[0], self._clock())

    async def listing(
        self, by: Principal, *, status: Sequence[str] = (), kind: str = "", offset: int = 0, size: int | None = None
    ) -> tuple[list[Approval], int]:
        """The newest first, and how many there are in all."""
        now, where = self._clock(), rows.visible(by.tenant)
        if status:
            where = and_(where, rows.with_status(status, now))
        if kind:
            where = and_(where, rows.T.kind == kind)
        return await self._list(where, now, offset=offset, size=size)

    async def waiting(self, by: Principal, *, offset: int = 0, size: int | None = None) -> tuple[list[Approval], int]:
        """What the caller could decide now, the newest first, and how many there are."""
        now, may = self._clock(), [name for name, kind in self.kinds.items() if by.may(kind.decides)]
        where = and_(rows.T.decider_tenant == by.tenant, rows.T.kind.in_(may), rows.with_status((PENDING,), now))
        return await self._list(where & ~_own(by), now, offset=offset, size=size)

    async def asked(
        self, by: Principal, *, status: str, offset: int = 0, size: int | None = None
    ) -> tuple[list[Approval], int]:
        """What the caller's tenant is asked, the newest first, and how many there are."""
        now = self._clock()
        where = (rows.T.decider_tenant == by.tenant) & rows.with_status((status,), now)
        return await self._list(where, now, offset=offset, size=size)

    async def requested(self, by: Principal, *, kind: str) -> list[Approval]:
        """The caller's own requests of a kind, the newest first."""
        found, _ = await self._list(_own(by) & (rows.T.kind == kind), self._clock(), size=BATCH)
        return found

    async def decide(self, by: Principal, approval_id: str, *, approve: bool, reason: str = "") -> Approval:
        """Decide once and for all; what an approval brings about is there when this returns.

        Raises NotFound, Unauthorized, and Conflict when it is decided or expired already."""
        found = await self.get(by, approval_id)
        kind = self._checked(by, found)
        if kind.needs_reason and not reason.strip():
            raise Conflict("This decision needs a reason.", hint="Send `reason`.")
        if found.status != PENDING:
            raise _decided(found)
        effect = await kind.prepare(found, by) if approve else None

        def work(connection: Connection) -> Approval:
            now = self._clock()
            values: dict[str, Any] = {"status": APPROVED if approve else REJECTED, "reason": reason}
            if approve and kind.use_within_s is not None:
                values["expires_at"] = min(found.expires_at, now + kind.use_within_s)
            if not rows.decide(connection, found, (by.tenant, by.subject), values, now):
                raise _decided(found)
            if effect is not None:
                effect(connection)
            where = and_(rows.T.tenant_id == found.tenant, rows.T.approval_id == approval_id)
            decided = rows.read(rows.listing(connection, where)[0][0], now)
            for tenant in {decided.tenant, by.tenant}:
                announce(connection, tenant, "approval.decided", _told(decided), now=now)
            return decided

        decided = await self._store.write(work)
        kind.after(decided)
        self._outbox.ring()
        return decided

    async def expire(self) -> int:
        """Mark every request whose time is over; how many there were."""
        count = 0
        while True:
            now = self._clock()
            found = await self._store.read(lambda connection: rows.due(connection, now, BATCH))  # noqa: B023
            if not found:
                return count
            count += await self._store.write(lambda connection: _expire(connection, found, now))  # noqa: B023
            self._outbox.ring()

    async def add_comment(self, by: Principal, approval_id: str, content: str) -> Comment:
        """Raises NotFound."""
        found = await self.get(by, approval_id)
        made = Comment(f"cmt_{secrets.token_hex(12)}", by.subject, by.tenant, content, self._clock())
        values = {
            "tenant_id": found.tenant,
            "approval_id": approval_id,
            "comment_id": made.comment_id,
            "author": made.author,
            "author_tenant": made.author_tenant,
            "content": content,
            "created_at": made.created_at,
        }
        await self._store.write(lambda connection: rows.comment(connection, values))
        return made

    async def comments(self, by: Principal, approval_id: str) -> list[Comment]:
        """The oldest first. Raises NotFound."""
        found = await self.get(by, approval_id)
        read = await self._store.read(lambda connection: rows.comments(connection, found))
        return [Comment(row.comment_id, row.author, row.author_tenant, row.content, row.created_at) for row in read]

    async def use(self, by: Principal, tool: str, digest: str) -> str | None:
        """Use up an approval of just this call, by the id that is returned; None where there is none."""
        now = self._clock()
        return await self._store.write(
            lambda connection: rows.use(connection, by.tenant, by.subject, tool, digest, now=now)
        )

    async def was_used(self, by: Principal, tool: str, digest: str) -> bool:
        """Whether an approval let just this call pass before."""
        return await self._store.read(lambda connection: rows.was_used(connection, by.tenant, by.subject, tool, digest))

    async def _list(
        self, where: Any, now: float, *, offset: int = 0, size: int | None = None
    ) -> tuple[list[Approval], int]:
        found, total = await self._store.read(
            lambda connection: rows.listing(connection, where, offset=offset, size=size)
        )
        return [rows.read(row, now) for row in found], total

    def _checked(self, by: Principal, approval: Approval) -> Kind:
        """How it is decided. Raises Unauthorized for whoever may not."""
        kind = self.kinds.get(approval.kind)
        if by.via == "agent":
            raise Unauthorized("Agents decide nothing.", hint="Ask the person to decide it themselves.")
        if approval.decider_tenant != by.tenant:
            raise Unauthorized("The other side decides on this request.", hint="Wait for its administrators.")
        if kind is None or not by.may(kind.decides):
            needed = kind.decides if kind else "approvals.decide"
            raise Unauthorized(f"Deciding this takes the permission {needed}.", hint="Ask somebody who has it.")
        if approval.requested_by == by.subject and approval.tenant == by.tenant:
            raise Unauthorized("Nobody decides on their own request.", hint="Ask somebody else to decide it.")
        return kind


def _own(by: Principal) -> Any:
    return and_(rows.T.tenant_id == by.tenant, rows.T.requested_by == by.subject)


def _expire(connection: Connection, found: Sequence[Any], now: float) -> int:
    count = 0
    for row in found:
        if rows.expire(connection, row.tenant_id, row.approval_id, now):
            count += 1
            for tenant in {row.tenant_id, row.decider_tenant} - {None}:
                announce(connection, tenant, "approval.expired", _told(rows.read(row, now)), now=now)
    return count


def _told(approval: Approval) -> Mapping[str, Any]:
    """What a notice says: what it is about, never what is in it."""
    return {
        "approval_id": approval.approval_id,
        "kind": approval.kind,
        "status": approval.status,
        "title": approval.title,
        "tenant_id": approval.tenant,
        "requested_by": approval.requested_by,
        "reviewed_by": approval.reviewed_by,
        "created_at": approval.created_at,
        "expires_at": approval.expires_at,
    }


def _decided(approval: Approval) -> Conflict:
    said = "was decided or has expired already" if approval.status == PENDING else f"is {approval.status} already"
    return Conflict(f"Approval {approval.approval_id} {said}.", hint="get_approval shows how it stands.")
