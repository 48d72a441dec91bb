"""Semantic models: list, get, create, update, delete, versions; import, export, proposals."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, QueryUnauthorized, Unauthorized
from tests.tools.admin.policy_desk import STRANGER, VIC, PolicyDesk
from tests.tools.semantic.conftest import AGENT, EDITOR, SHOP, load

pytestmark = pytest.mark.asyncio(loop_scope="session")
PERCENT = {"measures": [{"name": "m", "agg": "percentile", "agg_params": {"percentile": 95}}]}
TEAMS: dict[str, Any] = {
    "name": "teams",
    "table": "hr.teams",
    "entities": [{"name": "team", "type": "primary"}, {"name": "person", "type": "foreign", "expr": "boss_id"}],
    "measures": [{"name": "teams", "agg": "count", "expr": "team"}],
}
OSI = """
semantic_model:
  - name: shop
    datasets:
      - name: osi_orders
        source: shop.orders
        primary_key: [id]
        fields:
          - name: day
            expression: {dialects: [{dialect: ANSI_SQL, expression: day}]}
            dimension: {is_time: true}
      - name: osi_customers
        source: shop.customers
        primary_key: [id]
        fields: [{name: country, expression: {dialects: [{dialect: ANSI_SQL, expression: lower(country)}]}}]
    relationships: [{name: of, from: osi_orders, to: osi_customers, from_columns: [customer_id], to_columns: [id]}]
    metrics:
      - name: osi_revenue
        expression: {dialects: [{dialect: ANSI_SQL, expression: SUM(osi_orders.amount)}]}
        ai_context: {synonyms: [sales of osi]}
      - name: osi_average
        expression: [{dialect: ANSI_SQL, expression: SUM(osi_orders.amount) / COUNT(DISTINCT osi_customers.id)}]
