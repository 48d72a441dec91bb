"""Records of the audit as OpenTelemetry logs, sent over OTLP/HTTP as JSON: a copy; the chain is the proof."""

import asyncio
import json
import logging
import threading
from collections import deque
from collections.abc import Mapping, Sequence
from typing import Any
from urllib.parse import urlsplit

from core.errors import PlatformError
from core.ports import AuditRecord
from core.settings import EgressSettings
from engine.egress.client import EgressClient

log = logging.getLogger("headwater.audit")

PERIOD_S = 1.0
BATCH = 500
CAPACITY = 20_000
SEVERITIES = {"allowed": (9, "INFO"), "refused": (13, "WARN"), "failed": (17, "ERROR")}


class AuditFeed:
    """Sends what was recorded within a second or two. While nobody answers it keeps the newest 20,000 records."""

    def __init__(self, endpoint: str, egress: EgressSettings, *, version: str):
        parts = urlsplit(endpoint)
        self._url = endpoint if parts.path.strip("/") else endpoint.rstrip("/") + "/v1/logs"
        hosts = [*egress.allowed_private_hosts, parts.netloc.rpartition("@")[2]]  # the operator has named it
        self._client = EgressClient(egress.model_copy(update={"allowed_private_hosts": hosts}))
        self._version = version
        self._waiting: deque[AuditRecord] = deque()
        self._lock = threading.Lock()
        self._dropped = 0
        self._sending: asyncio.Task[None] | None = None

    def put(self, records: Sequence[AuditRecord]) -> None:
        """Take records that are durable; for the audit's own thread. Never waits."""
        with self._lock:
            self._waiting.extend(records)
            while len(self._waiting) > CAPACITY:
                self._waiting.popleft()
                self._dropped += 1

    def start(self) -> None:
        self._sending = asyncio.create_task(self._send(), name="audit feed")

    async def close(self) -> None:
        """Send what is left, if somebody takes it."""
        if self._sending is not None:
            self._sending.cancel()
            await asyncio.wait([self._sending])
        while self._waiting and await self.flush():
            pass
        await self._client.aclose()

    async def flush(self) -> bool:
        """Send one batch; says whether it was taken."""
        with self._lock:
            batch = [self._waiting[index] for index in range(min(BATCH, len(self._waiting)))]
        if not batch:
            return True
        body = json.dumps(as_otlp(batch, self._version)).encode()
        try:
            answer = await self._client.post(self._url, body=body, headers={"content-type": "application/json"})
        except PlatformError:
            return False
        if answer.status >= 500 or answer.status == 429:
            return False
        if answer.status >= 400:
            log.warning("%d audit records were refused by the OTLP endpoint with %d", len(batch), answer.status)
        with self._lock:
            sent = {id(record) for record in batch}
            while self._waiting and id(self._waiting[0]) in sent:
                self._waiting.popleft()
        return True

    async def _send(self) -> None:
        is_well = True
        while True:
            await asyncio.sleep(PERIOD_S)
            while self._waiting and (taken := await self.flush()):
                is_well = taken
            if self._waiting and is_well:
                is_well = False
                log.warning("the OTLP endpoint takes no audit records; %d wait", len(self._waiting))
            if self._dropped:
                log.warning("%d audit records were not sent as logs; they are in the audit log", self._dropped)
                self._dropped = 0


def as_otlp(records: Sequence[AuditRecord], version: str) -> dict[str, Any]:
    """The JSON form of an OTLP logs request."""
    resource = _attributes({"service.name": "headwater", "service.version": version})
    scope = {"name": "headwater.audit", "version": version}
    made = [_log(record) for record in records]
    return {
        "resourceLogs": [{"resource": {"attributes": resource}, "scopeLogs": [{"scope": scope, "logRecords": made}]}]
    }


def _log(record: AuditRecord) -> dict[str, Any]:
    number, text = SEVERITIES.get(record.decision, SEVERITIES["failed"])
    names = ("tenant", "subject", "via", "credential_id", "face", "tool", "effect", "decision", "code", "request_id")
    values: dict[str, Any] = {f"headwater.{name}": getattr(record, name) for name in (*names, "job_id")}
    values |= {"headwater.duration_ms": record.duration_ms, "headwater.resources": list(record.resources)}
    values |= {"headwater.argument_digest": record.argument_digest}
    return {
        "timeUnixNano": str(int(record.at.timestamp() * 1_000_000) * 1000),
        "severityNumber": number,
        "severityText": text,
        "eventName": "headwater.audit",
        "body": {"stringValue": f"{record.tool} {record.decision} {record.code}"},
        "attributes": _attributes(values),
    }


def _attributes(values: Mapping[str, Any]) -> list[dict[str, Any]]:
    return [{"key": name, "value": _value(value)} for name, value in values.items() if value not in ("", [])]


def _value(value: Any) -> dict[str, Any]:
    if isinstance(value, list):
        return {"arrayValue": {"values": [_value(item) for item in value]}}
    return {"doubleValue": value} if isinstance(value, float) else {"stringValue": str(value)}
