"""Asking a language model: the caller's own model, within budget, time and size, with retries and fallbacks."""

import asyncio
import json
import random
import time
from collections.abc import Awaitable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, TypeVar

from agents.litellm_client import (
    Hear,
    ModelFailed,
    ModelUnavailable,
    Said,
    ToolCall,
    Wanted,
    call_model,
    list_price,
    load_litellm,
)
from core.errors import Cancelled, QuotaExceeded, Timeout
from engine.context import Ctx
from engine.models.model import Model
from engine.runs.run import Cost

__all__ = [
    "Ask",
    "BadReply",
    "Budget",
    "ModelFailed",
    "ModelUnavailable",
    "Reply",
    "ToolCall",
    "complete",
    "find_model",
]

RETRIES = 2
PAUSE_S = 0.25
MAX_PAUSE_S = 5.0
CHARS_PER_TOKEN = 4
MESSAGE_TOKENS = 8  # what a message takes beside its text
T = TypeVar("T")


class BadReply(ModelFailed):
    """A model answered what was not asked for: no JSON, or another shape."""


@dataclass(slots=True)
class Budget:
    """What one run may use of models. Shared by all its calls."""

    max_calls: int = 24
    max_tokens: int = 200_000
    max_nano: int | None = None
    calls: int = 0
    cost: Cost = field(default_factory=Cost)

    def check(self, tokens: int, nano: int) -> None:
        """Raises QuotaExceeded when a further call would pass it."""
        why = ""
        if self.calls >= self.max_calls:
            why = f"This run may ask models {self.max_calls} times."
        elif self.cost.tokens + tokens > self.max_tokens:
            used = f"has used {self.cost.tokens:,}, and would now use up to {tokens:,}"
            why = f"This run may use {self.max_tokens:,} tokens of models, {used}."
        elif self.max_nano is not None and self.cost.nano + nano > self.max_nano:
            used = f"has spent {self.cost.nano / 1e9:.6g}, and would now spend up to {nano / 1e9:.6g}"
            why = f"This run may spend {self.max_nano / 1e9:.6g} USD on models, {used}."
        if why:
            raise QuotaExceeded(why, hint="Ask for less at a time, or give the agent a larger budget.")


@dataclass(frozen=True, slots=True)
class Ask:
    """What is asked of a model. Messages and tools are in OpenAI's shape; a schema makes the answer JSON."""

    messages: Sequence[Mapping[str, Any]]
    model: str = ""  # a name of the tenant's; empty: its default
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    max_tokens: int | None = None
    temperature: float = 0.0
    timeout_s: float | None = None
    hear: Hear | None = None  # is given the text as it comes
    budget: Budget = field(default_factory=Budget)
    project_id: str = ""


@dataclass(frozen=True, slots=True)
class Reply:
    """What a model answered, and what that used. `data` is the JSON that a schema asked for."""

    text: str
    data: Any
    tool_calls: tuple[ToolCall, ...]
    model: str
    finish_reason: str
    cost: Cost


async def find_model(ctx: Ctx, name: str = "") -> Model | None:
    """The model of that name, or the caller's default, or None. Raises NotFound."""
    return await ctx.engine.models.resolve(ctx.principal, name)


async def complete(ctx: Ctx, ask: Ask) -> Reply:
    """Ask a model, and those that stand in for it.

    Raises ModelUnavailable when there is none or none answers, BadReply, QuotaExceeded, Timeout, Cancelled."""
    model = await find_model(ctx, ask.model)
    if model is None:
        raise ModelUnavailable("No model is set.", hint="An administrator adds one with create_model.")
    await _unless_cancelled(ctx, load_litellm())
    others = await ctx.engine.models.fallbacks(ctx.principal, model)
    failure: ModelFailed | None = None
    for candidate in (model, *others):
        try:
            return await _persist(ctx, ask, candidate)
        except ModelFailed as failed:
            failure = failed
            if isinstance(failed, _Begun):
                break
    assert failure is not None
    raise failure


class _Begun(ModelFailed):
    """A stream broke off after its first words: nobody else can go on with it."""


async def _persist(ctx: Ctx, ask: Ask, model: Model) -> Reply:
    for attempt in range(RETRIES + 1):
        try:
            return await _once(ctx, ask, model)
        except ModelFailed as failed:
            if attempt == RETRIES or not failed.may_retry or isinstance(failed, _Begun):
                raise
            pause_s = max(failed.retry_after_s or 0.0, PAUSE_S * 2**attempt * (0.5 + random.random()))  # noqa: S311
            if pause_s > MAX_PAUSE_S or (ctx.deadline is not None and time.monotonic() + pause_s > ctx.deadline):
                raise
            await _unless_cancelled(ctx, asyncio.sleep(pause_s))
    raise AssertionError("unreachable: the last attempt returns or raises")


