"""Nodes of reflection: signs that an answer is wrong, another way by the kind of sign, and the comparison."""

from typing import Any

from agents.answers import is_better, signals_of, vote
from agents.bench import DETAIL, Bench
from agents.linking_steps import schema_linking
from agents.sql_steps import execute_sql, repair_sql, sample_sql, validate_sql
from agents.state import State

MAX_ROUNDS = 2
STRATEGIES = {
    "error": ("repair", "candidates"),
    "nothing": ("wider", "candidates"),
    "empty": ("values", "candidates"),
    "all_null": ("values", "candidates"),
    "disagreement": ("candidates",),
}


async def reflect(bench: Bench, state: State) -> dict[str, Any]:
    """Look for signs; without any, or without a model to try again, the answer stands."""
    candidates = state.get("candidates", [])
    signals = signals_of(state.get("chosen"), candidates)
    is_final = bool(state.get("trouble")) and not state.get("chosen") and _is_refused_for_words(state)
    if is_final or (state.get("chosen") or {}).get("source") == "verified":
        signals = []
    return {"signals": signals, DETAIL: {"signals": signals, "round": state.get("rounds", 0)}}


def strategy_of(bench: Bench, state: State) -> str:
    """What to try next by the first sign that has something left to try; empty: nothing."""
    if bench.model is None or state.get("rounds", 0) >= MAX_ROUNDS:
        return ""
    untried = (
        name for signal in state.get("signals", []) for name in STRATEGIES[signal] if name not in state.get("tried", [])
    )
    return next(untried, "")


async def retry(bench: Bench, state: State) -> dict[str, Any]:
    """Another way to an answer, run and compared; the older one stays unless the new one is better."""
    strategy = strategy_of(bench, state)
    old, known = state.get("chosen"), len(state.get("candidates", []))
    tried: State = {**state, "tried": [*state.get("tried", []), strategy]}
    tried |= await _another(bench, tried, strategy)
    tried |= _bare(await validate_sql(bench, tried))
    fresh: State = {**tried, "candidates": tried["candidates"][known:], "trouble": None}
    ran = _bare(await execute_sql(bench, fresh)) if fresh["candidates"] else {"candidates": [], "chosen": None}
    new = ran["chosen"]
    wins = is_better(new, old)
    pool = [*state.get("candidates", []), *ran["candidates"]]
    if old is not None and not wins and "disagreement" in state.get("signals", []):
        counted = vote(pool)  # what most agree on, of old and new together
        wins, new = counted is not None and counted["sql"] != old["sql"], counted
    return {
        "rounds": state.get("rounds", 0) + 1,
        "tried": tried["tried"],
        "candidates": pool,
        "chosen": new if wins else old,
        "trouble": None if wins else state.get("trouble"),
        DETAIL: {
            "strategy": strategy,
            "kept": "new" if wins else "older",
            "said": f"round {state.get('rounds', 0) + 1}",
        },
    }


async def _another(bench: Bench, state: State, strategy: str) -> State:
    if strategy in ("repair", "values"):
        marked = _marked(state, "It runs but answers nothing: compare its values.") if strategy == "values" else state
        return {**marked, **_bare(await repair_sql(bench, marked))}
    if strategy == "wider":
        state = {**state, **_bare(await schema_linking(bench, state))}
    return {**state, "candidates": [*state.get("candidates", []), *await sample_sql(bench, state)]}


def _marked(state: State, problem: str) -> State:
    """The state as if the chosen statement had been refused with a message."""
    chosen = state.get("chosen")
    if chosen is None:
        return state
    others = [item for item in state["candidates"] if item["sql"] != chosen["sql"]]
    return {**state, "candidates": [{**chosen, "problem": problem, "result": None}, *others]}


def _bare(update: dict[str, Any]) -> Any:
    return {name: value for name, value in update.items() if name != DETAIL}


def _is_refused_for_words(state: State) -> bool:
    return bool((state.get("trouble") or {"missing": []})["missing"])
