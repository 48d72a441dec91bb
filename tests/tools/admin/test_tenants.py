"""Tenants, through the gate."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthenticated, Unauthorized
from tests.tools.admin.people_desk import PeopleDesk

PLATFORM = {
    "create_tenant": {"name": "New"},
    "delete_tenant": {"tenant_id": "other"},
    "restore_tenant": {"tenant_id": "other"},
    "set_tenant_tier": {"tenant_id": "other", "tier": "free"},
    "suspend_tenant": {"tenant_id": "other", "reason": "X"},
    "resume_tenant": {"tenant_id": "other"},
}


async def test_a_tenant_is_founded_with_its_administrator(people: PeopleDesk) -> None:
    made = await people.call(
        "create_tenant", "super_admin", name="Acme", tenant_id="acme", admin_email="ann@acme.org", admin_name="Ann"
    )
    assert (made.id, made.name, made.tier, made.status, made.archived_at) == ("acme", "Acme", "free", "active", None)
    account = await people.call(
        "accept_invitation", "", link_token=made.invitation_token, password="correct horse battery"
    )
    assert (account.tenant_id, account.email, account.name) == ("acme", "ann@acme.org", "Ann")
    ann = f"{account.user_id}@acme"
    changed = await people.call("update_tenant", ann, name="Acme Inc", configuration={"invitation_days": 2})
    assert (changed.name, changed.configuration.invitation_days) == ("Acme Inc", 2)
    changed = await people.call("update_tenant", ann, configuration={"description": "Us."})
    assert (changed.configuration.invitation_days, changed.configuration.description) == (2, "Us.")
    assert await people.call("get_tenant", ann) == changed


async def test_a_list_shows_ones_own_and_all_to_the_platforms_administrators(people: PeopleDesk) -> None:
    assert [tenant.id for tenant in (await people.call("list_tenants")).tenants] == ["default"]
    assert [tenant.id for tenant in (await people.call("list_tenants", "olga@other")).tenants] == ["other"]
    assert [tenant.id for tenant in (await people.call("list_tenants", "super_admin")).tenants] == ["default", "other"]


async def test_other_tenants_do_not_exist(people: PeopleDesk) -> None:
    for tool, more in {"get_tenant": {}, "update_tenant": {"name": "X"}}.items():
        for tenant in ("other", "nothing"):
            with pytest.raises(NotFound, match=f"No tenant '{tenant}'"):
                await people.call(tool, tenant_id=tenant, **more)
    assert (await people.call("get_tenant", "super_admin", tenant_id="other")).id == "other"


@pytest.mark.parametrize("tool", PLATFORM)
async def test_the_platforms_administrators_alone_rule_over_tenants(people: PeopleDesk, tool: str) -> None:
    with pytest.raises(Unauthorized, match=r"platform\.tenants"):
        await people.call(tool, "admin", **PLATFORM[tool])


async def test_a_suspended_or_archived_tenant_lets_nobody_in_until_it_may_go_on(people: PeopleDesk) -> None:
    token = await people.identity.mint(subject="olga", tenant="other")
    for stop, start, more in (
        ("suspend_tenant", "resume_tenant", {"reason": "unpaid"}),
        ("delete_tenant", "restore_tenant", {}),
    ):
        await people.call(stop, "super_admin", tenant_id="other", **more)
        with pytest.raises(Unauthenticated):
            await people.identity.verify(token)
        await people.call(start, "super_admin", tenant_id="other")
        assert (await people.identity.verify(token)).subject == "olga"


async def test_nobody_stops_their_own_tenant(people: PeopleDesk) -> None:
    for tool, more in {"suspend_tenant": {"reason": "X"}, "delete_tenant": {}}.items():
        with pytest.raises(Conflict, match="own tenant"):
            await people.call(tool, "super_admin", tenant_id="default", **more)


async def test_a_tier_and_its_limits_are_set(people: PeopleDesk) -> None:
    changed = await people.call(
        "set_tenant_tier", "super_admin", tenant_id="other", tier="pro", max_concurrent_queries=7
    )
    assert (changed.tier, changed.max_requests_per_minute, changed.max_concurrent_queries) == ("pro", None, 7)


@pytest.mark.parametrize("name", ["other", "OTHER", "0ther", "\u041ether", "Other\ufe0f", "\uff2fther"])
async def test_a_name_that_is_or_looks_like_another_tenants_is_taken(people: PeopleDesk, name: str) -> None:
    assert await people.code("create_tenant", "super_admin", name=name) == "CONFLICT"
    assert await people.code("update_tenant", "admin", name=name) == "CONFLICT"


@pytest.mark.parametrize(
    "arguments",
    [
        {"name": ""},
        {"name": "x", "tier": "gold"},
        {"name": "x", "tenant_id": "../x"},
        {"name": "x\u202e"},
        {"name": "x", "configuration": {"description": "d" * 1_000_000}},
        {"name": "x", "configuration": {"anything": 1}},
        {"name": "x", "admin_email": "nobody"},
    ],
)
async def test_a_bad_request_is_refused(people: PeopleDesk, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await people.call("create_tenant", "super_admin", **arguments)


async def test_a_stale_update_is_refused(people: PeopleDesk) -> None:
    seen = await people.call("get_tenant")
    await people.call("create_role", role="people-change-the-cache-not-the-tenant", permissions=[])
    await people.call("update_tenant", configuration={"invitation_days": 3}, expected_version=seen.version)
    assert await people.code("update_tenant", name="Stale", expected_version=seen.version) == "CONFLICT"
    assert (await people.call("get_tenant")).name == "default"
