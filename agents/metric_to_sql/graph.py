"""`metric_to_sql`: answers from defined metrics, or a refusal with the nearest ones.

date_parser -> search_metrics -> query_metric -> [schema_linking -> choose_metric] -> validate_sql -> execute_sql
"""

from typing import TYPE_CHECKING, Any

from agents.bench import Bench
from agents.linking_steps import date_parser, schema_linking
from agents.metric_to_sql.steps import choose_metric, query_metric, search_metrics
from agents.sql_steps import execute_sql, validate_sql
from agents.state import State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


def build_metric_to_sql(bench: Bench, *, by_model: bool = True) -> "CompiledStateGraph[State, Any, Any, Any]":
    """The graph up to the result, or to the trouble that says what is not covered.

    by_model: whether a model may choose where words alone do not tell."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    graph.add_node("date_parser", bench.node("date_parser", date_parser, 10))
    graph.add_node("search_metrics", bench.node("search_metrics", search_metrics, 20))
    graph.add_node("query_metric", bench.node("query_metric", query_metric, 30))
    graph.add_node("schema_linking", bench.node("schema_linking", schema_linking, 35))
    graph.add_node("choose_metric", bench.node("choose_metric", choose_metric, 50))
    graph.add_node("validate_sql", bench.node("validate_sql", validate_sql, 60))
    graph.add_node("execute_sql", bench.node("execute_sql", execute_sql, 80))

    def after_reading(state: State) -> str:
        if state.get("candidates"):
            return "validate_sql"
        return "schema_linking" if by_model and bench.model is not None and state["metrics"] else END

    graph.add_edge(START, "date_parser")
    graph.add_edge("date_parser", "search_metrics")
    graph.add_conditional_edges("search_metrics", _unless_troubled, ["query_metric", END])
    graph.add_conditional_edges("query_metric", after_reading, ["validate_sql", "schema_linking", END])
    graph.add_edge("schema_linking", "choose_metric")
    graph.add_conditional_edges("choose_metric", _if_chosen, ["validate_sql", END])
    graph.add_edge("validate_sql", "execute_sql")
    graph.add_edge("execute_sql", END)
    return graph.compile()


def _unless_troubled(state: State) -> str:
    return "__end__" if state.get("trouble") else "query_metric"


def _if_chosen(state: State) -> str:
    return "validate_sql" if state.get("candidates") else "__end__"
