"""Verified queries and knowledge: kept by people, found when the same is asked again."""

from datetime import date
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, QueryUnauthorized, Unauthorized
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk
from tests.tools.semantic.conftest import AGENT, EDITOR

pytestmark = pytest.mark.asyncio(loop_scope="session")
TODAY = date(2026, 2, 10)
REVENUE: dict[str, Any] = {
    "question": "What was the revenue in FR last month?",
    "sql": (
        "SELECT sum(amount) AS revenue FROM shop.orders o JOIN shop.customers c ON o.customer_id = c.id "
        "WHERE c.country = $country AND o.day >= CAST($month_start AS DATE) AND o.day < CAST($month_end AS DATE)"
    ),
    "parameters": [
        {"name": "country", "kind": "value", "example": "FR", "column": "shop.customers.country"},
        {"name": "month", "kind": "date_range", "example": "last month"},
    ],
    "other_questions": ["How much did we sell in FR last month?"],
}


async def match(office: PolicyDesk, question: str, by: Any = VIC) -> Any:
    return await office.platform.engine.semantic.match(by, question, "lakehouse", today=TODAY)


async def test_a_question_that_was_verified_is_known_again(office: PolicyDesk) -> None:
    made = await office.call("create_verified_query", EDITOR, query_id="rev", **REVENUE)
    assert (made.id, made.status, made.verified_by, made.version) == ("rev", "active", "eve", 1)
    for same in (REVENUE["question"], "the revenue in FR last month", "Show me the revenue in fr last month!"):
        found = await match(office, same)
        assert (found.name, found.parameters) == (
            "rev",
            {"country": "FR", "month_start": "2026-01-01", "month_end": "2026-02-01"},
        )
    assert (await match(office, REVENUE["question"])).match == "exact"
    near = await match(office, "How much did we sell in de in December 2025?".replace("in December", "December"))
    assert (near.match, near.parameters["country"], near.parameters["month_start"]) == ("near", "DE", "2025-12-01")
    answer = await office.call("execute_query", VIC, sql=near.sql, parameters=near.parameters)
    assert answer.data.records() == [{"revenue": None}]
    await office.call("delete_verified_query", query_id="rev")


async def test_what_differs_elsewhere_is_only_suggested(office: PolicyDesk) -> None:
    await office.call("create_verified_query", EDITOR, query_id="rev", **REVENUE)
    others = (
        "What was the revenue in Atlantis last month?",
        "What was the profit in FR last month?",
        "What was the revenue in FR last month by city?",
        "What was the revenue in FR?",
        "What was the revenue in FR since forever?",
        "What was not the revenue in FR last month?",
        "x" * 5000,
        "",
    )
    for other in others:
        assert await match(office, other) is None
    verified = office.platform.engine.semantic.verified
    assert [each.name for each in await verified.suggest(VIC, others[1], "lakehouse")] == ["rev"]
    assert await verified.suggest(VIC, "Who is the boss of team a?", "lakehouse") == []
    await office.call("delete_verified_query", query_id="rev")


async def test_only_those_who_see_what_it_names_see_a_verified_query(office: PolicyDesk) -> None:
    made = await office.call(
        "create_verified_query", question="Which numbers are there?", sql="SELECT ssn FROM hr.staff"
    )
    assert await match(office, "Which numbers are there?") is None
    assert (await match(office, "Which numbers are there?", ADMIN)).sql == "SELECT ssn FROM hr.staff"
    assert made.id not in [each.id for each in (await office.call("list_verified_queries", VIC)).verified_queries]
    assert made.id in [each.id for each in (await office.call("list_verified_queries")).verified_queries]
    for tool in ("update_verified_query", "delete_verified_query"):
        with pytest.raises(NotFound):
            await office.call(tool, EDITOR, query_id=made.id)
    with pytest.raises(QueryUnauthorized):
        await office.call("create_verified_query", EDITOR, question="q", sql="SELECT ssn FROM hr.staff")
    await office.call("delete_verified_query", query_id=made.id, version=1)


