"""The SDK's task store over ours: sealed, by owner and agent, with versions, and an end for what was lost."""

import asyncio
from collections.abc import AsyncGenerator
from datetime import UTC, datetime

from a2a.server.cluster import ConcurrentTaskModificationError, StoredTask, TaskEventStream, TaskVersion
from a2a.server.cluster.event_stream import VersionedEvent
from a2a.server.cluster.task_store import VersionedTaskStore
from a2a.server.context import ServerCallContext
from a2a.server.events import Event
from a2a.types import ListTasksRequest, ListTasksResponse, Message, Role, Task, TaskState
from a2a.utils.errors import InvalidParamsError
from a2a.utils.task import ListTasksCursor, decode_list_tasks_cursor, encode_list_tasks_cursor
from google.protobuf.timestamp_pb2 import Timestamp

from core.context import Principal
from core.errors import InvalidArgument
from engine.agents.ownership import Ownership
from engine.agents.served import ServedTask, ServedTasks, TaskChanged, Wanted
from gateway.serving.asks import Visit
from gateway.serving.sdk import ENDED, RUNNING, parts_of, state_name, visit_of

PAGE, MAX_ID, MAX_CONTEXT = 50, 64, 255
MAX_TASK_BYTES = 8 << 20
MAX_OWNERS = 10_000
LOST = "The server that worked on this has stopped. Send the message again."
_ENDED = tuple(state_name(state) for state in ENDED)


class OwnTasks(VersionedTaskStore):
    """Tasks as their owner sees them. What this process runs is marked with its `holder`."""

    def __init__(self, served: ServedTasks, ownership: Ownership, holder: str):
        self._served = served
        self._ownership = ownership
        self._holder = holder
        self.owners: dict[str, Principal] = {}

    async def get(self, task_id: str, context: ServerCallContext) -> StoredTask | None:
        visit = visit_of(context)
        kept = await self._served.get(visit.principal, visit.agent_id, task_id) if len(task_id) <= MAX_ID else None
        return None if kept is None else await self._settled(visit, kept)

    async def save(
        self,
        task: Task,
        *,
        event: Event | None,
        prev: Task | None,
        prev_version: TaskVersion,
        context: ServerCallContext,
    ) -> TaskVersion:
        visit = visit_of(context)
        self._remember(task.id, visit.principal)
        changed_at_ns = _nanos(task)
        document = task.SerializeToString()
        if len(document) > MAX_TASK_BYTES:
            raise InvalidArgument(f"The task is larger than {MAX_TASK_BYTES >> 20} MB.", hint="Ask for less at a time.")
        number = _number(prev_version)
        if number == 0:  # before anything is kept: a conversation is whoever's it was first
            found = {"id": task.id, "contextId": task.context_id, "status": {}}
            await self._ownership.claim(visit.principal, visit.agent_id, found)
        kept = ServedTask(task.id, task.context_id, state_name(task.status.state), changed_at_ns, document, number)
        try:
            return await self._write(visit, kept, task)
        except TaskChanged:
            raise ConcurrentTaskModificationError(task.id) from None

    async def list(self, params: ListTasksRequest, context: ServerCallContext) -> ListTasksResponse:
        visit, size = visit_of(context), params.page_size or PAGE
        wanted = Wanted(
            context_id=params.context_id,
            state=state_name(params.status) if params.status else "",
            since_ns=_since(params),
            after=_position(params.page_token),
            limit=size + 1,
        )
        found, total = await self._served.page(visit.principal, visit.agent_id, wanted)
        shown = [(await self._settled(visit, kept)).task for kept in found[:size]]
        last = found[size - 1] if len(found) > size else None
        token = encode_list_tasks_cursor(ListTasksCursor(last.changed_at_ns, last.task_id)) if last else ""
        return ListTasksResponse(tasks=shown, next_page_token=token, total_size=total, page_size=size)

    async def delete(self, task_id: str, context: ServerCallContext) -> None:
        visit = visit_of(context)
        await self._served.delete(visit.principal, visit.agent_id, task_id)

    def _remember(self, task_id: str, owner: Principal) -> None:
        self.owners.pop(task_id, None)
        self.owners[task_id] = owner
        if len(self.owners) > MAX_OWNERS:
            del self.owners[next(iter(self.owners))]

    async def _write(self, visit: Visit, kept: ServedTask, task: Task) -> TaskVersion:
        is_cancel = task.status.state == TaskState.TASK_STATE_CANCELED
        holder = self._holder if task.status.state in RUNNING else ""
        unless = _ENDED if is_cancel else None
        return TaskVersion(
            await self._served.save(visit.principal, visit.agent_id, kept, holder=holder, overwrites_unless=unless)
        )

    async def _settled(self, visit: Visit, kept: ServedTask) -> StoredTask:
        """A task as it stands; one whose process is gone has failed."""
        task = Task.FromString(kept.document)
        if not kept.is_lost or task.status.state not in RUNNING:
            return StoredTask(task, TaskVersion(kept.version))
        task.status.state = TaskState.TASK_STATE_FAILED
        task.status.timestamp.FromDatetime(datetime.now(UTC))
        task.status.message.CopyFrom(_said(task))
        document = task.SerializeToString()
        ended = ServedTask(kept.task_id, kept.context_id, _FAILED, _nanos(task), document, kept.version)
        try:
            version = await self._served.save(visit.principal, visit.agent_id, ended)
        except TaskChanged:  # somebody else has ended it just now, in the same way
            version = kept.version + 1
        return StoredTask(task, TaskVersion(version))


_FAILED = state_name(TaskState.TASK_STATE_FAILED)


class Unshared(TaskEventStream):
    """Processes share the store alone: whoever follows a task that runs elsewhere reads it again and again."""

    async def publish(self, task_id: str, event: VersionedEvent) -> None:
        return

    async def subscribe(self, task_id: str, *, after: TaskVersion) -> AsyncGenerator[VersionedEvent, None]:
        await asyncio.Event().wait()
        yield VersionedEvent(Task(), after)

    async def destroy(self, task_id: str) -> None:
        return


def _number(version: TaskVersion) -> int:
    return 0 if version.is_missing else int(version._value)


def _since(params: ListTasksRequest) -> int | None:
    return params.status_timestamp_after.ToNanoseconds() if params.HasField("status_timestamp_after") else None


def _position(token: str) -> tuple[int, str] | None:
    if not token:
        return None
    cursor = decode_list_tasks_cursor(token)
    if cursor is None or cursor.timestamp_ns is None:
        raise InvalidParamsError(message="page_token is none of ours.")
    return cursor.timestamp_ns, cursor.task_id


def _nanos(task: Task) -> int:
    stamp = task.status.timestamp if task.status.HasField("timestamp") else Timestamp()
    if not stamp.seconds:
        stamp.GetCurrentTime()
        task.status.timestamp.CopyFrom(stamp)
    return stamp.ToNanoseconds()


def _said(task: Task) -> Message:
    return Message(
        role=Role.ROLE_AGENT,
        task_id=task.id,
        context_id=task.context_id,
        message_id=f"lost-{task.id}",
        parts=parts_of(LOST),
    )
