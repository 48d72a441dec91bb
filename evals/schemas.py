"""What a run saw of its databases: runs are comparable only on the same tables and columns."""

import hashlib
from collections.abc import Sequence
from typing import Any

from core.context import Caller


async def digest_schemas(call: Caller, connections: Sequence[str]) -> str:
    """A digest of the names of tables and of how many columns each has."""
    lines = []
    for connection in sorted(connections):
        token = None
        while True:
            listed: Any = await call(
                "list_tables", {"connection_id": connection, "page_token": token, "page_size": 1000}
            )
            lines += [f"{connection} {table.name} {table.column_count}" for table in listed.tables]
            token = listed.next_page_token
            if not token:
                break
    return hashlib.sha256("\n".join(lines).encode()).hexdigest()[:16]
