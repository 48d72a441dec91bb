from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.engine.catalog.test_snapshots import make_table
from tests.fixtures_catalog import VIEWER, Caller, Desk


async def test_the_documents_example_works_where_the_operator_allows_its_root(call: Caller, desk: Desk) -> None:
    asked: dict[str, Any] = {
        "catalog_type": "hadoop",
        "warehouse": str(desk.roots / "warehouse"),
        "catalog_name": "drls",
        "uri": None,
        "extra_props": {},
    }
    assert (await call("set_catalog_config", **asked)).model_dump() == {"configured": True, **asked}
    assert (await call("get_catalog_config", by=VIEWER)).model_dump() == {"configured": True, **asked}


async def test_without_that_the_folder_is_refused_saying_why(call: Caller) -> None:
    with pytest.raises(Unauthorized, match="operator") as caught:
        await call("set_catalog_config", catalog_type="hadoop", warehouse="/tmp/warehouse", catalog_name="drls")
    assert "allowed_roots" in caught.value.hint
    assert not (await call("get_catalog_config")).configured


@pytest.mark.parametrize(
    "wrong",
    [
        {"catalog_type": "hbase"},
        {"catalog_name": "a b"},
        {"warehouse": "relative"},
        {"warehouse": ""},
        {"warehouse": "ftp://bucket/x"},
        {"warehouse": "/" + "x" * 4096},
    ],
)
async def test_values_of_another_form_are_refused(call: Caller, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await call("set_catalog_config", **wrong)


async def test_a_catalog_elsewhere_is_refused(call: Caller) -> None:
    with pytest.raises(Conflict, match="PostgreSQL"):
        await call("set_catalog_config", uri="http://catalog")


async def test_tables_of_the_warehouse_before_come_back_when_it_is_set_back(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    await call("set_catalog_config", warehouse=str(desk.roots / "warehouse"))
    assert (await call("list_lakehouse_tables")).model_dump() == {"namespaces": [], "tables": []}
    with pytest.raises(NotFound):
        await call("get_table", table="db.events")
    await call("set_catalog_config")
    assert (await call("list_lakehouse_tables")).tables == ["db.events"]
    assert (await call("get_table", table="db.events")).columns


async def test_the_catalogs_name_may_begin_a_tables_name(call: Caller, desk: Desk) -> None:
    make_table(desk.lake, "acme", ("db", "events"))
    await call("set_catalog_config", catalog_name="drls")
    assert (await call("get_table_schema", table="drls.db.events")).table == "db.events"
