"""A person's tools in the hands of a model: fewer of them, each call guarded, results cut and marked as data."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from difflib import get_close_matches
from typing import Any

from agents.guard import OUTBOUND, Guard, Waits, for_agents
from agents.persona import Persona
from agents.schemas import function_of
from agents.shown import MAX_RECORDED, Shown, marked, show
from core.context import Caller
from core.errors import Cancelled, PlatformError, Unauthenticated
from core.tool import Tool
from engine.catalog.words import WordIndex, combine, split_words
from engine.context import Ctx

MAX_ARGUMENT_CHARS = 64_000
MAX_OFFERED = 24  # beyond, a model is given a search over the rest
FIND, CALL = "find_tools", "call_tool"
FIND_LIMIT = 5


@dataclass(frozen=True, slots=True)
class Called:
    """One call that a model asked for, as it went. `text` is what the model is told."""

    tool: str
    arguments_json: str
    result_json: str
    text: str
    code: str = "OK"
    has_text: bool = False
    waits: Waits | None = None

    @property
    def is_error(self) -> bool:
        return self.code != "OK"


@dataclass(frozen=True, slots=True)
class Wanted:
    """A call as a model writes it: nothing of it can be trusted, not even that it is JSON."""

    call_id: str
    name: str
    arguments: str

    def read(self) -> "Wanted":
        """The call inside a `call_tool`; any other as it is."""
        inner = _parsed(self.arguments) if self.name == CALL else None
        if not isinstance(inner, dict) or not isinstance(inner.get("name"), str):
            return self
        given = inner.get("arguments") or {}
        return Wanted(self.call_id, inner["name"], given if isinstance(given, str) else json.dumps(given))


class Bound:
    """The tools of one run."""

    def __init__(self, ctx: Ctx, persona: Persona, guard: Guard, *, result_chars: int, connection_id: str = ""):
        self.guard = guard
        mine = persona.narrow(for_agents(ctx.call.tools()))
        self.tools: Mapping[str, Tool] = {tool.name: tool for tool in mine}
        only = persona.connections if persona.connections and len(persona.connections) == 1 else ()
        self._connection = connection_id or next(iter(only), "")
        self._result_chars = result_chars
        self._cancelled = ctx.cancelled
        self._call: Caller = ctx.call.as_agent(persona.principal(ctx.principal, mine), guard)

    @property
    def offered(self) -> Sequence[Tool]:
        """The tools that a model is shown from the start."""
        return list(self.tools.values())[:MAX_OFFERED]

    def functions(self) -> list[dict[str, Any]]:
        """What a model is offered, in OpenAI's shape."""
        found = [function_of(tool) for tool in self.offered]
        return found + _SEARCH if len(self.tools) > MAX_OFFERED else found

    def reads(self, wanted: Wanted) -> bool:
        """Whether a call only reads, so that several may run at once."""
        tool = self.tools.get(wanted.read().name)
        return tool is None or (tool.effect == "read" and not tool.job and tool.name not in OUTBOUND)

    async def call(self, given: Wanted) -> Called:
        """Call for the model. Whatever it wrote, it is answered with a text; only a gone caller raises."""
        wanted = given.read()
        arguments = _parsed(wanted.arguments or "{}")
        if wanted.name == FIND:
            return self._found(wanted, arguments)
        if wanted.name not in self.tools:
            return self._unknown(wanted)
        if not isinstance(arguments, dict):
            return _refusal(wanted, "INVALID_ARGUMENT", "The arguments are no JSON object.", "Write one object.")
        arguments = self._placed(self.tools[wanted.name], arguments)
        try:
            result = await self._call(wanted.name, arguments)
        except Waits as waits:
            return Called(wanted.name, _clip(wanted.arguments), "", waits.message, waits.code, waits=waits)
        except Unauthenticated:
            raise
        except PlatformError as error:
            # The client asks the person, and calls again with the answer; or nobody waits for an answer any more.
            if hasattr(error, "question") or (isinstance(error, Cancelled) and self._cancelled):
                raise
            return self._refused(wanted, error)
        return self._answered(wanted, show(result, self._result_chars))

    def _answered(self, wanted: Wanted, shown: Shown) -> Called:
        self.guard.has_read = self.guard.has_read or shown.has_text
        text = marked(shown.text) if shown.has_text else shown.text
        return Called(wanted.name, _clip(wanted.arguments), shown.recorded, text, has_text=shown.has_text)

    def _refused(self, wanted: Wanted, error: PlatformError) -> Called:
        """An error for the model. What is said to be wrong may quote a value of the data."""
        refusal = _refusal(wanted, error.code, error.message, error.hint)
        if error.code in _OWN_WORDS:
            return refusal
        self.guard.has_read = True
        return replace(refusal, text=marked(refusal.text), has_text=True)

    def _placed(self, tool: Tool, arguments: dict[str, Any]) -> dict[str, Any]:
        """The arguments with the connection that is asked, where there is but one and the model names none."""
        if not self._connection:
            return arguments
        fields = [name for name, kind in tool.references.items() if kind == "connection" and name not in arguments]
        fields += ["namespace"] if tool.name == "run_workflow" and not arguments.get("namespace") else []
        return {**arguments, **dict.fromkeys(fields, self._connection)}

    def _unknown(self, wanted: Wanted) -> Called:
        near = get_close_matches(wanted.name[:64], self.tools, n=3)
        hint = f"Did you mean {' or '.join(near)}?" if near else f"There are: {', '.join(list(self.tools)[:30])}."
        return _refusal(wanted, "NOT_FOUND", f"You have no tool {wanted.name[:64]!r}.", hint)

    def _found(self, wanted: Wanted, arguments: Any) -> Called:
        query = str(arguments.get("query", "")) if isinstance(arguments, dict) else ""
        tools = list(self.tools.values())
        index = WordIndex([(tool.name, 4.0), (tool.summary, 1.5), (tool.description, 0.5)] for tool in tools)
        scores = combine([hits.items() for hits in index.scores(list(dict.fromkeys(split_words(query[:500])))[:20])])
        best = sorted(scores, key=lambda number: (-scores[number], number))[:FIND_LIMIT]
        text = json.dumps([function_of(tools[number])["function"] for number in best])
        return Called(FIND, _clip(wanted.arguments), json.dumps([tools[number].name for number in best]), text)


