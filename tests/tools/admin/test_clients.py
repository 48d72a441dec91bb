"""Clients, through the gate."""

from typing import Any

import pytest

from core.errors import InvalidArgument, NotFound, Unauthenticated, Unauthorized
from tests.tools.admin.people_desk import PeopleDesk


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
    for tool in ("get_client", "rotate_client_secret", "delete_client"):
        with pytest.raises(NotFound, match="No client 'theirs'"):
            await people.call(tool, client_id="theirs")
    assert (await people.call("list_clients")).total_count == 0


async def test_clients_are_managed_by_administrators_alone(people: PeopleDesk) -> None:
    await people.person("vic", "lead_data_engineer")
    for tool in ("create_client", "list_clients", "get_client", "rotate_client_secret", "delete_client"):
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
