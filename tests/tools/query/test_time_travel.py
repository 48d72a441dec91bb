"""Reading tables as they were: the right rows under the columns of then, and policies that hold there too."""

import asyncio
from collections.abc import AsyncIterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pyarrow as pa
import pytest

from core.errors import Conflict, InvalidArgument, NotFound, PlatformError, QueryUnauthorized
from engine.results.kept import KeptTable
from tests.fixtures_catalog import Caller
from tests.tools.admin.policy_desk import ADMIN, STRANGER, VIC, PolicyDesk, govern_staff, opened_desk

if TYPE_CHECKING:
    from pyiceberg.catalog.sql import SqlCatalog
    from pyiceberg.table import Table

STAFF = "SELECT * FROM hr.staff ORDER BY id"
CANARIES = ("canary", "ada@x.org", "bob@x.org", "cyd@x.org")


@pytest.fixture
async def office(tmp_path: Path) -> AsyncIterator[PolicyDesk]:
    async with opened_desk(tmp_path / "home") as opened:
        yield opened


async def change(office: PolicyDesk, work: Any, table: str = "hr.staff") -> None:
    def run(catalog: "SqlCatalog") -> None:
        work(catalog.load_table(table))

    await office.platform.engine.lake.commit("default", run)


async def head(office: PolicyDesk, table: str = "hr.staff") -> str:
    found = await office.platform.engine.lake.open(table, by=ADMIN)
    return str(found.metadata.snapshot_id)


def rename_and_reuse(table: "Table") -> None:
    """`ssn` goes on as `tax`, and a new column takes its name; `pay` is dropped and comes again; `email` is `mail`."""
    with table.update_schema() as schema:
        schema.rename_column("ssn", "tax")
        schema.rename_column("email", "mail")
        schema.delete_column("pay")
    from pyiceberg.types import StringType

    with table.update_schema() as schema:
        schema.add_column("ssn", StringType())
        schema.add_column("pay", StringType())
    names = {"id": [7], "name": ["Gus"], "mail": ["gus@x.org"], "region": ["eu"], "tax": ["canary-7"]}
    table.append(pa.table({**names, "ssn": ["public"], "pay": ["much"]}))


async def test_rows_and_columns_are_those_of_the_snapshot_the_time_and_the_names(office: PolicyDesk) -> None:
    first = await head(office)
    await change(office, lambda table: table.manage_snapshots().create_tag(int(first), 'it\'s "1"; --').commit())
    await change(office, lambda table: table.manage_snapshots().create_branch(int(first), "dev/x").commit())
    between = datetime.now(UTC)
    await change(office, rename_and_reuse)
    old = ["id", "name", "email", "region", "ssn", "pay"]
    new = ["id", "name", "mail", "region", "tax", "ssn", "pay"]
    for as_of in (first, 'it\'s "1"; --', "dev/x", between.isoformat(), between.isoformat().replace("+00:00", "Z")):
        rows = await office.rows(STAFF, ADMIN, as_of=as_of)
        assert len(rows) == 6 and list(rows[0]) == old and rows[0]["ssn"] == "canary-1" and rows[0]["pay"] == 10, as_of
    for as_of in ("", await head(office), "main", (between + timedelta(days=9)).isoformat()):
        rows = await office.rows(STAFF, ADMIN, as_of=as_of)
        assert len(rows) == 7 and list(rows[0]) == new and rows[0]["pay"] is None and rows[6]["ssn"] == "public", as_of
    joined = "SELECT count(*) AS n FROM hr.staff JOIN hr.teams ON boss_id = id"
    assert await office.rows(joined, ADMIN, as_of=between.isoformat()) == [{"n": 2}]


async def test_every_read_tool_takes_it(office: PolicyDesk) -> None:
    first = await head(office)
    await change(office, rename_and_reuse)
    then: dict[str, Any] = {"as_of": first}
    page = await office.call("get_records", table="hr.staff", order=[{"column": "id"}], **then)
    assert page.data.records()[0]["email"] == "ada@x.org" and page.metadata.row_count == 6
    one = await office.call("get_record_by_id", table="hr.staff", key=["1"], key_columns=["id"], **then)
    assert one.record["ssn"] == "canary-1" and one.record["pay"] == 10
    built = await office.call("build_query", table="hr.staff", select=["email"], **then)
    assert len(await office.rows(built.sql, ADMIN, **then)) == 6
    table = await office.call("get_table", table="hr.staff", **then)
    assert [column.name for column in table.columns][-2:] == ["ssn", "pay"] and table.row_count == 6
    schema = await office.call("get_table_schema", table="hr.staff", **then)
    listed = await office.call("list_columns", table="hr.staff", **then)
    assert [column.type for column in schema.columns] == [column.data_type for column in listed.columns]
    assert (await office.call("validate_query", sql="SELECT email FROM hr.staff", **then)).valid
    assert not (await office.call("validate_query", sql="SELECT mail FROM hr.staff", **then)).valid
    assert "ICEBERG_SCAN" in (await office.call("explain_query", sql=STAFF, **then)).plan


