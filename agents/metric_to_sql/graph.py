"""`metric_to_sql`: answers from defined metrics, or a refusal with the nearest ones.

date_parser -> search_metrics -> schema_linking -> query_metric -> compile_metric -> validate_sql -> execute_sql
"""

from typing import TYPE_CHECKING, Any

from agents.bench import Bench
from agents.linking_steps import date_parser, schema_linking
from agents.metric_to_sql.steps import compile_metric, query_metric, search_metrics
from agents.sql_steps import execute_sql, validate_sql
from agents.state import State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


def build_metric_to_sql(bench: Bench) -> "CompiledStateGraph[State, Any, Any, Any]":
    """The graph up to the result, or to the trouble that says what is not covered."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    graph.add_node("date_parser", bench.node("date_parser", date_parser, 10))
    graph.add_node("search_metrics", bench.node("search_metrics", search_metrics, 20))
    graph.add_node("schema_linking", bench.node("schema_linking", schema_linking, 30))
    graph.add_node("query_metric", bench.node("query_metric", query_metric, 40))
    graph.add_node("compile_metric", bench.node("compile_metric", compile_metric, 50))
    graph.add_node("validate_sql", bench.node("validate_sql", validate_sql, 60))
    graph.add_node("execute_sql", bench.node("execute_sql", execute_sql, 80))

    graph.add_edge(START, "date_parser")
    graph.add_edge("date_parser", "search_metrics")
    graph.add_conditional_edges("search_metrics", _after_search, ["schema_linking", "query_metric"])
    graph.add_edge("schema_linking", "query_metric")
    graph.add_conditional_edges("query_metric", _unless_troubled("compile_metric"), ["compile_metric", END])
    graph.add_conditional_edges("compile_metric", _unless_troubled("validate_sql"), ["validate_sql", END])
    graph.add_edge("validate_sql", "execute_sql")
    graph.add_edge("execute_sql", END)
    return graph.compile()


def _after_search(state: State) -> str:
    return "schema_linking" if state["metrics"] else "query_metric"


def _unless_troubled(there: str) -> Any:
    return lambda state: "__end__" if state.get("trouble") else there
