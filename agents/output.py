"""The last node: an answer with its SQL, rows, ranges and how sure it is; or a question back; or an honest refusal."""

from typing import Any

from agents.answers import chart_of
from agents.bench import DETAIL, Bench
from agents.linking_steps import refusal_of
from agents.state import Candidate, State, Trouble

PATHS = {
    "verified": "A person has verified this query for this question.",
    "metric": "Metrics of the semantic layer cover the question.",
    "planner": "The built-in planner reads the question with this confidence.",
    "model": "A language model wrote the SQL; names, types and rights were checked.",
    "plan": "A language model planned the query; it was compiled from the plan.",
    "repair": "A language model wrote the SQL, and once more after a check refused it.",
}
UNCLEAR = "not clear enough"


async def output(bench: Bench, state: State) -> dict[str, Any]:
    """Put together what the caller gets."""
    chosen, trouble = state.get("chosen"), state.get("trouble")
    made = _answer(state, chosen) if chosen is not None else _refusal(bench, state, trouble or refusal_of(state))
    return {"output": made, DETAIL: {"status": made["status"], "path": made["path"]}}


def _answer(state: State, chosen: Candidate) -> dict[str, Any]:
    result = chosen.get("result") or {}
    return {
        "status": "completed",
        "sql": chosen["sql"],
        "parameters": chosen["parameters"],
        "result": result["rows"],
        "columns": result["columns"],
        "row_count": result["row_count"],
        "truncated": result["truncated"],
        "private_row_count": result["private_row_count"],
        "query_id": result["query_id"],
        "query_ms": result["execution_time_ms"],
        "path": chosen["source"],
        "why": PATHS.get(chosen["source"], ""),
        "confidence": chosen["confidence"],
        "assumptions": chosen["assumptions"],
        "date_ranges": chosen["ranges"] or state.get("ranges", []),
        "chart": chart_of(result["columns"], result["rows"]),
        "question": "",
        "refusal": None,
    }


def _refusal(bench: Bench, state: State, trouble: Trouble) -> dict[str, Any]:
    asks = UNCLEAR in trouble["reason"]
    return {
        "status": "waiting" if asks else "failed",
        "sql": "",
        "parameters": {},
        "result": [],
        "columns": [],
        "row_count": 0,
        "truncated": False,
        "private_row_count": 0,
        "query_id": "",
        "query_ms": 0,
        "path": "refused",
        "why": trouble["reason"],
        "confidence": 0.0,
        "assumptions": [],
        "date_ranges": state.get("ranges", []),
        "chart": None,
        "question": f"{trouble['reason']} {trouble['hint']}".strip() if asks else "",
        "refusal": dict(trouble),
    }
