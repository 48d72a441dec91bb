"""Clients, through the gate."""

from pathlib import Path
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthenticated, Unauthorized
from tests.tools.admin.people_desk import PeopleDesk, opened_people


async def signs_in(people: PeopleDesk, client_id: str, secret: str) -> bool:
    try:
        await people.identity.issue_token(client_id, secret)
    except Unauthenticated:
        return False
    return True


async def test_a_client_signs_in_with_the_secret_that_is_shown_once(people: PeopleDesk) -> None:
    made = await people.call("create_client", name="Nightly", roles=["viewer"], client_id="nightly")
    assert await signs_in(people, "nightly", made.client_secret)
    listed = await people.call("list_clients")
    assert [client.name for client in listed.clients] == ["Nightly"]
    assert made.client_secret not in listed.model_dump_json()
    assert (await people.call("get_client", client_id="nightly")).roles == ["viewer"]


async def test_a_secret_is_replaced_without_a_gap(people: PeopleDesk) -> None:
    made = await people.call("create_client", name="Nightly", client_id="nightly")
    token = (await people.identity.issue_token("nightly", made.client_secret)).access_token
    rotated = await people.call("rotate_client_secret", client_id="nightly")
    assert rotated.old_secret_until is not None and rotated.version == made.version + 1
    assert await signs_in(people, "nightly", made.client_secret)
    assert await signs_in(people, "nightly", rotated.client_secret)
    assert (await people.identity.verify(token)).subject == "nightly"
    again = await people.call("rotate_client_secret", client_id="nightly", overlap_hours=1)
    works = [await signs_in(people, "nightly", item.client_secret) for item in (made, rotated, again)]
    assert works == [False, True, True]


async def test_a_stolen_secret_ends_at_once(people: PeopleDesk) -> None:
    made = await people.call("create_client", name="Nightly", client_id="nightly")
    rotated = await people.call("rotate_client_secret", client_id="nightly", overlap_hours=0)
    assert not await signs_in(people, "nightly", made.client_secret)
    assert await signs_in(people, "nightly", rotated.client_secret)


async def test_a_deleted_client_is_out_and_its_id_is_not_given_again(people: PeopleDesk) -> None:
    made = await people.call("create_client", name="Nightly", client_id="nightly")
    token = (await people.identity.issue_token("nightly", made.client_secret)).access_token
    await people.call("delete_client", client_id="nightly")
    assert not await signs_in(people, "nightly", made.client_secret)
    with pytest.raises(Unauthenticated):
        await people.identity.verify(token)
    assert await people.code("create_client", name="Nightly", client_id="nightly") == "CONFLICT"
    assert await people.code("create_client", name="Nightly") == "OK"


async def test_clients_of_another_tenant_do_not_exist(people: PeopleDesk) -> None:
    await people.call("create_client", "olga@other", name="Theirs", client_id="theirs")
    for tool in ("get_client", "update_client", "rotate_client_secret", "delete_client"):
        with pytest.raises(NotFound, match="No client 'theirs'"):
            await people.call(tool, client_id="theirs")
    assert (await people.call("list_clients")).total_count == 0


async def test_clients_are_managed_by_administrators_alone(people: PeopleDesk) -> None:
    await people.person("vic", "lead_data_engineer")
    tools = ("create_client", "list_clients", "get_client", "update_client", "rotate_client_secret", "delete_client")
    for tool in tools:
        with pytest.raises(Unauthorized, match=r"users\.manage"):
            await people.call(tool, "vic", name="X", client_id="x")


async def test_names_that_look_alike_are_one(people: PeopleDesk) -> None:
    await people.call("create_client", name="Nightly 10")
    for name in ("nightly 10", "NIGHTLY  lO", "Nightly l0"):
        assert await people.code("create_client", name=name) == "CONFLICT"
    assert await people.code("create_client", name="N\u0456ghtly") == "CONFLICT"  # mixed scripts


