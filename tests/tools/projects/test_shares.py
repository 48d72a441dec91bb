"""Sharing between tenants: who decides, what a guest sees, and its end."""

import asyncio
from pathlib import Path
from typing import Any

import pytest
from sqlalchemy import select

from core.context import Cancellation
from core.errors import Cancelled, Conflict, NotFound, PlatformError, QueryUnauthorized, Unauthorized
from engine.connectors.connector import QueryLimits
from engine.store.tables import queries
from headwater.build import build
from tests.faces.world import settings_of
from tests.fixtures_town import Town, town

__all__ = ["town"]

STAFF: dict[str, Any] = {"table": "hr.staff"}


async def govern(town: Town) -> None:
    """Everybody but administrators sees their region; viewers no pay; nobody social security numbers."""
    await town.dataset()
    admins = {"roles": ["admin"]}
    await town.call("create_policy", name="eu", kind="row_filter", filter="region = 'eu'", except_for=admins, **STAFF)
    column: dict[str, Any] = {"kind": "column", **STAFF}
    await town.call("create_policy", name="ssn", columns=["ssn"], privacy="hidden", except_for=admins, **column)
    mask = {"kind": "constant", "value": "0"}
    await town.call("create_policy", name="pay", columns=["pay"], mask=mask, applies_to={"roles": ["viewer"]}, **column)
    await town.call(
        "create_policy", name="ada", columns=["ssn"], privacy="public", applies_to={"users": ["otto", "ada"]}, **column
    )


async def test_a_guest_reads_just_the_dataset_under_its_owners_policies(town: Town) -> None:
    await govern(town)
    share = await town.shared()
    names = [table.name for table in (await town.call("list_tables", "otto", connection_id=share)).tables]
    assert names == ["hr.staff", "hr.teams"]
    columns = [item.name for item in (await town.call("list_columns", "otto", connection_id=share, **STAFF)).columns]
    assert columns == ["id", "name", "email", "region", "pay"]
    rows = await town.rows(share, "SELECT name, region, pay FROM hr.staff ORDER BY id")
    assert rows == [{"name": name, "region": "eu", "pay": 0} for name in ("Ada", "Bob", "Cyd")]
    hits = (await town.call("search_catalog", "otto", q="staff")).hits
    assert {hit.connection_id for hit in hits} == {share}
    for sql in ("SELECT ssn FROM hr.staff", "SELECT * FROM vault.staff", "SELECT * FROM nowhere.staff"):
        with pytest.raises(QueryUnauthorized):
            await town.rows(share, sql)


@pytest.mark.slow
async def test_the_owner_names_a_guest_in_its_policies(town: Town) -> None:
    share = await town.shared()
    guests = {"roles": ["tenant:other"]}
    await town.call("create_policy", name="g", kind="row_filter", filter="id < 3", applies_to=guests, **STAFF)
    mail: dict[str, Any] = {"kind": "column", "columns": ["email"], "privacy": "hidden", **STAFF}
    await town.call("create_policy", name="m", except_for=guests, **mail)
    assert [row["email"] for row in await town.rows(share, "SELECT email FROM hr.staff ORDER BY id")] == [
        "ada@x.org",
        "bob@x.org",
    ]


async def test_a_guest_narrows_what_is_shared_for_its_own_people(town: Town) -> None:
    await govern(town)
    share = await town.shared()
    place = {"connection_id": share, **STAFF}
    editors = {"roles": ["editor"]}
    await town.call("create_policy", "olga", name="i", kind="row_filter", filter="id > 2", applies_to=editors, **place)
    hidden: dict[str, Any] = {"kind": "column", "columns": ["email"], "privacy": "hidden", "applies_to": editors}
    await town.call("create_policy", "olga", name="e", **hidden, **place)
    assert [row["name"] for row in await town.rows(share, "SELECT * FROM hr.staff")] == ["Cyd"]
    assert len(await town.rows(share, "SELECT * FROM hr.staff", by="olga")) == 3
    with pytest.raises(QueryUnauthorized):
        await town.rows(share, "SELECT email FROM hr.staff")


