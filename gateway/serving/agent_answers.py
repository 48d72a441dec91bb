"""A tenant's own agents answer: tokens as they come, questions, and calls that wait for a yes."""

import hashlib
import json
import re
import time
from collections.abc import Callable
from typing import Any

from pydantic import BaseModel

from core.context import Cancellation
from core.errors import Unavailable
from engine.agents.registry import HEADWATER
from gateway.serving.answers import Tools
from gateway.serving.asks import Ask, Note, Outcome, Piece, Report
from gateway.serving.roster import AGENT_SKILL

RUN_AGENT = "run_agent"
ANSWER = "answer"
MAX_CALLS_SHOWN = 50
PIECE_CHARS, PIECE_S = 400, 0.3
_SESSION = re.compile(r"[A-Za-z0-9_.:@-]{1,128}")


class AgentAnswers:
    """One turn of a conversation for each message; tasks of one context go on with the same one."""

    fields = frozenset({"approval_id", "decision"})
    max_text = 20_000

    def __init__(self, tools: Tools):
        self._tools = tools

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        if not self._tools.has(RUN_AGENT):
            raise Unavailable("Agents of one's own are not run here.")
        agent_id = ask.visit.agent_id
        if agent_id == HEADWATER:  # at its own address an agent leads to no other: a token may be for that alone
            agent_id = ask.skill.removeprefix(AGENT_SKILL)
        decision = ask.fields.get("decision")
        asked: dict[str, Any] = {"agent_id": agent_id, "message": ask.text or str(decision), "session_id": session(ask)}
        if decision is not None:
            approval_id = ask.fields.get("approval_id") or ask.earlier.get("approval_id", "")
            asked |= {"decision": decision, "approval_id": approval_id}
        turn = Turn(report)
        told = await self._tools.call(ask, RUN_AGENT, asked, cancelled, turn.take)
        return await turn.end(told.model_dump(mode="json"))


class Turn:
    """What a turn tells, as it comes."""

    def __init__(self, report: Report, *, clock: Callable[[], float] = time.monotonic):
        self._report = report
        self._clock = clock
        self._heard = ""
        self._told_at = clock()
        self._has_spoken = False

    async def take(self, part: BaseModel) -> None:
        """Tokens become pieces of the answer, calls of tools notes. Parts of the called tools are their own."""
        event, text = getattr(part, "event", ""), str(getattr(part, "text", ""))
        if event == "token":
            self._heard += text
            if len(self._heard) >= PIECE_CHARS or self._clock() - self._told_at >= PIECE_S:
                await self._pass_on()
        elif event == "tool_call":
            await self._pass_on()
            await self._report(Note(f"Calling {getattr(part, 'tool', '')}."))

    async def _pass_on(self) -> None:
        """What was heard, as one piece: a task is kept anew with each."""
        heard, self._heard, self._told_at = self._heard, "", self._clock()
        if heard:
            self._has_spoken = True
            await self._report(Piece(ANSWER, text=heard, is_last=False))

    async def end(self, told: dict[str, Any]) -> Outcome:
        await self._pass_on()
        calls = [_call(each) for each in told["tool_calls"][:MAX_CALLS_SHOWN]]
        if calls:
            await self._report(Piece("tool_calls", data={"tool_calls": calls}))
        about: dict[str, Any] = {"run_id": told["run_id"], "session_id": told["session_id"], "usage": told["usage"]}
        if told["status"] != "waiting":
            if not self._has_spoken:
                await self._report(Piece(ANSWER, text=told["response"]))
            return Outcome("completed", told["response"], about | {"answered_by": told["answered_by"]})
        approval = told.get("approval")
        kept = {"run_id": told["run_id"]}
        if approval is not None:
            kept["approval_id"] = approval["approval_id"]
            about["approval"] = {**approval, "arguments": _json(approval["arguments_json"])}
        return Outcome("waits", told["question"] or told["response"], about, kept)


def session(ask: Ask) -> str:
    """The conversation of a context, which is the caller's alone as every session is."""
    plain = _SESSION.fullmatch(ask.context_id)
    return ask.context_id if plain else f"a2a-{hashlib.sha256(ask.context_id.encode()).hexdigest()[:48]}"


def _call(item: dict[str, Any]) -> dict[str, Any]:
    return {
        "tool": item["tool"],
        "arguments": _json(item["arguments_json"]),
        "result": _json(item["result_json"]),
    }


def _json(text: str) -> Any:
    try:
        return json.loads(text)
    except ValueError:  # long results are cut
        return text
