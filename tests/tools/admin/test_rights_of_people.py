"""Nobody raises rights: not their own, not through others, clients, roles, tokens, links or agents."""

import asyncio
from typing import Any

import pytest

from core.errors import Conflict, Unauthorized
from tests.tools.admin.people_desk import PeopleDesk

CHANGES: dict[str, dict[str, Any]] = {
    "create_user": {"email": "x@x.org", "name": "X"},
    "invite_user": {"email": "x@x.org", "name": "X"},
    "update_user": {"user_id": "ann", "name": "X"},
    "update_user_role": {"user_id": "ann", "role": "viewer"},
    "assign_role": {"user_id": "ann", "role": "viewer"},
    "revoke_role": {"user_id": "ann", "role": "editor"},
    "deactivate_user": {"user_id": "ann"},
    "reactivate_user": {"user_id": "ann"},
    "delete_user": {"user_id": "ann"},
    "restore_user": {"user_id": "ann"},
    "create_role": {"role": "r2", "permissions": ["query.run"]},
    "update_role": {"role": "clerk", "description": "X"},
    "delete_role": {"role": "clerk"},
    "create_client": {"name": "X"},
    "rotate_client_secret": {"client_id": "robot"},
    "delete_client": {"client_id": "robot"},
    "create_password_link": {"user_id": "ann"},
    "create_token": {"name": "X"},
    "change_password": {"present_password": "X", "new_password": "correct horse battery"},
    "create_tenant": {"name": "X"},
    "update_tenant": {"name": "X"},
    "delete_tenant": {"tenant_id": "other"},
    "set_tenant_tier": {"tenant_id": "other", "tier": "free"},
    "suspend_tenant": {"tenant_id": "other", "reason": "X"},
    "resume_tenant": {"tenant_id": "other"},
    "restore_tenant": {"tenant_id": "other"},
}


@pytest.fixture
async def desk(people: PeopleDesk) -> PeopleDesk:
    """`clerk` manages people and asks questions; `ann` edits; `super` of nobody."""
    await people.call("create_role", role="clerk", permissions=["users.manage", "query.run", "tenant.read"])
    await people.person("clerk", "clerk")
    await people.person("ann", "editor")
    await people.identity.directory.create_client("default", client_id="robot", roles=["editor"], name="robot")
    return people


async def test_agents_neither_grant_nor_mint(desk: PeopleDesk) -> None:
    for tool, arguments in CHANGES.items():
        with pytest.raises(Unauthorized, match=r"[Aa]gent"):
            await desk.call(tool, "agent:super_admin", **arguments)


@pytest.mark.parametrize("role", ["super_admin", "admin", "editor"])
async def test_nobody_gives_a_role_beyond_their_own_rights(desk: PeopleDesk, role: str) -> None:
    giver = "admin" if role == "super_admin" else "clerk"
    await desk.person("bob")
    gifts: dict[str, dict[str, Any]] = {
        "create_user": {"email": "x@x.org", "name": "X", "role": role},
        "invite_user": {"email": "x@x.org", "name": "X", "role": role},
        "update_user": {"user_id": "bob", "roles": ["viewer", role]},
        "update_user_role": {"user_id": "bob", "role": role},
        "assign_role": {"user_id": "bob", "role": role},
        "create_client": {"name": "X", "roles": [role]},
    }
    for tool, arguments in gifts.items():
        assert await desk.code(tool, giver, **arguments) == "UNAUTHORIZED", tool
    assert (await desk.call("get_user", user_id="bob")).roles == []


async def test_a_role_whose_permissions_one_has_is_still_not_ones_own(desk: PeopleDesk) -> None:
    """Policies speak of roles, so a role opens more than its permissions."""
    await desk.call("create_role", role="eu-reader", permissions=[])
    await desk.person("bob")
    with pytest.raises(Unauthorized, match="eu-reader"):
        await desk.call("assign_role", "clerk", user_id="bob", role="eu-reader")
    await desk.call("assign_role", "clerk", user_id="bob", role="clerk")
    await desk.call("assign_role", "admin", user_id="bob", role="eu-reader")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("assign_role", {"role": "eu-reader"}),
        ("update_user_role", {"role": "viewer"}),
        ("update_user", {"roles": ["admin", "super_admin"]}),
        ("update_user", {"attributes": {"region": "eu"}}),
    ],
)
async def test_nobody_raises_their_own_rights(desk: PeopleDesk, tool: str, arguments: dict[str, Any]) -> None:
    await desk.call("create_role", role="eu-reader", permissions=[])
    await desk.person("second", "admin")
    with pytest.raises(Unauthorized):
        await desk.call(tool, "admin", user_id="admin", **arguments)
    assert (await desk.call("get_user", user_id="admin")).attributes == {}


