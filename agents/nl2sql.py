"""The workflows as pictures. `nl2sql` is the router: a verified query, else metrics, else fixed, else reflection."""

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Literal, get_args

from agents.bench import Bench
from agents.fixed.graph import build_fixed
from agents.linking_steps import verified_match
from agents.metric_to_sql.graph import build_metric_to_sql
from agents.output import output
from agents.reflection.graph import build_reflection
from agents.sql_steps import execute_sql, validate_sql
from agents.state import State

if TYPE_CHECKING:
    from langgraph.checkpoint.base import BaseCheckpointSaver
    from langgraph.graph import StateGraph
    from langgraph.graph.state import CompiledStateGraph

Workflow = Literal["nl2sql", "reflection", "fixed", "metric_to_sql"]
WORKFLOWS: tuple[str, ...] = get_args(Workflow)


def build_workflow(
    bench: Bench, name: Workflow, saver: "BaseCheckpointSaver[Any]"
) -> "CompiledStateGraph[State, Any, Any, Any]":
    """A workflow from question to output, which goes on where its last checkpoint is."""
    from langgraph.graph import END, StateGraph

    graph = StateGraph(State)
    graph.add_node("output", bench.node("output", output, 98))
    graph.add_edge("output", END)
    PICTURES[name](graph, bench)
    return graph.compile(checkpointer=saver)


def _fixed(graph: "StateGraph[State, Any, Any, Any]", bench: Bench) -> None:
    graph.add_node("fixed", build_fixed(bench))
    graph.set_entry_point("fixed")
    graph.add_edge("fixed", "output")


def _reflection(graph: "StateGraph[State, Any, Any, Any]", bench: Bench) -> None:
    graph.add_node("fixed", build_fixed(bench))
    graph.add_node("reflection", build_reflection(bench))
    graph.set_entry_point("fixed")
    graph.add_edge("fixed", "reflection")
    graph.add_edge("reflection", "output")


def _metric_to_sql(graph: "StateGraph[State, Any, Any, Any]", bench: Bench) -> None:
    graph.add_node("metric_to_sql", build_metric_to_sql(bench))
    graph.set_entry_point("metric_to_sql")
    graph.add_edge("metric_to_sql", "output")


def _nl2sql(graph: "StateGraph[State, Any, Any, Any]", bench: Bench) -> None:
    graph.add_node("verified_match", bench.node("verified_match", verified_match, 5))
    graph.add_node("validate_verified", bench.node("validate_sql", validate_sql, 65))
    graph.add_node("execute_verified", bench.node("execute_sql", execute_sql, 85))
    graph.add_node("metric_to_sql", build_metric_to_sql(bench, by_model=False))
    graph.add_node("fixed", build_fixed(bench, is_matched=True))
    graph.add_node("reflection", build_reflection(bench))

    graph.set_entry_point("verified_match")
    graph.add_conditional_edges("verified_match", _after_match, ["validate_verified", "metric_to_sql"])
    graph.add_edge("validate_verified", "execute_verified")
    graph.add_conditional_edges("execute_verified", _answered("output", "metric_to_sql"), ["output", "metric_to_sql"])
    graph.add_conditional_edges("metric_to_sql", _answered("output", "fixed"), ["output", "fixed"])
    graph.add_edge("fixed", "reflection")
    graph.add_edge("reflection", "output")


def _after_match(state: State) -> str:
    return "validate_verified" if state.get("candidates") else "metric_to_sql"


def _answered(there: str, otherwise: str) -> Callable[[State], str]:
    return lambda state: there if state.get("chosen") else otherwise


PICTURES: dict[str, Callable[["StateGraph[State, Any, Any, Any]", Bench], None]] = {
    "fixed": _fixed,
    "reflection": _reflection,
    "metric_to_sql": _metric_to_sql,
    "nl2sql": _nl2sql,
}