@pytest.mark.parametrize(
    "arguments",
    [{}, {"name": ""}, {"name": "x", "client_id": "a b"}, {"name": "x", "secret": "mine"}, {"name": "x" * 1_000_000}],
)
async def test_a_bad_request_is_refused(people: PeopleDesk, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await people.call("create_client", **arguments)


async def test_a_stale_rotation_is_refused(people: PeopleDesk) -> None:
    await people.call("create_client", name="X", client_id="x")
    await people.call("rotate_client_secret", client_id="x", expected_version=1)
    assert await people.code("rotate_client_secret", client_id="x", expected_version=1) == "CONFLICT"


async def test_a_client_is_given_other_roles_and_its_tokens_do_what_they_allow(people: PeopleDesk) -> None:
    made = await people.call("create_client", name="Nightly", roles=["viewer"], client_id="nightly")
    token = (await people.identity.issue_token("nightly", made.client_secret)).access_token
    assert "records.write" not in (await people.identity.verify(token)).permissions
    changed = await people.call(
        "update_client", client_id="nightly", roles=["editor"], name="Nachts", expected_version=1
    )
    assert (changed.name, changed.roles, changed.version, changed.description) == ("Nachts", ["editor"], 2, "")
    people.identity._forget("default")
    assert "records.write" in (await people.identity.principal_of("default", "nightly", "client")).permissions
    assert await people.code("update_client", client_id="nightly", name="X", expected_version=1) == "CONFLICT"
    assert await signs_in(people, "nightly", made.client_secret)


async def test_nobody_gives_a_client_what_they_do_not_hold(people: PeopleDesk) -> None:
    await people.call("create_client", name="Nightly", roles=["viewer"], client_id="nightly")
    await people.call("create_client", "super_admin", name="Root", roles=["super_admin"], client_id="root")
    assert await people.code("update_client", client_id="nightly", roles=["super_admin"]) == "UNAUTHORIZED"
    assert await people.code("update_client", client_id="root", roles=["viewer"]) == "UNAUTHORIZED"
    assert await people.code("update_client", client_id="nightly", roles=["nobody"]) == "NOT_FOUND"
    assert await people.code("update_client", "agent:admin", client_id="nightly", roles=["editor"]) == "UNAUTHORIZED"
    assert (await people.call("get_client", client_id="nightly")).version == 1


async def test_a_client_keeps_a_name_of_its_own(people: PeopleDesk) -> None:
    for name in ("nightly", "daily"):
        await people.call("create_client", name=name, client_id=name)
    assert await people.code("update_client", client_id="daily", name="NIGHTLY") == "CONFLICT"
    assert await people.code("update_client", client_id="daily", name="DAILY") == "OK"
    assert await people.code("update_client", client_id="daily", description="x" * 1_000_000) == "INVALID_ARGUMENT"


async def test_clients_of_the_file_are_listed_and_changed_in_the_file_alone(tmp_path: Path) -> None:
    (tmp_path / "auth_clients.yml").write_text(
        "clients: {reporting: hush, theirs: {secret: hush, tenant: other, roles: [viewer]}}"
    )
    async with opened_people(tmp_path) as people:
        await people.call("create_client", name="A", client_id="a")
        pages = [(await people.call("list_clients", skip=skip, limit=1)) for skip in (0, 1, 2)]
        assert [[client.client_id for client in page.clients] for page in pages] == [["a"], ["reporting"], []]
        assert {page.total_count for page in pages} == {2} and "hush" not in pages[1].model_dump_json()
        shown = await people.call("get_client", client_id="reporting")
        assert shown.is_from_file and shown.created_at is None and shown.roles == ["editor"]
        for tool, more in (("update_client", {"name": "B"}), ("rotate_client_secret", {}), ("delete_client", {})):
            with pytest.raises(Conflict, match=r"stands in auth_clients\.yml"):
                await people.call(tool, client_id="reporting", **more)
            assert await people.code(tool, client_id="theirs", **more) == "NOT_FOUND"
