"""Invitations, passwords and sessions, through the gate."""

import asyncio
from datetime import timedelta
from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, RateLimited, Unauthenticated, Unauthorized
from engine.identity.links import OneTimeLink
from engine.identity.sessions import SignIn
from tests.tools.admin.people_desk import PeopleDesk

GOOD = "correct horse battery"
UNKNOWN = "hwl_" + "A" * 43


async def invited(people: PeopleDesk) -> tuple[str, str]:
    made = await people.call("invite_user", email="ann@x.org", name="Ann", role="Dataset editor")
    assert (made.status, made.role) == ("invited", "Dataset editor")
    assert made.expires_at - made.created_at > timedelta(days=6)
    assert made.invitation_url.endswith("/auth/invitation#" + made.invitation_token)
    return made.id, made.invitation_token


async def test_an_invitation_lets_somebody_in_once(people: PeopleDesk) -> None:
    user_id, token = await invited(people)
    verify = people.identity.admin.passwords.verify
    with pytest.raises(Unauthorized):
        await people.identity.principal_of("default", user_id, "user")
    account = await people.call("accept_invitation", "", link_token=token, password=GOOD, name="Ann B")
    assert (account.user_id, account.name) == (user_id, "Ann B")
    for name in ("ann@x.org", "ANN@X.ORG", user_id):
        assert await verify("default", name, GOOD, "192.0.2.7") == user_id
    with pytest.raises(NotFound, match="does not work any more"):
        await people.call("accept_invitation", "", link_token=token, password=GOOD)
    assert (await people.call("get_user", user_id=user_id)).status == "active"


async def test_two_who_use_one_link_at_once_are_one(people: PeopleDesk) -> None:
    _, token = await invited(people)
    codes = [people.code("accept_invitation", "", link_token=token, password=GOOD) for _ in range(2)]
    assert sorted(await asyncio.gather(*codes)) == ["NOT_FOUND", "OK"]


async def test_a_new_invitation_ends_the_one_before(people: PeopleDesk) -> None:
    user_id, first = await invited(people)
    again, second = await invited(people)
    assert again == user_id
    assert await people.code("accept_invitation", "", link_token=first, password=GOOD) == "NOT_FOUND"
    assert await people.code("accept_invitation", "", link_token=second, password=GOOD) == "OK"
    assert await people.code("invite_user", email="ann@x.org", name="Ann") == "CONFLICT"


@pytest.mark.parametrize("closed", ["deactivate_user", "delete_user"])
async def test_an_invitation_ends_with_its_user(people: PeopleDesk, closed: str) -> None:
    user_id, token = await invited(people)
    await people.call(closed, user_id=user_id)
    assert await people.code("accept_invitation", "", link_token=token, password=GOOD) == "NOT_FOUND"


async def test_the_answer_is_the_same_whoever_it_is(people: PeopleDesk) -> None:
    await people.person("quiet", "viewer", email="quiet@x.org")
    verify, said = people.identity.admin.passwords.verify, set()
    for login in ("quiet@x.org", "nobody@x.org", "admin", "x" * 300, "\ud800"):
        with pytest.raises(Unauthenticated) as refused:
            await verify("default", login, "wrong password here")
        said.add((refused.value.message, refused.value.hint))
    with pytest.raises(Unauthenticated) as refused:
        await verify("no-such-tenant", "admin", "p" * 1000)
    assert said == {(refused.value.message, refused.value.hint)}


async def test_who_asks_for_a_link_learns_nothing_and_the_link_goes_to_the_address(people: PeopleDesk) -> None:
    sent: list[OneTimeLink] = []

    async def deliver(link: OneTimeLink) -> None:
        sent.append(link)

    people.identity.admin.links.deliver = deliver
    await people.person("ann", "viewer", email="ann@x.org")
    answers = [await people.call("request_password_reset", "", login=login) for login in ("Ann@x.org", "nobody@x.org")]
    assert answers[0] == answers[1]
    for _ in range(100):
        if sent:
            break
        await asyncio.sleep(0.02)
    assert [(link.user_id, link.email) for link in sent] == [("ann", "ann@x.org")]
    assert (await people.call("reset_password", "", link_token=sent[0].secret, password=GOOD)).user_id == "ann"
    assert await people.code("reset_password", "", link_token=sent[0].secret, password=GOOD) == "NOT_FOUND"


async def test_an_administrator_hands_a_link_over(people: PeopleDesk) -> None:
    await people.person("ann", "viewer", email="ann@x.org")
    made = await people.call("create_password_link", user_id="ann")
    assert await people.code("accept_invitation", "", link_token=made.link_token, password=GOOD) == "NOT_FOUND"
    assert await people.code("reset_password", "", link_token=made.link_token, password=GOOD) == "OK"


