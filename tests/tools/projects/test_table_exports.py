import io
from typing import Any

import duckdb
import pyarrow.parquet as pq
import pytest

from core.errors import InvalidArgument, NotFound, Unauthorized
from tests.fixtures_results import Shop, shop, shop_template
from tests.tools.assets.test_uploads import put
from tests.tools.projects.files import ROWS, encoded, load, make_table, rows, send

__all__ = ["shop", "shop_template"]


@pytest.mark.slow
async def test_a_table_makes_a_round_trip_through_every_format(shop: Shop) -> None:
    table_id = await make_table(shop)
    await load(shop, table_id, "a.parquet", encoded(ROWS, "PARQUET"))
    kinds: Any = ("CSV", "JSON", "AVRO", "PARQUET", "ARROW")
    for kind in kinds:
        made = await shop.call("create_export_job", table_id=table_id, format=kind, compression="NONE")
        found = await shop.call("get_export_job", job_id=made.id)
        answer = await shop.get(found.signed_url)
        assert (answer.status_code, len(answer.content), found.row_count) == (200, found.size_bytes, 3)
        back = await make_table(shop, f"back_{kind.lower()}")
        await load(shop, back, f"back.{kind.lower()}", answer.content)
        assert rows(shop, f"back_{kind.lower()}") == rows(shop)
    [file] = list((shop.platform.engine.lake.tenant_folder("default") / "sales").glob("t-*/data/*/*"))
    assert duckdb.sql(f"SELECT count(*), sum(id) FROM '{file}'").fetchone() == (3, 6)


async def test_an_export_holds_what_its_reader_sees(shop: Shop) -> None:
    table_id = await make_table(shop)
    await load(shop, table_id, "a.parquet", encoded(ROWS, "PARQUET"))
    for policy in (
        {"kind": "row_filter", "filter": "id < 3"},
        {"kind": "column", "columns": ["name"], "privacy": "masked", "mask": {"kind": "constant", "value": "?"}},
        {"kind": "column", "columns": ["amount"], "privacy": "hidden"},
    ):
        await shop.call("create_policy", by="cora", name="p", table="sales.t", applies_to={"users": ["ada"]}, **policy)
    made = await shop.call("create_export_job", table_id=table_id, format="PARQUET")
    answer = await shop.get((await shop.call("get_export_job", job_id=made.id)).signed_url)
    found = pq.read_table(io.BytesIO(answer.content)).to_pylist()
    assert sorted(row["id"] for row in found) == [1, 2] and {row["name"] for row in found} <= {"?", None}
    assert all("amount" not in row for row in found)


async def test_export_jobs_belong_to_their_owner(shop: Shop) -> None:
    table_id = await make_table(shop, schema=[{"name": "id", "type": "int"}])
    made = await shop.call("create_export_job", table_id=table_id)
    url = (await shop.call("get_export_job", job_id=made.id)).signed_url
    assert [job.id for job in (await shop.call("list_export_jobs")).export_jobs] == [made.id]
    assert [job.id for job in (await shop.call("list_export_jobs_by_table", table_id=table_id)).items] == [made.id]
    for stranger in ("cora", "olga"):
        with pytest.raises(NotFound):
            await shop.call("get_export_job", by=stranger, job_id=made.id)
    with pytest.raises(NotFound):
        await shop.call("create_export_job", by="olga", table_id=table_id)
    with pytest.raises(InvalidArgument):
        await shop.call("create_export_job", table_id=table_id, format="XLSX")
    assert (await shop.get(url[:-1] + ("0" if url[-1] != "0" else "1"))).status_code == 404
    await shop.give("ada", "auditor")
    assert (await shop.get(url)).status_code == 404
    with pytest.raises(Unauthorized):
        await shop.call("create_export_job", table_id=table_id)


async def test_rows_set_aside_are_a_file_for_their_owner(shop: Shop) -> None:
    table_id = await make_table(shop, schema=[{"name": "id", "type": "int"}])
    upload_id = await send(shop, "a.csv", b"id\n1\nx\n")
    done = await shop.call("create_import_job", table_id=table_id, upload_id=upload_id, max_bad_rows=1)
    answers = {by: await fetch(shop, done.rejects_url, by) for by in ("ada", "cora", "olga")}
    assert answers["ada"].json() == {"row": 3, "reason": answers["ada"].json()["reason"], "text": "x"}
    assert [answers["cora"].status_code, answers["olga"].status_code] == [404, 404]
    assert (await put(shop, upload_id, b"more")).status_code == 409


async def fetch(shop: Shop, url: str, by: str) -> Any:
    token = await shop.platform.engine.identity.mint(subject=by, tenant="other" if by == "olga" else "default")
    return await shop.get(url, authorization=f"Bearer {token}")
