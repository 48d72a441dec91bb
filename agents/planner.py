"""Answers without a model: the deterministic planner, through the same tools, saying that it is one."""

import json
import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from agents.bound import Called, Wanted
from agents.loop import Ending, Loop

NOTE = "Answered by the built-in planner, without a language model."
MIN_CONFIDENCE = 0.5
SHOWN_ROWS = 20
MAX_CELL = 60
_HEALTH = re.compile(r"\bhealth(?:y|ier|iest)?\b", re.I)


@dataclass(frozen=True, slots=True)
class Question:
    """What is asked, and where it was left off: a run that asked back, and the answer to that."""

    text: str
    connection_id: str = ""
    task_id: str = ""
    clarification: str = ""


async def plan(loop: Loop, asked: Question) -> tuple[Ending, Question]:
    """Answer a question by fixed steps, and with what to go on where it is a question back.

    What cannot be mapped is declined in words."""
    bound = loop.bound
    if _HEALTH.search(asked.text) and "get_table_health" in bound.tools:
        told = await _health(loop, asked.text)
        if told:
            return _said(told), asked
    if "run_workflow" in bound.tools:
        return await _workflow(loop, asked)
    if "build_query_from_nl" not in bound.tools or "execute_query" not in bound.tools:
        return _said("I cannot answer that: the planner's tools are not among mine."), asked
    return _said(await _query(loop, asked.text, asked.connection_id)), asked


def _said(text: str) -> Ending:
    return Ending("answer", f"{text}\n\n{NOTE}")


async def _workflow(loop: Loop, asked: Question) -> tuple[Ending, Question]:
    """The workflow that chooses its way by itself, kept from asking a model."""
    given = {"task": asked.text[:4000], "task_id": asked.task_id, "namespace": asked.connection_id, "model": "none"}
    if asked.clarification:
        given["clarification"] = asked.clarification[:1000]
    called, made = await call(loop, "run_workflow", **{name: value for name, value in given.items() if value})
    if called.is_error:
        return _said(_declined(made)), asked
    if made.get("status") == "waiting" and made.get("question"):
        if asked.clarification:  # perhaps it was a new question
            return await _workflow(loop, Question(asked.clarification, asked.connection_id))
        return Ending("question", str(made["question"])), replace(asked, task_id=str(made["task_id"]))
    refusal, sql = made.get("refusal") or {}, str(made.get("sql") or "")
    if refusal or made.get("status") != "completed":
        said = [refusal.get("reason") or made.get("error") or "There is no answer.", refusal.get("hint")]
        return _said(f"I cannot answer that. {' '.join(str(item) for item in said if item)}"), asked
    doubts = [str(item) for item in (*made.get("assumptions", ()), *made.get("date_ranges", ()))]
    facts = f"Confidence {float(made.get('confidence') or 0):.2f}, by {made.get('path') or 'the planner'}."
    facts += f" Read as: {'; '.join(doubts)}." if doubts else ""
    rows = table_text(made.get("result") or [], int(made.get("row_count") or 0))
    return _said(f"{rows}\n\n```sql\n{sql}\n```\n\n{facts}"), asked


async def call(loop: Loop, name: str, **arguments: Any) -> tuple[Called, Mapping[str, Any]]:
    """Call a tool as a step of the run; with what it answered."""
    called = await loop.step(Wanted(f"plan_{len(loop.called)}", name, json.dumps(arguments)))
    data = json.loads(called.result_json) if called.result_json else {}
    return called, data if isinstance(data, dict) else {}


async def _query(loop: Loop, question: str, connection_id: str) -> str:
    at = {"connection_id": connection_id} if connection_id else {}
    called, planned = await call(loop, "build_query_from_nl", natural_language=question[:4000], **at)
    if called.is_error:
        return _declined(planned)
    sql, confidence = str(planned.get("sql", "")), float(planned.get("confidence", 0))
    shown = f"```sql\n{sql}\n```"
    doubts = [str(item) for item in (*planned.get("assumptions", ()), *planned.get("date_ranges", ()))]
    facts = f"Confidence {confidence:.2f}." + (f" Read as: {'; '.join(doubts)}." if doubts else "")
    if confidence < MIN_CONFIDENCE:
        return f"I am not sure enough to run this; say it with the names of tables and columns.\n\n{shown}\n\n{facts}"
    called, answer = await call(loop, "execute_query", sql=sql, **at)
    if called.is_error:
        return f"{_declined(answer)}\n\n{shown}"
    count = (answer.get("metadata") or {}).get("row_count", 0)
    return f"{table_text(answer.get('data') or [], count)}\n\n{shown}\n\n{facts}"


async def _health(loop: Loop, question: str) -> str:
    """How a table is that the question names; empty where it names none."""
    if "search_catalog" not in loop.bound.tools:
        return ""
    words = [word for word in re.findall(r"[\w.]+", question) if not _HEALTH.fullmatch(word)]
    _, found = await call(loop, "search_catalog", q=" ".join(words)[:200])
    named = {word.lower() for word in words}
    for hit in found.get("hits") or ():
        table = str(hit.get("table", "")) if isinstance(hit, dict) else ""
        if table and ({table.lower(), table.rpartition(".")[2].lower()} & named):
            called, health = await call(loop, "get_table_health", table=table)
            if not called.is_error:
                plain = {name: value for name, value in health.items() if isinstance(value, (int, float, str))}
                facts = [f"{name}: {value}" for name, value in plain.items() if name not in ("success", "table")]
                return f"{table}: {'; '.join(facts)}."
    return ""


def _declined(answer: Mapping[str, Any]) -> str:
    error = answer.get("error") or {}
    return f"I cannot answer that. {error.get('message', '')} {error.get('hint', '')}".strip()


def table_text(rows: Sequence[Mapping[str, Any]], count: int) -> str:
    """Rows as a table in Markdown."""
    rows = [row for row in rows if isinstance(row, dict)]  # beside them may stand how many were cut
    if not rows:
        return "No rows."
    names = list(rows[0])
    lines = [_line(names), _line(["---"] * len(names))]
    lines += [_line([row.get(name) for name in names]) for row in rows[:SHOWN_ROWS]]
    more = f"\n\n{min(len(rows), SHOWN_ROWS)} of {count} rows." if count > min(len(rows), SHOWN_ROWS) else ""
    return "\n".join(lines) + more


def _line(cells: Sequence[Any]) -> str:
    return f"| {' | '.join(map(_cell, cells))} |"


def _cell(value: Any) -> str:
    text = "" if value is None else value if isinstance(value, str) else json.dumps(value, default=str)
    text = re.sub(r"([\\`*_\[\]|<>])", r"\\\1", text.replace("\n", " ")) if isinstance(value, str) else text
    return text if len(text) <= MAX_CELL else text[:MAX_CELL] + "..."