@pytest.mark.parametrize("password", ["aaaaaaaaaaaaaaaa", "ann@example.org"])
async def test_a_password_that_is_no_secret_is_refused_and_the_link_still_works(
    people: PeopleDesk, password: str
) -> None:
    await people.person("ann", "viewer", email="ann@example.org")
    made = await people.call("create_password_link", user_id="ann")
    assert await people.code("reset_password", "", link_token=made.link_token, password=password) == "CONFLICT"
    assert await people.code("reset_password", "", link_token=made.link_token, password=GOOD) == "OK"


async def test_a_tenant_demands_longer_passwords(people: PeopleDesk) -> None:
    await people.call("update_tenant", configuration={"min_password_chars": 30})
    made = await people.call("create_password_link", user_id="admin")
    with pytest.raises(Conflict, match="shorter than 30"):
        await people.call("reset_password", "", link_token=made.link_token, password=GOOD)


async def test_ones_own_password_is_changed_by_who_knows_it(people: PeopleDesk) -> None:
    made = await people.call("create_password_link", user_id="admin")
    await people.call("reset_password", "", link_token=made.link_token, password=GOOD)
    session = await people.identity.admin.sessions.open("default", "admin", SignIn("app"), lifetime_s=60)
    new = {"new_password": GOOD + " staple"}
    assert await people.code("change_password", present_password="wrong one here", **new) == "UNAUTHENTICATED"
    await people.call("change_password", present_password=GOOD, **new)
    assert await people.identity.admin.sessions.find("default", session.session_id) is None
    assert await people.identity.admin.passwords.verify("default", "admin", GOOD + " staple") == "admin"


@pytest.mark.parametrize(
    ("tool", "arguments"),
    [
        ("accept_invitation", {"link_token": "short", "password": GOOD}),
        ("accept_invitation", {"link_token": UNKNOWN, "password": "short"}),
        ("reset_password", {"link_token": UNKNOWN, "password": "p" * 257}),
        ("reset_password", {"password": GOOD}),
        ("request_password_reset", {}),
        ("change_password", {"present_password": GOOD, "new_password": "short"}),
    ],
)
async def test_a_bad_request_is_refused(people: PeopleDesk, tool: str, arguments: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await people.call(tool, "admin" if tool == "change_password" else "", **arguments)


async def test_guesses_are_slowed_down_but_nobody_is_locked_out_of_where_they_sign_in(people: PeopleDesk) -> None:
    passwords, home, away = people.identity.admin.passwords, "192.0.2.7", "198.51.100.{}"
    made = await people.call("create_password_link", user_id="admin")
    await people.call("reset_password", "", link_token=made.link_token, password=GOOD)
    await passwords.verify("default", "admin", GOOD, home)

    async def guess(address: str) -> str:
        try:
            await passwords.verify("default", "admin", "a wrong password", address)
        except (Unauthenticated, RateLimited) as error:
            return error.code
        return "OK"

    passwords._crowd._capacity = 12
    from_one = [await guess(away.format(1)) for _ in range(11)]
    assert (from_one[:10], from_one[10]) == (["UNAUTHENTICATED"] * 10, "RATE_LIMITED")
    from_many = [await guess(away.format(number)) for number in range(2, 6)]
    assert from_many[-1] == "RATE_LIMITED"
    with pytest.raises(RateLimited):  # the right password, from somewhere new, while guessing goes on
        await passwords.verify("default", "admin", GOOD, "203.0.113.9")
    assert await passwords.verify("default", "admin", GOOD, home) == "admin"


async def test_a_session_is_listed_and_ended_by_its_owner_or_administrator(people: PeopleDesk) -> None:
    await people.person("ann", "viewer")
    sessions = people.identity.admin.sessions
    first = await sessions.open("default", "ann", SignIn("app", address="192.0.2.7"), lifetime_s=60)
    second = await sessions.open("default", "ann", SignIn("phone"), lifetime_s=60)
    listed = await people.call("list_sessions", "ann")
    assert {item.session_id for item in listed.sessions} == {first.session_id, second.session_id}
    assert (await people.call("list_sessions", user_id="ann")).total_count == 2
    await people.call("revoke_session", "ann", session_id=first.session_id)
    await people.call("revoke_session", "admin", session_id=second.session_id)
    assert (await people.call("list_sessions", "ann")).total_count == 0


async def test_sessions_of_others_do_not_exist(people: PeopleDesk) -> None:
    await people.person("ann", "viewer")
    await people.person("bob", "viewer")
    session = await people.identity.admin.sessions.open("default", "ann", SignIn("app"), lifetime_s=60)
    for whom in ("bob", "olga@other"):
        with pytest.raises(NotFound, match="No session"):
            await people.call("revoke_session", whom, session_id=session.session_id)
    with pytest.raises(Unauthorized):
        await people.call("list_sessions", "bob", user_id="ann")
    with pytest.raises(NotFound):
        await people.call("list_sessions", "olga@other", user_id="ann")
    with pytest.raises(InvalidArgument):
        await people.call("revoke_session", "ann", session_id="x" * 65)
