from typing import Any

import pyarrow as pa
import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.fixtures_results import Shop, shop, shop_template
from tests.tools.projects.files import ROWS, encoded, gz, load, make_table, parquet, rows, send

__all__ = ["shop", "shop_template"]

FORMATS: Any = ("CSV", "JSON", "PARQUET", "AVRO", "ARROW")


async def test_every_format_fills_a_table_that_had_no_columns(shop: Shop) -> None:
    for kind in FORMATS:
        table_id = await make_table(shop, kind.lower())
        done = await load(shop, table_id, f"rows.{kind.lower()}", encoded(ROWS, kind))
        assert (done.status, done.row_count, done.bad_row_count) == ("succeeded", 3, 0)
        assert rows(shop, kind.lower()) == sorted(ROWS.to_pylist(), key=str)
        sql = f"SELECT id, name, amount FROM sales.{kind.lower()} ORDER BY id"
        assert (await shop.call("execute_query", sql=sql)).data.records() == ROWS.to_pylist()


async def test_compressed_text_and_other_dialects_are_read(shop: Shop) -> None:
    table_id = await make_table(shop)
    await load(shop, table_id, "a.csv.gz", gz(b'id;name\n1;"x;y"\n2;""\n3;\n'))
    await load(
        shop,
        table_id,
        "b.tsv",
        b"4\tz\n",
        header=False,
        delimiter="\t",
        columns=[{"name": "column0", "type": "bigint"}],
        schema_evolution="add_columns",
    )
    found = (await shop.call("execute_query", sql="SELECT id, name FROM sales.t WHERE id IS NOT NULL ORDER BY 1")).data
    assert found.records() == [{"id": 1, "name": "x;y"}, {"id": 2, "name": ""}, {"id": 3, "name": None}]


async def test_new_columns_come_only_where_they_are_wanted(shop: Shop) -> None:
    table_id = await make_table(shop, schema=[{"name": "id", "type": "int"}])
    with pytest.raises(Conflict, match="no column"):
        await load(shop, table_id, "a.csv", b"id,extra\n1,x\n")
    await load(shop, table_id, "a.csv", b"id,extra\n1,x\n", schema_evolution="add_columns")
    with pytest.raises(Conflict, match="bad rows"):
        await load(shop, table_id, "a.csv", b"id\n5000000000\n", schema_evolution="add_columns")
    await load(shop, table_id, "a.csv", b"id\n5000000000\n", schema_evolution="widen")
    assert rows(shop) == [{"id": 1, "extra": "x"}, {"id": 5_000_000_000, "extra": None}]


BAD = {
    "CSV": b'id,name\n1,a\nx,b\n3,c,d\n4,"e\nf"\n5\n',
    "JSON": b'{"id":1,"name":"a"}\n{"id":"x","name":"b"}\nnot json\n[1]\n{"id":4,"name":"e\\nf"}\n',
    "PARQUET": parquet(pa.table({"id": ["1", "x", "y", "4"], "name": ["a", "b", "c", "e\nf"]})),
    "ARROW": encoded(pa.table({"id": ["1", "x", "y", "4"], "name": ["a", "b", "c", "e\nf"]}), "ARROW"),
}


async def test_bad_rows_are_set_aside_with_reasons(shop: Shop) -> None:
    schema = [{"name": "id", "type": "bigint"}, {"name": "name", "type": "string"}]
    for kind, data in BAD.items():
        name = kind.lower()
        table_id = await make_table(shop, name, schema=schema)
        with pytest.raises(Conflict) as refused:
            await load(shop, table_id, f"a.{name}", data)
        assert "max_bad_rows" in refused.value.hint and rows(shop, name) == []
        done = await load(shop, table_id, f"a.{name}", data, max_bad_rows=10)
        assert rows(shop, name) == [{"id": 1, "name": "a"}, {"id": 4, "name": "e\nf"}]
        found = await shop.call("get_import_job", job_id=done.id)
        assert done.bad_row_count == len(found.bad_rows) >= 2
        assert all(row.reason and row.text and row.row for row in found.bad_rows)
        assert found.rejects_url == f"/v1/import-jobs/{done.id}/rejects"


