"""What a directory can do to people, and what it cannot."""

from typing import Any

import pytest

from core.dispatch import Call
from tests.api.scim.conftest import GROUP, USER, Scim


async def test_a_person_comes_moves_and_leaves(scim: Scim) -> None:
    made = await scim.call(
        "POST",
        "/Users",
        {
            "schemas": [USER],
            "userName": "Ann@X.org",
            "name": {"givenName": "Ann", "familyName": "Lee"},
            "externalId": "0042",
            "emails": [{"value": "ann@x.org", "primary": True}],
            "password": "not kept",
        },
    )
    assert (made.status_code, made.headers["content-type"]) == (201, "application/scim+json")
    person = made.json()
    assert (
        made.headers["location"] == person["meta"]["location"] == f"http://127.0.0.1:8000/scim/v2/Users/{person['id']}"
    )
    people = scim.platform.engine.identity.admin.people
    by = await scim.platform.engine.identity.local_owner()
    user = await people.get(by, person["id"])
    assert (user.name, user.email, user.login, user.roles) == ("Ann Lee", "ann@x.org", "ann@x.org", frozenset())
    path = f"/Users/{person['id']}"
    left = await scim.patch(path, {"op": "replace", "path": "active", "value": False})
    assert left.json()["active"] is False and (await people.get(by, user.user_id)).status == "deactivated"
    assert (await scim.patch(path, {"op": "Replace", "value": {"active": "True"}})).json()["active"] is True
    assert (await scim.call("DELETE", path)).status_code == 204
    assert (await scim.call("GET", path)).status_code == 404
    assert (await people.get(by, user.user_id)).status == "deleted"


async def test_a_group_is_a_role_and_its_members_have_it(scim: Scim) -> None:
    ann, bob = await scim.user("ann@x.org"), await scim.user("bob@x.org")
    made = await scim.call(
        "POST", "/Groups", {"schemas": [GROUP], "displayName": "Data Team", "members": [{"value": ann}]}
    )
    group = made.json()["id"]
    people, by = scim.platform.engine.identity.admin.people, await scim.platform.engine.identity.local_owner()
    assert (await people.get(by, ann)).roles == {group}
    await scim.patch(f"/Groups/{group}", {"op": "add", "path": "members", "value": [{"value": bob}]})
    await scim.patch(f"/Groups/{group}", {"op": "remove", "path": f'members[value eq "{ann}"]'})
    assert [(await people.get(by, who)).roles for who in (ann, bob)] == [frozenset(), {group}]
    assert (await scim.call("GET", f"/Users/{bob}")).json()["groups"][0]["display"] == "Data Team"
    viewers = (await scim.call("GET", "/Groups", params={"filter": 'displayName eq "viewer"'})).json()
    assert viewers["totalResults"] == 1 and viewers["Resources"][0]["id"] == "viewer"
    await scim.patch("/Groups/viewer", {"op": "add", "path": "members", "value": [{"value": ann}]})
    assert (await people.get(by, ann)).roles == {"viewer"}
    assert (await scim.call("DELETE", f"/Groups/{group}")).status_code == 204
    assert (await people.get(by, bob)).roles == frozenset()


async def test_a_directory_gives_no_more_than_its_tokens_owner_holds(scim: Scim) -> None:
    identity = scim.platform.engine.identity
    await identity.directory.define_role("default", "joiner", ["users.manage", "query.run"])
    await identity.directory.create_user("default", user_id="okta", roles=["joiner"])
    token, ann = await identity.mint(subject="okta"), await scim.user("ann@x.org")
    add = {"op": "add", "path": "members", "value": [{"value": ann}]}
    for group in ("admin", "super_admin", "viewer"):
        answer = await scim.patch(f"/Groups/{group}", add, token=token)
        assert (answer.status_code, "UNAUTHORIZED" in answer.json()["detail"]) == (403, True)
    admin = {"op": "replace", "path": "active", "value": False}
    assert (await scim.patch("/Users/admin", admin, token=token)).status_code == 403
    assert (await scim.patch("/Groups/super_admin", add)).status_code == 403
    own = {"op": "add", "path": "members", "value": [{"value": "okta"}]}
    assert (await scim.patch("/Groups/viewer", own, token=token)).status_code == 403
    assert (await scim.patch("/Groups/joiner", add, token=token)).status_code == 200


async def test_the_last_administrator_stays(scim: Scim) -> None:
    emptied = await scim.patch("/Groups/admin", {"op": "replace", "path": "members", "value": []})
    gone = await scim.call("DELETE", "/Users/admin")
    assert (emptied.status_code, gone.status_code) == (409, 409)


async def test_another_tenants_people_do_not_exist(scim: Scim) -> None:
    identity, ann = scim.platform.engine.identity, await scim.user("ann@x.org")
    await identity.directory.create_tenant("Other", tenant_id="other", tier="enterprise")
    await identity.directory.create_user("other", user_id="olga", roles=["admin"], email="olga@x.org")
    token = await identity.mint(subject="olga", tenant="other")
    body = {"schemas": [USER], "userName": "x"}
    for method, sent in (("GET", None), ("PUT", body), ("DELETE", None)):
        answer = await scim.call(method, f"/Users/{ann}", sent, token)
        assert answer.status_code == 404 and answer.json()["detail"].startswith("No user")
    listed = (await scim.call("GET", "/Users", token=token)).json()
    assert [user["id"] for user in listed["Resources"]] == ["olga"]
    members = [{"op": "add", "path": "members", "value": [{"value": ann}]}]
    assert (await scim.patch("/Groups/viewer", *members, token=token)).status_code == 400