async def test_an_agents_query_waits_for_a_person(office: PolicyDesk) -> None:
    made = await office.call(
        "create_verified_query", AGENT, query_id="bot", question="How many?", sql="SELECT count(*) FROM shop.orders"
    )
    assert made.status == "draft" and await match(office, "How many?") is None
    assert "bot" not in [each.id for each in (await office.call("list_verified_queries", VIC)).verified_queries]
    with pytest.raises(Unauthorized, match="only writes drafts"):
        await office.call("update_verified_query", AGENT, query_id="bot", status="active")
    verified = await office.call("update_verified_query", query_id="bot", status="active", version=1)
    assert (verified.verified_by, verified.version) == ("admin", 2)
    assert (await match(office, "How many?")).match == "exact"
    for tool, more in (("update_verified_query", {"sql": "SELECT 1"}), ("delete_verified_query", {})):
        with pytest.raises(Unauthorized):
            await office.call(tool, AGENT, query_id="bot", **more)
    await office.call("delete_verified_query", query_id="bot")


@pytest.mark.parametrize(
    ("change", "why"),
    [
        ({"sql": "DELETE FROM shop.orders"}, "must be one SELECT"),
        ({"sql": "SELECT 1; SELECT 2"}, "must be one SELECT"),
        ({"sql": "SELECT * FROM read_csv('/etc/passwd')"}, "must be one SELECT"),
        ({"parameters": [{"name": "a", "kind": "value", "example": "nowhere"}]}, "does not stand in the question"),
        ({"parameters": [{"name": "a", "kind": "value", "example": "?!"}]}, "does not stand in the question"),
        ({"parameters": [{"name": "a", "kind": "value", "example": "FR"}] * 2}, "same name"),
    ],
)
async def test_what_cannot_be_verified_is_refused(office: PolicyDesk, change: dict[str, Any], why: str) -> None:
    with pytest.raises((Conflict, QueryUnauthorized)) as refused:
        await office.call("create_verified_query", EDITOR, **{**REVENUE, **change})
    assert why in f"{refused.value.message} {refused.value.hint}"


async def test_knowledge_is_for_those_who_see_its_tables(office: PolicyDesk) -> None:
    made = await office.call(
        "create_knowledge", EDITOR, title="Churn", text="No order for 90 days.", synonyms=["lost"], subject_path="sales"
    )
    about = await office.call(
        "create_knowledge", title="Vault", text="canary", connection_id="lakehouse", tables=["vault.staff"]
    )
    bots = await office.call("create_knowledge", AGENT, title="Guess", text="Perhaps.")
    assert (made.status, bots.status) == ("active", "draft")
    assert {each.title for each in (await office.call("list_knowledge")).knowledge} >= {"Churn", "Vault", "Guess"}
    assert [each.title for each in (await office.call("list_knowledge", VIC)).knowledge] == ["Churn"]
    assert [each.title for each in (await office.call("list_knowledge", subject_path="sales")).knowledge] == ["Churn"]
    changed = await office.call(
        "update_knowledge", EDITOR, knowledge_id=made.id, text="No order for 60 days.", version=1
    )
    assert (changed.version, changed.title, changed.updated_by) == (2, "Churn", "eve")
    with pytest.raises(Conflict):
        await office.call("update_knowledge", knowledge_id=made.id, text="x", version=1)
    with pytest.raises(NotFound):
        await office.call("update_knowledge", EDITOR, knowledge_id=about.id, text="x")
    with pytest.raises(Unauthorized):
        await office.call("update_knowledge", AGENT, knowledge_id=made.id, text="x")
    for where in ({"connection_id": "lakehouse"}, {}):
        with pytest.raises(QueryUnauthorized):
            await office.call("create_knowledge", EDITOR, title="t", text="t", tables=["vault.staff"], **where)
    for knowledge in (made, about, bots):
        await office.call("delete_knowledge", knowledge_id=knowledge.id)
    with pytest.raises(NotFound):
        await office.call("delete_knowledge", knowledge_id=made.id)


async def test_the_planner_reads_a_question_with_the_knowledge_that_its_asker_sees(office: PolicyDesk) -> None:
    ask: dict[str, Any] = {"natural_language": "How many patrons are there by country?", "connection_id": "lakehouse"}
    with pytest.raises(Conflict, match="patrons"):
        await office.call("build_query_from_nl", **ask)
    made = await office.call("create_knowledge", title="Patrons", text="Patrons means customers.")
    hidden = await office.call(
        "create_knowledge",
        title="Wards",
        text="Wards means customers.",
        connection_id="lakehouse",
        tables=["vault.staff"],
    )
    asked = await office.call("build_query_from_nl", EDITOR, **ask)
    assert "customers" in asked.sql
    assert "Patrons is read as customers" in asked.assumptions
    ask["natural_language"] = "How many wards are there by country?"
    assert "customers" in (await office.call("build_query_from_nl", **ask)).sql
    with pytest.raises(Conflict, match="wards"):
        await office.call("build_query_from_nl", EDITOR, **ask)
    for knowledge in (made, hidden):
        await office.call("delete_knowledge", knowledge_id=knowledge.id)


