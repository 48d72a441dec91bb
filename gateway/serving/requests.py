"""The SDK's request handler, with our errors in its terms and tasks of other processes followed in the store."""

import asyncio
import functools
import inspect
import time
from collections.abc import AsyncGenerator, Callable
from typing import Any, TypeVar, cast

from a2a.server.cluster import TaskVersion
from a2a.server.context import ServerCallContext
from a2a.server.events import Event
from a2a.server.request_handlers import DefaultRequestHandler
from a2a.types import SubscribeToTaskRequest
from a2a.utils.errors import A2AError, TaskNotFoundError, UnsupportedOperationError

from gateway.serving.executor import OwnExecutor
from gateway.serving.sdk import ENDED, as_a2a

POLL_S, LOOK_S = 0.5, 1.0
FOLLOW_S = 3600.0
_Method = TypeVar("_Method", bound=Callable[..., Any])


def _told(method: _Method) -> _Method:
    """Let every failure leave as an error of the protocol, which says nothing of our insides."""
    if inspect.isasyncgenfunction(inspect.unwrap(method)):

        @functools.wraps(method)
        async def stream(self: Any, params: Any, context: ServerCallContext) -> AsyncGenerator[Any, None]:
            try:
                async for event in method(self, params, context):
                    yield event
            except A2AError:
                raise
            except Exception as error:  # the edge: whatever it is, the caller gets an error of the protocol
                raise as_a2a(error) from error

        return cast("_Method", stream)

    @functools.wraps(method)
    async def answer(self: Any, params: Any, context: ServerCallContext) -> Any:
        try:
            return await method(self, params, context)
        except A2AError:
            raise
        except Exception as error:  # the edge: whatever it is, the caller gets an error of the protocol
            raise as_a2a(error) from error

    return cast("_Method", answer)


class OwnRequests(DefaultRequestHandler):
    """One for all bindings and agents; who asks which agent stands in the call's context."""

    on_message_send = _told(DefaultRequestHandler.on_message_send)
    on_message_send_stream = _told(DefaultRequestHandler.on_message_send_stream)
    on_get_task = _told(DefaultRequestHandler.on_get_task)
    on_list_tasks = _told(DefaultRequestHandler.on_list_tasks)
    on_cancel_task = _told(DefaultRequestHandler.on_cancel_task)
    on_create_task_push_notification_config = _told(DefaultRequestHandler.on_create_task_push_notification_config)
    on_get_task_push_notification_config = _told(DefaultRequestHandler.on_get_task_push_notification_config)
    on_list_task_push_notification_configs = _told(DefaultRequestHandler.on_list_task_push_notification_configs)
    on_delete_task_push_notification_config = _told(DefaultRequestHandler.on_delete_task_push_notification_config)
    on_get_extended_agent_card = _told(DefaultRequestHandler.on_get_extended_agent_card)

    @_told
    async def on_subscribe_to_task(
        self, params: SubscribeToTaskRequest, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Follow a task: as it goes where this process has it, else as its owner's store shows it."""
        if await self._active_task_registry.get(params.id) is None:
            async for event in self._poll(params.id, context):
                yield event
            return
        local = super().on_subscribe_to_task(params, context)
        async for event in self._until_elsewhere(local, params.id, context):
            yield event

    async def _until_elsewhere(
        self, local: AsyncGenerator[Event, None], task_id: str, context: ServerCallContext
    ) -> AsyncGenerator[Event, None]:
        """Events of this process; once another has gone on with the task, those that the store shows."""
        executor = cast("OwnExecutor", self.agent_executor)
        seen, coming = TaskVersion.MISSING, asyncio.ensure_future(anext(local, None))
        is_known = False
        try:
            while True:
                await asyncio.wait([coming], timeout=LOOK_S)
                if coming.done():
                    event = coming.result()
                    if event is None:
                        return
                    yield event
                    is_known, coming = False, asyncio.ensure_future(anext(local, None))
                    continue
                stored = await self._versioned_store.get(task_id, context)
                if stored is None:
                    return
                if is_known and task_id not in executor.running and stored.version.is_after(seen):
                    break
                is_known, seen = True, stored.version
        finally:
            coming.cancel()
            await asyncio.gather(coming, return_exceptions=True)
            await local.aclose()
        if stored.task.status.state in ENDED:
            yield stored.task
            return
        async for event in self._poll(task_id, context):
            yield event

    async def _poll(self, task_id: str, context: ServerCallContext) -> AsyncGenerator[Event, None]:
        stored = await self._versioned_store.get(task_id, context)
        if stored is None:
            raise TaskNotFoundError
        if stored.task.status.state in ENDED:
            raise UnsupportedOperationError(message="The task has ended; get it instead.")
        yield stored.task
        until = time.monotonic() + FOLLOW_S
        while stored.task.status.state not in ENDED and time.monotonic() < until:
            await asyncio.sleep(POLL_S)
            now = await self._versioned_store.get(task_id, context)
            if now is None:
                return
            if now.version.is_after(stored.version):
                yield now.task
            stored = now
