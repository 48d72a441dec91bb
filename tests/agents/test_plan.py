"""The typed plan of models: its schema is small and strict, it becomes a definition, and nonsense is told as such."""

import json
from collections.abc import Mapping, Sequence

import pytest

from agents.answers import chart_of, is_better, signals_of, vote
from agents.plan import METRIC_SCHEMA, PLAN_SCHEMA, SQL_SCHEMA, read_plan
from agents.state import Candidate
from core.errors import Conflict
from engine.sql.definitions import read_definition

PLAN = {
    "missing": "",
    "from": "shop.orders",
    "joins": [{"table": "shop.customers", "left": "orders.customer_id", "right": "customers.id"}],
    "show": ["customers.name"],
    "grain": {"column": "orders.ordered_on", "unit": "month"},
    "measures": [
        {"aggregate": "sum", "column": "orders.amount", "distinct": False, "alias": "total"},
        {"aggregate": "count", "column": "*", "distinct": False, "alias": ""},
    ],
    "filters": [
        {"column": "orders.region", "operator": "in", "value": "[eu, 'us']"},
        {"column": "orders.note", "operator": "is_null", "value": "x"},
    ],
    "having": [{"column": "total", "operator": "gt", "value": "5"}],
    "order": [{"name": "total", "direction": "desc"}],
    "limit": 3,
}


def test_a_plan_is_a_definition() -> None:
    made = read_plan(PLAN)
    assert made["filters"][0]["value"] == ["eu", "us"] and "value" not in made["filters"][1]
    assert made["select"][0]["function"] == "date_trunc" and made["limit"] == 3
    read_definition(made)


@pytest.mark.parametrize("nonsense", [None, [], "x", {}, {**PLAN, "filters": 7}, {**PLAN, "limit": "many"}])
def test_nonsense_is_told_as_such(nonsense: object) -> None:
    with pytest.raises(Conflict):
        read_plan(nonsense)


@pytest.mark.parametrize("schema", [PLAN_SCHEMA, SQL_SCHEMA, METRIC_SCHEMA])
def test_schemas_are_strict_and_small(schema: dict[str, object]) -> None:
    def check(node: object) -> None:
        if isinstance(node, dict):
            if node.get("type") == "object":
                assert node["additionalProperties"] is False and set(node["required"]) == set(node["properties"])
            for value in node.values():
                check(value)

    check(schema)
    assert len(json.dumps(schema)) < 4000


def candidate(source: str, confidence: float, rows: Sequence[Mapping[str, object]], problem: str = "") -> Candidate:
    result = {"rows": rows, "columns": []}
    return {
        "source": source,
        "sql": f"{source} {rows}",
        "parameters": {},
        "confidence": confidence,
        "assumptions": [],
        "ranges": [],
        "problem": problem,
        "result": None if problem else result,
    }


def test_candidates_that_agree_win_whatever_their_columns_are_called() -> None:
    two = [candidate("model", 0.5, [{"a": 1.0}]), candidate("plan", 0.55, [{"total": 1}])]
    chosen = vote([candidate("planner", 0.6, [{"n": 2}]), *two])
    assert chosen is not None and chosen["source"] == "plan" and chosen["confidence"] == 0.8


def test_an_answer_without_rows_wins_only_alone() -> None:
    void, full = candidate("planner", 0.7, []), candidate("model", 0.5, [{"a": 1}])
    assert (vote([void, full]) or {})["source"] == "model"
    assert (vote([void]) or {})["source"] == "planner"
    assert vote([candidate("model", 0.5, [], "refused")]) is None


def test_signals_and_the_better_answer() -> None:
    void, nulls, full = (candidate("model", 0.5, rows) for rows in ([], [{"a": None}], [{"a": 1}]))
    assert (signals_of(void, [void]), signals_of(nulls, [nulls]), signals_of(full, [full])) == (
        ["empty"],
        ["all_null"],
        [],
    )
    assert is_better(full, void) and is_better(full, None)
    assert not is_better(void, full) and not is_better(full, full) and not is_better(void, nulls)


@pytest.mark.parametrize(
    ("columns", "rows", "kind"),
    [
        ([("month", "DATE"), ("n", "BIGINT")], 3, "line"),
        ([("region", "VARCHAR"), ("n", "DECIMAL(9,2)")], 3, "bar"),
        ([("n", "BIGINT")], 1, "number"),
        ([("region", "VARCHAR"), ("n", "BIGINT")], 99, None),
        ([("name", "VARCHAR")], 3, None),
        ([("a", "VARCHAR"), ("b", "VARCHAR"), ("c", "VARCHAR"), ("n", "BIGINT")], 3, None),
    ],
)
def test_a_chart_is_told_where_it_helps(columns: list[tuple[str, str]], rows: int, kind: str | None) -> None:
    described = [{"name": name, "type": data_type} for name, data_type in columns]
    found = chart_of(described, [dict.fromkeys((name for name, _ in columns), 1)] * rows)
    assert (found or {}).get("kind") == kind
