"""Users, through the gate."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from tests.tools.admin.people_desk import PeopleDesk

TOOLS_OF_ONE: dict[str, dict[str, Any]] = {
    "get_user": {},
    "update_user": {"name": "X"},
    "update_user_role": {"role": "viewer"},
    "deactivate_user": {},
    "reactivate_user": {},
    "delete_user": {},
    "restore_user": {},
    "assign_role": {"role": "viewer"},
    "revoke_role": {"role": "viewer"},
    "create_password_link": {},
}


async def test_a_user_is_made_shown_changed_and_listed(people: PeopleDesk) -> None:
    made = await people.call("create_user", email="Ann@X.org", name="Ann", role="Dataset editor", user_id="ann")
    assert (made.id, made.role, made.roles, made.status, made.tenant_id) == (
        "ann",
        "Dataset editor",
        ["editor"],
        "active",
        "default",
    )
    changed = await people.call("update_user", user_id="ann", name="Ann B", expected_version=made.version)
    assert (changed.name, changed.email, changed.version) == ("Ann B", "Ann@X.org", made.version + 1)
    assert (await people.call("get_user", user_id="ann")) == changed
    assert (await people.call("update_user_role", user_id="ann", role="Dataset user")).roles == ["viewer"]
    listed = await people.call("list_users", q="ann@x")
    assert [user.id for user in listed.users] == ["ann"] and listed.items == listed.users
    assert [user.id for user in (await people.call("list_users", role="Org admin")).items] == ["admin"]


async def test_a_deleted_user_is_in_no_list_and_comes_back(people: PeopleDesk) -> None:
    await people.person("ann", "editor", email="ann@x.org")
    token = await people.identity.mint(subject="ann")
    await people.call("delete_user", user_id="ann")
    assert "ann" not in [user.id for user in (await people.call("list_users")).items]
    assert [user.id for user in (await people.call("list_users", status="deleted")).items] == ["ann"]
    assert (await people.call("get_user", user_id="ann")).status == "deleted"
    assert await people.code("update_user", user_id="ann", name="X") == "NOT_FOUND"
    with pytest.raises(Exception, match="not valid"):
        await people.identity.verify(token)
    back = await people.call("restore_user", user_id="ann")
    assert (back.status, back.roles) == ("active", ["editor"])


async def test_a_deleted_users_address_is_free_until_it_comes_back(people: PeopleDesk) -> None:
    await people.person("ann", "viewer", email="ann@x.org")
    await people.call("delete_user", user_id="ann")
    await people.call("create_user", email="ann@x.org", name="Other Ann")
    assert await people.code("restore_user", user_id="ann") == "CONFLICT"


async def test_a_deactivated_user_is_let_in_again_without_its_tokens(people: PeopleDesk) -> None:
    await people.person("ann", "editor")
    made = await people.call("create_token", "ann", name="laptop")
    assert (await people.call("deactivate_user", user_id="ann")).status == "deactivated"
    assert (await people.call("reactivate_user", user_id="ann")).status == "active"
    with pytest.raises(Exception, match="not valid"):
        await people.identity.verify(made.token)


async def test_users_of_another_tenant_do_not_exist(people: PeopleDesk) -> None:
    for tool, more in TOOLS_OF_ONE.items():
        with pytest.raises(NotFound) as unknown:
            await people.call(tool, **more, user_id="nobody-here")
        with pytest.raises(NotFound) as hidden:
            await people.call(tool, **more, user_id="olga")
        assert hidden.value.message == unknown.value.message.replace("nobody-here", "olga")


async def test_users_are_managed_by_administrators_alone(people: PeopleDesk) -> None:
    await people.person("vic", "lead_data_engineer")
    for tool in (*TOOLS_OF_ONE, "list_users", "create_user", "invite_user"):
        with pytest.raises(Unauthorized, match=r"users\.manage"):
            await people.call(tool, "vic", user_id="admin")


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("create_user", {"name": "No address"}),
        ("create_user", {"email": "no-address", "name": "X"}),
        ("create_user", {"email": "a@b.c", "name": "X", "user_id": "not an id"}),
        ("create_user", {"email": "a@b.c", "name": "x" * 1_000_000}),
        ("create_user", {"email": "a@b.c", "name": "zero\u200bwidth"}),
        ("create_user", {"email": "a@b.c", "name": "X", "tenant_id": "other"}),
        ("update_user", {"user_id": "admin", "expected_version": 0}),
        ("update_user", {"user_id": 7}),
        ("list_users", {"status": "sleeping"}),
        ("invite_user", {"email": "a@b\n.c", "name": "X"}),
    ],
)
async def test_a_bad_request_is_refused(people: PeopleDesk, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await people.call(tool, **arguments)


@pytest.mark.parametrize("name", ["p\u0430ypal", "\u0391cme", "Acme\ufe0f", "\u3164", "a\u0301\u0301\u0301\u0301"])
async def test_names_that_could_be_taken_for_others_are_refused(people: PeopleDesk, name: str) -> None:
    assert await people.code("create_user", email="a@b.c", name=name) == "CONFLICT"
    assert (await people.call("list_users")).total_count == 2


async def test_addresses_that_mean_the_same_are_taken(people: PeopleDesk) -> None:
    await people.call("create_user", email="Ann@X.org", name="Ann", user_id="ann")
    for email in ("ann@x.org", "ANN@x.ORG", "\uff41nn@x.org"):
        assert await people.code("create_user", email=email, name="Ann again") == "CONFLICT"
    assert await people.code("create_user", email="b@x.org", name="B", user_id="ann") == "CONFLICT"
    assert await people.code("update_user", user_id="admin", email="ann@x.org") == "CONFLICT"
    assert await people.code("create_user", "olga@other", email="ann@x.org", name="Ann") == "OK"


async def test_a_stale_update_changes_nothing_and_names_the_present_version(people: PeopleDesk) -> None:
    user = await people.call("create_user", email="a@x.org", name="A", user_id="ann")
    await people.call("update_user", user_id="ann", name="B")
    with pytest.raises(Conflict, match=f"at version {user.version + 1}, not {user.version}"):
        await people.call("update_user", user_id="ann", name="C", expected_version=user.version)
    assert (await people.call("get_user", user_id="ann")).name == "B"


async def test_an_external_identity_is_linked_to_one_user(people: PeopleDesk) -> None:
    linked = {"identity_provider_id": "https://login.example.com", "external_subject": "4711"}
    made = await people.call("create_user", email="a@x.org", name="A", user_id="ann", **linked)
    assert (made.identity_provider_id, made.external_subject) == ("https://login.example.com", "4711")
    assert await people.code("create_user", email="b@x.org", name="B", **linked) == "CONFLICT"
    freed = await people.call("update_user", user_id="ann", identity_provider_id="", external_subject="")
    assert freed.identity_provider_id is None
    assert await people.code("create_user", email="b@x.org", name="B", **linked) == "OK"


async def test_a_page_token_opens_nothing_for_another_tenant(people: PeopleDesk) -> None:
    await people.person("ann", "viewer")
    first = await people.call("list_users", page_size=1)
    assert first.next_page_token and first.total_count == 3
    await people.person("omar", "viewer", tenant="other")
    with pytest.raises(NotFound, match="no such page"):
        await people.call("list_users", "olga@other", page_size=1, page_token=first.next_page_token)
    assert len((await people.call("list_users", page_size=5, skip=None)).items) == 3


async def test_the_role_of_a_new_user_must_be_there(people: PeopleDesk) -> None:
    with pytest.raises(NotFound, match="No role 'wizard'"):
        await people.call("create_user", email="a@x.org", name="A", role="wizard")
    assert (await people.call("list_users", q="a@x.org")).total_count == 0
