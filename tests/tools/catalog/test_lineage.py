import pytest

from core.errors import InvalidArgument, NotFound, Unauthorized
from engine.sql.bind import prepare
from tests.fixtures_catalog import ADMIN, NO_RIGHTS, STRANGER, VIEWER, Caller, Desk

SQL = "SELECT c.name, sum(total_amount) AS spent FROM order_lines o JOIN customers c ON c.id = customer_id GROUP BY 1"


async def run(desk: Desk, shop: str) -> None:
    """Note that a query ran, as the service does."""
    prepared = prepare(SQL, await desk.catalog.view(ADMIN, shop), "sqlite", max_rows=10)
    desk.lineage.record(ADMIN, shop, prepared)
    await desk.lineage.flush()


async def test_get_lineage_shows_who_reads_a_column_and_what_becomes_of_it(call: Caller, desk: Desk, shop: str) -> None:
    await run(desk, shop)
    shown = await call("get_lineage", connection_id=shop, table="order_lines", column="TOTAL_AMOUNT", by=VIEWER)
    assert (shown.table, shown.column, shown.upstream, shown.truncated) == ("order_lines", "total_amount", [], False)
    (reader,) = shown.readers
    assert reader.columns == ["total_amount"] and reader.run_count == 1
    assert reader.sql.startswith("SELECT c . name , sum ( total_amount )") and reader.sql.endswith("GROUP BY ?")
    assert [(item.name, item.is_direct) for item in reader.outputs] == [("spent", True)]
    whole = await call("get_lineage", connection_id=shop, table="customers")
    assert whole.readers[0].columns == ["id", "name"]


async def test_a_table_nobody_reads_has_no_lineage(call: Caller, shop: str) -> None:
    shown = await call("get_lineage", connection_id=shop, table="customers", column="emailAddress")
    assert (shown.readers, shown.upstream, shown.downstream) == ([], [], [])


async def test_lineage_of_another_tenants_connection_does_not_exist(call: Caller, desk: Desk, shop: str) -> None:
    await run(desk, shop)
    with pytest.raises(NotFound):
        await call("get_lineage", connection_id=shop, table="customers", by=STRANGER)


@pytest.mark.parametrize(("table", "column"), [("nothing", ""), ("customers", "nothing"), ("sqlite_master", "")])
async def test_lineage_of_what_is_not_there_is_not_found(call: Caller, shop: str, table: str, column: str) -> None:
    with pytest.raises(NotFound):
        await call("get_lineage", connection_id=shop, table=table, column=column)


async def test_lineage_needs_the_right_to_read_the_catalog_and_a_name(call: Caller, shop: str) -> None:
    with pytest.raises(Unauthorized):
        await call("get_lineage", connection_id=shop, table="customers", by=NO_RIGHTS)
    for wrong in ("", "a/b", "x" * 600):
        with pytest.raises(InvalidArgument):
            await call("get_lineage", connection_id=shop, table=wrong)
