"""What an agent of our own may call: toolsets and tools by name, chosen among what its caller may call."""

from collections.abc import Iterable, Sequence
from difflib import get_close_matches
from typing import Any

from core.errors import Conflict, NotFound
from core.tool import Tool

DOCUMENTS = "document_qa"
ALIASES = {DOCUMENTS: frozenset({"search_documents", "list_assets", "get_asset"})}
"""Names of documents and older clients, for what has another name here."""

MAX_CAPABILITIES = 200
_SHAPE = 'Send a list of names, for example ["query", "get_table_health"].'


def read_capabilities(given: Any) -> tuple[str, ...] | None:
    """The names in a list, or in an object of names that are on; None where nothing is said. Raises Conflict."""
    if given is None:
        return None
    if isinstance(given, dict):
        if not all(isinstance(is_on, bool) for is_on in given.values()):
            raise Conflict("Capabilities in an object are true or false.", hint=_SHAPE)
        given = [name for name, is_on in given.items() if is_on]
    if not isinstance(given, list) or not all(isinstance(name, str) for name in given):
        raise Conflict("The capabilities are no list of names.", hint=_SHAPE)
    if len(given) > MAX_CAPABILITIES:
        raise Conflict(f"More than {MAX_CAPABILITIES} capabilities.", hint="Name toolsets rather than tools.")
    return tuple(dict.fromkeys(given))


def check_capabilities(given: Any, tools: Sequence[Tool]) -> None:
    """Refuse names that stand for nothing. Raises Conflict, NotFound."""
    names = read_capabilities(given) or ()
    known = {name for tool in tools for name in (tool.name, *toolsets_of(tool))} | ALIASES.keys()
    unknown = [name for name in names if name not in known]
    if unknown:
        near = get_close_matches(unknown[0][:64], known, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"Toolsets: {', '.join(_domains(tools))}."
        raise NotFound(f"No toolset or tool {unknown[0][:64]!r}.", hint=hint)


def chosen(tools: Iterable[Tool], names: Sequence[str]) -> list[Tool]:
    """Those of the tools that the names stand for."""
    wanted = set(names).union(*(ALIASES.get(name, ()) for name in names))
    return [tool for tool in tools if tool.name in wanted or wanted & toolsets_of(tool)]


def toolsets_of(tool: Tool) -> frozenset[str]:
    return tool.toolsets | {tool.domain}


def _domains(tools: Iterable[Tool]) -> list[str]:
    return sorted({tool.domain for tool in tools} | {DOCUMENTS})