async def test_a_guests_own_policy_tells_nothing_of_what_its_owner_hides(town: Town) -> None:
    await govern(town)
    share = await town.shared()
    place = {"connection_id": share, **STAFF}
    with pytest.raises(NotFound):
        await town.call("create_policy", "olga", name="s", kind="column", columns=["ssn"], **place)
    await town.call("create_policy", "olga", name="p", kind="row_filter", filter="pay > 15", **place)
    with pytest.raises(QueryUnauthorized):  # counting rows would tell the pay that is masked
        await town.rows(share, "SELECT count(*) FROM hr.staff")
    for tool, arguments in (("explain_access", {"table": "hr.staff"}), ("test_policy", {"sql": "SELECT 1"})):
        with pytest.raises(Conflict):
            await town.call(tool, "olga", connection_id=share, user_id="otto", **arguments)


@pytest.mark.slow
async def test_a_guests_policy_never_widens_what_is_shared(town: Town) -> None:
    await govern(town)
    share = await town.shared()
    wide: dict[str, Any] = {
        "kind": "column",
        "columns": ["pay"],
        "privacy": "public",
        "applies_to": {"users": ["otto"]},
    }
    await town.call("create_policy", "olga", name="w", connection_id=share, **wide, **STAFF)
    assert [row["pay"] for row in await town.rows(share, "SELECT pay FROM hr.staff")] == [0, 0, 0]


async def test_a_share_reads_and_nothing_else(town: Town) -> None:
    share = await town.shared()
    with pytest.raises(Conflict):
        await town.call("insert_records", "otto", connection_id=share, table="hr.teams", records=[{"team": "x"}])
    for tool in ("update_connection", "delete_connection"):
        with pytest.raises(NotFound):
            await town.call(tool, "olga", connection_id=share)
    with pytest.raises(NotFound):
        await town.call("execute_query", "tess", connection_id=share, sql="SELECT 1")
    assert "hr.staff" not in (await town.call("list_lakehouse_tables", "otto")).tables


@pytest.mark.parametrize("by", ["cora", "olga"])
async def test_a_share_ends_at_once_for_either_side(town: Town, by: str) -> None:
    share = await town.shared()
    assert len(await town.rows(share, "SELECT * FROM hr.teams")) == 2
    await town.call("revoke_share", by, share_id=share)
    with pytest.raises(NotFound):
        await town.rows(share, "SELECT * FROM hr.teams")
    for who in ("cora", "otto"):
        assert (await town.call("list_shares", who)).shares == []
    with pytest.raises(NotFound):
        await town.call("revoke_share", by, share_id=share)


async def test_what_carries_a_share_takes_it_along(town: Town) -> None:
    share = await town.shared()
    await town.call("delete_project", "otto", project_id="atlas")
    town.platform.engine.catalog.connections.forget("other")
    await town.call("restore_project", "otto", project_id="atlas")
    with pytest.raises(NotFound):
        await town.rows(share, "SELECT * FROM hr.teams")


@pytest.mark.slow
async def test_a_deleted_dataset_is_shared_no_more(town: Town) -> None:
    share = await town.shared()
    await town.call("delete_dataset", dataset_id=await town.dataset())
    town.platform.engine.catalog.connections.forget("other")
    with pytest.raises(NotFound):
        await town.rows(share, "SELECT * FROM hr.teams")


async def test_only_administrators_of_the_sides_end_a_share(town: Town) -> None:
    share = await town.shared()
    with pytest.raises(Unauthorized):
        await town.call("revoke_share", "otto", share_id=share)
    with pytest.raises(NotFound):
        await town.call("revoke_share", "tess", share_id=share)
    assert (await town.call("list_shares", "tess")).shares == []


