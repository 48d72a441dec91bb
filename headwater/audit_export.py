"""The audit log as JSON lines, read page by page through the gate like any other call."""

import json
import sys
from contextlib import nullcontext
from pathlib import Path
from typing import Any, TextIO

from api.cli import Options
from core.settings import Settings
from headwater.local import call_once, opened

PAGE = 1000


async def export_audit(settings: Settings, target: Path | None, token: str | None, wanted: dict[str, Any]) -> int:
    """Write what is found, newest first, one JSON object a line; returns how many. Raises PlatformError."""
    with target.open("w", encoding="utf-8") if target else nullcontext(sys.stdout) as file:
        return await _export(settings, file, token, wanted)


async def _export(settings: Settings, file: TextIO, token: str | None, wanted: dict[str, Any]) -> int:
    count, page_token = 0, None
    async with opened(settings) as platform:
        while True:
            arguments = {**wanted, "page_size": PAGE, **({"page_token": page_token} if page_token else {})}
            answer = await call_once(platform, token, "search_audit", arguments, Options())
            if answer.error is not None:
                raise answer.error
            found: dict[str, Any] = answer.result or {}
            for event in found["events"]:
                file.write(json.dumps(event, ensure_ascii=False, default=str) + "\n")
            count, page_token = count + len(found["events"]), found["next_page_token"]
            if page_token is None:
                return count
