"""Which of its tools a session sees: a small set by default, more by `?toolsets=`.

A tool belongs to the toolset of its domain and to those of its declaration. The tag `default` puts it
into every default session, `default:ROLE` into those of one role. What is not listed can still be
called, by name or through `call_tool`; what is not permitted is neither listed nor called."""

from collections.abc import Callable, Iterable, Sequence

from core.context import Principal
from core.errors import InvalidArgument
from core.tool import Tool

DEFAULT = "default"
ALL = "all"
MAX_DEFAULT_TOOLS = 15
MAX_DEFAULT_TOKENS = 6_000
CHARS_PER_TOKEN = 4


def toolsets_of(tool: Tool) -> frozenset[str]:
    """The toolsets that a tool belongs to."""
    return tool.toolsets | {tool.domain}


def parse_toolsets(text: str, tools: Iterable[Tool]) -> frozenset[str]:
    """The toolsets of `?toolsets=a,b`; empty means the default session. Raises InvalidArgument."""
    wanted = frozenset(name.strip() for name in text.split(",") if name.strip())
    known = {name for tool in tools for name in toolsets_of(tool)} | {ALL, DEFAULT}
    if unknown := sorted(wanted - known):
        names = ", ".join(sorted(name for name in known if ":" not in name))
        raise InvalidArgument(f"No toolset {unknown[0][:64]!r}.", hint=f"Toolsets: {names}.")
    return wanted


def choose(
    permitted: Sequence[Tool], wanted: frozenset[str], by: Principal, chars: Callable[[Tool], int]
) -> list[Tool]:
    """The tools that a session lists. `chars` is the size of a tool's entry in the list.

    Without a wish the session sees all its tools if they are few, else those tagged for it."""
    if ALL in wanted:
        return list(permitted)
    if not wanted and _are_few(permitted, chars):
        return list(permitted)
    mine = wanted or frozenset({DEFAULT})
    if DEFAULT in mine:
        mine |= {f"{DEFAULT}:{role}" for role in by.roles}
    return [tool for tool in permitted if mine & toolsets_of(tool)]


def _are_few(tools: Sequence[Tool], chars: Callable[[Tool], int]) -> bool:
    if len(tools) > MAX_DEFAULT_TOOLS:
        return False
    return sum(map(chars, tools)) <= MAX_DEFAULT_TOKENS * CHARS_PER_TOKEN
