"""Whoever is bound to some connections, as an agent is, finds that the others do not exist."""

from dataclasses import replace
from typing import Any

import pytest

from core.errors import NotFound
from engine.jobs.principals import dump_principal, load_principal
from tests.fixtures_catalog import VIEWER, Caller

BOUND = replace(VIEWER, via="agent", credential_id="a", connections=frozenset({"lakehouse"}))
CALLS: list[tuple[str, dict[str, Any]]] = [
    ("get_connection", {"connection_id": "shop"}),
    ("list_tables", {"connection_id": "shop"}),
    ("get_table", {"connection_id": "shop", "table": "orders"}),
    ("get_schema", {"connection_id": "shop"}),
]


@pytest.mark.parametrize(("tool", "arguments"), CALLS)
async def test_another_connection_does_not_exist(call: Caller, shop: str, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(NotFound, match="connection"):
        await call(tool, by=BOUND, **arguments)


async def test_lists_and_searches_leave_the_others_out(call: Caller, shop: str) -> None:
    listed = await call("list_connections", by=BOUND)
    assert ([item.connection_id for item in listed.connections], listed.total_count) == (["lakehouse"], 1)
    found = (await call("search_catalog", by=BOUND, q="orders")).model_dump_json()
    assert "shop" not in found
    assert "shop" in (await call("search_catalog", by=VIEWER, q="orders")).model_dump_json()


def test_the_bounds_stay_with_a_job() -> None:
    assert load_principal(dump_principal(BOUND)) == BOUND
    assert load_principal(dump_principal(VIEWER)) == VIEWER
