"""Conversations with agents: what was said, what waits for a person, and whether text from data was read.

Each belongs to one person and one agent. What was said is sealed with the tenant's key."""

import json
import time
import uuid
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from sqlalchemy import ColumnElement, Connection, and_, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, NotFound
from core.pages import Window
from engine.store.db import Store
from engine.store.tables import conversation_messages, conversations

RETENTION_S = 30 * 86_400.0
PENDING_S = 86_400.0
MAX_MESSAGES = 2_000
MAX_OWN = 2_000  # of one person in one tenant; the oldest go
MAX_TITLE = 200
PURGE_BATCH = 500
C, M = conversations.c, conversation_messages.c


class Seal(Protocol):
    """Seals or opens bytes of a tenant."""

    def __call__(self, tenant: str, data: bytes) -> bytes: ...


@dataclass(frozen=True, slots=True)
class Message:
    """One thing that was said: by the person, or by the agent with what it called for it."""

    role: str  # user or assistant
    text: str
    tool_calls: Sequence[Mapping[str, Any]] = ()
    run_id: str = ""
    at: float = 0.0


@dataclass(frozen=True, slots=True)
class Pending:
    """What an agent stopped at, to ask: `state` is all that it needs to go on."""

    pending_id: str
    state: Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Conversation:
    """A conversation as it stands. `uid` is empty as long as nothing of it is stored."""

    tenant: str
    owner: str
    agent_id: str
    session_id: str
    uid: str = ""
    title: str = ""
    has_read: bool = False  # once true, for good: what was read stays in the history
    message_count: int = 0
    pending_id: str = ""
    created_at: float = 0.0
    updated_at: float = 0.0


@dataclass(frozen=True, slots=True)
class Turn:
    """What one turn adds."""

    messages: Sequence[Message]
    has_read: bool = False
    pending: Pending | None = None
    title: str = ""