"""


async def test_models_are_shown_without_what_is_hidden(office: PolicyDesk) -> None:
    whole = await office.call("get_semantic_model", model="staff")
    part = await office.call("get_semantic_model", VIC, model="staff")
    assert (whole.is_whole, part.is_whole) == (True, False)
    assert "ssn" in str(whole.definition) and "ssn" not in str(part) and "canary" not in str(part)
    assert [each["name"] for each in part.definition["measures"]] == ["payroll"]
    names = [each.name for each in (await office.call("list_semantic_models", VIC)).models]
    assert "staff" in names and "vault" not in names
    for tool, arguments in (
        ("get_semantic_model", {"model": "vault"}),
        ("list_semantic_model_versions", {"model": "staff"}),
    ):
        with pytest.raises(NotFound):
            await office.call(tool, VIC, **arguments)
    with pytest.raises(Unauthorized, match="not see all"):
        await office.call("update_semantic_model", EDITOR, model="staff", description="x")


async def test_a_model_is_made_changed_and_restored(office: PolicyDesk) -> None:
    made = await office.call("create_semantic_model", **TEAMS, synonyms=["squads"])
    assert (made.version, made.table, made.synonyms) == (1, "hr.teams", ["squads"])
    changed = await office.call("update_semantic_model", model="teams", dimensions=[{"name": "team"}], version=1)
    assert changed.version == 2 and changed.definition["dimensions"] == [{"name": "team", "type": "categorical"}]
    past = await office.call("list_semantic_model_versions", model="teams")
    assert [each.version for each in past.versions] == [2, 1]
    assert (await office.call("restore_semantic_model", model="teams", version=1)).version == 3
    with pytest.raises(Conflict):
        await office.call("update_semantic_model", model="teams", description="x", version=1)
    await office.call("delete_semantic_model", model="teams", version=3)
    with pytest.raises(NotFound):
        await office.call("get_semantic_model", model="teams")


async def test_measures_may_be_percentiles_or_stand_at_a_time(office: PolicyDesk) -> None:
    last = {"name": "day", "window_choice": "max", "window_groupings": ["buyer"]}
    measures: list[dict[str, Any]] = [
        {"name": "p50", "agg": "percentile", "expr": "amount", "agg_params": {"percentile": 0.5}},
        {"name": "latest", "agg": "sum", "expr": "amount", "non_additive_dimension": last},
    ]
    await office.call(
        "create_semantic_model",
        name="baskets",
        table="shop.orders",
        entities=[
            {"name": "basket", "type": "primary", "expr": "id"},
            {"name": "buyer", "type": "foreign", "expr": "customer_id"},
        ],
        dimensions=[{"name": "day", "type": "time"}],
        measures=measures,
        agg_time_dimension="day",
    )
    for name in ("p50", "latest"):
        await office.call("create_metric", name=name, kind="simple", type_params={"measure": name})
    answer = await office.call("query_metric", metrics=["p50", "latest"])
    assert answer.data.records() == [{"p50": 25, "latest": 90}]
    again = await office.call(
        "import_semantic_model", files={"x.yml": (await office.call("export_semantic_model")).yaml}
    )
    assert not again.errors and {"p50", "latest"} <= set(again.metrics)
    for name in ("p50", "latest"):
        await office.call("delete_metric", metric=name)
    await office.call("delete_semantic_model", model="baskets")


@pytest.mark.parametrize(
    ("arguments", "why"),
    [
        ({"table": "hr.nothing"}, "no table"),
        ({"measures": [{"name": "m", "agg": "percentile", "expr": "boss_id"}]}, "says which"),
        (
            {"measures": [{"name": "m", "agg": "sum", "expr": "team", "non_additive_dimension": {"name": "day"}}]},
            "no time dimension",
        ),
        ({"table": "vault.staff"}, "no table"),
        ({"measures": [{"name": "m", "agg": "sum", "expr": "nothing"}]}, "no column 'nothing'"),
        ({"measures": [{"name": "m", "agg": "sum", "expr": "(SELECT 1)"}]}, "may not be used"),
        ({"measures": [{"name": "m", "agg": "sum", "expr": "read_csv('/etc/passwd')"}]}, "may not be used"),
        ({"measures": [{"name": "m", "agg": "sum", "expr": "boss_id) FROM x --"}]}, "cannot be read"),
        ({"measures": [{"name": "revenue", "agg": "sum", "expr": "boss_id"}]}, "Two measures"),
        ({"entities": [{"name": "a", "type": "primary"}, {"name": "a", "type": "unique"}]}, "same name"),
        (
            {"agg_time_dimension": "nothing", "measures": [{"name": "m", "agg": "count", "expr": "team"}]},
            "no time dimension",
        ),
        ({"table": "a..b"}, "'table'"),
        ({"name": "orders"}, "is taken"),
    ],
)
async def test_a_model_over_nothing_is_refused(office: PolicyDesk, arguments: dict[str, Any], why: str) -> None:
    with pytest.raises((Conflict, QueryUnauthorized)) as refused:
        await office.call("create_semantic_model", EDITOR, **{**TEAMS, "entities": [], "measures": [], **arguments})
    assert why in f"{refused.value.message} {refused.value.hint}"


async def test_what_is_exported_is_imported_again_the_same(office: PolicyDesk) -> None:
    text = (await office.call("export_semantic_model", subject_path="sales")).yaml
    assert "name: revenue" in text and "french" not in text
    whole = (await office.call("export_semantic_model")).yaml
    before = {each.name: each.version for each in (await office.call("list_metrics")).metrics}
    again = await load(office, whole)
    assert set(again.metrics) == set(before) and again.warnings == []
    assert {each.name: each.version for each in (await office.call("list_metrics")).metrics} == before
    assert (await office.call("export_semantic_model")).yaml == whole
    theirs = (await office.call("export_semantic_model", VIC)).yaml
    assert "ssn" not in theirs and "vault" not in theirs and "payroll" in theirs


async def test_nothing_half_is_imported(office: PolicyDesk) -> None:
    broken = SHOP.replace("name: order_count\n", "name: order_count_2\n").replace(
        "agg: count, expr: id}\nmetrics", "agg: magic}\nmetrics"
    )
    with pytest.raises(Conflict) as refused:
        await load(office, broken)
    assert "models.yml:" in refused.value.message and "Nothing was imported" in refused.value.message
    with pytest.raises(NotFound):
        await office.call("get_metric", metric="order_count_2")
    trial = await load(office, broken, dry_run=True)
    assert trial.models == [] and [(note.file, note.line > 0) for note in trial.errors][:1] == [("models.yml", True)]
    dangling = "metrics: [{name: dangling, type: simple, type_params: {measure: nothing}}]"
    with pytest.raises(Conflict, match="Nothing was imported"):
        await load(office, dangling)


async def test_an_import_says_what_the_data_contradicts(office: PolicyDesk) -> None:
    text = """
semantic_models:
  - name: doubled
    table: shop.doubled
    entities: [{name: doubled, type: primary, expr: id}, {name: lost, type: foreign, expr: nothing}]
    unknown_key: 1
  - name: lost
    table: shop.lost
    entities: [{name: lost, type: primary, expr: id}]
