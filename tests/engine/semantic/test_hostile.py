"""Files and filters that mean harm, or mean nothing."""

import time

import pytest
from pydantic import JsonValue

from core.errors import Conflict
from engine.semantic.compile import MetricQuery, compile_metrics
from engine.semantic.documents import MAX_FILE_CHARS, read_document
from engine.semantic.expressions import read_condition, read_expression
from engine.semantic.layer import Layer
from engine.semantic.metricflow import MAX_FILES, read_metricflow
from engine.semantic.models import Input, Measure, Metric, SemanticModel
from engine.semantic.templates import read_filter
from engine.sql.definitions import Condition, Expression

BOMB = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{chr(98 + n)}: &{chr(98 + n)} [{', '.join(['*' + chr(97 + n)] * 9)}]\n" for n in range(12)
)
MODEL = """
semantic_models:
  - name: orders
    model: {model}
    entities: [{{name: order, type: primary}}]
    dimensions: [{{name: day, type: categorical, expr: "{expr}"}}]
    measures: [{{name: revenue, agg: {agg}, create_metric: true}}]
"""


def errors(**changes: str) -> list[str]:
    text = MODEL.format(**{"model": "ref('orders')", "expr": "day", "agg": "sum", **changes})
    return [note.message for note in read_metricflow({"f.yml": text}, "shop").errors]


@pytest.mark.parametrize(
    "text",
    [
        BOMB,
        "a: &a {b: 1}\nc: {<<: *a}",
        "a: !!python/object/apply:os.system ['id']",
        "a: !custom 1",
        "[" * 5000,
        "{a: " * 200 + "1" + "}" * 200,
        "a: 1\na: 2",
        "1: a",
        "a: " + "9" * 5000,
        "a: 1\n---\nb: 2",
        "a: \x00",
        "a: [1",
        "x" * (MAX_FILE_CHARS + 1),
    ],
)
def test_yaml_that_is_no_plain_data_is_refused_at_once(text: str) -> None:
    start = time.process_time()
    with pytest.raises(Conflict):
        read_document(text)
    assert time.process_time() - start < 1


@pytest.mark.parametrize(
    "text",
    [
        "(SELECT pay FROM staff)",
        "a; DROP TABLE staff",
        "a IN (SELECT 1)",
        "EXISTS (SELECT 1)",
        "read_csv('/etc/passwd')",
        "getenv('HOME')",
        "query('SELECT 1')",
        "sum(a)",
        "row_number() OVER ()",
        "other.a",
        "*",
        "a AS b",
        "a, b",
        "DROP TABLE staff",
        "CAST(a AS STRUCT(b INT))",
        "CAST(a AS DECIMAL(38, 2))",
        ":name",
        "@x",
        "a[1]",
        "x -> x + 1",
        "abs(DISTINCT a)",
        "current_user",
        "INTERVAL 1 DAY",
        "",
        "'open",
        "(" * 100 + "a" + ")" * 100,
        "- " * 500 + "a",
        "+".join(["a"] * 5000),
        "a" * 300,
    ],
)
def test_sql_that_is_more_than_an_expression_is_refused(text: str) -> None:
    with pytest.raises(Conflict) as caught:
        read_expression(text)
    assert caught.value.hint


@pytest.mark.parametrize(
    "text",
    [
        "{{ config(materialized='table') }} = 1",
        "{{ ''.__class__.__mro__ }} = 1",
        "{% for x in range(10 ** 9) %}1 = 1{% endfor %}",
        "{# note #} 1 = 1",
        "{{ Dimension('a__b') }} = {{ 7 * 7 }}",
        "{{ Dimension('a__b\\'') }} = 1",
        "{{ Dimension('a__b', entity_path=['c']) }} = 1",
        "{{ Metric('revenue', ['customer'], limit=1) }} > 1",
        "{{ Dimension(name) }} = 1",
        "'{{ Dimension('a__b') }}' = 1",
        "status = 'open'",
        '"__reference_0" = 1',
        "{{ Dimension('a__b') }} = 1; DROP TABLE staff",
        "{{ Dimension('a__b') }} = (SELECT 1)",
        "{{ Dimension('a__b') }} IN (SELECT 1)",
        "{{{{ Dimension('a__b') }}}} = 1",
        "{{ Dimension('a__b') }}.pay = 1",
        "{{ " * 1000,
    ],
)
def test_templates_are_never_executed(text: str) -> None:
    with pytest.raises(Conflict):
        read_filter(text)


def test_filters_and_expressions_are_read_as_they_are_meant() -> None:
    read = read_filter(
        "{{ TimeDimension('metric_time', 'month') }} >= '2026-01-01' AND NOT {{Dimension('a__b')}} IS NULL"
    )
    assert read.all_of is not None and read.all_of[0].column == "metric_time__month"
    assert read_condition("a IS NOT TRUE").none_of is not None
    assert read_condition("flag").value is True
    assert read_expression("-a * 2 || 'x'").operator == "||"
    assert read_expression("CASE a WHEN 1 THEN 'one' END").case is not None
    assert read_expression('"a ""b"""').column == 'a "b"'