class Conversations:
    """Every method but `purge` is for the owner alone; whatever others have does not exist."""

    def __init__(
        self,
        store: Store,
        *,
        seal: Seal,
        unseal: Seal,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._new_id = new_id

    async def open(self, by: Principal, agent_id: str, session_id: str) -> Conversation:
        """The caller's conversation of that id: as it stands, or a new one."""
        row = await self._store.read(lambda connection: connection.execute(_one(_is(by, agent_id, session_id))).first())
        return self._read(row) if row else Conversation(by.tenant, by.subject, agent_id, session_id)

    async def get(self, by: Principal, agent_id: str, session_id: str) -> Conversation:
        """One that is stored. Raises NotFound."""
        found = await self.open(by, agent_id, session_id)
        if not found.uid:
            raise NotFound(f"No session {session_id[:64]!r} of yours.", hint="list_agent_sessions shows yours.")
        return found

    async def page(self, by: Principal, agent_id: str, window: Window) -> tuple[list[Conversation], int]:
        """A slice of the caller's conversations with an agent, the last first, and how many there are."""
        where = and_(_own(by), C.agent_id == agent_id)
        query = select(conversations).where(where).order_by(C.updated_at.desc(), C.uid)

        def work(connection: Connection) -> tuple[Sequence[Any], int]:
            rows = connection.execute(query.offset(window.offset).limit(window.size)).all()
            total = connection.execute(select(func.count()).select_from(conversations).where(where)).scalar_one()
            return rows, total

        rows, total = await self._store.read(work)
        return [self._read(row) for row in rows], total

    async def messages(self, found: Conversation, window: Window) -> list[Message]:
        """A slice of what was said, the oldest first."""
        query = select(conversation_messages).where(M.tenant_id == found.tenant, M.uid == found.uid).order_by(M.seq)
        query = query.offset(window.offset).limit(window.size)
        rows = await self._store.read(lambda connection: connection.execute(query).all()) if found.uid else []
        return [self._message(row) for row in rows]

    async def latest(self, found: Conversation, count: int) -> list[Message]:
        """The last of what was said, the oldest of it first."""
        return await self.messages(found, Window(max(0, found.message_count - count), count))

    async def add(self, found: Conversation, turn: Turn) -> Conversation:
        """Store a turn, and with it the conversation where it is new. Raises Conflict when it is too long."""
        for attempt in range(3):
            try:
                return await self._store.write(lambda connection: self._add(connection, found, turn))
            except IntegrityError:  # the same was begun, or said, at the same moment
                if attempt == 2:
                    raise Conflict("The session is being used elsewhere.", hint="Try again.") from None
        raise AssertionError("unreachable: the last try returns or raises")

    async def take_pending(self, found: Conversation, pending_id: str) -> Mapping[str, Any] | None:
        """What waited under that id, which is gone with this; None where nothing does, or not any more."""

        def work(connection: Connection) -> Any:
            where = and_(C.tenant_id == found.tenant, C.uid == found.uid, C.pending_id == pending_id)
            row = connection.execute(select(C.pending, C.updated_at).where(where).with_for_update()).first()
            if row is None or not pending_id:
                return None
            connection.execute(update(conversations).where(where).values(pending_id="", pending=None))
            return row

        row = await self._store.write(work)
        if row is None or row.updated_at < self._clock() - PENDING_S:
            return None
        state: Mapping[str, Any] = self._opened(found.tenant, row.pending)
        return state

    async def find_pending(self, by: Principal, agent_id: str, pending_id: str) -> Conversation | None:
        """The caller's conversation with an agent in which that waits."""
        where = and_(_own(by), C.agent_id == agent_id, C.pending_id == pending_id)
        row = await self._store.read(lambda connection: connection.execute(_one(where)).first())
        return self._read(row) if row and pending_id else None

    async def delete(self, by: Principal, agent_id: str, session_id: str) -> None:
        """Raises NotFound."""
        found = await self.get(by, agent_id, session_id)
        await self._store.write(lambda connection: _delete(connection, [found.uid]))

    async def purge(self) -> None:
        """Delete conversations in which nothing was said for the retention's time."""
        old = select(C.uid).where(C.updated_at < self._clock() - RETENTION_S).limit(PURGE_BATCH)
        while await self._store.write(lambda connection: _delete(connection, list(connection.scalars(old)))):
            pass

    def _add(self, connection: Connection, found: Conversation, turn: Turn) -> Conversation:
        now = self._clock()
        row = connection.execute(_one(_same(found)).with_for_update()).first()
        if row is None:
            _make_room(connection, found)
            made = {"uid": self._new_id(), "message_count": 0, "has_read": 0, "pending_id": "", "created_at": now}
            keys = {"tenant_id": found.tenant, "owner": found.owner}
            keys |= {"agent_id": found.agent_id, "session_id": found.session_id}
            title = self._sealed(found.tenant, turn.title[:MAX_TITLE])
            connection.execute(insert(conversations).values(**keys, **made, title=title, updated_at=now))
            row = connection.execute(_one(_same(found))).one()
        count = row.message_count + len(turn.messages)
        if count > MAX_MESSAGES:
            raise Conflict(f"A session holds {MAX_MESSAGES:,} messages.", hint="Begin a new one.")
        rows = [self._row(row, seq, message, now) for seq, message in enumerate(turn.messages, row.message_count + 1)]
        if rows:
            connection.execute(insert(conversation_messages), rows)
        pending = turn.pending
        values = {
            "message_count": count,
            "has_read": int(bool(row.has_read) or turn.has_read),
            "pending_id": "" if pending is None else pending.pending_id,
            "pending": None if pending is None else self._sealed(found.tenant, pending.state),
            "updated_at": now,
        }
        connection.execute(update(conversations).where(C.uid == row.uid, C.tenant_id == found.tenant).values(values))
        return self._read(connection.execute(_one(_same(found))).one())

    def _row(self, row: Any, seq: int, message: Message, now: float) -> dict[str, Any]:
        content = {"text": message.text, "tool_calls": [dict(call) for call in message.tool_calls]}
        return {
            "tenant_id": row.tenant_id,
            "uid": row.uid,
            "seq": seq,
            "run_id": message.run_id,
            "role": message.role,
            "content": self._sealed(row.tenant_id, content),
            "created_at": now,
        }

    def _message(self, row: Any) -> Message:
        content = self._opened(row.tenant_id, row.content)
        return Message(row.role, content["text"], content["tool_calls"], row.run_id, row.created_at)

    def _read(self, row: Any) -> Conversation:
        return Conversation(
            tenant=row.tenant_id,
            owner=row.owner,
            agent_id=row.agent_id,
            session_id=row.session_id,
            uid=row.uid,
            title=self._opened(row.tenant_id, row.title),
            has_read=bool(row.has_read),
            message_count=row.message_count,
            pending_id=row.pending_id,
            created_at=row.created_at,
            updated_at=row.updated_at,
        )

    def _sealed(self, tenant: str, value: Any) -> bytes:
        return self._seal(tenant, json.dumps(value, separators=(",", ":")).encode())

    def _opened(self, tenant: str, sealed: bytes) -> Any:
        return json.loads(self._unseal(tenant, sealed))


def _own(by: Principal) -> ColumnElement[bool]:
    return and_(C.tenant_id == by.tenant, C.owner == by.subject)


def _is(by: Principal, agent_id: str, session_id: str) -> ColumnElement[bool]:
    return and_(_own(by), C.agent_id == agent_id, C.session_id == session_id)


def _same(found: Conversation) -> ColumnElement[bool]:
    return _is(Principal(found.owner, found.tenant), found.agent_id, found.session_id)


def _one(where: ColumnElement[bool]) -> Any:
    return select(conversations).where(where)


def _make_room(connection: Connection, found: Conversation) -> None:
    """Keep a person's conversations to a number: the oldest go."""
    own = _own(Principal(found.owner, found.tenant))
    query = select(C.uid).where(own).order_by(C.updated_at.desc()).offset(MAX_OWN - 1)
    _delete(connection, list(connection.scalars(query.limit(PURGE_BATCH))))


def _delete(connection: Connection, uids: Sequence[str]) -> int:
    connection.execute(delete(conversation_messages).where(M.uid.in_(uids)))
    return connection.execute(delete(conversations).where(C.uid.in_(uids))).rowcount