async def test_what_is_not_there_is_said_and_nothing_of_what_may_not_be_seen(office: PolicyDesk) -> None:
    await govern_staff(office)
    with pytest.raises(QueryUnauthorized) as refused:
        await office.rows(f"SELECT * FROM hr.staff AT (VERSION => {await head(office)})", ADMIN)
    assert "as_of" in refused.value.hint
    hint = ""
    for as_of in ("5", "9" * 200, "no such tag", "2001-01-01T00:00:00Z", "2026-13-45T00:00:00Z", "2026-01-01T00:00:00"):
        with pytest.raises(NotFound) as error:
            await office.rows(STAFF, VIC, as_of=as_of)
        hint = error.value.hint
    assert "list_snapshots" in hint
    first = await head(office, "vault.staff")
    for as_of in (first, "main", "5"):
        with pytest.raises(QueryUnauthorized):
            await office.rows("SELECT * FROM vault.staff", VIC, as_of=as_of)
        with pytest.raises(NotFound, match="No table"):
            await office.call("get_table", VIC, table="vault.staff", as_of=as_of)
    with pytest.raises(NotFound, match="snapshot"):  # another table's
        await office.rows(STAFF, VIC, as_of=first)
    with pytest.raises(PlatformError):
        await office.rows(STAFF, STRANGER, as_of="main")
    for wrong in ("a\0b", "x" * 256, "a\nb"):
        with pytest.raises(InvalidArgument):
            await office.rows(STAFF, as_of=wrong)


async def test_a_connection_without_a_past_says_so(call: Caller) -> None:
    calls: dict[str, dict[str, Any]] = {
        "execute_query": {"sql": "SELECT 1"},
        "validate_query": {"sql": "SELECT 1"},
        "get_records": {"table": "item"},
        "get_record_by_id": {"table": "item", "key": ["1"]},
        "build_query": {"table": "item"},
    }
    for tool, arguments in calls.items():
        if tool == "validate_query":
            assert "Only the lakehouse" in (await call(tool, connection_id="shop", as_of="main", **arguments)).message
            continue
        with pytest.raises(Conflict, match="Only the lakehouse"):
            await call(tool, connection_id="shop", as_of="main", **arguments)


async def test_a_query_job_reads_the_past_and_its_rows_stay_readable(office: PolicyDesk) -> None:
    first = await head(office)
    await change(office, rename_and_reuse)
    with pytest.raises(NotFound):
        await office.call("run_query", VIC, query_text=STAFF, as_of="no such tag")
    by = await office.platform.engine.identity.principal_of("default", "admin", "token", "")
    job = await office.call("run_query", by, query_text="SELECT ssn FROM hr.staff", as_of=first)
    await office.platform.start_workers(1)
    while (found := await office.call("get_query_job", by, job_id=job.job_id)).status not in ("succeeded", "failed"):
        await asyncio.sleep(0.05)
    assert found.error_result is None
    page = await office.call("get_query_job_results", by, job_id=job.job_id)
    assert len(page.rows.records()) == 6 and page.rows.records()[0]["ssn"].startswith("canary")
    await office.call("create_policy", name="t", kind="column", table="hr.staff", columns=["tax"], privacy="hidden")
    with pytest.raises(Conflict, match="access"):
        await office.call("get_query_job_results", by, job_id=job.job_id)


