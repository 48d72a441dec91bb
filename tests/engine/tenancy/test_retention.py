"""What piles up is removed when a tenant keeps it no longer; every table is decided about."""

import json
from collections.abc import Mapping
from typing import Any

import pytest
from sqlalchemy import Column, Connection, Float, Integer, LargeBinary, func, insert, select

from engine.audit.log import AuditLog
from engine.store.db import Store
from engine.store.tables import (
    jobs,
    lineage_columns,
    metadata,
    notices,
    queries,
    query_results,
    sessions,
    tenants,
)
from engine.tenancy.belongings import tables_of
from engine.tenancy.retention import AGEING, DAY_S, Retention

NOW = 1_000 * DAY_S
TENANTS: Mapping[str, Mapping[str, int]] = {
    "short": {"results_days": 2, "history_days": 10, "notices_days": 3, "sessions_days": 1},
    "plain": {},
    "long": {"results_days": 300},  # longer than the platform keeps anything of that kind
}

WITH_THEIR_OWNER = """
agent agent_credential agent_limit agent_pin agent_prompt agent_rule approval_rule asset asset_passage
catalog_config client column_tag connection dataset description managed_table model model_choice
notice_destination oauth_app oauth_consent passkey password policy project project_agent query_quota role
saved_query schedule semantic_item semantic_version share tenant token usage_limit user
"""
"""What people made stays until they delete it."""

BY_THEMSELVES = """
aggregate_budget bucket idempotency import_result limit_window oauth_code oauth_device one_time_link
query_reservation slot upload usage_hold
"""
"""These end by themselves within days, whatever a tenant says."""

KEPT_SMALL = """
audit audit_head audit_start audit_term approval approval_comment query_spending usage_counter usage_notice
"""
"""Trimmed by its own rule (the audit), or a few rows a month that say who decided what, and what was used."""

WITH_A_ROW_ABOVE = "conversation_message job_event job_step run_event"


def test_every_table_is_decided_about() -> None:
    parts = {part.name for item in AGEING for part, _ in item.parts}
    decided = {item.table.name for item in AGEING} | parts
    decided |= set(f"{WITH_THEIR_OWNER} {BY_THEMSELVES} {KEPT_SMALL} {WITH_A_ROW_ABOVE}".split())
    assert {table.name for table in tables_of()} - decided == set(), "say in AGEING, or here, how their rows go"
    for name in WITH_A_ROW_ABOVE.split():
        assert {key.ondelete for key in metadata.tables[name].foreign_key_constraints} == {"CASCADE"}


def row_of(table: Any, **values: Any) -> dict[str, Any]:
    """A row with something in each column that needs something."""

    def blank(column: "Column[Any]") -> Any:
        if isinstance(column.type, LargeBinary):
            return b""
        return 0 if isinstance(column.type, Integer | Float) else ""

    needed = {column.name: blank(column) for column in table.columns if not column.nullable}
    return {**needed, **values}


def fill(connection: Connection) -> None:
    for tenant, said in TENANTS.items():
        configuration = json.dumps({"retention": said} if said else {})
        connection.execute(insert(tenants).values(row_of(tenants, tenant_id=tenant, configuration=configuration)))
        for item in {item.table.name: item for item in AGEING if item.table is not sessions}.values():
            for days in (0, 5, 20, 200, 401):
                names = [column.name for column in item.table.primary_key.columns if column.name != "tenant_id"]
                keys = dict.fromkeys(names, f"{tenant[0]}{days}")
                more: dict[str, Any] = {"uid": f"{tenant[0]}{days}"} if "uid" in item.table.c else {}
                more |= {"status": "succeeded"} if "status" in item.table.c else {}
                more |= {"finished_at": 1.0} if "finished_at" in item.table.c else {}
                more[item.since.name] = NOW - days * DAY_S
                connection.execute(insert(item.table).values(row_of(item.table, tenant_id=tenant, **keys, **more)))


@pytest.fixture
async def retention(store: Store) -> Retention:
    await store.write(fill)
    audit = AuditLog(store, seal=lambda tenant, data: data, unseal=lambda tenant, data: data, digest_key=bytes(32))
    return Retention(store, audit, results_days=7, clock=lambda: NOW)