async def test_a_tenant_joins_a_project_and_reads_nothing_for_that_alone(town: Town) -> None:
    await town.call("create_project", "ada", name="Hub", project_id="hub")
    asked = await town.call("request_project_tenant", "ada", project_id="hub", tenant_id="other")
    assert (asked.status, asked.tenant_name, asked.requester_email) == ("pending", None, "ada@example.org")
    assert (await town.call("list_projects", "otto")).projects == []
    await town.call("approve_request", "olga", approval_id=asked.id)
    assert [item.id for item in (await town.call("list_projects", "otto")).projects] == ["hub"]
    assert [item.connection_id for item in (await town.call("list_connections", "otto")).connections] == ["lakehouse"]
    with pytest.raises(NotFound):
        await town.call("update_project", "otto", project_id="hub", name="Mine")
    shared = await town.call("request_project_dataset", "ada", project_id="hub", dataset_id=await town.dataset())
    await town.call("approve_request", "cora", approval_id=shared.id)
    [taken] = [item for item in (await town.call("list_shares", "otto")).shares if item.dataset_id]
    assert len(await town.rows(taken.id, "SELECT * FROM hr.teams")) == 2
    [joined] = [item for item in (await town.call("list_shares", "olga")).shares if not item.dataset_id]
    await town.call("revoke_share", "olga", share_id=joined.id)
    with pytest.raises(NotFound):
        await town.rows(taken.id, "SELECT * FROM hr.teams")


@pytest.mark.slow
async def test_who_joins_later_asks_for_data_itself(town: Town) -> None:
    await town.call("create_project", "ada", name="Hub", project_id="hub")
    for tenant, admin in (("other", "olga"), ("third", "tess")):
        asked = await town.call("request_project_tenant", "ada", project_id="hub", tenant_id=tenant)
        await town.call("approve_request", admin, approval_id=asked.id)
        if tenant == "other":
            wanted = await town.call(
                "request_project_dataset", "otto", project_id="hub", dataset_id=await town.dataset()
            )
            await town.call("approve_request", "cora", approval_id=wanted.id)
    assert [item.dataset_id for item in (await town.call("list_shares", "tess")).shares] == [None]


@pytest.mark.parametrize("tool", ["request_project_tenant", "request_project_dataset"])
async def test_a_request_says_the_same_whether_or_not_there_is_such_a_thing(town: Town, tool: str) -> None:
    await town.call("create_project", "otto", name="Atlas", project_id="atlas")
    field = "tenant_id" if tool.endswith("tenant") else "dataset_id"
    there = {"tenant_id": "default", "dataset_id": await town.dataset()}[field]
    told = []
    for named in (there, "nothing-there"):
        asked = await town.call(tool, "otto", project_id="atlas", **{field: named})
        told.append(asked.model_dump(exclude={"id", field, "created_at", "expires_at"}))
        with pytest.raises(Unauthorized):
            await town.call("approve_request", "olga", approval_id=asked.id)
    assert told[0] == told[1]
    shown = [await town.call("get_approval", "olga", approval_id=item.id) for item in await _asked(town)]
    assert (
        len({item.approval.model_dump_json(exclude={"id", field, "created_at", "expires_at"}) for item in shown}) == 1
    )


async def _asked(town: Town) -> Any:
    return (await town.call("list_approvals", "olga", status=["pending"])).approvals


async def test_an_id_that_several_tenants_use_reaches_nobody_unless_the_owner_is_named(town: Town) -> None:
    await town.call("create_project", "otto", name="Atlas", project_id="atlas")
    for by in ("ada", "tess"):
        await town.call("create_dataset", by, name="ledger", dataset_id="ledger")
    await town.call("request_project_dataset", "otto", project_id="atlas", dataset_id="ledger")
    for admin in ("cora", "tess"):
        assert (await town.call("get_approval_notifications", admin)).count == 0
    named = {"project_id": "atlas", "dataset_id": "ledger", "owner_tenant_id": "third"}
    await town.call("request_project_dataset", "otto", **named)
    assert (await town.call("get_approval_notifications", "tess")).count == 1


async def test_whoever_asked_sees_names_of_the_other_side_once_it_has_agreed(town: Town) -> None:
    await town.shared()
    [mine] = (await town.call("list_approvals", "olga")).approvals
    assert (mine.status, mine.dataset_name, mine.project_name) == ("approved", "hr", "Atlas")


