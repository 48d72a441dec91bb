"""What an A2A request asks for, in either version and binding: its kind, and the tasks and addresses in it."""

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

from pydantic_core import from_json

from core.errors import InvalidArgument, NotFound
from gateway.faults import NO_METHOD, WrongEnvelope

SEND, STREAM, LIST, TASK, WATCH, PUSH, CARD = "send", "stream", "list", "task", "watch", "push", "card"
RPC: dict[str, str] = {
    "SendMessage": SEND,
    "SendStreamingMessage": STREAM,
    "GetTask": TASK,
    "CancelTask": TASK,
    "ListTasks": LIST,
    "SubscribeToTask": WATCH,
    "CreateTaskPushNotificationConfig": PUSH,
    "GetTaskPushNotificationConfig": PUSH,
    "ListTaskPushNotificationConfigs": PUSH,
    "DeleteTaskPushNotificationConfig": PUSH,
    "GetExtendedAgentCard": CARD,
    "message/send": SEND,
    "message/stream": STREAM,
    "tasks/get": TASK,
    "tasks/cancel": TASK,
    "tasks/list": LIST,
    "tasks/resubscribe": WATCH,
    "tasks/pushNotificationConfig/set": PUSH,
    "tasks/pushNotificationConfig/get": PUSH,
    "tasks/pushNotificationConfig/list": PUSH,
    "tasks/pushNotificationConfig/delete": PUSH,
    "agent/getAuthenticatedExtendedCard": CARD,
}
READS = frozenset(
    {"GetTask", "ListTasks", "SubscribeToTask", "GetTaskPushNotificationConfig", "ListTaskPushNotificationConfigs"}
    | {"tasks/get", "tasks/list", "tasks/resubscribe", "tasks/pushNotificationConfig/get"}
    | {"tasks/pushNotificationConfig/list", "GetExtendedAgentCard", "agent/getAuthenticatedExtendedCard"}
)
_ID = r"(?P<task>[^/:]{1,256})"
_REST: list[tuple[str, re.Pattern[str], str, str]] = [
    ("POST", re.compile(r"message:send"), SEND, "SendMessage"),
    ("POST", re.compile(r"message:stream"), STREAM, "SendStreamingMessage"),
    ("GET", re.compile(r"tasks"), LIST, "ListTasks"),
    ("GET", re.compile(rf"tasks/{_ID}"), TASK, "GetTask"),
    ("POST", re.compile(rf"tasks/{_ID}:cancel"), TASK, "CancelTask"),
    ("GET", re.compile(rf"tasks/{_ID}:subscribe"), WATCH, "SubscribeToTask"),
    ("POST", re.compile(rf"tasks/{_ID}:subscribe"), WATCH, "SubscribeToTask"),
    ("POST", re.compile(rf"tasks/{_ID}/pushNotificationConfigs"), PUSH, "CreateTaskPushNotificationConfig"),
    ("GET", re.compile(rf"tasks/{_ID}/pushNotificationConfigs"), PUSH, "ListTaskPushNotificationConfigs"),
    ("GET", re.compile(rf"tasks/{_ID}/pushNotificationConfigs/[^/]{{1,256}}"), PUSH, "GetTaskPushNotificationConfig"),
    ("DELETE", re.compile(rf"tasks/{_ID}/pushNotificationConfigs/[^/]{{1,256}}"), PUSH, "DeletePushConfig"),
    ("GET", re.compile(r"extendedAgentCard|card"), CARD, "GetExtendedAgentCard"),
]


@dataclass(frozen=True, slots=True)
class Asked:
    """What a request is about."""

    kind: str
    method: str
    is_old: bool
    tasks: list[str] = field(default_factory=list)
    contexts: list[str] = field(default_factory=list)
    push_urls: list[str] = field(default_factory=list)

    @property
    def is_read(self) -> bool:
        return self.method in READS

    @property
    def streams(self) -> bool:
        return self.kind in (STREAM, WATCH)


def read_rpc(message: Mapping[str, Any]) -> Asked:
    """A request over JSON-RPC. Raises WrongEnvelope."""
    method = message.get("method", "")
    kind = RPC.get(method)
    if kind is None:
        raise WrongEnvelope(NO_METHOD, f"No method {str(method)[:64]!r}.", hint="A2A 1.0 and 0.3 are spoken.")
    params = message.get("params") or {}
    tasks = [params["id"]] if kind in (TASK, WATCH) and isinstance(params.get("id"), str) else []
    is_old = "/" in method
    if kind == PUSH and is_old and isinstance(params.get("id"), str):
        tasks = [params["id"]]
    if kind in (TASK, WATCH) and not tasks:
        raise WrongEnvelope(-32602, "params.id names no task.")
    asked = _asked(kind, method, is_old, params, tasks)
    if kind == PUSH and not asked.tasks:
        raise WrongEnvelope(-32602, "params.taskId names no task.")
    return asked


def read_rest(method: str, path: str, params: Mapping[str, Any], *, is_old: bool) -> Asked:
    """A request over REST, by method and path below the agent's address. Raises NotFound."""
    for verb, pattern, kind, name in _REST:
        found = pattern.fullmatch(path) if verb == method else None
        if found is not None:
            task = found.groupdict().get("task")
            return _asked(kind, name, is_old, params, [task] if task else [])
    raise NotFound("No such path of A2A.", hint="Beside JSON-RPC, /message:send and /tasks are served here.")


def _asked(kind: str, method: str, is_old: bool, params: Mapping[str, Any], tasks: list[str]) -> Asked:
    message = params.get("message") if kind in (SEND, STREAM) else None
    message = message if isinstance(message, Mapping) else {}
    found = [*tasks, *_texts(message, "taskId"), *_texts(params, "taskId")]
    references = message.get("referenceTaskIds")
    found += [item for item in (references if isinstance(references, list) else ()) if isinstance(item, str)]
    contexts = [*_texts(message, "contextId"), *_texts(params, "contextId")]
    return Asked(kind, method, is_old, found, contexts, list(_push_urls(params)))


def _texts(item: Mapping[str, Any], name: str) -> list[str]:
    value = item.get(name)
    return [value] if isinstance(value, str) and value else []


def _push_urls(params: Mapping[str, Any]) -> Iterator[str]:
    """Every address that the agent is asked to call back."""
    configuration = params.get("configuration")
    holders = [params, configuration if isinstance(configuration, Mapping) else {}]
    for holder in holders:
        yield from _texts(holder, "url")
        for name in ("pushNotificationConfig", "taskPushNotificationConfig", "config"):
            nested = holder.get(name)
            if isinstance(nested, Mapping):
                yield from _push_urls(nested)


def body_of(body: bytes) -> Mapping[str, Any]:
    """A REST body as an object. Raises InvalidArgument."""
    try:
        found = from_json(body, allow_inf_nan=False)
    except ValueError:
        raise InvalidArgument("The body is not JSON in UTF-8.") from None
    if not isinstance(found, Mapping):
        raise InvalidArgument("The body is not a JSON object.")
    return found
