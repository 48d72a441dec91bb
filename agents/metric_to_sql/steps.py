"""Nodes of metric_to_sql: find metrics, read what the question asks of them, compile without running."""

from typing import Any

from agents.bench import DETAIL, Bench
from agents.linking_steps import now_of, quoted
from agents.models import ModelUnavailable
from agents.plan import METRIC_SCHEMA, condition
from agents.sql_steps import notes_text
from agents.state import Candidate, State, Trouble
from core.errors import Conflict, NotFound, QueryUnauthorized

MAX_METRICS = 12
MAX_SHOWN_DIMENSIONS = 24
BY_MODEL = 0.7
REFUSED = (Conflict, NotFound, QueryUnauthorized)


async def search_metrics(bench: Bench, state: State) -> dict[str, Any]:
    """Metrics of the connection that the question's words are about."""
    if not bench.may("search_metrics") or not bench.may("query_metric"):
        return {"metrics": [], "trouble": _uncovered([], ""), DETAIL: {"metrics_found": []}}
    found = await bench.call(
        "search_metrics", q=state["task"][:500], limit=MAX_METRICS, subject_path=state.get("subject_path", "")
    )
    metrics = [item.model_dump(mode="json") for item in found.metrics]
    metrics = [item for item in metrics if item["connection_id"] == state["connection_id"]]
    return {"metrics": metrics, DETAIL: {"metrics_found": [item["name"] for item in metrics]}}


async def query_metric(bench: Bench, state: State) -> dict[str, Any]:
    """The question read in words, without a model, and compiled; or why metrics do not cover it."""
    try:
        made = await _compiled(bench, state, question=state["task"])
    except REFUSED as refused:
        trouble = _uncovered(state["metrics"], refused.message, refused.hint)
        return {"trouble": trouble, DETAIL: {"not_covered": refused.message}}
    candidate = _candidate(made, made.confidence, made.assumptions)
    return {"candidates": [candidate], "trouble": None, DETAIL: {"by": "words", "tables": made.tables}}


async def choose_metric(bench: Bench, state: State) -> dict[str, Any]:
    """A model chooses among the metrics that were found; what it makes up is refused."""
    try:
        reply = await bench.ask(
            "query_metric", METRIC_SCHEMA, metrics=_shown(state), notes=notes_text(state), question=state["task"]
        )
        asked = _read(reply.data, state)
        made = await _compiled(bench, state, **asked) if asked is not None else None
    except (ModelUnavailable, KeyError, TypeError, ValueError, AttributeError, *REFUSED) as failed:
        return {DETAIL: {"failed": getattr(failed, "message", "The model's choice is none.")}}
    if asked is None or made is None:
        return {DETAIL: {"failed": "The model names what it was not shown, or says that nothing fits."}}
    candidate = _candidate(made, BY_MODEL, [f"A model chose the metrics: {', '.join(asked['metrics'])}"])
    return {"candidates": [candidate], "trouble": None, DETAIL: {"by": "model", **asked}}


async def _compiled(bench: Bench, state: State, **asked: Any) -> Any:
    where = {"connection_id": state["connection_id"], "current_date": state["today"]}
    return await bench.call("query_metric", **asked, **where, dry_run=True)


def _candidate(made: Any, confidence: float, assumptions: list[str]) -> Candidate:
    return {
        "source": "metric",
        "sql": made.sql,
        "parameters": {},
        "confidence": confidence,
        "assumptions": assumptions,
        "ranges": [_said(span) for span in (made.time_range, made.compared_with) if span is not None],
        "problem": "",
    }


def _read(said: Any, state: State) -> dict[str, Any] | None:
    """A model's choice, if it names only what it was shown. Time is read from the question, never by the model."""
    known = {item["name"] for item in state["metrics"]}
    metrics = [str(name) for name in said["metrics"]]
    if said["missing"] or not metrics or not known.issuperset(metrics):
        return None
    return {
        "metrics": metrics,
        "dimensions": [str(name) for name in said["dimensions"]],
        "filters": [condition(item) for item in said["filters"]],
        "time_range": _time_of(state),
        "grain": str(said["grain"]),
        "order": [{"name": str(item["name"]), "direction": str(item["direction"])} for item in said["order"]],
        "limit": int(said["limit"]),
    }


def _time_of(state: State) -> str:
    from engine.dates.find import find_dates

    found = find_dates(state["task"], now_of(state)).mentions
    return state["task"][found[0].start : found[0].end] if found else ""


def _shown(state: State) -> str:
    lines = []
    for metric in state["metrics"]:
        about = metric["description"] or metric["label"]
        lines.append(f"Metric {metric['name']}: {about[:160]}")
        lines.append(f"  dimensions: {', '.join(metric['dimensions'][:MAX_SHOWN_DIMENSIONS])}")
    return "\n".join(lines)


def _uncovered(metrics: list[dict[str, Any]], reason: str, hint: str = "") -> Trouble:
    near = [f"{item['name']}: {item['description'] or item['label']}"[:120] for item in metrics[:3]]
    return {
        "reason": reason or "No metric covers the question.",
        "missing": quoted(reason),
        "nearest": near,
        "hint": hint or "Define one with create_metric, or use the workflow nl2sql.",
    }


def _said(span: Any) -> str:
    start, end = (
        moment.isoformat(sep=" ").removesuffix(" 00:00:00") if moment else "" for moment in (span.start, span.end)
    )
    return f"[{start}, {end})" + (f" ({span.convention})" if span.convention else "")