async def _once(ctx: Ctx, ask: Ask, model: Model) -> Reply:
    prompt_chars = _size(ask)
    likely_in = prompt_chars // CHARS_PER_TOKEN + MESSAGE_TOKENS * len(ask.messages)
    room = model.context_tokens - likely_in
    most_out = max(1, min(ask.max_tokens or model.max_output_tokens, model.max_output_tokens, max(64, room)))
    likely_nano = list_price(model, likely_in, most_out)
    ask.budget.check(likely_in + most_out, likely_nano)
    ask.budget.calls += 1
    charging = ctx.engine.usage.models.call(
        ctx.principal, likely_tokens=likely_in + most_out, likely_nano=likely_nano, project_id=ask.project_id
    )
    async with charging as charge:
        heard = _Heard(ask.hear)
        cost = Cost(tokens_in=likely_in)  # what a call has used that says nothing more
        try:
            wanted = Wanted(
                ask.messages, most_out, ask.temperature, ask.schema, ask.tools, heard if ask.hear is not None else None
            )
            said = await _in_time(ctx, ask, model, wanted)
            cost = _cost(model, said, prompt_chars, most_out)
        except ModelFailed as failed:
            cost = Cost(likely_in, heard.chars // CHARS_PER_TOKEN) if heard.chars else Cost()
            raise (_Begun(failed.message, hint=failed.hint) if heard.chars else failed) from None
        finally:
            ask.budget.cost += cost
            charge.add(tokens=cost.tokens_in + cost.tokens_out, nano=cost.nano)
    data = None if ask.schema is None or said.tool_calls else _read_json(said.text)
    return Reply(said.text, data, said.tool_calls, model.name, said.finish_reason, cost)


class _Heard:
    """Passes text on, and counts it."""

    def __init__(self, hear: Hear | None):
        self._hear = hear
        self.chars = 0

    async def __call__(self, text: str) -> None:
        self.chars += len(text)
        if self._hear is not None:
            await self._hear(text)


async def _in_time(ctx: Ctx, ask: Ask, model: Model, wanted: Wanted) -> Said:
    limit_s = min(model.timeout_s, ask.timeout_s or model.timeout_s)
    if ctx.deadline is not None:
        limit_s = min(limit_s, ctx.deadline - time.monotonic())
    if limit_s <= 0:
        raise Timeout("No time is left to ask a model.")
    try:
        async with asyncio.timeout(limit_s):
            return await _unless_cancelled(ctx, call_model(model, wanted, ctx.engine.models.way_to(model)))
    except TimeoutError:
        raise ModelFailed(
            f"The model did not answer within {limit_s:.3g} s.", hint="Retry, or raise timeout_s."
        ) from None


async def _unless_cancelled(ctx: Ctx, work: Awaitable[T]) -> T:
    """What `work` gives; ended at once when the call is cancelled."""
    working = asyncio.ensure_future(work)
    stopping = asyncio.ensure_future(ctx.cancelled.wait())
    try:
        await asyncio.wait({working, stopping}, return_when=asyncio.FIRST_COMPLETED)
        if not working.done():
            raise Cancelled("The call was cancelled.")
        return working.result()
    finally:
        for task in (working, stopping):
            task.cancel()
        await asyncio.gather(working, stopping, return_exceptions=True)


def _size(ask: Ask) -> int:
    """Characters of a prompt, with its tools and schema."""
    text = sum(len(json.dumps(dict(message), default=str)) for message in ask.messages)
    return text + sum(len(json.dumps(dict(tool))) for tool in ask.tools) + len(json.dumps(ask.schema or {}))


def _cost(model: Model, said: Said, prompt_chars: int, most_out: int) -> Cost:
    """What a server says that it used, kept within what can be: a liar neither breaks a budget nor rides for free."""
    written = len(said.text) + sum(len(call.name) + len(call.arguments) for call in said.tool_calls)
    tokens_in = _within(said.tokens_in, prompt_chars // (4 * CHARS_PER_TOKEN), 2 * prompt_chars + 4096)
    tokens_out = _within(said.tokens_out, written // (4 * CHARS_PER_TOKEN), max(most_out, written))
    return Cost(tokens_in, tokens_out, list_price(model, tokens_in, tokens_out))


def _within(value: int, low: int, high: int) -> int:
    return max(low, min(value, high))


def _read_json(text: str) -> Any:
    """The JSON of an answer; small models like to fence it."""
    bare = text.strip()
    if bare.startswith("```"):
        bare = bare.strip("`").removeprefix("json").strip()
    try:
        return json.loads(bare)
    except (ValueError, RecursionError):
        raise BadReply("The model did not answer with JSON.", hint="Retry, or use a stronger model.") from None