async def test_earlier_versions_come_back_as_far_as_they_are_seen(office: PolicyDesk) -> None:
    await office.call("create_verified_query", query_id="old", question="Which?", sql="SELECT ssn FROM hr.staff")
    await office.call("update_verified_query", query_id="old", sql="SELECT id FROM shop.orders")
    past = await office.call("list_verified_query_versions", query_id="old")
    assert [(each.version, each.definition["sql"]) for each in past.versions] == [
        (2, "SELECT id FROM shop.orders"),
        (1, "SELECT ssn FROM hr.staff"),
    ]
    seen = await office.call("list_verified_query_versions", EDITOR, query_id="old")
    assert [each.version for each in seen.versions] == [2]
    with pytest.raises(NotFound, match="no version 1"):
        await office.call("restore_verified_query", EDITOR, query_id="old", version=1)
    back = await office.call("restore_verified_query", query_id="old", version=1)
    assert (back.name, back.version, back.status) == ("old", 3, "active")
    assert (await match(office, "Which?", ADMIN)).sql == "SELECT ssn FROM hr.staff"
    await office.call("delete_verified_query", query_id="old", version=3)
    text = await office.call("create_knowledge", EDITOR, knowledge_id="term", title="Lost", text="Gone for 90 days.")
    await office.call("update_knowledge", EDITOR, knowledge_id="term", text="Gone for 60 days.", version=text.version)
    with pytest.raises(Unauthorized, match="only writes drafts"):
        await office.call("restore_knowledge", AGENT, knowledge_id="term", version=1)
    await office.call("restore_knowledge", EDITOR, knowledge_id="term", version=1)
    past = await office.call("list_knowledge_versions", EDITOR, knowledge_id="term")
    assert [each.definition["text"][9:] for each in past.versions] == ["90 days.", "60 days.", "90 days."]
    await office.call("delete_knowledge", knowledge_id="term")


async def test_rights_tenants_and_forms(office: PolicyDesk) -> None:
    await office.call("create_verified_query", EDITOR, query_id="rev", **REVENUE)
    await office.call("create_knowledge", EDITOR, knowledge_id="k", title="t", text="t")
    calls: list[tuple[str, dict[str, Any]]] = [
        ("create_verified_query", REVENUE),
        ("update_verified_query", {"query_id": "rev"}),
        ("delete_verified_query", {"query_id": "rev"}),
        ("create_knowledge", {"title": "t", "text": "t"}),
        ("update_knowledge", {"knowledge_id": "k"}),
        ("delete_knowledge", {"knowledge_id": "k"}),
        ("restore_verified_query", {"query_id": "rev", "version": 1}),
        ("restore_knowledge", {"knowledge_id": "k", "version": 1}),
    ]
    for tool, arguments in calls:
        with pytest.raises(Unauthorized):
            await office.call(tool, VIC, **arguments)
        if not tool.startswith("create"):
            with pytest.raises(NotFound):
                await office.call(tool, STRANGER, **arguments)
    assert (await office.call("list_verified_queries", STRANGER)).verified_queries == []
    assert (await office.call("list_knowledge", STRANGER)).knowledge == []
    for tool, key in (("list_verified_query_versions", "query_id"), ("list_knowledge_versions", "knowledge_id")):
        with pytest.raises(NotFound):
            await office.call(tool, STRANGER, **{key: {"query_id": "rev", "knowledge_id": "k"}[key]})
    with pytest.raises(InvalidArgument):
        await office.call("restore_knowledge", EDITOR, knowledge_id="k", version=0)
    for wrong in ({"sql": ""}, {"question": ""}, {"parameters": [{"name": "1", "kind": "value", "example": "FR"}]}):
        with pytest.raises(InvalidArgument):
            await office.call("create_verified_query", EDITOR, **{**REVENUE, **wrong})
    with pytest.raises(Conflict, match="taken"):
        await office.call("create_verified_query", EDITOR, query_id="rev", **REVENUE)
    await office.call("delete_verified_query", query_id="rev")
    await office.call("delete_knowledge", knowledge_id="k")
