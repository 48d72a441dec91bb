import asyncio

import pytest

from core.context import Principal
from core.errors import Cancelled, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_catalog import ADMIN, NO_RIGHTS, STRANGER, VIEWER, Caller

ENDLESS = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r) SELECT count(*) FROM r"
COLLEAGUE = Principal("cora", ADMIN.tenant, ADMIN.roles, ADMIN.permissions)


async def run(call: Caller) -> str:
    answer = await call("execute_query", connection_id="shop", sql="SELECT * FROM item")
    return str(answer.metadata.query_id)


async def test_the_state_of_a_query_is_its_owners_to_read(call: Caller) -> None:
    query_id = await run(call)
    status = await call("get_query_status", query_id=query_id)
    assert (status.status, status.row_count, status.connection_id) == ("succeeded", 2, "shop")
    assert status.started_at <= status.ended_at
    for other in (COLLEAGUE, VIEWER, STRANGER):
        for tool in ("get_query_status", "cancel_query"):
            with pytest.raises(NotFound):
                await call(tool, by=other, query_id=query_id)


async def test_a_running_query_is_stopped(call: Caller, service: object) -> None:
    task = asyncio.ensure_future(call("execute_query", connection_id="shop", sql=ENDLESS))
    running: dict[tuple[str, str], object] = {}
    while not running:
        await asyncio.sleep(0.01)
        running = dict(service.queries._running)  # type: ignore[attr-defined]
    [(_, query_id)] = running
    assert (await call("get_query_status", query_id=query_id)).status == "running"
    await call("cancel_query", query_id=query_id)
    with pytest.raises(Cancelled):
        await task
    assert (await call("get_query_status", query_id=query_id)).status == "cancelled"


async def test_stopping_one_that_has_ended_changes_nothing(call: Caller) -> None:
    query_id = await run(call)
    assert (await call("cancel_query", query_id=query_id)).status == "succeeded"


async def test_bad_ids_and_missing_rights_are_refused(call: Caller) -> None:
    for tool in ("get_query_status", "cancel_query"):
        with pytest.raises(NotFound):
            await call(tool, query_id="qry_nothing")
        with pytest.raises(InvalidArgument):
            await call(tool, query_id="x" * 100)
        with pytest.raises(Unauthorized):
            await call(tool, by=NO_RIGHTS, query_id="qry_nothing")
