"""Models as the loop talks to them: strong ones call tools natively, small ones write one JSON action a turn."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from agents.bound import Bound, Called, Wanted
from agents.loop import ASK, MAX_CALLS_AT_ONCE, Message, Mind, Said
from agents.models import Ask, BadReply, Budget, Reply, complete
from agents.persona import Persona
from agents.wording import system_text
from engine.context import Ctx
from engine.models.model import Model
from engine.runs.run import Cost

CHARS_PER_TOKEN = 4
LEFT_OUT = "(left out to save room)"
KEPT_LAST = 6
OFFERED_TO_SMALL = 12
_ASK = {
    "type": "function",
    "function": {
        "name": ASK,
        "description": "Ask the person one short question, where theirs can be read in several ways.",
        "parameters": {"type": "object", "properties": {"question": {"type": "string"}}, "required": ["question"]},
    },
}


@dataclass
class Talk:
    """What both kinds of minds share: whom they ask, within which budget, and who hears it."""

    ctx: Ctx
    model: Model
    budget: Budget
    hear: Any = None  # is given text as it comes
    question: Message = field(default_factory=dict)  # which is never left out
    answered_by: str = ""  # the model, or the one that stood in for it

    async def ask(self, messages: Sequence[Message], **more: Any) -> Reply:
        ask = Ask(messages=messages, model=self.model.name, budget=self.budget, **more)
        reply = await complete(self.ctx, ask)
        self.answered_by = reply.model
        return reply

    def room(self, beside: int) -> int:
        """Characters that messages may have."""
        tokens = self.model.context_tokens - self.model.max_output_tokens
        return max(2_000, tokens * CHARS_PER_TOKEN - beside)


@dataclass
class NativeMind:
    """A model that calls tools itself."""

    talk: Talk
    functions: Sequence[Mapping[str, Any]]
    _chars: int = field(init=False)

    def __post_init__(self) -> None:
        self._chars = len(json.dumps(self.functions))

    async def think(self, messages: Sequence[Message]) -> Said:
        fitted = fit(messages, self.talk.room(self._chars), self.talk.question)
        reply = await self.talk.ask(fitted, tools=self.functions, hear=self.talk.hear)
        wanted = tuple(
            Wanted(call.id or f"call_{number}", call.name, call.arguments)
            for number, call in enumerate(reply.tool_calls[:MAX_CALLS_AT_ONCE])
        )
        asked = next((item for item in wanted if item.name == ASK), None)
        if asked is not None:
            return Said(reply.text, cost=reply.cost, question=_question(asked.arguments) or reply.text)
        message = native_message(reply.text, wanted) if wanted or reply.text else {}
        return Said(reply.text, wanted, reply.cost, message=message)

    def told(self, wanted: Wanted, called: Called) -> Message:
        return {"role": "tool", "tool_call_id": wanted.call_id, "content": called.text}

    def nudged(self) -> Message:
        return {"role": "user", "content": "Call a tool, or answer."}


@dataclass
class ActionMind:
    """A model that writes one action a turn, held to a schema."""

    talk: Talk
    names: Sequence[str]
    _calls: int = 0

    async def think(self, messages: Sequence[Message]) -> Said:
        before = self.talk.budget.cost
        try:
            reply = await self.talk.ask(
                fit(messages, self.talk.room(0), self.talk.question), schema=action_schema(self.names)
            )
        except BadReply:
            return Said(cost=_minus(self.talk.budget.cost, before), is_unread=True)
        return self._read(reply)

    def _read(self, reply: Reply) -> Said:
        data = reply.data if isinstance(reply.data, dict) else {}
        action, text = data.get("action"), data.get("text")
        text = text if isinstance(text, str) else ""
        message = {"role": "assistant", "content": json.dumps(data, ensure_ascii=False)[:8000]}
        if action == "call" and isinstance(data.get("tool"), str) and data["tool"]:
            self._calls += 1
            wanted = Wanted(f"action_{self._calls}", data["tool"], json.dumps(data.get("arguments") or {}))
            return Said("", (wanted,), reply.cost, message=message)
        if action == "ask" and text.strip():
            return Said("", cost=reply.cost, question=text, message=message)
        is_unread = action != "answer" or not text.strip()
        return Said(text, cost=reply.cost, is_unread=is_unread, message={} if is_unread else message)

    def told(self, wanted: Wanted, called: Called) -> Message:
        return {"role": "user", "content": f"Result of {called.tool}:\n{called.text}"}

    def nudged(self) -> Message:
        return {"role": "user", "content": 'Write one JSON object with "action": "call", "answer" or "ask".'}


def mind_of(talk: Talk, bound: Bound) -> Mind:
    """How to talk with a model."""
    if talk.model.strength == "strong":
        return NativeMind(talk, [*bound.functions(), _ASK])
    return ActionMind(talk, [tool.name for tool in bound.offered[:OFFERED_TO_SMALL]])


def first_messages(talk: Talk, bound: Bound, persona: Persona) -> list[Message]:
    """What a model is told before anything else: the same for every question, so that it can be cached."""
    if talk.model.strength == "strong":
        text = system_text("chat", instructions=persona.system_prompt)
    else:
        text = system_text("chat_action", instructions=persona.system_prompt, tools=bound.offered[:OFFERED_TO_SMALL])
    return [{"role": "system", "content": text}]


def native_message(text: str, wanted: Sequence[Wanted]) -> Message:
    """What a model said, as it is shown to it again. Arguments that are no JSON object would be refused by servers."""
    calls = [
        {"id": item.call_id, "type": "function", "function": {"name": item.name[:64], "arguments": _sound(item)}}
        for item in wanted
    ]
    message: Message = {"role": "assistant", "content": text or None}
    return {**message, "tool_calls": calls} if calls else message


def action_schema(names: Sequence[str]) -> dict[str, Any]:
    """One action: what a small model is held to."""
    properties = {
        "action": {"type": "string", "enum": ["call", "answer", "ask"]},
        "tool": {"type": "string", "enum": [*names, ""]},
        "arguments": {"type": "object"},
        "text": {"type": "string"},
    }
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def fit(messages: Sequence[Message], room: int, question: Message) -> list[Message]:
    """The messages in at most about `room` characters: old results go first, then the turns before the question."""
    kept = list(messages)
    excess = sum(map(_size, kept)) - room
    for number in range(1, max(1, len(kept) - KEPT_LAST)):
        if excess <= 0:
            return kept
        if kept[number].get("role") == "tool" or str(kept[number].get("content", "")).startswith("Result of "):
            excess -= _size(kept[number])
            kept[number] = {**kept[number], "content": LEFT_OUT}
    while excess > 0 and len(kept) > 2 and _is_plain(kept[1]) and kept[1] is not question:
        excess -= _size(kept.pop(1))
    return kept


def _is_plain(message: Message) -> bool:
    """Whether nothing else belongs to a message, so that it can be left out alone."""
    return message.get("role") in ("user", "assistant") and not message.get("tool_calls")


def _size(message: Message) -> int:
    return len(str(message.get("content") or "")) + len(str(message.get("tool_calls") or ""))


def _question(arguments: str) -> str:
    try:
        asked = json.loads(arguments)
    except (ValueError, RecursionError):
        return ""
    return str(asked.get("question", "")) if isinstance(asked, dict) else ""


def _sound(wanted: Wanted) -> str:
    try:
        return wanted.arguments if isinstance(json.loads(wanted.arguments[:64_000]), dict) else "{}"
    except (ValueError, RecursionError):
        return "{}"


def _minus(now: Cost, before: Cost) -> Cost:
    return Cost(now.tokens_in - before.tokens_in, now.tokens_out - before.tokens_out, now.nano - before.nano)
