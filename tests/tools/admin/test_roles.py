"""Roles, through the gate."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.identity.roles import BUILT_IN, PERMISSIONS
from tests.tools.admin.people_desk import PeopleDesk


async def test_a_role_is_made_given_changed_taken_and_deleted(people: PeopleDesk) -> None:
    await people.person("ann")
    made = await people.call("create_role", role="analyst", permissions=["query.run"], description="Asks.")
    assert (made.permissions, made.built_in, made.version) == (["query.run"], False, 1)
    assert (await people.call("assign_role", user_id="ann", role="analyst")).roles == ["analyst"]
    assert (await people.identity.principal_of("default", "ann", "user")).permissions == {"query.run"}
    changed = await people.call("update_role", role="analyst", permissions=["catalog.read"], expected_version=1)
    assert changed == await people.call("get_role", role="analyst") and changed.version == 2
    assert (await people.identity.principal_of("default", "ann", "user")).permissions == {"catalog.read"}
    with pytest.raises(Conflict, match="still has"):
        await people.call("delete_role", role="analyst")
    assert (await people.call("revoke_role", user_id="ann", role="analyst")).roles == []
    await people.call("delete_role", role="analyst")
    assert await people.code("get_role", role="analyst") == "NOT_FOUND"


async def test_the_list_is_a_matrix_of_all_permissions(people: PeopleDesk) -> None:
    await people.call("create_role", role="analyst", permissions=["query.run"])
    listed = await people.call("list_roles")
    assert [role.role for role in listed.roles] == [*BUILT_IN, "analyst"] and listed.total_count == len(BUILT_IN) + 1
    matrix = {row.permission: set(row.roles) for row in listed.matrix}
    assert set(matrix) == PERMISSIONS and matrix["platform.operate"] == {"super_admin"}
    assert matrix["query.run"] == {name for name, held in BUILT_IN.items() if "query.run" in held} | {"analyst"}


async def test_roles_of_another_tenant_do_not_exist(people: PeopleDesk) -> None:
    await people.call("create_role", "olga@other", role="theirs", permissions=["query.run"])
    await people.person("ann")
    for tool in ("get_role", "update_role", "delete_role", "assign_role", "revoke_role"):
        more = {"user_id": "ann"} if tool.endswith("assign_role") or tool == "revoke_role" else {}
        with pytest.raises(NotFound, match="No role 'theirs'"):
            await people.call(tool, role="theirs", **more)
    assert "theirs" not in [role.role for role in (await people.call("list_roles")).items]


async def test_roles_are_managed_by_administrators_alone(people: PeopleDesk) -> None:
    await people.person("vic", "viewer")
    for tool in ("list_roles", "get_role", "create_role", "update_role", "delete_role", "assign_role", "revoke_role"):
        with pytest.raises(Unauthorized, match=r"users\.manage"):
            await people.call(tool, "vic", role="viewer", user_id="admin")


@pytest.mark.parametrize("role", ["admin", "Admin", "ADMIN", "analyst", "Analyst", "ana1yst", "DataEngineer"])
async def test_a_name_that_is_or_looks_like_another_roles_is_taken(people: PeopleDesk, role: str) -> None:
    await people.call("create_role", role="analyst", permissions=[])
    assert await people.code("create_role", role=role, permissions=[]) == "CONFLICT"


async def test_built_in_roles_stay_as_they_are(people: PeopleDesk) -> None:
    for tool in ("update_role", "delete_role"):
        with pytest.raises(Conflict, match="built in"):
            await people.call(tool, role="viewer")


@pytest.mark.parametrize(
    "arguments",
    [
        {"role": "x y", "permissions": []},
        {"role": "\u0430dmin", "permissions": []},
        {"role": "x"},
        {"role": "x", "permissions": "query.run"},
        {"role": "x", "permissions": [], "description": "d" * 1_000_000},
    ],
)
async def test_a_bad_request_is_refused(people: PeopleDesk, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await people.call("create_role", **arguments)


async def test_a_permission_that_is_none_is_refused(people: PeopleDesk) -> None:
    assert await people.code("create_role", role="x", permissions=["query.run", "root"]) == "CONFLICT"


async def test_a_stale_update_is_refused(people: PeopleDesk) -> None:
    await people.call("create_role", role="x", permissions=[])
    await people.call("update_role", role="x", description="new")
    assert await people.code("update_role", role="x", description="old", expected_version=1) == "CONFLICT"
