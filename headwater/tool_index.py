"""The commands of tools, from a generated list: help names all of them, and a command imports its own tool alone."""

import functools
import importlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from core.tool import Tool

INDEX = Path(__file__).with_name("tools.json")


@functools.cache
def summaries() -> Mapping[str, str]:
    """What each tool does that has a command of its own: those that are not for models alone."""
    return {name: entry["summary"] for name, entry in _entries().items()}


def find_tool(name: str) -> "Tool | None":
    """A tool by name. One that is not in the list yet, as while it is being written, is looked for everywhere."""
    entry = _entries().get(name)
    if entry is not None:
        try:
            found: Tool | None = getattr(getattr(importlib.import_module(entry["module"]), name, None), "tool", None)
        except ModuleNotFoundError:
            found = None
        if found is not None:
            return found
    from headwater.local import registry  # lazily: walking the tools imports the engine

    return registry().get(name) if name in registry() and not registry().get(name).mcp_only else None


@functools.cache
def _entries() -> dict[str, dict[str, str]]:
    try:
        read: dict[str, dict[str, str]] = json.loads(INDEX.read_text(encoding="utf-8"))
    except FileNotFoundError:
        return {}
    return read
