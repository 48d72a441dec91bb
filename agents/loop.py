"""The tool loop: a model says what to call, is told what came of it, until it answers, asks, or a bound is reached.

Nothing that a model says can break it: unknown tools, calls that are no JSON, the same call over and over,
and silence all end in a text."""

import asyncio
import json
import time
from collections import Counter
from collections.abc import Awaitable, Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any, Literal, Protocol, TypeVar

from agents.bound import Bound, Called, Wanted
from agents.persona import Bounds
from core.context import Cancellation
from core.errors import Cancelled, QuotaExceeded, Unavailable
from engine.runs.run import Cost, Step

ASK = "ask_person"
MAX_CALLS_AT_ONCE, PARALLEL = 16, 4
MAX_ALIKE = 2
MAX_STRIKES = 3
MAX_ANSWER_CHARS = 60_000
NOTHING = Cost()
T = TypeVar("T")
Message = dict[str, Any]


@dataclass(frozen=True, slots=True)
class Said:
    """What a model said once: a text, or calls that it wants. `is_unread`: neither could be made out."""

    text: str = ""
    wanted: tuple[Wanted, ...] = ()
    cost: Cost = NOTHING
    question: str = ""
    is_unread: bool = False
    message: Message = field(default_factory=dict)  # as it stands in the history from here on


class Mind(Protocol):
    """A model, in whichever protocol it can follow."""

    async def think(self, messages: Sequence[Message]) -> Said: ...

    def told(self, wanted: Wanted, called: Called) -> Message:
        """A result as the model is told of it."""
        ...

    def nudged(self) -> Message:
        """What a model is told that said nothing that can be used."""
        ...


class NoMind:
    """Stands where there is no model: the steps are made from outside, by `Loop.step`."""

    async def think(self, messages: Sequence[Message]) -> Said:
        raise Unavailable("No model is set.")

    def told(self, wanted: Wanted, called: Called) -> Message:
        return {}

    def nudged(self) -> Message:
        return {}


@dataclass(frozen=True, slots=True)
class Ending:
    """How a loop ended. `rest` are the calls that wait behind the one that asks."""

    kind: Literal["answer", "question", "waits", "stopped"]
    text: str
    waits: Called | None = None
    rest: tuple[Wanted, ...] = ()


Follow = Callable[[str, Called], Awaitable[None]]
"""Told of each call before (`tool_call`) and after it (`tool_result`)."""