@pytest.mark.slow
async def test_what_was_kept_of_a_share_is_not_read_once_it_ended(town: Town) -> None:
    share = await town.shared()
    await town.platform.start_workers()
    started = await town.call("run_query", "otto", query_text="SELECT * FROM hr.teams", connection_id=share)
    async for _ in town.platform.engine.jobs.follow("other", started.job_id, timeout_s=20):
        pass
    assert len((await town.call("get_query_job_results", "otto", job_id=started.job_id)).rows.records()) == 2
    await town.call("revoke_share", share_id=share)
    with pytest.raises((NotFound, Conflict)):
        await town.call("get_query_job_results", "otto", job_id=started.job_id)


@pytest.mark.slow
async def test_the_past_of_a_share_is_under_its_owners_policies_too(town: Town) -> None:
    await govern(town)
    share = await town.shared()
    reads = {"connection_id": share, "as_of": "main"}
    answer = await town.call("execute_query", "otto", sql="SELECT * FROM hr.staff", **reads)
    assert [row["region"] for row in answer.data.records()] == ["eu"] * 3
    assert "ssn" not in answer.data.records()[0]
    with pytest.raises((NotFound, QueryUnauthorized)):
        await town.call("execute_query", "otto", sql="SELECT * FROM vault.staff", **reads)


@pytest.mark.slow
async def test_a_share_is_read_in_a_data_plane_that_opens_its_folders_only(town: Town, tmp_path: Path) -> None:
    share = await town.shared()
    platform = await build(settings_of(town.platform.settings.home), isolated=True)
    try:
        there = Town(platform)
        assert len(await there.rows(share, "SELECT * FROM hr.teams")) == 2
        spec = await platform.engine.catalog.connections.spec("other", share)
        other = platform.engine.lake.locations("default")["vault.staff"]
        connector = await platform.engine.catalog.connectors.get(spec)
        limits = QueryLimits(max_rows=1, max_bytes=1000, timeout_s=5)
        for path in (other, str(platform.settings.home / "headwater.db")):
            with pytest.raises(PlatformError):
                read = f"SELECT * FROM iceberg_scan('{path}')"
                stream = await connector.execute(read, {}, limits=limits, cancelled=Cancellation())
                async for _ in stream:
                    pass
    finally:
        await platform.close()


async def reading(town: Town, share: str) -> "asyncio.Task[Any]":
    """A statement over a share that would never end, once it runs."""
    pairs = " CROSS JOIN ".join(f"hr.staff s{number}" for number in range(16))
    started = asyncio.create_task(town.rows(share, f"SELECT sum(s0.id + s15.id) AS n FROM {pairs}"))
    query = select(queries.c.query_id).where(queries.c.tenant_id == "other", queries.c.status == "running")
    async with asyncio.timeout(10):
        while await town.platform.engine.store.read(lambda connection: connection.scalar(query)) is None:
            await asyncio.sleep(0.02)
    return started


@pytest.mark.parametrize(
    ("tool", "by", "names"),
    [
        ("revoke_share", "cora", "share_id"),
        ("revoke_share", "olga", "share_id"),
        ("delete_project", "otto", "project_id"),
    ],
)
async def test_what_reads_a_share_stops_when_it_ends(town: Town, tool: str, by: str, names: str) -> None:
    share = await town.shared()
    running = await reading(town, share)
    await town.call(tool, by, **{names: share if names == "share_id" else "atlas"})
    with pytest.raises(Cancelled):
        await asyncio.wait_for(running, timeout=2)


async def test_a_statement_begins_only_while_it_is_shared(town: Town) -> None:
    """Also in a process that has not heard of the end yet."""
    share = await town.shared()
    assert len(await town.rows(share, "SELECT * FROM hr.teams")) == 2
    town.platform.engine.desk.shares.changed = lambda tenant: None
    await town.call("revoke_share", share_id=share)
    with pytest.raises(NotFound):
        await town.rows(share, "SELECT team FROM hr.teams")
