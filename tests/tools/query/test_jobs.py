import asyncio
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, QueryUnauthorized, Timeout, Unauthorized
from engine.sql.background import JOB_TIMEOUT_S
from engine.sql.run import Statement
from headwater.build import make_ticker
from tests.fixtures_results import ENDLESS, Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

ITEMS = "SELECT id, name FROM item ORDER BY id"


async def test_a_job_runs_and_its_rows_are_read_page_by_page(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    job = await shop.call("get_query_job", job_id=job_id)
    assert (job.id, job.status, job.total_rows, job.error_result) == (job_id, "succeeded", 5, None)
    assert (job.tenant_id, job.query_id, job.cache_hit, job.dml_stats, job.exports) == (
        "default",
        None,
        False,
        None,
        [],
    )
    assert job.created <= job.started <= job.ended
    pages = [await shop.call("get_query_job_results", job_id=job_id, page=page, page_size=2) for page in (1, 2, 3, 4)]
    assert [[row["id"] for row in page.rows.records()] for page in pages] == [[1, 2], [3, 4], [5], []]
    assert {(page.total_rows, page.total_pages, page.page_size) for page in pages} == {(5, 3, 2)}
    assert [(column.name, column.type) for column in pages[0].columns] == [("id", "bigint"), ("name", "varchar")]
    assert [row["name"] for row in pages[0].rows.records()] == ["a", None]


async def test_many_rows_are_read_where_they_are(shop: Shop) -> None:
    many = "WITH RECURSIVE r(n) AS (SELECT 1 UNION ALL SELECT n + 1 FROM r WHERE n < 300000) SELECT n FROM r"
    job_id = await shop.run(many)
    manifest = (await shop.platform.engine.query_jobs.results.find(await shop.who("ada"), [job_id]))[job_id]
    assert len(manifest.frames) > 1
    first = manifest.frames[0].row_count
    assert 300_000 % 100 == 0
    page = first // 100 + 1
    rows = (await shop.call("get_query_job_results", job_id=job_id, page=page, page_size=100)).rows.records()
    assert [row["n"] for row in rows] == list(range((page - 1) * 100 + 1, page * 100 + 1))


async def test_what_may_not_run_is_refused_before_there_is_a_job(shop: Shop) -> None:
    for sql, error in (
        ("SELECT * FROM nothing", QueryUnauthorized),
        ("DROP TABLE item", PlatformError),
        ("SELECT nothing FROM item", QueryUnauthorized),
    ):
        with pytest.raises(error):
            await shop.call("run_query", query_text=sql, connection_id="shop")
    with pytest.raises(Conflict, match="nothing to run"):
        await shop.call("run_query", connection_id="shop")
    with pytest.raises(NotFound):
        await shop.call("run_query", query_text="SELECT 1 AS n", connection_id="../shop")
    with pytest.raises(NotFound):
        await shop.call("run_query", query_id="no-such-query")
    with pytest.raises(InvalidArgument):
        await shop.call("run_query", query_text="SELECT 1 AS n", max_rows=-1)
    assert (await shop.call("list_query_jobs")).total_count == 0


async def test_a_saved_query_runs_by_its_id_as_it_was_when_asked(shop: Shop) -> None:
    await shop.call("create_project", name="First", project_id="p1")
    saved = await shop.call(
        "create_query", query_text=ITEMS, connection_id="shop", project_id="p1", query_id="all_items"
    )
    started = await shop.call("run_query", query_id=saved.id)
    other = await shop.call("run_query", query_id=saved.id, query_text="SELECT id FROM item", connection_id="shop")
    await shop.run(ITEMS)
    for job_id in (started.job_id, other.job_id):
        await shop.ended(job_id)
        assert (await shop.call("get_query_job", job_id=job_id)).query_id == saved.id
    listed = await shop.call("list_query_jobs_by_query", query_id=saved.id)
    assert [job.id for job in listed.query_jobs] == [other.job_id, started.job_id]
    assert (await shop.call("list_query_jobs_by_query", query_id="all_item")).total_count == 0
    assert (await shop.call("list_query_jobs_by_query", query_id="all_%")).total_count == 0


async def test_a_job_is_cancelled(shop: Shop) -> None:
    started = await shop.call("run_query", query_text=ENDLESS, connection_id="shop")
    while (await shop.call("get_query_job", job_id=started.job_id)).status != "running":
        await asyncio.sleep(0.02)
    with pytest.raises(Conflict, match="not ended"):
        await shop.call("get_query_job_results", job_id=started.job_id)
    await shop.call("cancel_query_job", job_id=started.job_id)
    await shop.ended(started.job_id)
    assert (await shop.call("get_query_job", job_id=started.job_id)).status == "cancelled"
    with pytest.raises(Conflict, match="cancelled"):
        await shop.call("get_query_job_results", job_id=started.job_id)
    assert shop.stored() == []


async def test_jobs_are_listed_in_either_style_of_pages(shop: Shop) -> None:
    ids = [await shop.run(f"SELECT {number} AS n") for number in range(3)][::-1]
    assert [job.id for job in (await shop.call("list_query_jobs", skip=1, limit=2)).query_jobs] == ids[1:]
    first = await shop.call("list_query_jobs", page_size=2)
    second = await shop.call("list_query_jobs", page_size=2, page_token=first.next_page_token)
    assert [job.id for job in first.items + second.items] == ids
    with pytest.raises(InvalidArgument):
        await shop.call("list_query_jobs", skip=1, page_size=2)
    assert (await shop.call("list_query_jobs", by="cora")).total_count == 0


def _of_job(job_id: str) -> list[tuple[str, dict[str, Any]]]:
    job = {"job_id": job_id}
    names = ("get_query_job", "get_query_job_results", "cancel_query_job", "download_query_result", "list_exports")
    return [*((name, job) for name in names), ("create_export", job)]


async def test_nobody_else_sees_a_job_whatever_they_may(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    hidden = []
    for by in ("cora", "olga"):
        for tool, arguments in _of_job(job_id):
            with pytest.raises(NotFound) as refused:
                await shop.call(tool, by=by, **arguments)
            hidden.append(refused.value.message.replace(job_id, "ID"))
    missing = []
    for wrong in ("no-such-id", "../" + job_id, job_id.upper() + "%"):
        for tool, arguments in _of_job(wrong):
            with pytest.raises(NotFound) as refused:
                await shop.call(tool, **arguments)
            missing.append(refused.value.message.replace(wrong, "ID"))
    assert set(hidden) == set(missing) == {"No query job 'ID'."}


async def test_without_the_permission_nothing_runs(shop: Shop) -> None:
    await shop.give("cora", "auditor")
    for tool, arguments in (("run_query", {"query_text": "SELECT 1 AS n"}), ("list_query_jobs", {}), *_of_job("x")):
        with pytest.raises(Unauthorized):
            await shop.call(tool, by="cora", **arguments)


async def test_rows_of_a_table_that_is_gone_are_not_read(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    await shop.platform.engine.catalog.connections.delete("default", "shop")
    for tool in ("get_query_job_results", "download_query_result"):
        with pytest.raises(Conflict, match="access"):
            await shop.call(tool, job_id=job_id)


async def test_a_result_beyond_the_cap_is_refused_and_leaves_nothing(shop: Shop) -> None:
    shelf = shop.platform.engine.query_jobs.results._shelf
    object.__setattr__(shelf, "max_bytes", 100)
    job_id = await shop.run(ITEMS)
    job = await shop.call("get_query_job", job_id=job_id)
    assert (job.status, job.error_result["code"]) == ("failed", "CONFLICT")
    assert shop.stored() == []


async def test_a_job_may_take_longer_than_a_query(shop: Shop) -> None:
    sql = shop.platform.engine.sql
    sql._settings = sql._settings.model_copy(update={"timeout_s": 0.1})
    slow = ENDLESS.replace("FROM r)", "FROM r WHERE n < 1000000)")
    with pytest.raises(Timeout):
        await shop.call("execute_query", sql=slow, connection_id="shop")
    job = await shop.call("get_query_job", job_id=await shop.run(slow))
    assert job.status == "succeeded"
    assert job.timeline["execution_time_ms"] > 100
    assert sql._limits(Statement(slow, allowed_s=JOB_TIMEOUT_S), 5).timeout_s == 3600


async def test_figures_of_a_job_are_those_of_its_run(shop: Shop) -> None:
    job = await shop.call("get_query_job", job_id=await shop.run(ITEMS))
    [cost] = (await shop.call("list_query_costs", by="cora")).items
    assert (job.total_slot_ms, job.total_bytes_processed) == (cost.cpu_ms, cost.bytes_scanned)
    assert job.total_bytes_processed > 0


async def test_a_repeated_key_starts_no_second_job(shop: Shop) -> None:
    ask: dict[str, Any] = {"query_text": ITEMS, "connection_id": "shop"}
    first = await shop.call("run_query", key="k1", **ask)
    again = await shop.call("run_query", key="k1", **ask)
    assert first == again
    with pytest.raises(Conflict, match="other arguments"):
        await shop.call("run_query", key="k1", query_text="SELECT 1 AS n")
    assert (await shop.call("list_query_jobs")).total_count == 1


async def test_a_saved_query_can_be_scheduled_and_is_known_to_lineage(shop: Shop) -> None:
    await shop.call("create_project", name="First", project_id="p1")
    await shop.call("create_query", query_text=ITEMS, connection_id="shop", project_id="p1", query_id="all_items")
    ask: dict[str, Any] = {
        "name": "n",
        "tool": "run_query",
        "arguments": {"query_id": "all_items"},
        "cron": "* * * * *",
    }
    made = await shop.call("create_schedule", **ask)
    shop.platform.engine.schedules._clock = lambda: made.next_at.timestamp() + 1
    await make_ticker(shop.platform).tick()
    while not (await shop.call("list_schedules")).schedules[0].last_job_id:  # the platform's own may have been first
        await asyncio.sleep(0.02)
    [job] = (await shop.call("list_query_jobs_by_query", query_id="all_items")).items
    [schedule] = (await shop.call("list_schedules")).schedules
    assert (schedule.last_job_id, schedule.last_error) == (job.id, None)
    await shop.ended(job.id)
    await shop.platform.engine.lineage.flush()
    known = await shop.call("get_lineage", table="item", connection_id="shop")
    assert [(reader.saved_query_id, reader.run_count) for reader in known.readers] == [("all_items", 1)]
