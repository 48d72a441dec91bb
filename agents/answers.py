"""Results of candidates compared: which of them agree, what looks wrong, and how an answer is drawn."""

import hashlib
import json
from collections.abc import Mapping, Sequence
from typing import Any

from agents.state import Candidate

WEIGHTS = {"verified": 10.0, "metric": 3.0, "planner": 1.0, "model": 0.6, "plan": 0.6, "repair": 0.5}
SURE = 0.8  # the planner's word is taken from here on
SAYS_NOTHING = 0.05  # of the weight of a result without rows or values: such answers are mostly wrong
MAX_BARS = 50


def digest(result: Mapping[str, Any]) -> str:
    """Equal for results with the same values in each row, whatever columns are called and however rows are sorted."""
    rows = sorted(json.dumps([_plain(value) for value in row.values()]) for row in result["rows"])
    return hashlib.sha256(json.dumps(rows).encode()).hexdigest()


def _plain(value: Any) -> str:
    if isinstance(value, bool) or value is None:
        return str(value)
    try:
        return f"{float(value):.6g}"
    except (TypeError, ValueError):
        return str(value)


def vote(candidates: Sequence[Candidate]) -> Candidate | None:
    """The candidate whose result weighs most: those that agree add up, and of them the surest speaks."""
    weights: dict[str, float] = {}
    ran = [item for item in candidates if item.get("result") and not item["problem"]]
    for item in ran:
        weights[digest(_result(item))] = weights.get(digest(_result(item)), 0.0) + _weight(item)
    best = max(ran, key=lambda item: (weights[digest(_result(item))], _weight(item)), default=None)
    if best is None:
        return None
    agreeing = [item for item in ran if digest(_result(item)) == digest(_result(best))]
    confidence = max(item["confidence"] for item in agreeing)
    if len({item["source"] for item in agreeing}) > 1:
        confidence = min(0.95, confidence + 0.25)
    return {**best, "confidence": round(confidence, 2)}


def _weight(item: Candidate) -> float:
    weight = WEIGHTS.get(item["source"], 0.5) * (0.2 + item["confidence"]) * item.get("votes", 1)
    return weight * (SAYS_NOTHING if _is_void(_result(item)["rows"]) else 1.0)


def _is_void(rows: Sequence[Mapping[str, Any]]) -> bool:
    return all(value is None for row in rows for value in row.values())


def _result(item: Candidate) -> Mapping[str, Any]:
    return item.get("result") or {"rows": []}


def signals_of(chosen: Candidate | None, candidates: Sequence[Candidate]) -> list[str]:
    """Signs that an answer is wrong, the clearest first."""
    if chosen is None:
        return ["error"] if any(item["problem"] for item in candidates) else ["nothing"]
    rows = _result(chosen)["rows"]
    found = []
    if not rows:
        found.append("empty")
    elif _is_void(rows):
        found.append("all_null")
    ran = {digest(_result(item)) for item in candidates if item.get("result") and not item["problem"]}
    ran -= {digest(_result(item)) for item in candidates if item.get("result") and _is_void(_result(item)["rows"])}
    if len(ran) > 1 and chosen["confidence"] < SURE:
        found.append("disagreement")
    return found


def is_better(new: Candidate | None, old: Candidate | None) -> bool:
    """Whether a new answer takes the older one's place: only where that one showed signs that this does not."""
    if new is None or not new.get("result"):
        return False
    if old is None:
        return True
    return bool({"empty", "all_null"} & set(signals_of(old, ()))) and not signals_of(new, ())


def chart_of(columns: Sequence[Mapping[str, str]], rows: Sequence[Mapping[str, Any]]) -> dict[str, Any] | None:
    """How an answer is best drawn, or None where a table says it better."""
    from engine.sql.literals import family  # brings sqlglot, which a start does not need

    families = {item["name"]: family(item["type"]) for item in columns}
    numbers = [name for name, kind in families.items() if kind == "number"]
    others = [item for item in columns if item["name"] not in numbers]
    if not rows or not numbers or len(others) > 2:
        return None
    if len(rows) == 1:
        return {"kind": "number", "x": "", "y": numbers[:1], "series": ""} if not others else None
    if not others:
        return None
    times = [item["name"] for item in others if families[item["name"]] == "time"]
    x = times[0] if times else others[0]["name"]
    series = next((item["name"] for item in others if item["name"] != x), "")
    if not times and len(rows) > MAX_BARS:
        return None
    return {"kind": "line" if times else "bar", "x": x, "y": numbers[:3], "series": series}
