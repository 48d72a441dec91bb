"""Our own agents over gRPC: the same handler as over HTTP."""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, NoReturn

import grpc
from google.protobuf.message import Message

from gateway.a2a_requests import CARD
from gateway.grpc_faults import Fault, protocol_fault, reason_of
from gateway.grpc_service import VERSION_KEY, RpcAsked
from gateway.operations import Ctx, Passed
from gateway.serving.asks import Visit
from gateway.serving.own import OwnAgents

_HANDLERS = {
    "SendMessage": "on_message_send",
    "SendStreamingMessage": "on_message_send_stream",
    "GetTask": "on_get_task",
    "ListTasks": "on_list_tasks",
    "CancelTask": "on_cancel_task",
    "SubscribeToTask": "on_subscribe_to_task",
    "CreateTaskPushNotificationConfig": "on_create_task_push_notification_config",
    "GetTaskPushNotificationConfig": "on_get_task_push_notification_config",
    "ListTaskPushNotificationConfigs": "on_list_task_push_notification_configs",
    "DeleteTaskPushNotificationConfig": "on_delete_task_push_notification_config",
    "GetExtendedAgentCard": "on_get_extended_agent_card",
}


@dataclass(slots=True)
class OwnRpc:
    """One request over gRPC to one of our own agents."""

    own: OwnAgents
    asked: RpcAsked
    base_url: str
    answer: Message | None = None
    fault: Fault | None = None

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        await self.own.roster.find(ctx.principal, agent_id)
        about = self.asked.asked()
        if about.kind != CARD:
            await self.own.agents.ownership.check(ctx.principal, agent_id, (), about.contexts)
        host = await self.own.host()
        from a2a.utils.errors import A2AError

        from gateway.serving.sdk import context_of

        visit = Visit(ctx.principal, agent_id, self.asked.request_id, self.base_url)
        headers = {VERSION_KEY: self.asked.metadata.get(VERSION_KEY, "1.0")}
        context = context_of(visit, headers, _extensions(self.asked))
        try:
            if self.asked.is_old:
                size = await self._go_old(host.begin(), context)
            else:
                size = await self._go(getattr(host.begin(), _HANDLERS[self.asked.method]), context)
        except A2AError as error:
            self.fault = protocol_fault(error)
            return Passed(status=400, size_bytes=0)
        except Fault as fault:
            self.fault = fault
            return Passed(status=400, size_bytes=0)
        return Passed(status=200, size_bytes=size)

    async def _go(self, method: Callable[..., Any], context: Any) -> int:
        if self.asked.streams:
            return await self._stream(method(self.asked.request, context))
        self.answer = _as_response(self.asked.method, await method(self.asked.request, context))
        return self.answer.ByteSize()

    async def _go_old(self, handler: Any, context: Any) -> int:
        """The same in 0.3, as the SDK translates it."""
        from a2a.compat.v0_3.grpc_handler import CompatGrpcHandler

        known: Any = Made(context)
        made = getattr(CompatGrpcHandler(handler, known), self.asked.method)(self.asked.request, Within())
        size = 0
        if not self.asked.streams:
            self.answer = answer = await made
            return int(answer.ByteSize())
        async for part in made:
            size += part.ByteSize()
            await self.asked.write(part)
        return size

    async def _stream(self, events: Any) -> int:
        from a2a.utils.proto_utils import to_stream_response

        size = 0
        async for event in events:
            part = to_stream_response(event)
            size += part.ByteSize()
            await self.asked.write(part)
        return size


@dataclass(frozen=True, slots=True)
class Made:
    """A builder of the SDK's context that has it already."""

    context: Any

    def build(self, context: Any) -> Any:
        return self.context


class Within:
    """What the SDK sees of the call: nothing but a way to break it off."""

    def invocation_metadata(self) -> None:
        return None

    async def abort(self, code: grpc.StatusCode, details: str) -> NoReturn:
        name, _, message = details.partition(": ")
        raise Fault(code, message or details, reason_of(name))


def _as_response(method: str, found: Any) -> Message:
    """A method's result as its response message."""
    from a2a.types import SendMessageResponse, Task
    from google.protobuf.empty_pb2 import Empty

    if method != "SendMessage":
        return Empty() if found is None else found
    return SendMessageResponse(task=found) if isinstance(found, Task) else SendMessageResponse(message=found)


def _extensions(asked: RpcAsked) -> set[str]:
    given = asked.metadata.get("a2a-extensions", "")
    return {each.strip() for each in given.split(",") if each.strip()}
