"""A tenant's data as an archive, and a tenant's end, proven by looking for canaries everywhere."""

import io
import json
import zipfile
from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlalchemy import Boolean, Connection, LargeBinary, String, Text, insert, select

from core.context import Principal
from core.dispatch import Call
from core.errors import Conflict, NotFound, Unauthorized
from engine.lake.warehouse import TABLE_DEFAULTS
from engine.store.tables import audit, metadata, tenants
from engine.tenancy.archive import LEFT_OUT
from engine.tenancy.belongings import KEPT, tables_of
from headwater.build import Platform, build
from tests.faces.owned import jobs_end
from tests.faces.world import settings_of

CANARY = "zq7canary"
NAMES = ("name", "comment", "row", "upload", "attribute", "sql", "secret", "project", "schedule")


@dataclass
class House:
    """A platform with a tenant that has something everywhere."""

    platform: Platform
    root: Principal
    ann: Principal

    async def call(self, tool: str, by: Principal | None = None, /, **arguments: Any) -> Any:
        call = Call(tool, arguments, "test", "r", principal=by or self.root, form="json", wait_s=30)
        return await self.platform.dispatcher.call(call)


@pytest.fixture
async def house(tmp_path: Path) -> AsyncIterator[House]:
    home = tmp_path / "home"
    platform = await build(settings_of(home))
    await platform.start_workers()
    identity = platform.engine.identity
    await identity.directory.create_tenant(f"Acme {CANARY}-name", tenant_id="acme", tier="enterprise")
    await identity.directory.create_user(
        "acme",
        user_id="ann",
        roles=["admin"],
        email=f"{CANARY}@example.com",
        attributes={"team": f"{CANARY}-attribute"},
    )
    root = await identity.verify(await identity.mint(role="super_admin"))
    made = House(platform, root, await identity.verify(await identity.mint(subject="ann", tenant="acme")))
    await fill(made)
    yield made
    await platform.close()


async def fill(house: House) -> None:
    rows = pa.table({"id": [1, 2], "word": [f"{CANARY}-row", f"{CANARY}-row"]})
    small = pa.table({"id": [1]})

    def work(catalog: Any) -> None:
        catalog.create_namespace("shop")
        catalog.create_table(
            "shop.words",
            schema=rows.schema,
            properties=TABLE_DEFAULTS | {"write.parquet.compression-codec": "uncompressed"},
        ).append(rows)

    def other(catalog: Any) -> None:
        catalog.create_namespace("shop")
        catalog.create_table("shop.words", schema=small.schema, properties=TABLE_DEFAULTS).append(small)

    house.platform.engine.lake.commit_now("acme", work)
    house.platform.engine.lake.commit_now("default", other)
    ann = house.ann
    await house.call(
        "describe_table", ann, connection_id="lakehouse", table="shop.words", description=f"{CANARY}-comment"
    )
    sql = f"SELECT word, '{CANARY}-sql' AS x FROM shop.words"
    await house.call("create_query", ann, query_text=sql, connection_id="lakehouse", name=f"{CANARY}-sql")
    await house.call("execute_query", ann, sql=sql)
    job = await house.call("run_query", ann, query_text=sql, connection_id="lakehouse")
    await jobs_end(house.platform)
    await house.call("create_export", ann, job_id=job.job_id)
    await house.call(
        "create_schedule",
        ann,
        name=f"{CANARY}-schedule",
        tool="refresh_schema",
        arguments={"connection_id": "lakehouse"},
        cron="0 3 * * *",
    )
    upload = await house.call("create_upload", ann, name=f"{CANARY}-upload.csv", size_bytes=len(CANARY))

    async def parts() -> AsyncIterator[bytes]:
        yield CANARY.encode()

    await house.platform.engine.uploads.receive(ann, upload.upload_id, 0, parts(), total=None)