@pytest.mark.parametrize(
    ("changes", "why"),
    [
        ({"model": "orders; DROP TABLE x"}, "'model' must be ref"),
        ({"model": "ref('a.b')"}, "'model' must be ref"),
        ({"model": "source('a')"}, "'model' must be ref"),
        ({"expr": "(SELECT 1)"}, "SUBQUERY may not be used"),
        ({"agg": "sum_of_squares"}, "'agg' must be one of"),
    ],
)
def test_a_model_that_says_what_it_may_not_is_left_out_with_the_reason(changes: dict[str, str], why: str) -> None:
    assert [why in message for message in errors(**changes)] == [True]


@pytest.mark.parametrize(
    "text",
    [
        "semantic_models: 1",
        "semantic_models: [1]",
        "semantic_models: [{name: a__b, model: ref('a')}]",
        "semantic_models: [{name: a}]",
        "semantic_models: [{name: a, model: ref('a'), entities: [{name: e, type: primary}, {name: f, type: primary}]}]",
        "semantic_models: [{name: a, model: ref('a'), measures: [{name: m, agg: sum, agg_time_dimension: x}]}]",
        "metrics: [{name: m, type: simple}]",
        "metrics: [{name: m, type: magic}]",
        "metrics: [{name: m, type: derived, type_params: {metrics: []}}]",
        "metrics: [{name: [m], type: simple, type_params: {measure: x}}]",
        "[]",
    ],
)
def test_shapes_that_are_wrong_are_errors_with_their_place(text: str) -> None:
    read = read_metricflow({"f.yml": text}, "shop")
    assert (read.models, read.metrics) == ([], [])
    assert [note.file for note in read.errors] == ["f.yml"]


def test_one_wrong_model_does_not_keep_the_others_out_and_unknown_keys_are_named() -> None:
    good = MODEL.format(model="ref('orders')", expr="day", agg="sum") + "    colour: red\n"
    read = read_metricflow({"bad.yml": "a: [", "good.yml": good}, "shop")
    assert [model.name for model in read.models] == ["orders"]
    assert [note.file for note in read.errors] == ["bad.yml"]
    assert [(note.place, note.message) for note in read.warnings] == [
        ("semantic_models[0] 'orders'", "The key 'colour' is not known.")
    ]


def test_too_many_files_are_refused() -> None:
    with pytest.raises(Conflict):
        read_metricflow({f"{number}.yml": "" for number in range(MAX_FILES + 1)}, "shop")


HOSTILE: list[dict[str, JsonValue]] = [
    {"exists": {"table": "staff"}},
    {"column": "order", "operator": "in", "query": {"table": "staff", "select": ["pay"]}},
    {"expression": {"function": "sum", "args": ["order"]}, "operator": "gt", "value": 1},
    {"expression": {"function": "abs", "args": ["order"], "over": {}}, "operator": "gt", "value": 1},
    {"column": "order", "operator": "eq", "other": {"function": "getenv", "args": [{"value": "HOME"}]}},
    {"and": [{"not": {"exists": {"table": "staff"}}}]},
    {"column": 'order" OR 1=1', "operator": "eq", "value": 1},
]


@pytest.mark.parametrize("condition", HOSTILE)
def test_conditions_of_a_caller_reach_nothing_but_dimensions(condition: dict[str, JsonValue]) -> None:
    with pytest.raises(Conflict):
        compile_metrics(MetricQuery(["revenue"], where=[Condition.model_validate(condition)]), _layer())


@pytest.mark.parametrize(
    "query",
    [
        MetricQuery([]),
        MetricQuery(["revenue"] * 2),
        MetricQuery(["revenue"] * 60),
        MetricQuery(["revenue"], group_by=["x" * 300]),
        MetricQuery(["revenue"], group_by=["__".join(["order"] * 40)]),
        MetricQuery(["revenue"], group_by=["", "order"]),
        MetricQuery(["revenue"], group_by=["metric_time"]),
    ],
)
def test_queries_beyond_bounds_are_refused(query: MetricQuery) -> None:
    with pytest.raises(Conflict):
        compile_metrics(query, _layer())


def _layer() -> Layer:
    read = read_metricflow({"f.yml": MODEL.format(model="ref('orders')", expr="day", agg="sum")}, "shop")
    return Layer(read.models, read.metrics)


def test_names_that_are_given_twice_are_refused() -> None:
    model = SemanticModel("a", "a", "shop", measures=(Measure("m", "sum", Expression(column="m")),))
    twin = SemanticModel("b", "b", "shop", measures=model.measures)
    metric = Metric("m", "simple", (Input("m"),))
    for models, metrics in (([model, twin], []), ([model, model], []), ([model], [metric, Metric("m", "simple")])):
        with pytest.raises(Conflict):
            Layer(models, metrics)