@dataclass
class Loop:
    """One run's loop, with what it has done so far."""

    mind: Mind
    bound: Bound
    bounds: Bounds
    follow: Follow
    cancelled: Cancellation
    messages: list[Message]
    called: list[Called] = field(default_factory=list)
    steps: list[Step] = field(default_factory=list)
    cost: Cost = NOTHING
    waiting: tuple[Wanted, ...] = ()  # the calls that are being made, and those behind them
    _strikes: int = 0
    _seen: Counter[tuple[str, str]] = field(default_factory=Counter)

    async def run(self, waiting: Sequence[Wanted] = ()) -> Ending:
        """Go on until there is something to tell the person; first with calls that have waited for it."""
        try:
            async with asyncio.timeout(self.bounds.seconds):
                return await self._run(waiting)
        except TimeoutError:
            return self._stopped(f"the time of {self.bounds.seconds:g} s is over")

    async def _run(self, waiting: Sequence[Wanted]) -> Ending:
        ending = await self._act(waiting) if waiting else None
        while ending is None:
            over = self._over()
            if over:
                return self._stopped(over)
            try:
                said = await self._think()
            except QuotaExceeded as error:
                if not self.called:
                    raise
                return self._stopped(error.message.rstrip("."))
            ending = self._ended(said) or await self._act(said.wanted)
        return ending

    async def _think(self) -> Said:
        started = time.perf_counter()
        said = await unless(self.cancelled, self.mind.think(self.messages))
        self.cost += said.cost
        took_ms = int((time.perf_counter() - started) * 1000)
        status = "unread" if said.is_unread else "completed"
        self.steps.append(Step("model", status, took_ms, said.cost.tokens_in + said.cost.tokens_out))
        if said.message:
            self.messages.append(said.message)
        return said

    def _ended(self, said: Said) -> Ending | None:
        if said.question:
            return Ending("question", said.question[:MAX_ANSWER_CHARS])
        if said.wanted:
            return None
        if said.text.strip() and not said.is_unread:
            return Ending("answer", said.text.strip()[:MAX_ANSWER_CHARS])
        self._strikes += 1
        self.messages.append(self.mind.nudged())
        return None

    async def _act(self, wanted: Sequence[Wanted]) -> Ending | None:
        """Make the calls in their order, those that only read side by side. An ending where one must wait."""
        left = list(wanted[:MAX_CALLS_AT_ONCE])
        while left:
            count = next((at for at, item in enumerate(left) if not self.bound.reads(item)), len(left))
            batch = left[: max(1, min(count, PARALLEL))]
            self.waiting, left = tuple(left), left[len(batch) :]
            for item, called in zip(batch, await self._together(batch), strict=True):
                if called.waits is not None:
                    return Ending("waits", called.text, called, (item, *left))
                self.messages.append(self.mind.told(item, called))
        return None

    async def _together(self, batch: Sequence[Wanted]) -> list[Called]:
        return list(await asyncio.gather(*map(self._one, batch)))

    async def step(self, wanted: Wanted) -> Called:
        """One call that is made in any case, as a step of the run."""
        if self.cancelled:
            raise Cancelled("The run was cancelled.")
        return await self._made(wanted, wanted.read())

    async def _one(self, wanted: Wanted) -> Called:
        inner = wanted.read()
        seen = (inner.name, _in_order(inner.arguments))
        self._seen[seen] += 1
        if self._seen[seen] > MAX_ALIKE:
            self._strikes += 1
            text = json.dumps({"error": {"code": "CONFLICT", "message": "You made this very call before. Answer now."}})
            return Called(inner.name[:64], inner.arguments[:2000], text, text, "CONFLICT")
        return await self._made(wanted, inner)

    async def _made(self, wanted: Wanted, inner: Wanted) -> Called:
        await self.follow("tool_call", Called(inner.name[:64], inner.arguments[:2000], "", ""))
        started = time.perf_counter()
        called = await unless(self.cancelled, self.bound.call(wanted))
        took_ms = int((time.perf_counter() - started) * 1000)
        self.steps.append(Step(called.tool, "waiting" if called.waits else called.code.lower(), took_ms))
        if called.waits is None:
            self.called.append(called)
            await self.follow("tool_result", called)
        return called

    def _over(self) -> str:
        """Which bound is reached; empty while there is room."""
        if self.cancelled:
            raise Cancelled("The run was cancelled.")
        thoughts = sum(1 for step in self.steps if step.node == "model")
        if thoughts >= self.bounds.steps:
            return f"the limit of {self.bounds.steps} steps is reached"
        if self.cost.tokens_in + self.cost.tokens_out >= self.bounds.tokens:
            return f"the limit of {self.bounds.tokens:,} tokens is reached"
        if self.cost.nano and self.cost.nano >= self.bounds.nano:
            return f"the budget of {self.bounds.nano / 1e9:g} USD is used up"
        return "the model goes round in circles" if self._strikes >= MAX_STRIKES else ""

    def _stopped(self, why: str) -> Ending:
        done = ", ".join(dict.fromkeys(item.tool for item in self.called if not item.is_error))
        return Ending(
            "stopped", f"I stopped before I had an answer: {why}." + (f" Called so far: {done}." if done else "")
        )


async def unless(cancelled: Cancellation, work: Awaitable[T]) -> T:
    """Await something, and give it up as soon as the run is cancelled. Raises Cancelled."""
    task, flag = asyncio.ensure_future(work), asyncio.ensure_future(cancelled.wait())
    try:
        await asyncio.wait({task, flag}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return await task
        raise Cancelled("The run was cancelled.")
    finally:
        for item in (task, flag):
            item.cancel()
        await asyncio.gather(task, flag, return_exceptions=True)


def _in_order(arguments: str) -> str:
    """The arguments so that equal ones are equal texts."""
    try:
        parsed: Mapping[str, Any] = json.loads(arguments)
        return json.dumps(parsed, sort_keys=True)
    except (ValueError, RecursionError):
        return arguments