"""
    report = await load(office, text, status="draft")
    said = {(note.line, note.message) for note in report.warnings}
    assert said == {
        (3, "The key 'unknown_key' is not known."),
        (3, "'lost': 'shop.doubled' has no column 'nothing' that you can query."),
        (7, "There is no table 'shop.lost' that you can query."),
        (3, "The primary key 'doubled' is not unique: joining it may repeat what is measured."),
    }
    await office.call("delete_semantic_model", model="doubled")
    with pytest.raises(NotFound):  # what its author does not see is not there
        await office.call("get_semantic_model", model="lost")


async def test_models_of_open_semantic_interchange_are_read(office: PolicyDesk) -> None:
    report = await load(office, OSI)
    assert (report.models, report.metrics[:1]) == (["osi_orders", "osi_customers"], ["osi_revenue"])
    answer = await office.call("query_metric", metrics=["osi_revenue"], dimensions=["osi_customers__country"])
    assert sorted(answer.data.records(), key=str) == [
        {"osi_customers__country": "de", "osi_revenue": 30},
        {"osi_customers__country": "fr", "osi_revenue": 70},
    ]
    assert (await office.call("query_metric", metrics=["osi_average"])).data.records()[0][
        "osi_average"
    ] == pytest.approx(100 / 3)
    for metric in ("osi_average", "osi_revenue", "osi_average_part_1", "osi_average_part_2"):
        await office.call("delete_metric", metric=metric)
    await office.call("delete_semantic_model", model="osi_orders")
    await office.call("delete_semantic_model", model="osi_customers")


@pytest.mark.parametrize(
    "text",
    [
        "a: &a [1]\nb: [*a, *a]",
        "semantic_models: !!python/object/apply:os.system ['true']",
        "semantic_models: " + "[" * 40 + "]" * 40,
        "x" * 200_000,
        "{}",
        "just text",
        "metrics: [{name: 'a; DROP', type: simple, type_params: {measure: b}}]",
        "semantic_model: [{name: x, datasets: [{name: d, source: 'SELECT 1'}]}]",
        "semantic_model: [{name: x, datasets: [], metrics: [{name: m, expression: 'SUM(a.b) + pg_read_file(1)'}]}]",
    ],
)
async def test_hostile_files_are_refused(office: PolicyDesk, text: str) -> None:
    with pytest.raises(Conflict):
        await load(office, text)


async def test_a_proposal_is_a_draft_that_answers_nothing(office: PolicyDesk) -> None:
    made = await office.call(
        "propose_semantic_model", tables=["hr.staff", "shop.orders", "shop.customers", "shop.doubled"]
    )
    assert len(made.models) == 4 and any("repeats" in note for note in made.notes)
    orders = next(name for name in made.models if name.startswith("order"))
    shown = await office.call("get_semantic_model", model=orders)
    assert shown.status == "draft" and {each["type"] for each in shown.definition["entities"]} == {"primary", "foreign"}
    assert shown.definition["defaults"] == {"agg_time_dimension": "day"}
    total = next(name for name in made.metrics if "amount" in name)
    with pytest.raises(NotFound):
        await office.call("query_metric", metrics=[total])
    assert total not in [each.name for each in (await office.call("list_metrics", VIC)).metrics]
    with pytest.raises(Unauthorized):
        await office.call("update_semantic_model", AGENT, model=orders, status="active")
    await office.call("update_semantic_model", model=orders, status="active")
    await office.call("update_metric", metric=total, status="active")
    assert (await office.call("query_metric", metrics=[total])).data.records() == [{total: 100}]
    for metric in made.metrics:
        await office.call("delete_metric", metric=metric)
    for model in made.models:
        await office.call("delete_semantic_model", model=model)
    with pytest.raises(NotFound):
        await office.call("propose_semantic_model", EDITOR, tables=["vault.staff"])


async def test_rights_tenants_and_forms(office: PolicyDesk) -> None:
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_semantic_model", TEAMS),
        ("update_semantic_model", {"model": "orders"}),
        ("delete_semantic_model", {"model": "orders"}),
        ("restore_semantic_model", {"model": "orders", "version": 1}),
        ("import_semantic_model", {"files": {"a.yml": SHOP}}),
        ("propose_semantic_model", {"tables": ["shop.orders"]}),
    ]
    for tool, arguments in calls:
        with pytest.raises(Unauthorized):
            await office.call(tool, VIC, **arguments)
        if tool != "import_semantic_model":
            with pytest.raises(PlatformError) as foreign:
                await office.call(tool, STRANGER, **arguments)
            assert foreign.value.code in ("NOT_FOUND", "CONFLICT", "QUERY_UNAUTHORIZED")
    assert (await office.call("export_semantic_model", STRANGER)).yaml.strip() == "{}"
    for wrong in ({"name": "a__b"}, {"entities": [{"name": "x", "type": "main"}]}, {"status": "done"}, PERCENT):
        with pytest.raises(InvalidArgument):
            await office.call("create_semantic_model", **{**TEAMS, **wrong})
    with pytest.raises(InvalidArgument):
        await office.call("import_semantic_model", files={})
