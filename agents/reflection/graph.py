"""`reflection`: the fixed way, then a look at its answer, and other ways where signs say that it is wrong.

fixed -> reflect -> [retry -> reflect ...]        (at most two rounds; the better answer is kept)
"""

from typing import TYPE_CHECKING, Any

from agents.bench import Bench
from agents.reflection.steps import reflect, retry, strategy_of
from agents.state import State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


def build_reflection(bench: Bench) -> "CompiledStateGraph[State, Any, Any, Any]":
    """The loop after an answer."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    graph.add_node("reflect", bench.node("reflect", reflect, 88))
    graph.add_node("retry", bench.node("retry", retry, 92))
    graph.add_edge(START, "reflect")
    graph.add_conditional_edges("reflect", lambda state: "retry" if strategy_of(bench, state) else END, ["retry", END])
    graph.add_edge("retry", "reflect")
    return graph.compile()
