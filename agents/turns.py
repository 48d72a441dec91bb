"""One turn of a conversation: who answers, what is remembered of it, and what waits for the person."""

import asyncio
import time
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from typing import Any

from agents.bound import Bound, Called
from agents.choosing import choose_model
from agents.guard import Guard
from agents.loop import Ending, Loop, Message, NoMind
from agents.minds import Talk, first_messages, mind_of
from agents.models import Budget
from agents.parts import AgentPart, Event, Voice, harmless
from agents.persona import Persona, find_persona
from agents.planner import Question, plan
from agents.waiting import Decision, Held, answer_of, decide, hold, id_of_request, new_id, read_held, told
from core.context import discard
from core.errors import Cancelled, NotFound, PlatformError
from core.pages import Window
from engine.context import Ctx
from engine.conversations.conversations import Conversation, Pending, Turn
from engine.conversations.conversations import Message as Kept
from engine.models.model import Model
from engine.runs.run import Beginning, Cost, Outcome, Run
from engine.runs.runs import RunFilter

HISTORY = 40  # messages of a conversation that are read; those that do not fit the model are left out
RESULT_CHARS = 8_000
NOTHING_ASKED = Question("")
MARGIN_S = 1.5  # to tell how it ended, before the call's own time is over


@dataclass(frozen=True, slots=True)
class Wish:
    """What a person says to an agent, and how."""

    prompt: str
    agent_id: str = ""
    session_id: str = ""
    provider: str = ""
    model: str = ""
    api_base: str = ""
    connection_id: str = ""
    approval_id: str = ""
    decision: Decision | None = None
    history: Sequence[Mapping[str, str]] = ()  # earlier turns that the caller keeps itself
    is_kept: bool = True

    @property
    def kind(self) -> Any:
        return "agent" if self.agent_id else "chat"

    def request(self) -> dict[str, Any]:
        """What of it is kept with the run."""
        given = {name: getattr(self, name) for name in ("prompt", "session_id", "provider", "model", "approval_id")}
        return {name: value for name, value in given.items() if value}


@dataclass(frozen=True, slots=True)
class Told:
    """How a turn ended."""

    run: Run
    session_id: str
    text: str
    called: Sequence[Called]
    answered_by: str
    question: str = ""
    approval_id: str = ""
    approval: Called | None = None


@dataclass
class Work:
    """A turn on its way."""

    ctx: Ctx
    wish: Wish
    persona: Persona
    guard: Guard
    talk: Conversation
    run: Run
    model: Model | None = None
    note: str = ""
    held: Held | None = None
    left: Mapping[str, str] | None = None  # a question of the planner's that is answered now
    asked: Question = NOTHING_ASKED
    talk_with: Talk | None = None
    loop: Loop | None = None
    voice: Voice = field(init=False)

    def __post_init__(self) -> None:
        self.voice = Voice(self.ctx.emit)

    async def tell(self, event: Event, **more: str) -> None:
        await self.ctx.emit(AgentPart(event=event, run_id=self.run.run_id, session_id=self.talk.session_id, **more))

    async def follow(self, event: str, called: Called) -> None:
        self.voice.has_read = self.guard.has_read
        more = {"tool": called.tool, "arguments_json": called.arguments_json, "result_json": called.result_json}
        await self.tell("tool_call" if event == "tool_call" else "tool_result", **more)
        if event == "tool_result" and self.loop is not None:  # what has been spent is known also after a kill
            so_far = Outcome("running", steps=tuple(self.loop.steps), cost=self.loop.cost)
            await self.ctx.engine.runs.note(self.run, so_far)


async def take_turn(ctx: Ctx, wish: Wish) -> Told:
    """Answer a person. Raises what keeps an agent from answering at all; the run then says so too."""
    persona = await find_persona(ctx, wish.agent_id)
    talk = await _conversation(ctx, wish)
    guard = Guard(person=ctx.call.person, has_read=talk.has_read or _quotes(wish.history))
    state = await _taken(ctx, wish, talk, guard)
    run_id = f"run_{uuid.uuid4().hex}"
    beginning = Beginning(wish.kind, run_id, wish.request(), persona.name, wish.agent_id, talk.session_id)
    run = (await ctx.engine.runs.start(ctx.principal, beginning)).run
    work = Work(ctx, wish, persona, guard, talk, run)
    if state is not None and "planner" in state:
        work.left = state["planner"]
    elif state is not None:
        work.held = read_held(state)
        decide(guard, work.held, None if guard.person is not None else wish.decision or answer_of(wish.prompt))
    try:
        async with ctx.engine.runs.holding(run, ctx.cancelled):
            return await _take(work)
    except (PlatformError, asyncio.CancelledError) as error:
        await asyncio.shield(_fail(work, error))
        raise