async def test_attributes_that_policies_read_take_the_right_to_change_policies(desk: PeopleDesk) -> None:
    await desk.person("bob")
    assert await desk.code("update_user", "clerk", user_id="bob", attributes={"region": "eu"}) == "UNAUTHORIZED"
    assert await desk.code("update_user", "admin", user_id="bob", attributes={"region": "eu"}) == "OK"


async def test_a_role_holds_no_permission_that_its_maker_lacks(desk: PeopleDesk) -> None:
    for tool in ("create_role", "update_role"):
        role = "mine" if tool == "create_role" else "clerk"
        granted = ["users.manage", "query.run", "tenant.read", "policies.manage"]
        assert await desk.code(tool, "clerk", role=role, permissions=granted) == "UNAUTHORIZED"
    assert await desk.code("create_role", "super_admin", role="mine", permissions=["platform.tenants"]) == "CONFLICT"
    await desk.call("create_role", role="strong", permissions=["policies.manage"])
    assert await desk.code("update_role", "clerk", role="strong", permissions=[]) == "UNAUTHORIZED"
    assert await desk.code("delete_role", "clerk", role="strong") == "UNAUTHORIZED"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("update_user", {"user_id": "admin", "email": "mine@x.org"}),
        ("create_password_link", {"user_id": "admin"}),
        ("deactivate_user", {"user_id": "super_admin"}),
        ("delete_user", {"user_id": "admin"}),
        ("rotate_client_secret", {"client_id": "robot"}),
        ("delete_client", {"client_id": "robot"}),
        ("update_user", {"user_id": "ann", "identity_provider_id": "https://mine", "external_subject": "me"}),
    ],
)
async def test_who_may_do_more_than_you_is_not_yours_to_change(
    desk: PeopleDesk, tool: str, arguments: dict[str, Any]
) -> None:
    with pytest.raises(Unauthorized, match="do not hold"):
        await desk.call(tool, "clerk", **arguments)


async def test_a_narrowed_token_is_less_than_its_owner(desk: PeopleDesk) -> None:
    made = await desk.call("create_token", "admin", name="hr", permissions=["users.manage"])
    by = await desk.identity.verify(made.token)
    people = desk.identity.admin.people
    with pytest.raises(Unauthorized):
        await people.set_roles(by, "ann", lambda held: ["admin"])
    with pytest.raises(Unauthorized):
        await desk.identity.admin.passwords.make_link(by, "admin")


async def test_rights_are_read_again_at_the_moment_of_the_change(desk: PeopleDesk) -> None:
    await desk.person("second", "admin")
    then = await desk.identity.principal_of("default", "second", "user")
    await desk.call("update_user_role", user_id="second", role="viewer")
    with pytest.raises(Unauthorized):
        await desk.identity.admin.people.set_roles(then, "ann", lambda held: ["admin"])


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("deactivate_user", {}),
        ("delete_user", {}),
        ("update_user", {"roles": []}),
        ("revoke_role", {"role": "Org admin"}),
    ],
)
async def test_the_last_administrator_stays(desk: PeopleDesk, tool: str, arguments: dict[str, Any]) -> None:
    await desk.person("omar", "admin", tenant="other")
    await desk.call("deactivate_user", "olga@other", user_id="omar")
    await desk.call("invite_user", "olga@other", email="new@x.org", name="New", role="admin")
    with pytest.raises(Conflict, match="last administrator"):
        await desk.call(tool, "olga@other", user_id="olga", **arguments)
    user = await desk.call("get_user", "olga@other", user_id="olga")
    assert (user.status, user.roles) == ("active", ["admin"])


async def test_of_two_administrators_who_remove_each_other_at_once_one_stays(desk: PeopleDesk) -> None:
    await desk.person("omar", "admin", tenant="other")
    for tool, back in (("deactivate_user", "reactivate_user"), ("delete_user", "restore_user")):
        done = await asyncio.gather(
            desk.code(tool, "olga@other", user_id="omar"), desk.code(tool, "omar@other", user_id="olga")
        )
        assert sorted(done) in (["CONFLICT", "OK"], ["OK", "UNAUTHORIZED"])
        stays, gone = ("olga", "omar") if done[0] == "OK" else ("omar", "olga")
        assert await desk.code(back, f"{stays}@other", user_id=gone) == "OK"
