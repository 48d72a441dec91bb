"""Runs a message: what its agent answers becomes states, artifacts and a last word of the task."""

import asyncio
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from a2a.helpers import get_data_parts, new_task_from_user_message
from a2a.server.agent_execution import AgentExecutor, RequestContext, SimpleRequestContextBuilder
from a2a.server.context import ServerCallContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import (
    Message,
    SendMessageRequest,
    Task,
    TaskArtifactUpdateEvent,
    TaskState,
    TaskStatus,
    TaskStatusUpdateEvent,
)
from a2a.utils.errors import ContentTypeNotSupportedError, InvalidParamsError, UnsupportedOperationError
from google.protobuf.json_format import MessageToDict
from google.protobuf.message import Message as ProtoMessage

from core.context import Cancellation
from core.errors import Cancelled, PlatformError
from gateway.serving.asks import Answerer, Ask, Note, Outcome, Piece
from gateway.serving.sdk import ENDED, MEMORY, artifact_of, as_a2a, memory_of, parts_of, visit_of
from gateway.serving.tasks import MAX_CONTEXT, OwnTasks

MAX_TEXT = 20_000
SKILL = "skill"
FINAL = {
    "completed": TaskState.TASK_STATE_COMPLETED,
    "waits": TaskState.TASK_STATE_INPUT_REQUIRED,
    "failed": TaskState.TASK_STATE_FAILED,
    "rejected": TaskState.TASK_STATE_REJECTED,
}


class Reader(SimpleRequestContextBuilder):
    """Looks at a message before anything is made of it, so that what cannot be answered leaves no task."""

    def __init__(self, answerer: Answerer, tasks: OwnTasks):
        super().__init__()
        self._answerer = answerer
        self._tasks = tasks

    async def build(
        self,
        context: ServerCallContext,
        params: SendMessageRequest | None = None,
        task_id: str | None = None,
        context_id: str | None = None,
        task: Task | None = None,
    ) -> RequestContext:
        if params is not None:
            skill, text, fields = read_message(params.message, params.metadata)
            if task_id:
                await self._check_open(task_id, context)
            try:
                self._answerer.check(visit_of(context).agent_id, skill, text, fields)
            except PlatformError as error:
                raise as_a2a(error) from error
        return await super().build(context, params, task_id, context_id, task)

    async def _check_open(self, task_id: str, context: ServerCallContext) -> None:
        """The SDK would find it out too, but with queues made that nobody ends."""
        stored = await self._tasks.get(task_id, context)
        if stored is not None and stored.task.status.state in ENDED:
            raise UnsupportedOperationError(message="The task has ended. Send the message without its taskId.")


def read_message(message: Message, metadata: Any = None) -> tuple[str, str, dict[str, Any]]:
    """The skill, the text and the fields of a message. Files are neither taken nor fetched. Raises A2AError."""
    if len(message.context_id) > MAX_CONTEXT:
        raise InvalidParamsError(message=f"context_id is longer than {MAX_CONTEXT} characters.")
    fields: dict[str, Any] = {}
    for part in message.parts:
        kind = part.WhichOneof("content")
        if kind in ("raw", "url"):
            raise ContentTypeNotSupportedError(message="Files are not taken. Send text, or JSON as data.")
        if kind == "data":
            fields |= _object(get_data_parts([part])[0])
    text = "\n".join(part.text for part in message.parts if part.WhichOneof("content") == "text").strip()
    if len(text) > MAX_TEXT:
        raise InvalidParamsError(message=f"The text is longer than {MAX_TEXT:,} characters.")
    if not text and not fields:
        raise InvalidParamsError(message="The message says nothing. Send a part with text.")
    skill = fields.pop(SKILL, None) or _text(message.metadata, SKILL) or _text(metadata, SKILL)
    return str(skill or "")[:128], text, fields


def _object(data: Any) -> dict[str, Any]:
    if not isinstance(data, Mapping):
        raise InvalidParamsError(message="A data part is an object of fields.")
    return {str(name): value for name, value in data.items()}


