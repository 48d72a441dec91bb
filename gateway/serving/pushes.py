"""Push notifications: addresses that each owner has given, checked when given and when called."""

import asyncio
import json
import logging
from collections import defaultdict
from collections.abc import Coroutine, Mapping
from typing import Any

from a2a.server.context import ServerCallContext
from a2a.server.tasks import PushNotificationConfigStore, PushNotificationEvent, PushNotificationSender
from a2a.server.tasks.push_notification_config_store import normalize_push_notification_config
from a2a.types import TaskPushNotificationConfig
from a2a.utils.errors import InvalidParamsError
from a2a.utils.proto_utils import to_stream_response
from google.protobuf.json_format import MessageToDict

from core.context import Principal
from core.errors import InvalidArgument, PlatformError
from engine.agents.served import ServedTasks
from engine.egress.client import EgressClient
from gateway.serving.sdk import visit_of

log = logging.getLogger("headwater.a2a")

MAX_ID, MAX_URL, MAX_SECRET = 255, 2_048, 4_096
SEND_S, ANSWER_BYTES, MAX_WAITING = 10.0, 64 * 1024, 256


class OwnPushes(PushNotificationConfigStore):
    """Addresses by task, sealed for their owner."""

    def __init__(self, served: ServedTasks, owners: Mapping[str, Principal]):
        self._served = served
        self._owners = owners  # of tasks that run here, for telling of them needs no caller

    async def set_info(
        self, task_id: str, notification_config: TaskPushNotificationConfig, context: ServerCallContext
    ) -> TaskPushNotificationConfig:
        visit = visit_of(context)
        config = normalize_push_notification_config(task_id, notification_config)
        secrets = (config.token, config.authentication.credentials, config.authentication.scheme)
        if len(config.id) > MAX_ID or len(config.url) > MAX_URL or any(len(each) > MAX_SECRET for each in secrets):
            raise InvalidParamsError(message="An id, address or credential is too long.")
        if not all(each.isascii() and each.isprintable() for each in secrets):
            raise InvalidParamsError(message="Credentials are printable ASCII.")
        config.tenant = ""
        await self._served.set_push(visit.principal, task_id, config.id, config.SerializeToString())
        return config

    async def get_info(self, task_id: str, context: ServerCallContext) -> list[TaskPushNotificationConfig]:
        return await self._of(visit_of(context).principal, task_id)

    async def get_info_for_dispatch(self, task_id: str) -> list[TaskPushNotificationConfig]:
        owner = self._owners.get(task_id)
        return [] if owner is None else await self._of(owner, task_id)

    async def delete_info(self, task_id: str, context: ServerCallContext, config_id: str | None = None) -> None:
        await self._served.delete_push(visit_of(context).principal, task_id, config_id or task_id)

    async def _of(self, by: Principal, task_id: str) -> list[TaskPushNotificationConfig]:
        return [TaskPushNotificationConfig.FromString(each) for each in await self._served.pushes(by, task_id)]


class OwnSender(PushNotificationSender):
    """Tells addresses in the order of events, beside the task, which never waits for them."""

    def __init__(self, pushes: OwnPushes, egress: EgressClient):
        self._pushes = pushes
        self._egress = egress
        self._last: dict[str, asyncio.Task[None]] = {}
        self._waiting: defaultdict[str, int] = defaultdict(int)

    async def send_notification(self, task_id: str, event: PushNotificationEvent) -> None:
        configs = await self._pushes.get_info_for_dispatch(task_id)
        if not configs:
            return
        body = json.dumps(MessageToDict(to_stream_response(event)), ensure_ascii=False).encode("utf-8", "replace")
        for config in configs:
            key = f"{task_id}\0{config.id}"
            if self._waiting[key] >= MAX_WAITING:
                log.warning("notifications of task %s are left out: its address is too slow", task_id)
                continue
            self._waiting[key] += 1
            self._go(key, self._send(key, self._last.get(key), config, body))

    def _go(self, key: str, work: Coroutine[Any, Any, None]) -> None:
        sent = self._last[key] = asyncio.create_task(work)
        sent.add_done_callback(lambda done: self._last.pop(key, None) if self._last.get(key) is done else None)

    async def _send(
        self, key: str, before: "asyncio.Task[None] | None", config: TaskPushNotificationConfig, body: bytes
    ) -> None:
        try:
            if before is not None:
                await asyncio.wait([before])
            headers = _headers(config)
            answer = await self._egress.request(
                "POST", config.url, body=body, headers=headers, max_bytes=ANSWER_BYTES, timeout_s=SEND_S
            )
            if answer.status >= 300:
                log.warning("a notification of task %s was answered with %s", config.task_id, answer.status)
        except PlatformError as error:
            log.warning("a notification of task %s was not sent: %s", config.task_id, error.code)
        finally:
            self._waiting[key] -= 1
            if not self._waiting[key]:
                del self._waiting[key]

    async def close(self) -> None:
        for sent in list(self._last.values()):
            sent.cancel()
        await asyncio.gather(*self._last.values(), return_exceptions=True)


def _headers(config: TaskPushNotificationConfig) -> dict[str, str]:
    headers = {"content-type": "application/a2a+json"}
    if config.token:
        headers["x-a2a-notification-token"] = config.token
    auth = config.authentication
    if auth.scheme and auth.credentials:
        headers["authorization"] = f"{auth.scheme} {auth.credentials}"
    return headers


async def may_push(egress: EgressClient, url: str) -> bool:
    """Whether an address may be called, by its text and by what it resolves to now."""
    if len(url) > MAX_URL:
        return False
    try:
        await egress.check_address(url)
    except InvalidArgument:
        return False
    return True
