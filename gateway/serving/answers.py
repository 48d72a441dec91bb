"""Answers by calling tools as the caller: every step passes the gate, with its rights, limits and audit."""

import json
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import replace
from typing import Any, Protocol

from pydantic import BaseModel

from core.context import Cancellation, discard
from core.dispatch import Call, Dispatcher
from core.errors import InvalidArgument, NotFound
from engine.agents.registry import HEADWATER
from engine.approvals.gate import NeedsApproval
from gateway.serving.asks import Ask, Note, Outcome, Piece, Report
from gateway.serving.roster import AGENT_SKILL, DEFAULT_SKILL, TALK, WORKFLOWS

FACE = "a2a"
MAX_ROWS, MAX_ROW_CHARS = 1_000, 3_000_000
AGAIN, TRIES = "again", "tries"
NEEDED = ("build_query_from_nl", "execute_query")
SKILLS = frozenset(each.skill_id for each in WORKFLOWS)
Emit = Callable[[BaseModel], Awaitable[None]]


class Tools:
    """Calls tools for a message: as who sent it, ended with it."""

    def __init__(self, dispatcher: Dispatcher[Any]):
        self._dispatcher = dispatcher

    def has(self, name: str) -> bool:
        return name in self._dispatcher.registry

    async def call(
        self, ask: Ask, tool: str, arguments: Mapping[str, Any], cancelled: Cancellation, emit: Emit = discard
    ) -> Any:
        """A tool's result. Raises PlatformError."""
        call = Call(
            tool=tool,
            arguments=arguments,
            form="json",
            face=FACE,
            request_id=ask.visit.request_id,
            principal=ask.visit.principal,
            emit=emit,
            cancelled=cancelled,
        )
        return await self._dispatcher.call(call)


class Kind(Protocol):
    """One way to answer, the fields that its messages may have as data, and how long their text may be."""

    fields: frozenset[str]
    max_text: int

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome: ...


class ToolAnswers:
    """The workflows for `headwater`, and the tenant's own agents by their ids."""

    def __init__(self, workflows: Kind, agents: Kind):
        self._workflows = workflows
        self._agents = agents

    def check(self, agent_id: str, skill: str, text: str, fields: Mapping[str, Any]) -> None:
        is_agent = agent_id != HEADWATER or skill.startswith(AGENT_SKILL)
        known = SKILLS if agent_id == HEADWATER else {TALK, AGENT_SKILL + agent_id}
        if skill and skill not in known and not (agent_id == HEADWATER and is_agent):
            raise NotFound(f"No skill {skill[:64]!r}.", hint=f"The card lists them: {', '.join(sorted(known))}.")
        kind = self._agents if is_agent else self._workflows
        allowed = kind.fields
        if len(text) > kind.max_text or not (text or is_agent):
            raise InvalidArgument(f"The question has no text, or more than {kind.max_text:,} characters.")
        unknown = sorted(set(fields) - allowed)
        if unknown:
            hint = f"Known: {', '.join(sorted(allowed))}."
            raise InvalidArgument(f"No field {unknown[0][:64]!r} is taken as data.", hint=hint)

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        is_agent = ask.visit.agent_id != HEADWATER or ask.skill.startswith(AGENT_SKILL)
        ask = _again(ask)
        try:
            return await (self._agents if is_agent else self._workflows).answer(ask, report, cancelled)
        except NeedsApproval as error:
            kept = json.dumps({"text": ask.text, "fields": dict(ask.fields)})
            about = {"error": error.body(ask.visit.request_id)}
            said = f"{error.message} Send a message when somebody else has decided: it is then asked again."
            return Outcome("waits", said, about, {AGAIN: kept, TRIES: str(tries_of(ask) + 1)})


def _again(ask: Ask) -> Ask:
    """What waited for somebody's decision is asked once more, whatever the message says that wakes it."""
    if AGAIN not in ask.earlier:
        return ask
    return replace(ask, **json.loads(ask.earlier[AGAIN]))


def tries_of(ask: Ask) -> int:
    """How often this has been asked before."""
    return int(ask.earlier.get(TRIES, "0"))


class PlannedAnswers:
    """Without workflows: the planner makes the SQL, and it runs."""

    fields = frozenset({"connection_id", "current_date"})
    max_text = 4_000

    def __init__(self, tools: Tools):
        self._tools = tools

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        await report(Note("Making SQL for the question."))
        asked = {"natural_language": ask.text, **{name: ask.fields[name] for name in self.fields & set(ask.fields)}}
        planned = await self._tools.call(ask, "build_query_from_nl", asked, cancelled)
        await report(Piece("sql", text=planned.sql, media_type="application/sql"))
        where = {"connection_id": ask.fields["connection_id"]} if "connection_id" in ask.fields else {}
        run = {"sql": planned.sql, "max_rows": MAX_ROWS, **where}
        shown = (await self._tools.call(ask, "execute_query", run, cancelled)).model_dump(mode="json")
        facts = shown["metadata"]
        about_rows = {name: facts[name] for name in ("columns", "row_count", "truncated")}
        await report(Piece("rows", data=fitting(about_rows | {"rows": shown["data"]})))
        about = {"skill": ask.skill or DEFAULT_SKILL, "confidence": planned.confidence, "query_id": facts["query_id"]}
        count = facts["row_count"]
        said = [f"{count} row{'' if count == 1 else 's'}.", *planned.assumptions, *planned.date_ranges]
        return Outcome("completed", " ".join(said), about)


def fitting(data: dict[str, Any]) -> dict[str, Any]:
    """Rows cut to what a task may hold; `truncated` says so."""
    rows = data["rows"]
    while rows and len(json.dumps(rows)) > MAX_ROW_CHARS:
        rows, data = rows[: len(rows) // 2], {**data, "truncated": True}
    return {**data, "rows": rows}
