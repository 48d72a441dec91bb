"""Nodes that look before anything is written: verified queries, time, schema, values and knowledge, the planner."""

import re
from datetime import UTC, date, datetime
from typing import Any

from agents.answers import SURE
from agents.bench import DETAIL, Bench
from agents.state import Candidate, State, Trouble
from core.errors import Conflict, PlatformError, QueryUnauthorized

MAX_KNOWLEDGE = 5
MAX_KNOWLEDGE_CHARS = 600
MAX_PLANNED_CHARS = 8_000
WIDER = 2
_WORDS = re.compile(r"'((?:[^'\\]|\\.)*)'")


async def verified_match(bench: Bench, state: State) -> dict[str, Any]:
    """A verified query that is this question goes before all else."""
    principal, engine = bench.ctx.principal, bench.ctx.engine
    found = await engine.semantic.match(principal, state["task"], state["connection_id"], today=day_of(state))
    if found is None:
        return {DETAIL: {"matched": False}}
    candidate: Candidate = {
        "source": "verified",
        "sql": found.sql,
        "parameters": dict(found.parameters),
        "confidence": 1.0 if found.match == "exact" else 0.95,
        "assumptions": [f"It is the verified query {found.name}: {found.question}"],
        "ranges": list(found.conventions),
        "problem": "",
    }
    return {"candidates": [candidate], DETAIL: {"matched": True, "query_id": found.name, "match": found.match}}


async def date_parser(bench: Bench, state: State) -> dict[str, Any]:
    """What the question says about time, as half-open ranges with the convention used."""
    from engine.dates.find import find_dates

    found = find_dates(state["task"], now_of(state))
    ranges = []
    for mention in found.mentions:
        for meant in filter(None, (mention.range, mention.versus)):
            said = state["task"][mention.start : mention.end]
            note = f" ({meant.convention})" if meant.convention else ""
            ranges.append(f"{said}: [{_moment(meant.start)}, {_moment(meant.end)}){note}")
    return {
        "ranges": ranges,
        "trouble": None,
        DETAIL: {"date_ranges": ranges, "grain": found.grain.grain if found.grain else ""},
    }


async def schema_linking(bench: Bench, state: State) -> dict[str, Any]:
    """Tables, columns, joins and values that the question is about, and what is known of its terms."""
    wide = 8 * (WIDER if "wider" in state.get("tried", []) else 1)
    found = await bench.call(
        "link_question",
        question=state["task"],
        connection_id=state["connection_id"],
        current_date=state["today"],
        max_tables=wide,
    )
    linked = found.model_dump(mode="json")
    linked["tables"] = _narrowed(linked["tables"], state.get("schema_name", ""))
    knowledge = [*state.get("knowledge", []), *await _known(bench, state)]
    details = {
        "tables_found": [item["name"] for item in linked["tables"] if item["score"] > 0],
        "values_found": [f"{item['table']}.{item['column']} = {item['value']}" for item in linked["values"]],
        "unlinked": linked["unlinked"],
    }
    return {"linked": linked, "knowledge": list(dict.fromkeys(knowledge)), DETAIL: details}


async def plan_query(bench: Bench, state: State) -> dict[str, Any]:
    """The deterministic planner's reading of the question, with how sure it is, or why it declines."""
    arguments = {"natural_language": state["task"], "connection_id": state["connection_id"]}
    try:
        planned = await bench.call(
            "build_query_from_nl",
            **arguments,
            current_date=state["today"],
            ext_knowledge="\n".join(state.get("knowledge", []))[:MAX_PLANNED_CHARS],
        )
    except (Conflict, QueryUnauthorized) as declined:
        said = {"declined": declined.message, "hint": declined.hint, "unlinked": quoted(declined.message)}
        return {"planned": said, DETAIL: {"declined": declined.message}}
    candidate: Candidate = {
        "source": "planner",
        "sql": planned.sql,
        "parameters": {},
        "confidence": planned.confidence,
        "assumptions": planned.assumptions,
        "ranges": planned.date_ranges,
        "problem": "",
    }
    facts = {"confidence": planned.confidence, "tables": planned.tables_referenced}
    return {
        "planned": facts,
        "candidates": [*state.get("candidates", []), candidate],
        DETAIL: {**facts, "assumptions": planned.assumptions},
    }


def is_sure(state: State) -> bool:
    """Whether the planner's answer is taken without asking a model."""
    return float(state.get("planned", {}).get("confidence", 0.0)) >= SURE


def refusal_of(state: State) -> Trouble:
    """Why the planner declines, with what comes near."""
    planned = state.get("planned", {})
    linked = state.get("linked", {})
    return {
        "reason": str(planned.get("declined", "Nothing was found that answers this.")),
        "missing": [word for word in linked.get("unlinked", []) if word in planned.get("unlinked", [])]
        or list(planned.get("unlinked", [])),
        "nearest": nearest_of(linked),
        "hint": str(planned.get("hint", "")),
    }


def nearest_of(linked: dict[str, Any]) -> list[str]:
    """Tables that come nearest to a question, with a few of their columns."""
    near = linked.get("tables", [])[:3]
    return [f"{item['name']} ({', '.join(column['name'] for column in item['columns'][:6])})" for item in near]


def day_of(state: State) -> date | None:
    return date.fromisoformat(state["today"]) if state["today"] else None


def now_of(state: State) -> datetime:
    day = day_of(state)
    return datetime.now(UTC).replace(tzinfo=None) if day is None else datetime(day.year, day.month, day.day, 23, 59, 59)


def _moment(moment: datetime | None) -> str:
    return "" if moment is None else moment.isoformat(sep=" ").removesuffix(" 00:00:00")


def _narrowed(tables: list[dict[str, Any]], schema_name: str) -> list[dict[str, Any]]:
    inside = [item for item in tables if item["name"].rpartition(".")[0].strip('"') == schema_name]
    return inside or tables


async def _known(bench: Bench, state: State) -> list[str]:
    try:
        hits = await bench.ctx.engine.retrieval.search(
            bench.ctx.principal, state["task"], ["knowledge"], 2 * MAX_KNOWLEDGE
        )
    except PlatformError:  # an index that is away takes nothing from the schema
        return []
    near = [hit for hit in hits if hit.connection_id in ("", state["connection_id"])]  # that of none is of all
    return [f"{hit.title}: {hit.text}"[:MAX_KNOWLEDGE_CHARS] for hit in near[:MAX_KNOWLEDGE]]


def quoted(message: str) -> list[str]:
    """The words that a refusal names."""
    return _WORDS.findall(message)