async def test_overwriting_replaces_and_upserting_merges(shop: Shop) -> None:
    table_id = await make_table(shop)
    for start in (1, 3):
        await load(shop, table_id, "a.csv", f"id,name\n{start},a\n{start + 1},b\n".encode())
    done = await load(shop, table_id, "a.csv", b"id,name\n2,new\n5,c\n", mode="upsert", key_columns=["id"])
    assert done.row_count == 2
    assert [(row["id"], row["name"]) for row in rows(shop)] == [(1, "a"), (2, "new"), (3, "a"), (4, "b"), (5, "c")]
    for bad in (b"id,name\n7,a\n7,b\n", b"id,name\n,a\n"):
        with pytest.raises(Conflict):
            await load(shop, table_id, "a.csv", bad, mode="upsert", key_columns=["id"])
    with pytest.raises(Conflict):
        await load(shop, table_id, "a.csv", b"id,name\n7,a\n", mode="upsert", key_columns=["nope"])
    await load(shop, table_id, "a.csv", b"id,name\n9,z\n", mode="overwrite")
    assert rows(shop) == [{"id": 9, "name": "z"}]


async def test_required_columns_and_given_types_hold(shop: Shop) -> None:
    table_id = await make_table(shop, schema=[{"name": "id", "type": "bigint", "nullable": False}])
    for bad in (b'id\n1\n""\n', b"other\n1\n"):
        with pytest.raises(Conflict):
            await load(shop, table_id, "a.csv", bad, schema_evolution="add_columns")
    with pytest.raises(Conflict):
        await load(shop, table_id, "a.csv", b"id\n1\n", columns=[{"name": "no", "type": "int"}])
    other = await make_table(shop, "typed")
    given = [{"name": "code", "type": "string"}, {"name": "price", "type": "decimal(9, 2)"}]
    await load(shop, other, "a.csv", b"code,price\n007,1.10\n", columns=given)
    assert [(row["code"], str(row["price"])) for row in rows(shop, "typed")] == [("007", "1.10")]


async def test_rows_that_policies_forbid_are_not_written(shop: Shop) -> None:
    table_id = await make_table(shop, schema=[{"name": "region", "type": "string"}, {"name": "pay", "type": "int"}])
    for policy in (
        {"kind": "row_filter", "filter": "region = 'eu'"},
        {"kind": "column", "columns": ["pay"], "privacy": "masked"},
    ):
        await shop.call("create_policy", by="cora", name="p", table="sales.t", applies_to={"users": ["ada"]}, **policy)
    await load(shop, table_id, "a.csv", b"region\neu\n")
    for data, mode in ((b"region\nus\n", "append"), (b"region,pay\neu,1\n", "append"), (b"region\neu\n", "overwrite")):
        with pytest.raises(Conflict):
            await load(shop, table_id, "a.csv", data, mode=mode)
    assert rows(shop) == [{"region": "eu", "pay": None}]


async def test_places_that_may_not_be_read_are_refused(shop: Shop) -> None:
    table_id = await make_table(shop)
    (shop.data / "in.csv").write_text("id\n1\n")
    for uri in ("http://127.0.0.1:1/x.csv", "https://169.254.169.254/latest", "/etc/passwd", str(shop.data / "in.csv")):
        with pytest.raises(Unauthorized):
            await shop.call("create_import_job", table_id=table_id, uri=uri)
    for uri in ("ftp://x/y", "s3://x/y", "../x", "https://x y"):
        with pytest.raises(InvalidArgument):
            await shop.call("create_import_job", table_id=table_id, uri=uri)
    for uri in (
        "/etc/passwd",
        f"file://{shop.platform.settings.home}/headwater.db",
        f"{shop.data}/../home/headwater.db",
    ):
        with pytest.raises(Unauthorized):
            await shop.call("create_import_job", by="cora", table_id=table_id, uri=uri)
    done = await shop.call("create_import_job", by="cora", table_id=table_id, uri=str(shop.data / "in.csv"))
    assert (done.row_count, rows(shop)) == (1, [{"id": 1}])


async def test_jobs_are_listed_for_their_owner_alone(shop: Shop) -> None:
    table_id = await make_table(shop)
    upload_id = await send(shop, "a.csv", b"id\n1\n")
    done = await shop.call("create_import_job", table_id=table_id, upload_id=upload_id, status="pending")
    assert [job.id for job in (await shop.call("list_import_jobs")).import_jobs] == [done.id]
    assert [job.id for job in (await shop.call("list_import_jobs_by_table", table_id=table_id)).items] == [done.id]
    assert (await shop.call("list_import_jobs", by="cora")).items == []
    for stranger in ("cora", "olga"):
        with pytest.raises(NotFound):
            await shop.call("get_import_job", by=stranger, job_id=done.id)
        with pytest.raises(NotFound):
            await shop.call("create_import_job", by=stranger, table_id=table_id, upload_id=upload_id)
    with pytest.raises(Conflict):
        await shop.call("create_import_job", table_id=table_id)
    with pytest.raises(InvalidArgument):
        await shop.call("create_import_job", table_id=table_id, status="running")
    await shop.give("ada", "viewer")
    with pytest.raises(Unauthorized):
        await shop.call("create_import_job", table_id=table_id, upload_id=upload_id)