async def _take(work: Work) -> Told:
    await work.tell("started")
    wish, held = work.wish, work.held
    if held is not None:
        work.model, work.note = await choose_model(work.ctx, provider="", model=held.model, api_base="", usual="")
    else:
        usual = work.persona.model
        work.model, work.note = await choose_model(
            work.ctx, provider=wish.provider, model=wish.model, api_base=wish.api_base, usual=usual
        )
    loop = work.loop = await _loop(work)
    if work.model is None:
        ending, work.asked = await plan(loop, _question(work))
        ending = replace(ending, text=f"{ending.text} {work.note}".strip())
    else:
        ending = await loop.run(held.rest if held is not None else ())
    return await _end(work, loop, ending)


def _question(work: Work) -> Question:
    """What the planner is asked: something new, or the answer to what it has asked."""
    left = work.left
    if left is None:
        return Question(work.wish.prompt, work.wish.connection_id)
    return Question(left["text"], left["connection_id"], left["task_id"], work.wish.prompt)


async def _loop(work: Work) -> Loop:
    ctx, model = work.ctx, work.model
    room = RESULT_CHARS if model is None else min(RESULT_CHARS, model.context_tokens * 4 // 6)
    bound = Bound(ctx, work.persona, work.guard, result_chars=room, connection_id=work.wish.connection_id)
    left_s = work.persona.bounds.seconds if ctx.deadline is None else ctx.deadline - time.monotonic() - MARGIN_S
    bounds = replace(work.persona.bounds, seconds=max(0.1, min(work.persona.bounds.seconds, left_s)))
    if model is None:
        return Loop(NoMind(), bound, bounds, work.follow, ctx.cancelled, [])
    budget = Budget(max_calls=bounds.steps + 1, max_tokens=bounds.tokens, max_nano=bounds.nano)
    hear = None if ctx.emit is discard or model.strength != "strong" else work.voice
    question: Message = {"role": "user", "content": _asked(work.wish)}
    talk = work.talk_with = Talk(ctx, model, budget, hear, question)
    messages = work.held.messages if work.held is not None else await _messages(work, talk, bound, question)
    if work.held is not None:
        talk.question = next((item for item in messages if item.get("role") == "user"), question)
    return Loop(mind_of(talk, bound), bound, bounds, work.follow, ctx.cancelled, messages)


def _asked(wish: Wish) -> str:
    """The question as a model gets it, with the connection that it is about where the person names one."""
    return f"Connection: {wish.connection_id}\n{wish.prompt}" if wish.connection_id else wish.prompt


async def _messages(work: Work, talk: Talk, bound: Bound, question: Message) -> list[Message]:
    first = first_messages(talk, bound, work.persona)
    kept = await work.ctx.engine.conversations.latest(work.talk, HISTORY)
    earlier = [{"role": item.role, "content": item.text} for item in kept]
    for item in work.wish.history:
        if item["role"] == "system":  # of the person's own application
            first[0]["content"] += f"\n\n{item['content']}"
        else:
            earlier.append({"role": item["role"], "content": item["content"]})
    return [*first, *earlier, question]


async def _end(work: Work, loop: Loop, ending: Ending) -> Told:
    """Write down how the turn ended, and tell it."""
    asked = ending.waits if ending.kind == "waits" else None
    text = told(asked) if asked is not None else ending.text
    text = harmless(text) if work.guard.has_read else text
    pending = None
    if work.model is None and ending.kind == "question":
        pending = Pending(new_id(), {"planner": asdict(work.asked)})
    if asked is not None and asked.waits is not None and work.model is not None:
        pending = hold(loop, asked.waits.about, ending.rest, model=work.model.name, pending_id=new_id())
    is_waiting = pending is not None or ending.kind == "question"
    await work.voice.end()
    if not (work.voice.has_spoken and ending.kind == "answer"):
        await work.tell("token", text=text)
    if work.wish.is_kept or pending is not None:
        await _keep(work, loop, text, pending)
    answered_by = "planner" if work.talk_with is None else work.talk_with.answered_by or work.talk_with.model.name
    answer = {"text": text, "tool_calls": [recorded(item) for item in loop.called], "answered_by": answered_by}
    outcome = Outcome("waiting" if is_waiting else "completed", answer, steps=tuple(loop.steps), cost=loop.cost)
    run = await work.ctx.engine.runs.finish(work.run, outcome)
    done = Told(
        run=run,
        session_id=work.talk.session_id,
        text=text,
        called=loop.called,
        answered_by=answered_by,
        question=text if ending.kind == "question" else "",
        approval_id=pending.pending_id if pending is not None and asked is not None else "",
        approval=asked if pending is not None else None,
    )
    await _tell_end(work, done)
    return done


async def _tell_end(work: Work, done: Told) -> None:
    if done.question:
        await work.tell("question", text=done.question)
    if done.approval is not None and done.approval.waits is not None:
        more = {"tool": done.approval.tool, "arguments_json": done.approval.arguments_json}
        await work.tell("approval", text=done.text, approval_id=done.approval_id, **more)
    await work.tell("done")


async def _keep(work: Work, loop: Loop, text: str, pending: Any) -> None:
    calls = [recorded(item) for item in loop.called]
    messages = [Kept("user", work.wish.prompt, run_id=work.run.run_id), Kept("assistant", text, calls, work.run.run_id)]
    turn = Turn(messages, has_read=work.guard.has_read, pending=pending, title=work.wish.prompt)
    await work.ctx.engine.conversations.add(work.talk, turn)


async def _fail(work: Work, error: BaseException) -> None:
    """Write down that a run ended without an answer, and what it has cost."""
    loop = work.loop
    steps, cost = (tuple(loop.steps), loop.cost) if loop is not None else ((), Cost())
    is_cancelled = isinstance(error, (Cancelled, asyncio.CancelledError))
    if loop is not None and getattr(error, "question", None) is not None:
        await _park(work, loop)  # the person's client asks, and calls again with the answer
    body = (
        error.body("")
        if isinstance(error, PlatformError)
        else Cancelled("The caller went away, or the server was stopped.", hint="Ask again.").body("")
    )
    kept = {name: value for name, value in body.items() if name != "request_id"}
    outcome = Outcome("cancelled" if is_cancelled else "failed", error=kept, steps=steps, cost=cost)
    try:
        await work.ctx.engine.runs.finish(work.run, outcome)
    except Cancelled:  # its owner has ended it already
        return


async def _park(work: Work, loop: Loop) -> None:
    rest = loop.waiting
    model = work.model.name if work.model is not None else ""
    pending = hold(loop, "", rest, model=model, pending_id=_request_id(work.wish))
    turn = Turn([], has_read=work.guard.has_read, pending=pending, title=work.wish.prompt)
    await work.ctx.engine.conversations.add(work.talk, turn)


async def _conversation(ctx: Ctx, wish: Wish) -> Conversation:
    """The conversation that is gone on with, or a new one. Raises NotFound for an approval that nobody waits for."""
    conversations, by = ctx.engine.conversations, ctx.principal
    if ctx.call.person is not None and not wish.session_id:
        found = await conversations.find_pending(by, wish.agent_id, _request_id(wish))
        if found is not None:
            return found
    if wish.approval_id:
        found = await conversations.find_pending(by, wish.agent_id, wish.approval_id)
        if found is None or (wish.session_id and found.session_id != wish.session_id):
            raise NotFound("Nothing waits for this approval.", hint="It may have been answered; ask again.")
        return found
    return await conversations.open(by, wish.agent_id, wish.session_id or f"ses_{uuid.uuid4().hex}")


async def _taken(ctx: Ctx, wish: Wish, talk: Conversation, guard: Guard) -> Mapping[str, Any] | None:
    """What waits in the conversation and is answered now. Anything else that is said leaves it undone."""
    if talk.uid:
        await _complete_waiting(ctx, wish, talk)
    if not talk.pending_id:
        return None
    if wish.approval_id and wish.approval_id != talk.pending_id:
        raise NotFound("Nothing waits for this approval.", hint="It may have been answered; ask again.")
    state = await ctx.engine.conversations.take_pending(talk, talk.pending_id)
    if state is None or "planner" in state:
        return state
    if guard.person is not None:  # the person's client asks; what is typed here may come from a model
        return state if talk.pending_id == _request_id(wish) else None
    return state if wish.decision or answer_of(wish.prompt) else None


async def _complete_waiting(ctx: Ctx, wish: Wish, talk: Conversation) -> None:
    """Runs that have waited for what is said now are over."""
    runs = ctx.engine.runs
    wanted = RunFilter(kind=wish.kind, agent_id=wish.agent_id, session_id=talk.session_id, status="waiting")
    found, _ = await runs.page(ctx.principal, Window(0, 10), wanted)
    for run in found:
        await runs.finish(run, Outcome("completed", run.answer, steps=run.steps))


def _request_id(wish: Wish) -> str:
    return id_of_request({"agent": wish.agent_id, **wish.request()})


def _quotes(history: Sequence[Mapping[str, str]]) -> bool:
    """Whether earlier turns, as the caller has kept them, may hold text from data."""
    return any(item["role"] not in ("user", "system") for item in history)


def recorded(called: Called) -> dict[str, Any]:
    """A call as it is kept and answered."""
    return {"tool": called.tool, "arguments_json": called.arguments_json, "result_json": called.result_json}
