"""The workflows answer: SQL as soon as it is known, rows, a question back, or an honest refusal."""

import json
from typing import Any

from pydantic import BaseModel

from core.context import Cancellation
from core.errors import Cancelled
from gateway.serving.answers import Tools, fitting, tries_of
from gateway.serving.asks import Ask, Note, Outcome, Piece, Report
from gateway.serving.roster import DEFAULT_SKILL

RUN_WORKFLOW = "run_workflow"
_PLACES = ("namespace", "datasource", "catalog_name", "database_name", "schema_name")
_MEANING = ("current_date", "domain", "layer1", "layer2", "subject_path", "ext_knowledge", "model")
_FACTS = ("path", "why", "confidence", "assumptions", "date_ranges", "query_id", "chart", "exec_time_ms", "usd")


class WorkflowAnswers:
    """One run for each task. A question back is answered to the same run."""

    fields = frozenset((*_PLACES, *_MEANING, "connection_id"))
    max_text = 4_000

    def __init__(self, tools: Tools):
        self._tools = tools

    async def answer(self, ask: Ask, report: Report, cancelled: Cancellation) -> Outcome:
        asked, following = _request(ask), Following(report)
        told = await self._tools.call(ask, RUN_WORKFLOW, asked, cancelled, following.take)
        return await following.end(told.model_dump(mode="json"), asked)


class Following:
    """What a run tells, as it comes."""

    def __init__(self, report: Report):
        self._report = report
        self._sql = ""

    async def take(self, part: BaseModel) -> None:
        """Steps become notes, SQL an artifact. Parts of the called tools are their own."""
        event, data = getattr(part, "event", ""), getattr(part, "data", None)
        if not isinstance(data, dict):
            return
        if event == "progress" and data.get("message"):
            await self._report(Note(str(data["message"])))
        elif event == "node_detail" and data.get("description"):
            await self._report(Note(str(data["description"])))
        elif event == "sql_generated":
            await self._show_sql(str(data.get("sql", "")))

    async def _show_sql(self, sql: str) -> None:
        if sql and sql != self._sql:
            self._sql = sql
            await self._report(Piece("sql", text=sql, media_type="application/sql", replaces=True))

    async def end(self, told: dict[str, Any], asked: dict[str, Any]) -> Outcome:
        about = {"workflow": told["workflow"], "run_id": told["task_id"], **{name: told[name] for name in _FACTS}}
        if told["status"] == "cancelled":
            raise Cancelled("The run was cancelled.")
        if told["status"] == "waiting":
            return Outcome("waits", told["question"], about, {"asked": json.dumps(asked)})
        if told["status"] != "completed":
            refusal = told["refusal"] or {}
            why = f"{told['error'] or told['why']} {refusal.get('hint', '')}".strip()
            return Outcome("failed", why, about | {"refusal": refusal})
        await self._show_sql(told["sql"])
        rows = {name: told[name] for name in ("columns", "row_count", "truncated", "private_row_count")}
        await self._report(Piece("rows", data=fitting(rows | {"rows": told["result"]})))
        count = told["row_count"]
        said = [f"{count} row{'' if count == 1 else 's'}.", *told["assumptions"], *told["date_ranges"]]
        return Outcome("completed", " ".join(said), about)


def _request(ask: Ask) -> dict[str, Any]:
    """What the workflow is asked; an answer to its question goes to the very request that it was asked about."""
    if "asked" in ask.earlier:
        before = json.loads(ask.earlier["asked"])
        return {**before, "clarification": ask.text[:1000]}
    fields = dict(ask.fields)
    connection_id = fields.pop("connection_id", None)
    if connection_id is not None:
        fields.setdefault("namespace", connection_id)
    tries = tries_of(ask)  # a run that has failed stays as it is
    run_id = f"{ask.task_id}.{tries}" if tries else ask.task_id
    return {**fields, "workflow": ask.skill or DEFAULT_SKILL, "task": ask.text, "task_id": run_id}
