"""Answers by calling tools as the caller: every step passes the gate, with its rights, limits and audit."""

from collections.abc import Mapping
from typing import Any

from pydantic import BaseModel

from core.context import Cancellation, discard
from core.dispatch import Call, Dispatcher
from core.errors import InvalidArgument, NotFound
from gateway.serving.asks import Ask, Note, Outcome, Piece, Report
from gateway.serving.roster import AGENT_SKILL, DEFAULT_SKILL, HEADWATER, WORKFLOWS

FACE = "a2a"
MAX_ROWS = 1_000
NEEDED = ("build_query_from_nl", "execute_query")
PLANNED = frozenset({"connection_id", "current_date"})
SKILLS = frozenset(each.skill_id for each in WORKFLOWS)


class ToolAnswers:
    """The workflows for `headwater`, and the tenant's own agents by their ids."""

    def __init__(self, dispatcher: Dispatcher[Any]):
        self._dispatcher = dispatcher

    def check(self, agent_id: str, skill: str, text: str, fields: Mapping[str, Any]) -> None:
        if agent_id == HEADWATER and skill and skill not in SKILLS and not skill.startswith(AGENT_SKILL):
            known = ", ".join(sorted(SKILLS))
            raise NotFound(f"No skill {skill[:64]!r}.", hint=f"The card lists them: {known}.")
        unknown = sorted(set(fields) - PLANNED)
        if unknown:
            hint = f"Known: {', '.join(sorted(PLANNED))}."
            raise InvalidArgument(f"No field {unknown[0][:64]!r} is taken as data.", hint=hint)

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        await report(Note("Making SQL for the question."))
        asked = {"natural_language": ask.text, **{name: ask.fields[name] for name in PLANNED & set(ask.fields)}}
        planned: Any = await self._call(ask, "build_query_from_nl", asked, cancelled)
        await report(Piece("sql", text=planned.sql, media_type="application/sql"))
        where = {"connection_id": ask.fields["connection_id"]} if "connection_id" in ask.fields else {}
        run = {"sql": planned.sql, "max_rows": MAX_ROWS, **where}
        found: Any = await self._call(ask, "execute_query", run, cancelled)
        shown = found.model_dump(mode="json")
        facts = shown["metadata"]
        data = {"columns": facts["columns"], "rows": shown["data"], "truncated": facts["truncated"]}
        await report(Piece("rows", data=data))
        about = {"skill": ask.skill or DEFAULT_SKILL, "confidence": planned.confidence, "query_id": facts["query_id"]}
        count = facts["row_count"]
        said = [f"{count} row{'' if count == 1 else 's'}.", *planned.assumptions, *planned.date_ranges]
        return Outcome("completed", " ".join(said), about)

    async def _call(self, ask: Ask, tool: str, arguments: Mapping[str, Any], cancelled: Cancellation) -> BaseModel:
        call = Call(
            tool=tool,
            arguments=arguments,
            form="json",
            face=FACE,
            request_id=ask.visit.request_id,
            principal=ask.visit.principal,
            emit=discard,
            cancelled=cancelled,
        )
        return await self._dispatcher.call(call)
