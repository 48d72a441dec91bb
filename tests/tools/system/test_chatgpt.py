import pytest

from core.errors import InvalidArgument, NotFound
from tests.fixtures_catalog import VIEWER, Caller


async def test_what_search_finds_fetch_returns_in_full(call: Caller, shop: str) -> None:
    await call("describe_table", connection_id=shop, table="customers", description="Everyone who bought.")
    await call("tag_column", connection_id=shop, table="customers", column="emailAddress", tag="pii")
    results = (await call("search", query="customer", by=VIEWER)).results
    assert [(item.id, item.title) for item in results] == [
        ("shop/customers", "customers"),
        ("shop/order_lines", "order_lines: column customer_id"),
    ]
    document = await call("fetch", id=results[0].id, by=VIEWER)
    assert document.title == "customers"
    assert document.url == results[0].url == "http://127.0.0.1:8000/v1/catalog/schemas/shop/tables/customers"
    assert "Everyone who bought." in document.text
    assert "- emailAddress (text, may be null, pii)" in document.text
    assert document.metadata["connection_id"] == "shop"


@pytest.mark.parametrize("document_id", ["nothing", "shop/none", "other/customers"])
async def test_an_unknown_document_is_not_found(call: Caller, shop: str, document_id: str) -> None:
    with pytest.raises(NotFound):
        await call("fetch", id=document_id)


async def test_an_empty_query_is_refused(call: Caller) -> None:
    with pytest.raises(InvalidArgument):
        await call("search", query="")