_OWN_WORDS = frozenset({"INVALID_ARGUMENT", "UNAUTHORIZED", "RATE_LIMITED", "QUOTA_EXCEEDED", "TIMEOUT", "INTERNAL"})
"""Errors whose words are ours, and name at most what the model itself has sent."""


def _function(name: str, description: str, /, **properties: dict[str, Any]) -> dict[str, Any]:
    parameters = {"type": "object", "properties": properties, "required": list(properties)}
    return {"type": "function", "function": {"name": name, "description": description, "parameters": parameters}}


_SEARCH = [
    _function(FIND, "Find more of your tools by what they do.", query={"type": "string"}),
    _function(CALL, "Call a tool that find_tools has shown.", name={"type": "string"}, arguments={"type": "object"}),
]


def _refusal(wanted: Wanted, code: str, message: str, hint: str) -> Called:
    body = json.dumps({"error": {"code": code, "message": message[:1000], "hint": hint[:1000]}}, ensure_ascii=False)
    return Called(wanted.name[:64], _clip(wanted.arguments), body, body, code)


def _parsed(text: str) -> Any:
    """What a model wrote as JSON; None where it is none, or too long."""
    if len(text) > MAX_ARGUMENT_CHARS:
        return None
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _clip(arguments: str) -> str:
    return arguments if len(arguments) <= MAX_RECORDED else json.dumps({"too_long_to_show": len(arguments)})
