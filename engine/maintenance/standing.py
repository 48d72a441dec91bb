"""The schedules by which a table is cared for by itself: what they are called, and what they become with its name."""

import hashlib
import json
from collections.abc import Mapping
from typing import Any

PARTS = {
    "compaction": "compact_table",
    "expiry": "expire_snapshots",
    "orphans": "remove_orphan_files",
    "manifests": "rewrite_manifests",
}
"""Each part of a maintenance policy and the tool that does it."""


def care_keys(table: str) -> dict[str, str]:
    """The id of each part's schedule; the colon keeps them apart from ids that people choose."""
    digest = hashlib.blake2b(table.encode(), digest_size=12).hexdigest()
    return {part: f"care:{part}:{digest}" for part in PARTS}


def care_name(part: str, table: str) -> str:
    """What people read in a list of schedules."""
    return f"{part} of {table}"[:255]


def care_request(arguments: Mapping[str, Any], table: str) -> str:
    """The call that a schedule makes, about this table."""
    return json.dumps({**arguments, "table": table})
