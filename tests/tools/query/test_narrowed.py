"""A policy that narrows what somebody sees closes every result that was made before it."""

from typing import Any

import pytest

from core.errors import Conflict, NotFound, PlatformError
from tests.fixtures_results import Shop, shop, shop_template

__all__ = ["shop", "shop_template"]

ITEMS = "SELECT id, name FROM item ORDER BY id"


async def narrow(shop: Shop) -> None:
    rule: dict[str, Any] = {"connection_id": "shop", "table": "item", "filter": "id < 3"}
    await shop.call("create_policy", by="cora", name="few", kind="row_filter", applies_to={"users": ["ada"]}, **rule)


@pytest.mark.parametrize("tool", ["get_result", "chart_result"])
async def test_the_handle_of_an_answer_and_its_chart(shop: Shop, tool: str) -> None:
    answer = await shop.call("execute_query", sql=ITEMS, connection_id="shop")
    await shop.call(tool, query_id=answer.metadata.query_id)
    await narrow(shop)
    with pytest.raises(NotFound):
        await shop.call(tool, query_id=answer.metadata.query_id)
    again = await shop.call("execute_query", sql=ITEMS, connection_id="shop")
    assert again.metadata.row_count == 2


async def test_rows_of_a_query_job_its_exports_and_links_given_out_before(shop: Shop) -> None:
    job_id = await shop.run(ITEMS)
    made = await shop.call("create_export", job_id=job_id)
    links = [
        (await shop.call("download_export", export_id=made.id)).signed_url,
        (await shop.call("download_query_result", job_id=job_id)).signed_url,
    ]
    assert [(await shop.get(link)).status_code for link in links] == [200, 200]
    await narrow(shop)
    for tool in ("get_query_job_results", "download_query_result", "create_export"):
        with pytest.raises(Conflict, match="access"):
            await shop.call(tool, job_id=job_id)
    for tool in ("download_export", "get_export"):
        with pytest.raises(PlatformError):
            await shop.call(tool, export_id=made.id)
    assert [(await shop.get(link)).status_code for link in links] == [409, 409]