async def test_strangers_and_viewers_are_refused_in_scims_words(scim: Scim) -> None:
    viewer = await scim.platform.engine.identity.mint(role="viewer")
    for method, token, status in (("GET", "junk", 401), ("POST", "junk", 401), ("GET", viewer, 403)):
        answer = await scim.call(method, "/Users", {"schemas": [USER], "userName": "x"}, token)
        assert answer.status_code == status
        assert answer.json()["schemas"] == ["urn:ietf:params:scim:api:messages:2.0:Error"]
        assert answer.json()["status"] == str(status) and answer.headers["x-request-id"] in answer.json()["detail"]


async def test_every_call_is_in_the_audit(scim: Scim) -> None:
    ann = await scim.user("ann@x.org")
    await scim.call("GET", "/Users", token="junk")
    audit = scim.platform.engine.audit
    entries = [entry.record for entry in await audit.read("default", limit=10) if entry.record]
    made = next(record for record in entries if record.tool == "scim_create_user")
    assert (made.face, made.subject, made.code) == ("scim", "admin", "OK") and f"user:{ann}" in made.resources


BAD: list[tuple[str, str, Any, int, str | None]] = [
    ("POST", "/Users", {"schemas": [USER]}, 400, "invalidValue"),
    ("POST", "/Users", [], 400, "invalidSyntax"),
    ("POST", "/Users", {"schemas": [USER], "userName": "taken@x.org"}, 409, "uniqueness"),
    ("POST", "/Users", {"schemas": [USER], "userName": "p\u0430ypal"}, 409, "uniqueness"),
    ("POST", "/Users", {"schemas": [USER], "userName": "x" * 300}, 400, "invalidValue"),
    ("POST", "/Users", {"schemas": [USER], "userName": "x", "title": "t" * 70_000}, 400, "tooMany"),
    ("POST", "/Groups", {"schemas": [GROUP], "displayName": "Viewer"}, 409, "uniqueness"),
    (
        "POST",
        "/Groups",
        {"schemas": [GROUP], "displayName": "X", "members": [{"value": "nobody"}]},
        400,
        "invalidValue",
    ),
    ("PUT", "/Groups/viewer", {"schemas": [GROUP], "displayName": "Lookers"}, 400, "mutability"),
    ("DELETE", "/Groups/viewer", None, 409, "uniqueness"),
    ("DELETE", "/ServiceProviderConfig", None, 405, "invalidSyntax"),
    ("GET", "/Users/Dataset%20user", None, 404, None),
    ("GET", "/Groups/Dataset%20user", None, 404, None),
    ("GET", "/Schemas/nothing", None, 404, None),
]


async def test_bad_requests(scim: Scim) -> None:
    await scim.user("taken@x.org")
    for method, path, body, status, scim_type in BAD:
        answer = await scim.call(method, path, body)
        assert (answer.status_code, answer.json().get("scimType")) == (status, scim_type), answer.text


FOUND: list[tuple[dict[str, str], list[str]]] = [
    ({"filter": 'userName eq "BOB@x.org"'}, ["bob@x.org"]),
    ({"filter": 'userName sw "ann" or emails.value co "bob"'}, ["ann@x.org", "bob@x.org"]),
    ({"filter": "not (active eq true) and userName pr"}, []),
    ({"sortBy": "userName", "sortOrder": "descending", "count": "1"}, ["bob@x.org"]),
    ({"filter": 'userName co "@"', "startIndex": "2", "count": "5"}, ["bob@x.org"]),
    ({"count": "0"}, []),
]


async def test_people_are_found_by_filters_and_pages(scim: Scim) -> None:
    for name in ("ann@x.org", "bob@x.org"):
        await scim.user(name)
    for question, found in FOUND:
        answer = (await scim.call("GET", "/Users", params=question)).json()
        assert [user["userName"] for user in answer.get("Resources", [])] == found, question


async def test_a_filter_that_is_none_is_refused(scim: Scim) -> None:
    for text in ("userName eq", "nothing eq 1", "(" * 500, 'userName eq "x" or ' * 300, "a\0b"):
        answer = await scim.call("GET", "/Users", params={"filter": text})
        assert answer.status_code == 400 and answer.json()["status"] == "400", text[:20]


async def test_agents_provision_nobody(scim: Scim) -> None:
    from headwater.scim import scim_gate

    by = await scim.platform.engine.identity.principal_of("default", "admin", "agent", "helper")
    arguments = {"base": "", "body": {"schemas": [USER], "userName": "x"}}
    with pytest.raises(Exception, match="Agents"):
        await scim_gate(scim.platform).call(Call("scim_create_user", arguments, "test", "r", principal=by))
