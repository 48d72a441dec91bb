"""Discovery: find a tool among the many, and call one that the session does not list. MCP only."""

from functools import lru_cache
from heapq import nsmallest
from typing import Literal

from pydantic import Field, JsonValue

from core.errors import Conflict
from core.portable import Model
from core.tool import SIGNED_IN, Tool, tool
from engine.catalog.words import MAX_QUERY_WORDS, WordIndex, combine, split_words
from engine.context import Ctx


class SearchTools(Model):
    """What the tool should do."""

    query: str = Field(min_length=1, max_length=500, description="Words for what you want to do.")
    limit: int = Field(5, ge=1, le=20, description="Tools to return at most.")


class FoundTool(Model):
    """A tool that you may call."""

    name: str = Field(description="Name, for `call_tool` or `call_write_tool`.")
    summary: str = Field(description="What it does.")
    effect: Literal["read", "write", "destroy"] = Field(description="`read`: use call_tool, else call_write_tool.")
    arguments: JsonValue = Field(description="JSON Schema of its arguments.")


class FoundTools(Model):
    """Tools that fit, best first."""

    tools: list[FoundTool] = Field(description="Tools that fit, best first.")


class CallTool(Model):
    """Which tool to call, and with what."""

    name: str = Field(min_length=1, max_length=64, description="Name of the tool, as search_tools shows it.")
    arguments: dict[str, JsonValue] = Field({}, description="Its arguments, as its schema says.")


class ToolAnswer(Model):
    """What the tool answered."""

    tool: str = Field(description="The tool that was called.")
    result: JsonValue = Field(description="Its result.")


@tool(needs=SIGNED_IN, effect="read", mcp_only=True, toolsets=("default",))
async def search_tools(ctx: Ctx, request: SearchTools) -> FoundTools:
    """Find tools by what they do, with the schemas of their arguments.

    Use it when no listed tool fits. Then `call_tool` calls one that reads, `call_write_tool` one that changes."""
    callable_tools = tuple(item for item in ctx.call.tools() if not item.delegates and item.name != "search_tools")
    words = list(dict.fromkeys(split_words(request.query)))[:MAX_QUERY_WORDS]
    scores = combine([hits.items() for hits in _index(callable_tools).scores(words)])
    best = nsmallest(request.limit, scores, key=lambda number: (-scores[number], number))
    return FoundTools(tools=[_show(callable_tools[number]) for number in best])


@tool(needs=SIGNED_IN, effect="read", delegates=True, mcp_only=True, toolsets=("default",))
async def call_tool(ctx: Ctx, request: CallTool) -> ToolAnswer:
    """Call a tool that only reads, by name. `search_tools` finds names and arguments."""
    if _effect(ctx, request.name) not in (None, "read"):
        raise Conflict(f"{request.name} changes something.", hint="Use call_write_tool for it.")
    return await _call(ctx, request)


@tool(needs=SIGNED_IN, effect="destroy", delegates=True, mcp_only=True, toolsets=("default",))
async def call_write_tool(ctx: Ctx, request: CallTool) -> ToolAnswer:
    """Call a tool that writes or deletes, by name. `search_tools` finds names and arguments."""
    if _effect(ctx, request.name) == "read":
        raise Conflict(f"{request.name} only reads.", hint="Use call_tool for it.")
    return await _call(ctx, request)


def _effect(ctx: Ctx, name: str) -> str | None:
    """The effect of a tool that the caller may call; None lets the gate refuse it with the right code."""
    for item in ctx.call.tools():
        if item.name == name:
            if item.delegates:
                raise Conflict(f"{name} calls other tools itself.", hint="Call it directly, not through another.")
            return item.effect
    return None


async def _call(ctx: Ctx, request: CallTool) -> ToolAnswer:
    answer = await ctx.call(request.name, request.arguments)
    return ToolAnswer(tool=request.name, result=answer.model_dump(mode="json"))


@lru_cache(maxsize=64)
def _index(tools: tuple[Tool, ...]) -> WordIndex:
    return WordIndex(_texts(item) for item in tools)


def _texts(item: Tool) -> list[tuple[str, float]]:
    fields = [(name, 0.5) for name in item.request.model_fields]
    return [(item.name, 4.0), (item.domain, 1.0), (item.summary, 1.5), (item.description, 0.5), *fields]


def _show(item: Tool) -> FoundTool:
    return FoundTool(name=item.name, summary=item.summary, effect=item.effect, arguments=_schema(item.request))


@lru_cache(maxsize=512)
def _schema(request: type[Model]) -> JsonValue:
    schema: JsonValue = request.model_json_schema()
    return schema
