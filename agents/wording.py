"""The texts that models are given, from the Markdown files of `prompts`."""

import json
from collections.abc import Sequence
from datetime import UTC, datetime
from typing import Any

from agents.schemas import arguments_schema
from core.tool import Tool
from prompts.library import load

MAX_SHOWN_ARGUMENTS = 12


def system_text(name: str, *, instructions: str, tools: Sequence[Tool] = ()) -> str:
    """What a model is told first."""
    slots = {
        "instructions": instructions,
        "today": datetime.now(UTC).date().isoformat(),
        "tools": "\n".join(map(tool_line, tools)),
    }
    return load(name).fill(**slots).strip()


def tool_line(tool: Tool) -> str:
    """A tool in one line, for models whose room is small."""
    schema = arguments_schema(tool)
    required = set(schema.get("required", ()))
    fields = sorted(schema["properties"].items(), key=lambda item: item[0] not in required)
    shown = [_argument(name, field, is_required=name in required) for name, field in fields[:MAX_SHOWN_ARGUMENTS]]
    return f"- {tool.name}({', '.join(shown)}): {tool.summary}"


def _argument(name: str, field: dict[str, Any], *, is_required: bool) -> str:
    kind = json.dumps(field["enum"]) if "enum" in field else str(field.get("type", "any"))
    return f"{name}: {kind}" if is_required else f"{name}?: {kind}"
