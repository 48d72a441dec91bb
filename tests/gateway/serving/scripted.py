"""Agents of ours that do as they are told: one for what callers can see, one for the words of a conformance suite."""

import asyncio
from collections.abc import Mapping
from typing import Any

from a2a.helpers import new_task_from_user_message
from a2a.server.agent_execution import RequestContext
from a2a.server.events import EventQueue
from a2a.server.tasks import TaskUpdater
from a2a.types import Part
from a2a.utils.errors import UnsupportedOperationError

from core.context import Cancellation
from core.errors import InvalidArgument, NotFound, Unavailable
from gateway.serving.asks import Ask, Note, Outcome, Piece, Report
from gateway.serving.executor import OwnExecutor
from gateway.serving.sdk import value_of

SLOW_S = 2.0


class Told:
    """Does what the text says. `begun` and `stopped` tell tests how far it is."""

    def __init__(self) -> None:
        self.asked: list[Ask] = []
        self.begun = asyncio.Event()
        self.stopped = asyncio.Event()

    def check(self, agent_id: str, skill: str, text: str, fields: Mapping[str, Any]) -> None:
        if skill not in ("", "nl2sql", "chat"):
            raise NotFound(f"No skill {skill[:64]!r}.", hint="The card lists them.")
        if "nonsense" in fields:
            raise InvalidArgument("No field 'nonsense' is taken as data.")

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        self.asked.append(ask)
        if ask.earlier.get("asked"):
            return Outcome("completed", f"{ask.earlier['asked']}: {ask.text}")
        if ask.text == "ask":
            return Outcome("waits", "Which region?", {"choices": ["EU", "US"]}, {"asked": "region"})
        if ask.text == "fail":
            raise Unavailable("The source is down.", hint="Try again later.")
        if ask.text == "break":
            raise ZeroDivisionError("secret-detail-7")
        if ask.text == "wait":
            await self._wait()
        await report(Note("Looking."))
        await report(Piece("sql", text="SELECT 1", media_type="application/sql"))
        await report(Piece("rows", data={"rows": [{"n": 1}]}, is_last=False))
        await report(Piece("rows", data={"rows": [{"n": 2**60}]}))
        return Outcome("completed", f"{ask.visit.agent_id}: {ask.text}")

    async def _wait(self) -> None:
        self.begun.set()
        try:
            await asyncio.sleep(60)
        finally:
            self.stopped.set()


class Suite(OwnExecutor):
    """Answers the message ids of A2A's conformance suite (`tck-...`). In tests alone: nothing else makes one."""

    async def execute(self, context: RequestContext, event_queue: EventQueue) -> None:
        message = context.message
        assert message is not None
        updater = TaskUpdater(event_queue, context.task_id or "", context.context_id or "")
        name = message.message_id
        if name.startswith("tck-message-response"):
            await event_queue.enqueue_event(updater.new_agent_message([Part(text="Direct message response")]))
            return
        if name.startswith("tck-reject-task"):
            raise UnsupportedOperationError(message="rejected")
        if context.current_task is None:
            await event_queue.enqueue_event(new_task_from_user_message(message))
        if name.startswith("tck-input-required") and "done" not in name:
            await updater.requires_input()
            return
        said = "Hello from TCK"
        if name.startswith(("tck-delayed-complete", "test-resubscribe-message-id")):
            await updater.start_work()
            await asyncio.sleep(SLOW_S)
            said = "Done after delay"
        if name.startswith("tck-stream"):
            await updater.start_work()
        pieces = _artifacts(name)
        for number, parts in enumerate(pieces):
            is_last = number == len(pieces) - 1
            await updater.add_artifact(parts, artifact_id="result", append=number > 0, last_chunk=is_last)
        await updater.complete(updater.new_agent_message([Part(text=said)]))


def _artifacts(name: str) -> list[list[Part]]:
    if "chunked" in name:
        return [[Part(text="chunk-1 ")], [Part(text="chunk-2")]]
    if "artifact-file-url" in name:
        return [[Part(url="https://example.com/output.txt", media_type="text/plain", filename="output.txt")]]
    if "artifact-file" in name:
        return [[Part(raw=b"tck", media_type="text/plain", filename="output.txt")]]
    if "artifact-data" in name:
        return [[Part(data=value_of({"key": "value", "count": 42}))]]
    return [[Part(text="Generated text content")]] if "artifact" in name or "stream" in name else []
