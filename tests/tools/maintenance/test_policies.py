"""Maintenance policies: set by a person, run by the ticker as that person."""

import pytest

from core.context import Principal
from core.dispatch import Call
from core.errors import Unauthorized
from engine.identity.roles import BUILT_IN
from headwater.build import make_ticker
from tests.engine.maintenance.tables import orders
from tests.tools.maintenance.conftest import CareDesk, end


def test_a_policy_is_kept_shown_and_taken_away(desk: CareDesk) -> None:
    desk.tables.make("kept", files=1, rows=1)
    none = desk.call("get_maintenance_policy", by="vic", table="shop.kept")
    assert (none.compaction.enabled, none.expiry.retain_last, none.runs) == (False, 20, [])
    expiry = {"enabled": True, "cron": "@daily", "retain_last": 3}
    made = desk.call("set_maintenance_policy", table="headwater.shop.kept", expiry=expiry, manifests={"enabled": True})
    seen = desk.call("get_maintenance_policy", by="vic", table="shop.kept")
    assert seen == made
    assert (seen.expiry.enabled, seen.expiry.cron, seen.expiry.retain_last) == (True, "@daily", 3)
    assert (seen.orphans.enabled, [(run.part, run.owner) for run in seen.runs]) == (
        False,
        [("expiry", "eng"), ("manifests", "eng")],
    )
    assert desk.call("set_maintenance_policy", table="shop.kept").runs == []
    assert desk.call("list_schedules", by="boss").total_count == 0


def test_setting_it_again_keeps_what_did_not_change(desk: CareDesk) -> None:
    desk.tables.make("again", files=1, rows=1)
    first = desk.call("set_maintenance_policy", table="shop.again", compaction={"enabled": True})
    both = desk.call(
        "set_maintenance_policy", table="shop.again", compaction={"enabled": True}, orphans={"enabled": True}
    )
    assert both.runs[0] == first.runs[0]
    desk.call("set_maintenance_policy", table="shop.again")


def test_what_is_due_runs_as_the_person_who_set_it(desk: CareDesk) -> None:
    desk.tables.make("due", files=6, rows=2)
    desk.call("set_maintenance_policy", table="shop.due", compaction={"enabled": True, "cron": "* * * * *"})
    schedules = desk.platform.engine.schedules
    now = schedules._clock
    try:
        schedules._clock = lambda: now() + 61
        assert desk.run(make_ticker(desk.platform).tick()) == 1
    finally:
        schedules._clock = now
    run = desk.call("get_maintenance_policy", table="shop.due").runs[0]
    assert (run.last_error, run.part) == (None, "compaction")
    assert desk.run(end(desk, run.last_job_id)) == "succeeded"
    assert desk.call("get_table_health", table="shop.due").data_file_count == 1
    desk.call("set_maintenance_policy", table="shop.due")


def test_where_a_rule_asks_for_it_each_run_waits_for_an_approval(desk: CareDesk) -> None:
    table = desk.tables.make("ruled", files=1, rows=2)
    table.append(orders(50, 2))
    expiry = {"enabled": True, "cron": "* * * * *", "retain_last": 1, "older_than_hours": 0}
    desk.call("set_approval_rules", by="boss", rules=[{"name": "Deletions", "tools": ["expire_snapshots"]}])
    desk.call("set_maintenance_policy", table="shop.ruled", expiry=expiry)
    schedules, ticker = desk.platform.engine.schedules, make_ticker(desk.platform)
    now = schedules._clock
    try:
        schedules._clock = lambda: now() + 61
        desk.run(ticker.tick())
        waiting = desk.call("get_maintenance_policy", table="shop.ruled").runs[0].last_error or ""
        assert "expire_snapshots needs an approval" in waiting
        assert len(desk.tables.open("ruled").snapshots()) == 2
        [approval] = desk.call("list_approvals", by="boss", status=["pending"]).approvals
        desk.call("approve_request", by="boss", approval_id=approval.id)
        schedules._clock = lambda: now() + 122
        desk.run(ticker.tick())
    finally:
        schedules._clock = now
    run = desk.call("get_maintenance_policy", table="shop.ruled").runs[0]
    assert (run.last_error, desk.run(end(desk, run.last_job_id))) == (None, "succeeded")
    assert len(desk.tables.open("ruled").snapshots()) == 1
    desk.call("set_approval_rules", by="boss", rules=[])
    desk.call("set_maintenance_policy", table="shop.ruled")


def test_a_person_who_lost_the_right_maintains_nothing(desk: CareDesk) -> None:
    desk.tables.make("lost", files=6, rows=2)
    desk.call("set_maintenance_policy", by="boss", table="shop.lost", compaction={"enabled": True, "cron": "* * * * *"})
    engine = desk.platform.engine
    directory, now = engine.identity.directory, engine.schedules._clock
    desk.run(directory.set_user_roles("default", "boss", ["viewer"]))
    engine.identity._rights._tenants.clear()
    try:
        engine.schedules._clock = lambda: now() + 61
        desk.run(make_ticker(desk.platform).tick())
    finally:
        engine.schedules._clock = now
        desk.run(directory.set_user_roles("default", "boss", ["admin"]))
        engine.identity._rights._tenants.clear()
    run = desk.call("get_maintenance_policy", by="boss", table="shop.lost").runs[0]
    assert (run.last_job_id, (run.last_error or "").split(":")[0]) == (None, "UNAUTHORIZED")
    assert desk.call("get_table_health", table="shop.lost").data_file_count == 6
    desk.call("set_maintenance_policy", by="boss", table="shop.lost")


def test_an_agent_may_not_decide_that_files_are_deleted(desk: CareDesk) -> None:
    desk.tables.make("agent", files=1, rows=1)
    agent = Principal("eng", "default", frozenset(), BUILT_IN["data_engineer"], via="agent")
    for part in ("expiry", "orphans"):
        arguments = {"table": "shop.agent", part: {"enabled": True}}
        call = Call("set_maintenance_policy", arguments, "test", "r1", principal=agent)
        with pytest.raises(Unauthorized, match="agent"):
            desk.run(desk.platform.dispatcher.call(call))
