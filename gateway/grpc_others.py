"""Agents of others over gRPC: each request becomes the JSON-RPC or REST that the agent's card names, and back."""

import json
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode

import grpc
from google.protobuf.json_format import MessageToDict, ParseDict, ParseError
from google.protobuf.message import Message
from google.protobuf.message_factory import GetMessageClass
from starlette.types import Message as AsgiMessage

from core.errors import Conflict, Unavailable
from engine.agents.a2a_client import JSONRPC, REST, interfaces
from engine.agents.agents import Agents
from engine.agents.frames import Events, parse_object
from engine.agents.live import Live
from gateway.a2a import A2aExchange, approved
from gateway.cards import served_card
from gateway.door import Arrived, Reply
from gateway.grpc_faults import Fault, numbered_fault
from gateway.grpc_service import RpcAsked
from gateway.operations import Ctx, Passed

EVENTS = "text/event-stream"
PATHS: dict[str, tuple[str, str]] = {
    "SendMessage": ("POST", "message:send"),
    "SendStreamingMessage": ("POST", "message:stream"),
    "GetTask": ("GET", "tasks/{id}"),
    "ListTasks": ("GET", "tasks"),
    "CancelTask": ("POST", "tasks/{id}:cancel"),
    "SubscribeToTask": ("GET", "tasks/{id}:subscribe"),
    "CreateTaskPushNotificationConfig": ("POST", "tasks/{taskId}/pushNotificationConfigs"),
    "GetTaskPushNotificationConfig": ("GET", "tasks/{taskId}/pushNotificationConfigs/{id}"),
    "ListTaskPushNotificationConfigs": ("GET", "tasks/{taskId}/pushNotificationConfigs"),
    "DeleteTaskPushNotificationConfig": ("DELETE", "tasks/{taskId}/pushNotificationConfigs/{id}"),
}


@dataclass(slots=True)
class OtherRpc:
    """One request over gRPC to an agent of others, as its caller, who sees only its own tasks."""

    agents: Agents
    asked: RpcAsked
    base_url: str
    answer: Message | None = None
    fault: Fault | None = None

    async def run(self, ctx: Ctx, agent_id: str) -> Passed:
        live = await approved(self.agents, ctx.principal, agent_id)
        if self.asked.method == "GetExtendedAgentCard":
            card = live.pinned.data["card"]
            shown = served_card(card, live.agent.endpoint_url, f"{self.base_url}/a2a/{agent_id}")
            self.answer = self._read(shown)
            return Passed(status=200, size_bytes=self.answer.ByteSize())
        binding = self._binding(live)
        reply = Translated(self)
        arrived, rpc_id = self._arrived(binding)
        exchange = A2aExchange(self.agents, arrived, reply, self.asked.asked(), binding, rpc_id)
        passed = await exchange.run(ctx, agent_id)
        if not reply.has_started:
            self._finish(reply.status, reply.body, binding)
        return passed

    def _binding(self, live: Live) -> str:
        card = live.pinned.data.get("card") or {}
        found = {each.binding for each in interfaces(card, live.agent.endpoint_url) if not each.is_old}
        if not found:
            raise Conflict("The agent does not speak A2A 1.0.", hint="Over JSON-RPC it is reached as it speaks.")
        return JSONRPC if JSONRPC in found else REST

    def _arrived(self, binding: str) -> tuple[Arrived, str | None]:
        """The request as it would have come over HTTP."""
        params = MessageToDict(self.asked.request)
        params.pop("tenant", None)
        headers = {"content-type": "application/json", "a2a-version": "1.0"}
        headers["accept"] = EVENTS if self.asked.streams else "application/json"
        headers |= {name: self.asked.metadata[name] for name in ("a2a-extensions",) if name in self.asked.metadata}
        method, path, query, rpc_id = "POST", "", "", None
        if binding == JSONRPC:
            rpc_id = self.asked.request_id
            params = {"jsonrpc": "2.0", "id": rpc_id, "method": self.asked.method, "params": params}
        else:
            method, form = PATHS[self.asked.method]
            path = form.format(**{name: quote(str(params.get(name, "")), safe="") for name in ("id", "taskId")})
            query = urlencode(_flat(params)) if method != "POST" else ""
        body = b"" if method != "POST" else json.dumps(params, ensure_ascii=False).encode("utf-8", "replace")
        agent_id, request_id = self.asked.agent_id, self.asked.request_id
        return Arrived(method, agent_id, path, query, headers, body, request_id, self.base_url), rpc_id

    def _finish(self, status: int, body: bytes, binding: str) -> None:
        found = parse_object(body) if body else {}
        if "error" in found and (binding == JSONRPC or status >= 300):
            self.fault = _fault(found["error"], binding)
            return
        self.answer = self._read(found.get("result", {}) if binding == JSONRPC else found)

    async def take(self, event: dict[str, Any]) -> None:
        """One event of a stream."""
        if "error" in event:
            raise Unavailable("The agent broke its stream off with an error.")
        await self.asked.write(self._read(event.get("result", event)))

    def _read(self, found: Any) -> Message:
        from a2a.types import a2a_pb2

        service = a2a_pb2.DESCRIPTOR.services_by_name["A2AService"]
        made = GetMessageClass(service.methods_by_name[self.asked.method].output_type)()
        try:
            return ParseDict(found if isinstance(found, dict) else {}, made, ignore_unknown_fields=True)
        except ParseError:
            raise Unavailable("The agent's answer is none of A2A 1.0.") from None


class Translated(Reply):
    """A reply that is kept where it is whole, and written on event by event where it streams."""

    def __init__(self, rpc: OtherRpc):
        super().__init__(self._take, rpc.asked.request_id)
        self._rpc = rpc
        self._events = Events()

    async def _take(self, message: AsgiMessage) -> None:
        for data in self._events.feed(message.get("body", b"")):
            await self._rpc.take(parse_object(data))


def _flat(params: dict[str, Any]) -> dict[str, str]:
    """What of the params fits a query; the ids stand in the path."""
    shown = {name: value for name, value in params.items() if name not in ("id", "taskId")}
    return {name: str(value).lower() if isinstance(value, bool) else str(value) for name, value in shown.items()}


def _fault(error: Any, binding: str) -> Fault:
    given = error if isinstance(error, dict) else {"message": "unreadable"}
    if binding == JSONRPC:
        return numbered_fault(given)
    status = given.get("status")
    code = grpc.StatusCode.__members__.get(status if isinstance(status, str) else "", grpc.StatusCode.UNKNOWN)
    details = given.get("details")
    reasons = [item.get("reason") for item in details if isinstance(item, dict)] if isinstance(details, list) else []
    reason = next((each for each in reasons if isinstance(each, str)), "AGENT_ERROR")
    return Fault(code, str(given.get("message") or "The agent answered with an error.")[:1_000], reason[:64])