def _text(holder: Any, name: str) -> str:
    found = MessageToDict(holder) if isinstance(holder, ProtoMessage) else holder or {}
    value = found.get(name)
    return value if isinstance(value, str) else ""


@dataclass(slots=True)
class Running:
    """What runs in this process, so that it can be stopped from elsewhere."""

    cancelled: Cancellation = field(default_factory=Cancellation)
    task: "asyncio.Task[Any] | None" = None
    beats: int = 0


class OwnExecutor(AgentExecutor):
    """Has messages answered, one at a time for each task."""

    def __init__(self, answerer: Answerer):
        self._answerer = answerer
        self.running: dict[str, Running] = {}

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message, task_id, context_id = context.message, context.task_id, context.context_id
        if message is None or not task_id or not context_id:
            raise InvalidParamsError(message="There is no message.")
        earlier = memory_of(context.current_task)
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(message))
        skill, text, fields = read_message(message, context.metadata)
        ask = Ask(
            visit_of(context.call_context),
            message.message_id,
            earlier.get(SKILL) or skill,
            text,
            fields,
            task_id,
            context_id,
            earlier,
        )
        self.running[task_id] = running = Running(task=asyncio.current_task())
        try:
            await self._answer(ask, running, Telling(event_queue, task_id, context_id))
        finally:
            if self.running.get(task_id) is running:
                del self.running[task_id]

    async def cancel(self, context: RequestContext, event_queue: EventQueue) -> None:
        running = self.running.get(context.task_id or "")
        if running is not None:
            running.cancelled.set()
        await TaskUpdater(event_queue, context.task_id or "", context.context_id or "").cancel()

    async def _answer(self, ask: Ask, running: Running, telling: "Telling") -> None:
        try:
            outcome = await self._answerer.answer(ask, telling.report, running.cancelled)
        except Cancelled:
            await telling.end(TaskState.TASK_STATE_CANCELED, Outcome("failed"))
        except PlatformError as error:
            about = {"error": error.body(ask.visit.request_id)}
            said = f"{error.message} {error.hint}".strip()
            await telling.end(TaskState.TASK_STATE_FAILED, Outcome("failed", said, about))
        else:
            await telling.end(FINAL[outcome.state], outcome, skill=ask.skill)


@dataclass(slots=True)
class Telling:
    """Tells a task's followers how it goes."""

    queue: EventQueue
    task_id: str
    context_id: str
    is_working: bool = False
    begun: set[str] = field(default_factory=set)

    async def report(self, told: Note | Piece) -> None:
        """A note becomes a state, a piece an artifact, to which later pieces of its name are added."""
        if isinstance(told, Note):
            self.is_working = True
            await self._status(TaskState.TASK_STATE_WORKING, self._message(told.text) if told.text else None)
            return
        if not self.is_working:
            await self.report(Note(""))
        await self.queue.enqueue_event(
            TaskArtifactUpdateEvent(
                task_id=self.task_id,
                context_id=self.context_id,
                artifact=artifact_of(told),
                append=told.name in self.begun and not told.replaces,
                last_chunk=told.is_last,
            )
        )
        self.begun.add(told.name)

    async def end(self, state: Any, outcome: Outcome, *, skill: str = "") -> None:
        """The last word of this turn, and what the next one must know."""
        message = self._message(outcome.text, outcome.data) if outcome.text or outcome.data is not None else None
        kept = {**outcome.earlier, **({SKILL: skill} if skill else {})} if outcome.state == "waits" else {}
        await self._status(state, message, {MEMORY: kept} if kept else None)

    async def _status(self, state: Any, message: Message | None, metadata: dict[str, Any] | None = None) -> None:
        status = TaskStatus(state=state, message=message)
        status.timestamp.GetCurrentTime()
        event = TaskStatusUpdateEvent(task_id=self.task_id, context_id=self.context_id, status=status)
        if metadata:
            event.metadata.update(metadata)
        await self.queue.enqueue_event(event)

    def _message(self, text: str, data: Any = None) -> Message:
        return TaskUpdater(self.queue, self.task_id, self.context_id).new_agent_message(parts_of(text, data))