async def test_policies_hold_for_the_past_of_what_they_are_about(office: PolicyDesk) -> None:
    await govern_staff(office)
    first = await head(office)
    await change(office, rename_and_reuse)
    rows = await office.rows(STAFF, VIC, as_of=first)
    assert [list(row) for row in rows] == [["id", "name", "email", "region", "pay"]] * 3
    assert [row["email"] for row in rows] == ["a********", "b********", "c********"]
    for sql in ("SELECT ssn FROM hr.staff", "SELECT tax FROM hr.staff", "SELECT id FROM hr.staff ORDER BY ssn"):
        with pytest.raises(QueryUnauthorized):
            await office.rows(sql, VIC, as_of=first)
    # A policy made now, on the name of now, is about the column under its old name too.
    await office.call("create_policy", name="n", kind="column", table="hr.staff", columns=["name"], privacy="hidden")
    await office.alter("hr.staff", lambda schema: schema.rename_column("name", "label"))
    rows = await office.rows(STAFF, VIC, as_of=first)
    assert list(rows[0]) == ["id", "email", "region", "pay"]
    table = await office.call("get_table", VIC, table="hr.staff", as_of=first)
    assert [column.name for column in table.columns] == ["id", "email", "region", "pay"]
    with pytest.raises(PlatformError):
        await office.call("get_records", VIC, table="hr.staff", columns=["name"], as_of=first)
    found = await office.call("get_records", VIC, table="hr.staff", as_of=first)
    assert not any(secret in str(found.data.records()) for secret in CANARIES)


async def test_tags_follow_columns_into_the_past_also_when_they_were_dropped(office: PolicyDesk) -> None:
    first = await head(office)
    await office.call("tag_column", table="hr.staff", column="pay", tag="pii")
    await office.call("create_policy", name="t", kind="column", table="", tag="pii", privacy="hidden")
    await office.alter("hr.staff", lambda schema: schema.rename_column("pay", "wage"))
    assert "pay" not in (await office.rows(STAFF, VIC, as_of=first))[0]
    await office.alter("hr.staff", lambda schema: schema.delete_column("wage"))
    assert "pay" not in (await office.rows(STAFF, VIC, as_of=first))[0]


async def test_a_filter_over_a_column_that_was_not_there_yet_refuses(office: PolicyDesk) -> None:
    from pyiceberg.types import StringType

    first = await head(office)
    await office.alter("hr.staff", lambda schema: schema.add_column("area", StringType()))
    rule: dict[str, Any] = {"kind": "row_filter", "filter": "area = principal.region", "table": "hr.staff"}
    await office.call("create_policy", name="area", **rule)
    assert await office.rows(STAFF, VIC) == []
    with pytest.raises(QueryUnauthorized):
        await office.rows(STAFF, VIC, as_of=first)


async def test_plans_and_answers_of_one_time_do_not_serve_another(office: PolicyDesk) -> None:
    first = await head(office)
    sql = "SELECT count(*) AS n FROM hr.staff WHERE id > 0"
    assert await office.rows(sql, ADMIN) == [{"n": 6}]
    await change(office, lambda table: table.delete("id = 1"))
    for _ in range(3):
        assert await office.rows(sql, ADMIN) == [{"n": 5}]
        assert await office.rows(sql, ADMIN, as_of=first) == [{"n": 6}]
        assert await office.rows(sql.replace("0", "5"), ADMIN, as_of=first) == [{"n": 1}]
    await change(office, lambda table: table.manage_snapshots().create_tag(int(first), "moving").commit())
    assert await office.rows(sql, ADMIN, as_of="moving") == [{"n": 6}]
    latest = int(await head(office))
    await change(
        office, lambda table: table.manage_snapshots().remove_tag("moving").create_tag(latest, "moving").commit()
    )
    assert await office.rows(sql, ADMIN, as_of="moving") == [{"n": 5}]


async def test_kept_rows_of_the_past_go_when_a_policy_comes_over_their_columns(office: PolicyDesk) -> None:
    first = await head(office)
    await change(office, rename_and_reuse)
    answer = await office.call("execute_query", VIC, sql="SELECT ssn FROM hr.staff", as_of=first)
    results = office.platform.engine.results
    kept = await results.load(VIC, answer.metadata.query_id)
    assert isinstance(kept, KeptTable) and kept.facts.versions == {"hr.staff": first}
    # `tax` is what `ssn` was: a digest of the columns of now, under the names of then, would not notice.
    await office.call("create_policy", name="t", kind="column", table="hr.staff", columns=["tax"], privacy="hidden")
    with pytest.raises(NotFound):
        await results.load(VIC, answer.metadata.query_id)


async def test_an_expired_snapshot_is_not_found(office: PolicyDesk) -> None:
    first = await head(office)
    before = datetime.now(UTC)
    await change(office, lambda table: table.append(table.scan().to_arrow().slice(0, 1)))
    assert len(await office.rows(STAFF, ADMIN, as_of=first)) == 6
    await change(office, lambda table: table.maintenance.expire_snapshots().by_id(int(first)).commit())
    for as_of in (first, before.isoformat()):
        with pytest.raises(NotFound, match="expired"):
            await office.rows(STAFF, ADMIN, as_of=as_of)