JOB = {"job_id": f"{CANARY}-job"}
BESIDES: dict[str, dict[str, Any]] = {
    "catalog_config": {"config": json.dumps({"catalog_name": CANARY}), "secret": None},  # a purge reads it
    "job": {**JOB, "status": "failed", "due_at": None},
    "job_event": JOB,
    "job_step": JOB,
}


def row_everywhere(connection: Connection) -> None:
    """A row in every table that has rows of tenants, also in those that somebody adds later."""
    for table in reversed(tables_of(but=KEPT)):
        values: dict[str, Any] = {}
        for column in table.columns:
            if column.name.endswith(("tenant_id", "_tenant")):
                values[column.name] = "acme"
            elif column.name == "uid":
                values[column.name] = f"{CANARY}-uid"
            elif isinstance(column.type, LargeBinary):
                values[column.name] = f"{CANARY}-{table.name}".encode()
            elif isinstance(column.type, Text | String):
                values[column.name] = f"{CANARY}-{table.name}-{column.name}"[: column.type.length]
            elif isinstance(column.type, Boolean):
                values[column.name] = False
            else:
                values[column.name] = 4_102_444_800  # far ahead, so that no chore takes it
        values |= BESIDES.get(table.name, {})
        connection.execute(insert(table).values(values))


def test_every_table_has_rows_of_tenants_but_for_the_platforms_own() -> None:
    without = {table.name for table in metadata.sorted_tables} - {table.name for table in tables_of()}
    assert without == {"signing_key"}, "a table without a tenant is neither exported nor purged: say why here"


def places_with(folder: Path, word: str = CANARY) -> list[str]:
    """Every file below a folder that holds a word, or whose name does."""
    needle = word.encode()
    return [
        path.relative_to(folder).as_posix()
        for path in sorted(folder.rglob("*"))
        if path.is_file() and (needle in path.read_bytes() or word in path.name)
    ]


async def archive(house: House) -> None:
    await house.call("delete_tenant", tenant_id="acme")


async def test_nothing_of_a_purged_tenant_is_left_anywhere(house: House, caplog: pytest.LogCaptureFixture) -> None:
    home = house.platform.settings.home
    await house.platform.engine.store.write(row_everywhere)
    index = home / "index" / "acme" / "x.index"
    index.parent.mkdir(parents=True, exist_ok=True)
    index.write_bytes(CANARY.encode())
    before = places_with(home)
    assert len(await house.platform.engine.tenancy.purge.left("acme")) == len(tables_of(but=KEPT))
    assert any("headwater.db" in path for path in before) and any(path.startswith("warehouse/acme") for path in before)
    assert any(path.startswith("uploads/") for path in before)
    await archive(house)
    done = await house.call("purge_tenant", tenant_id="acme", confirm="acme")
    assert done.row_count > 20 and done.file_count > 5 and done.is_store_rewritten and done.is_key_shredded
    assert places_with(home) == []
    assert list(home.rglob("acme")) == []
    assert await house.platform.engine.tenancy.purge.left("acme") == {}
    assert CANARY not in caplog.text
    assert (await house.call("execute_query", sql="SELECT * FROM shop.words")).metadata.row_count == 1


async def test_the_audit_of_a_purged_tenant_verifies_and_cannot_be_read(house: House) -> None:
    log = house.platform.engine.audit
    await archive(house)
    while log.backlog:
        await jobs_end(house.platform)
    before = await log.verify("acme")
    await house.call("purge_tenant", tenant_id="acme", confirm="acme")
    after = await log.verify("acme")
    assert before.is_valid and after.is_valid and after.checked >= before.checked > 5
    assert {entry.record for entry in await log.read("acme")} == {None}
    store = house.platform.engine.store
    assert (
        await store.read(lambda c: c.scalar(select(tenants.c.wrapped_key).where(tenants.c.tenant_id == "acme"))) == b""
    )
    assert await store.read(lambda c: len(c.execute(select(audit.c.seq).where(audit.c.tenant_id == "acme")).all())) > 5


