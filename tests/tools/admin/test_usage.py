"""get_tenant_usage through the front door."""

from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import InvalidArgument, NotFound, QuotaExceeded, Unauthorized
from headwater.build import Platform, build
from tests.faces.owned import load_tables
from tests.faces.world import settings_of


@pytest.fixture
async def platform(tmp_path: Path) -> AsyncIterator[Platform]:
    made = await build(settings_of(tmp_path / "home"))
    load_tables(made, "default", ("shop.orders", "shop.customers"))
    await made.engine.identity.directory.create_tenant("Other", tenant_id="other")
    yield made
    await made.close()


async def call(platform: Platform, tool: str, by: Principal, **arguments: Any) -> Any:
    return await platform.dispatcher.call(Call(tool, arguments, "test", "r", principal=by))


async def someone(platform: Platform, role: str) -> Principal:
    identity = platform.engine.identity
    return await identity.verify(await identity.mint(role=role))


async def test_usage_counts_requests_queries_and_what_is_stored(platform: Platform) -> None:
    admin, viewer = await someone(platform, "admin"), await someone(platform, "viewer")
    for _ in range(3):
        await call(platform, "execute_query", viewer, sql="SELECT * FROM shop.orders", no_cache=True)
    found = await call(platform, "get_tenant_usage", admin)
    assert (found.today.queries, found.this_month.queries) == (3, 3)
    assert found.today.rows_scanned > 0 and found.today.query_usd > 0
    assert found.today.requests == 4  # with the one that asks
    assert {item.id: item.queries for item in found.users} == {"viewer": 3, "admin": 0}
    assert found.storage.table_bytes > 1000 and found.storage.total_bytes >= found.storage.table_bytes
    assert found.month == found.day[:7] and found.day_ends_at <= found.month_ends_at


async def test_an_earlier_month_shows_what_was_used_then(platform: Platform) -> None:
    admin = await someone(platform, "admin")
    found = await call(platform, "get_tenant_usage", admin, month="2020-02")
    assert (found.month, found.this_month.requests, found.users) == ("2020-02", 0, [])
    with pytest.raises(InvalidArgument):
        await call(platform, "get_tenant_usage", admin, month="2020-13")


async def test_only_those_who_look_after_all_tenants_see_anothers(platform: Platform) -> None:
    admin, root = await someone(platform, "admin"), await someone(platform, "super_admin")
    refusals = []
    for tenant in ("other", "nowhere"):
        with pytest.raises(NotFound) as refused:
            await call(platform, "get_tenant_usage", admin, tenant_id=tenant)
        refusals.append(refused.value.message.replace(tenant, "it"))
    assert refusals[0] == refusals[1]
    assert (await call(platform, "get_tenant_usage", root, tenant_id="other")).today.requests == 0
    with pytest.raises(NotFound):
        await call(platform, "get_tenant_usage", root, tenant_id="nowhere")
    with pytest.raises(Unauthorized):
        await call(platform, "get_tenant_usage", await someone(platform, "viewer"))


async def test_a_tenant_that_has_stored_all_it_may_stores_no_more(platform: Platform) -> None:
    root, editor = await someone(platform, "super_admin"), await someone(platform, "editor")
    await call(platform, "set_query_quota", root, limits=[{"metric": "storage_bytes", "hard": 100}])
    with pytest.raises(QuotaExceeded, match="may store 100 bytes"):
        await call(platform, "create_upload", editor, name="a.csv", size_bytes=1)
    assert (await call(platform, "list_tables", editor, connection_id="lakehouse")).tables
