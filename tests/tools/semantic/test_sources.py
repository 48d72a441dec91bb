"""Metrics, verified queries and knowledge are found by search, by those who may see them."""

from typing import Any

import pytest

from core.context import Principal
from engine.semantic.sources import KnowledgeSource, MetricSource, VerifiedSource
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def search(office: PolicyDesk, text: str, kind: Any, by: Principal = ADMIN) -> list[str]:
    return [hit.ref for hit in await office.platform.engine.retrieval.search(by, text, frozenset([kind]), 5)]


async def test_metrics_are_found_by_their_synonyms_and_only_where_they_are_seen(office: PolicyDesk) -> None:
    assert (await search(office, "takings", "metric"))[:1] == ["revenue"]
    assert "vaulted" in await search(office, "vaulted", "metric")
    assert "vaulted" not in await search(office, "vaulted", "metric", VIC)
    assert await search(office, "takings", "metric", STRANGER) == []
    assert await search(office, "takings", "metric", Principal("nil", "default")) == []


async def test_verified_queries_and_knowledge_are_found(office: PolicyDesk) -> None:
    query = {
        "question": "How are orders spread over weekdays?",
        "sql": "SELECT day FROM shop.orders",
        "query_id": "spread",
    }
    hidden = {"question": "Which zebra numbers are there?", "sql": "SELECT ssn FROM hr.staff", "query_id": "numbers"}
    await office.call("create_verified_query", ADMIN, **query)
    await office.call("create_verified_query", ADMIN, **hidden)
    await office.call("create_knowledge", knowledge_id="churn", title="Churn", text="No order for ninety days.")
    assert await search(office, "orders spread over weekdays", "verified_query", VIC) == ["spread"]
    assert await search(office, "zebra numbers", "verified_query") == ["numbers"]
    assert await search(office, "zebra numbers", "verified_query", VIC) == []
    assert await search(office, "what does churn mean", "knowledge", VIC) == ["churn"]
    await office.call("delete_knowledge", knowledge_id="churn")
    assert await search(office, "what does churn mean", "knowledge", VIC) == []
    for name in ("spread", "numbers"):
        await office.call("delete_verified_query", query_id=name)


async def test_drafts_are_no_entries_and_every_change_is_another_version(office: PolicyDesk) -> None:
    semantic = office.platform.engine.semantic
    sources = (MetricSource(semantic), VerifiedSource(semantic), KnowledgeSource(semantic))
    before = [await source.version("default") for source in sources]
    await office.call("create_knowledge", knowledge_id="guess", title="Guess", text="x", status="draft")
    assert [await source.version("default") for source in sources] != before
    assert [entry.ref async for entry in sources[2].entries("default")] == []
    assert await sources[2].show(ADMIN, ["guess", "nothing"]) == {}
    await office.call("update_knowledge", knowledge_id="guess", status="active")
    assert set(await sources[2].show(ADMIN, ["guess", "nothing"])) == {"guess"}
    await office.call("delete_knowledge", knowledge_id="guess")
