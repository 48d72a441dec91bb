"""Records to write; imports little, since processes of tests start with it."""

from datetime import UTC, datetime
from typing import Any

from core.ports import AuditRecord

DIGEST_KEY = bytes(range(32))


def make_record(tenant: str = "acme", **changes: Any) -> AuditRecord:
    values: dict[str, Any] = {
        "request_id": "req_1",
        "at": datetime(2026, 11, 21, 12, 0, 0, 123456, tzinfo=UTC),
        "tenant": tenant,
        "subject": "alice",
        "via": "client",
        "credential_id": "analytics",
        "face": "mcp",
        "tool": "execute_query",
        "effect": "read",
        "argument_digest": "00",
        "decision": "allowed",
        "code": "OK",
        "resources": ("table:db.events",),
    }
    return AuditRecord(**(values | changes))
