"""`fixed`: one way from question to answer, without loops but one repair.

verified_match -> date_parser -> schema_linking -> plan_query -> [generate_sql] -> validate_sql -> execute_sql
"""

from typing import TYPE_CHECKING, Any

from agents.bench import Bench
from agents.linking_steps import date_parser, plan_query, schema_linking, verified_match
from agents.sql_steps import execute_sql, generate_sql, needs_model, repair_sql, validate_sql
from agents.state import State

if TYPE_CHECKING:
    from langgraph.graph.state import CompiledStateGraph


def build_fixed(bench: Bench, *, is_matched: bool = False) -> "CompiledStateGraph[State, Any, Any, Any]":
    """The graph up to the result; `is_matched` where verified queries were looked at before."""
    from langgraph.graph import END, START, StateGraph

    graph = StateGraph(State)
    graph.add_node("date_parser", bench.node("date_parser", date_parser, 15))
    graph.add_node("schema_linking", bench.node("schema_linking", schema_linking, 25))
    graph.add_node("plan_query", bench.node("plan_query", plan_query, 40))
    graph.add_node("generate_sql", bench.node("generate_sql", generate_sql, 55))
    graph.add_node("validate_sql", bench.node("validate_sql", validate_sql, 65))
    graph.add_node("repair_sql", bench.node("repair_sql", repair_sql, 70))
    graph.add_node("execute_sql", bench.node("execute_sql", execute_sql, 85))

    if is_matched:
        graph.add_edge(START, "date_parser")
    else:
        graph.add_node("verified_match", bench.node("verified_match", verified_match, 10))
        graph.add_edge(START, "verified_match")
        graph.add_conditional_edges("verified_match", _after_match, ["validate_sql", "date_parser"])
    graph.add_edge("date_parser", "schema_linking")
    graph.add_edge("schema_linking", "plan_query")
    graph.add_conditional_edges("plan_query", _after_plan(bench), ["generate_sql", "validate_sql"])
    graph.add_conditional_edges("generate_sql", _after_writing, ["validate_sql", END])
    graph.add_conditional_edges("validate_sql", _after_check(bench), ["repair_sql", "execute_sql"])
    graph.add_edge("repair_sql", "validate_sql")
    graph.add_edge("execute_sql", END)
    return graph.compile()


def _after_match(state: State) -> str:
    return "validate_sql" if state.get("candidates") else "date_parser"


def _after_plan(bench: Bench) -> Any:
    return lambda state: "generate_sql" if bench.model is not None and needs_model(state) else "validate_sql"


def _after_writing(state: State) -> str:
    return "__end__" if state.get("trouble") else "validate_sql"


def _after_check(bench: Bench) -> Any:
    def choose(state: State) -> str:
        candidates = state.get("candidates", [])
        is_lost = bool(candidates) and all(item["problem"] for item in candidates)
        may_repair = bench.model is not None and not state.get("repairs") and any(item["sql"] for item in candidates)
        return "repair_sql" if is_lost and may_repair else "execute_sql"

    return choose
