"""Nodes of metric_to_sql: find metrics, choose what to ask of them, compile without running, run."""

from typing import Any

from agents.bench import DETAIL, Bench
from agents.linking_steps import day_of, now_of
from agents.metric_to_sql.mapping import read_wish
from agents.models import ModelUnavailable
from agents.plan import METRIC_SCHEMA, condition
from agents.sql_steps import notes_text
from agents.state import Candidate, State, Trouble
from core.errors import Conflict, NotFound, QueryUnauthorized

MAX_METRICS = 12
MAX_SHOWN_DIMENSIONS = 24
SURE, MODELS = 0.95, 0.7
LEAST_READ = 0.75


async def search_metrics(bench: Bench, state: State) -> dict[str, Any]:
    """Metrics of the connection that the question's words are about."""
    if not bench.may("search_metrics"):
        return {"metrics": [], DETAIL: {"metrics_found": []}}
    found = await bench.call(
        "search_metrics", q=state["task"][:500], limit=MAX_METRICS, subject_path=state.get("subject_path", "")
    )
    metrics = [item.model_dump(mode="json") for item in found.metrics]
    metrics = [item for item in metrics if item["connection_id"] == state["connection_id"]]
    return {"metrics": metrics, DETAIL: {"metrics_found": [item["name"] for item in metrics]}}


async def query_metric(bench: Bench, state: State) -> dict[str, Any]:
    """What to ask of them: read from the question's words, or by a model where words are left over."""
    named = await _read_by_engine(bench, state)
    if named:
        return {"metric_query": {"question": state["task"], "named": named}, DETAIL: {"by": "words", "metrics": named}}
    wish = read_wish(state["task"], state["metrics"], _values(state), now_of(state))
    if wish.is_whole:
        arguments = wish.arguments()
        return {"metric_query": arguments, DETAIL: {"by": "words", **arguments}}
    asked = await _by_model(bench, state) if bench.model is not None and state["metrics"] else None
    if asked is not None:
        return {"metric_query": asked, DETAIL: {"by": bench.model.name if bench.model else "", **asked}}
    missing = wish.left or [state["task"][:80]]
    return {"metric_query": {}, "trouble": _uncovered(state, missing), DETAIL: {"not_covered": missing}}


async def compile_metric(bench: Bench, state: State) -> dict[str, Any]:
    """Compile without running: what cannot be asked so is told, with what comes near."""
    asked = dict(state["metric_query"])
    named = asked.pop("named", None)
    try:
        made = await bench.call(
            "query_metric",
            **asked,
            connection_id=state["connection_id"],
            current_date=state["today"],
            dry_run=True,
        )
    except (Conflict, NotFound, QueryUnauthorized) as refused:
        trouble = {**_uncovered(state, []), "reason": refused.message, "hint": refused.hint}
        return {"trouble": trouble, DETAIL: {"refused": refused.message}}
    ranges = [_said(span) for span in (made.time_range, made.compared_with) if span is not None]
    by_model = named is None and not _is_of_words(state)
    candidate: Candidate = {
        "source": "metric",
        "sql": made.sql,
        "parameters": {},
        "confidence": MODELS if by_model else min(SURE, made.confidence),
        "assumptions": [f"Metrics: {', '.join(named or asked['metrics'])}", *made.assumptions],
        "ranges": ranges,
        "problem": "",
    }
    return {"candidates": [candidate], "trouble": None, DETAIL: {"sql": made.sql, "tables": made.tables}}


async def _read_by_engine(bench: Bench, state: State) -> list[str]:
    """The metrics that the engine reads out of the question, where it leaves nothing that matters open."""
    if not bench.may("query_metric"):
        return []
    reading = await bench.ctx.engine.semantic.read_question(
        bench.ctx.principal, state["task"], state["connection_id"], today=day_of(state)
    )
    return list(reading.query.metrics) if reading.query is not None and reading.confidence >= LEAST_READ else []


def _is_of_words(state: State) -> bool:
    return read_wish(state["task"], state["metrics"], state.get("linked", {}).get("values", []), now_of(state)).is_whole


def _values(state: State) -> list[dict[str, str]]:
    linked = state.get("linked")
    return list(linked["values"]) if linked else []


async def _by_model(bench: Bench, state: State) -> dict[str, Any] | None:
    try:
        reply = await bench.ask(
            "query_metric", METRIC_SCHEMA, metrics=_shown(state), notes=notes_text(state), question=state["task"]
        )
        return _read(reply.data, state, read_wish(state["task"], state["metrics"], [], now_of(state)).time_range)
    except (ModelUnavailable, KeyError, TypeError, ValueError, AttributeError):
        return None


def _read(said: Any, state: State, time_range: str) -> dict[str, Any] | None:
    """A model's choice, if it names only what it was shown."""
    known = {item["name"]: set(item["dimensions"]) for item in state["metrics"]}
    metrics = [str(name) for name in said["metrics"]]
    if said["missing"] or not metrics or any(name not in known for name in metrics):
        return None
    return {
        "metrics": metrics,
        "dimensions": [str(name) for name in said["dimensions"]],
        "filters": [condition(item) for item in said["filters"]],
        "time_range": time_range,
        "grain": str(said["grain"]),
        "order": [{"name": str(item["name"]), "direction": str(item["direction"])} for item in said["order"]],
        "limit": int(said["limit"]),
    }


def _shown(state: State) -> str:
    lines = []
    for metric in state["metrics"]:
        about = metric["description"] or metric["label"]
        lines.append(f"Metric {metric['name']}: {about[:160]}")
        lines.append(f"  dimensions: {', '.join(metric['dimensions'][:MAX_SHOWN_DIMENSIONS])}")
    return "\n".join(lines)


def _uncovered(state: State, missing: list[str]) -> Trouble:
    near = [f"{item['name']}: {item['description'] or item['label']}"[:120] for item in state["metrics"][:3]]
    words = ", ".join(repr(word[:40]) for word in missing[:5])
    return {
        "reason": f"No metric covers {words}." if missing else "No metric covers the question.",
        "missing": missing,
        "nearest": near,
        "hint": "Ask for one of the nearest metrics, define one with create_metric, or use the workflow nl2sql.",
    }


def _said(span: Any) -> str:
    start, end = (
        moment.isoformat(sep=" ").removesuffix(" 00:00:00") if moment else "" for moment in (span.start, span.end)
    )
    return f"[{start}, {end})" + (f" ({span.convention})" if span.convention else "")