async def days_left(store: Store, item: Any, tenant: str) -> list[int]:
    query = select(item.since).where(item.table.c.tenant_id == tenant).order_by(item.since.desc())
    return [round((NOW - at) / DAY_S) for at in await store.read(lambda c: c.execute(query).scalars().all())]


LEFT = {
    ("results", "short"): [0],
    ("results", "plain"): [0, 5],
    ("results", "long"): [0, 5],
    ("history", "short"): [0, 5],
    ("history", "plain"): [0, 5, 20, 200],
    ("history", "long"): [0, 5, 20, 200],
    ("notices", "short"): [0],
    ("notices", "plain"): [0, 5, 20],
    ("notices", "long"): [0, 5, 20],
}


async def test_each_tenant_keeps_things_as_long_as_it_says_and_no_longer_than_the_platform(
    retention: Retention, store: Store
) -> None:
    assert await retention.keep() > 50
    for item in AGEING:
        for tenant in TENANTS:
            if item.table is not sessions:
                assert await days_left(store, item, tenant) == LEFT[item.topic, tenant], (item.table.name, tenant)
    assert await retention.keep() == 0
    assert [await retention.keep_s(tenant, "results") for tenant in TENANTS] == [2 * DAY_S, 7 * DAY_S, 7 * DAY_S]
    assert [await retention.keep_s(tenant, "audit") for tenant in TENANTS] == [None] * 3


async def test_what_still_goes_on_is_not_removed(store: Store, retention: Retention) -> None:
    def going_on(connection: Connection) -> None:
        old = NOW - 500 * DAY_S
        connection.execute(
            insert(queries).values(
                row_of(queries, tenant_id="short", query_id="runs", status="running", started_at=old)
            )
        )
        connection.execute(
            insert(jobs).values(row_of(jobs, tenant_id="short", job_id="waits", status="pending", updated_at=old))
        )
        connection.execute(
            insert(notices).values(row_of(notices, tenant_id="short", notice_id="due", due_at=1.0, created_at=old))
        )
        connection.execute(
            insert(jobs).values(row_of(jobs, tenant_id="short", job_id="rows", status="succeeded", updated_at=old))
        )
        connection.execute(
            insert(query_results).values(row_of(query_results, tenant_id="short", job_id="rows", ended_at=NOW))
        )

    await store.write(going_on)
    await retention.keep()
    for table, key, name in (
        (queries, queries.c.query_id, "runs"),
        (jobs, jobs.c.job_id, "waits"),
        (jobs, jobs.c.job_id, "rows"),
        (notices, notices.c.notice_id, "due"),
    ):
        query = select(func.count()).select_from(table).where(key == name)
        assert await store.read(lambda connection: connection.scalar(query)) == 1, name  # noqa: B023


async def test_parts_go_with_what_they_belong_to(store: Store, retention: Retention) -> None:
    def parts(connection: Connection) -> None:
        for shape in ("s0", "s401", "p401", "l200"):
            tenant = next(name for name in TENANTS if name[0] == shape[0])
            row = row_of(lineage_columns, tenant_id=tenant, shape_hash=shape, connection_id=shape)
            connection.execute(insert(lineage_columns).values(row))

    await store.write(parts)
    await retention.keep()
    query = select(lineage_columns.c.shape_hash).order_by(lineage_columns.c.shape_hash)
    assert await store.read(lambda connection: connection.execute(query).scalars().all()) == ["l200", "s0"]


async def test_sessions_go_when_they_have_been_over_for_that_long(store: Store, retention: Retention) -> None:
    def fill(connection: Connection) -> None:
        for name, ends, revoked in (
            ("lives", NOW + 9, None),
            ("over", NOW - 2 * DAY_S, None),
            ("revoked", NOW + 9, NOW - 2 * DAY_S),
            ("just", NOW - 9, NOW - 9),
        ):
            for tenant in ("short", "plain"):
                row = row_of(sessions, tenant_id=tenant, session_id=name, expires_at=ends, revoked_at=revoked)
                connection.execute(insert(sessions).values(row))

    await store.write(fill)
    await retention.keep()
    query = select(sessions.c.tenant_id, sessions.c.session_id).order_by(*sessions.primary_key.columns)
    left = await store.read(lambda connection: [tuple(row) for row in connection.execute(query)])
    assert [name for tenant, name in left if tenant == "short"] == ["just", "lives"]
    assert len([name for tenant, name in left if tenant == "plain"]) == 4