async def test_a_purge_that_was_killed_anywhere_is_ended_by_the_next(house: House) -> None:
    await archive(house)
    purge = house.platform.engine.tenancy.purge
    for stopped_after in range(len(purge.steps)):
        for step in list(purge.steps.values())[: stopped_after + 1]:
            await step("acme")
    with pytest.raises(Conflict, match="being purged"):
        await house.call("restore_tenant", tenant_id="acme")
    again = await house.call("purge_tenant", tenant_id="acme", confirm="acme")
    assert again.row_count == 0 and places_with(house.platform.settings.home) == []


async def test_only_an_archived_tenant_is_purged_and_only_by_who_looks_after_all(house: House) -> None:
    with pytest.raises(Conflict, match="not archived"):
        await house.call("purge_tenant", tenant_id="acme", confirm="acme")
    with pytest.raises(Unauthorized):
        await house.call("purge_tenant", house.ann, tenant_id="acme", confirm="acme")
    with pytest.raises(NotFound):
        await house.call("purge_tenant", tenant_id="nowhere", confirm="nowhere")
    await archive(house)
    with pytest.raises(Conflict, match="confirm"):
        await house.call("purge_tenant", tenant_id="acme", confirm="other")


async def read_archive(house: House, job_id: str, by: Principal) -> zipfile.ZipFile:
    exports = house.platform.engine.query_jobs.exports
    manifest = await exports.open(by, job_id)
    return zipfile.ZipFile(
        io.BytesIO(b"".join([part async for part in exports.read(manifest, 0, manifest.size_bytes)]))
    )


async def test_an_archive_holds_everything_but_secrets(house: House) -> None:
    made = await house.call("export_tenant_data", house.ann, tenant_id="acme")
    found = await house.call("get_tenant_export", house.ann, job_id=made.job_id)
    assert found.status == "succeeded" and found.size_bytes == made.size_bytes
    with await read_archive(house, made.job_id, house.ann) as opened:
        assert opened.testzip() is None
        names, manifest = opened.namelist(), json.loads(opened.read("manifest.json"))
        users = [json.loads(line) for line in opened.read("store/user.jsonl").splitlines()]
        events = [json.loads(line) for line in opened.read("audit.jsonl").splitlines()]
        upload = next(name for name in names if name.startswith("uploads/"))
        assert opened.read(upload) == CANARY.encode()
        everything = b"".join(opened.read(name) for name in names)
    assert {f"store/{table.name}.jsonl" for table in tables_of(but=LEFT_OUT)} <= set(names)
    assert [user["user_id"] for user in users] == ["ann"] and manifest["counts"]["user"] == 1
    assert {"execute_query", "create_export"} <= {event["tool"] for event in events}
    assert any(name.startswith("warehouse/") and name.endswith(".parquet") for name in names)
    assert "wrapped_key" in manifest["left_out"]["tenant"] and b"super_admin" not in everything
    assert await left_of_secrets(house, everything) == []


async def left_of_secrets(house: House, everything: bytes) -> list[str]:
    """Tokens' hashes and wrapped keys of the tenant that are in an archive."""
    query = select(tenants.c.wrapped_key).where(tenants.c.tenant_id == "acme")
    key = await house.platform.engine.store.read(lambda connection: connection.scalar(query)) or b"none"
    return [key.hex() for form in (key, key.hex().encode()) if form in everything]


async def test_an_archive_is_its_makers_and_of_the_tenant_that_may_be_exported(house: House) -> None:
    made = await house.call("export_tenant_data", house.ann, tenant_id="acme")
    with pytest.raises(NotFound):
        await house.call("get_tenant_export", house.root, job_id=made.job_id)
    for tenant in ("default", "nowhere"):
        with pytest.raises(NotFound):
            await house.call("export_tenant_data", house.ann, tenant_id=tenant)
    viewer = Principal("vic", "acme", permissions=frozenset({"query.run"}))
    with pytest.raises(Unauthorized):
        await house.call("export_tenant_data", viewer, tenant_id="acme")
    assert (await house.call("export_tenant_data", tenant_id="acme", include_tables=False)).tenant_id == "acme"
