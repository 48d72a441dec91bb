"""ETag and If-Match over REST: a stale update is a CONFLICT, whatever it would change."""

from collections.abc import AsyncIterator

import httpx
import pytest

from api.openapi import openapi_document
from api.rest import rest_app
from core.settings import ServerSettings
from tests.tools.admin.people_desk import PeopleDesk

HEADERS = {"host": "127.0.0.1"}


@pytest.fixture
async def rest(people: PeopleDesk) -> AsyncIterator[httpx.AsyncClient]:
    app = rest_app(people.dispatcher, settings=ServerSettings(), auth=people.identity, version="1")
    token = await people.identity.mint()
    headers = {**HEADERS, "authorization": f"Bearer {token}"}
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000", headers=headers) as client:
        yield client


async def test_an_answer_names_its_version_and_a_stale_update_changes_nothing(rest: httpx.AsyncClient) -> None:
    made = await rest.post("/v1/users", json={"email": "a@x.org", "name": "A", "user_id": "ann"})
    assert (made.status_code, made.headers["etag"]) == (201, '"1"')
    changed = await rest.patch("/v1/users/ann", json={"name": "B"}, headers={"if-match": made.headers["etag"]})
    assert (changed.status_code, changed.headers["etag"]) == (200, '"2"')
    stale = await rest.put("/v1/users/ann", json={"name": "C"}, headers={"if-match": made.headers["etag"]})
    assert (stale.status_code, stale.json()["error"]["code"]) == (409, "CONFLICT")
    assert "version 2" in stale.json()["error"]["message"]
    seen = await rest.get("/v1/users/ann")
    assert (seen.json()["name"], seen.headers["etag"]) == ("B", '"2"')


@pytest.mark.parametrize(
    ("tag", "status"),
    [("*", 200), ('"1"', 200), ('"7"', 409), ('W/"1"', 409), ('"abc"', 409), ('"1", "2"', 400), ("1", 200), ("", 400)],
)
async def test_tags_are_compared_as_http_says_and_a_number_may_lack_its_quotes(
    rest: httpx.AsyncClient, tag: str, status: int
) -> None:
    await rest.post("/v1/users", json={"email": "a@x.org", "name": "A", "user_id": "ann"})
    answer = await rest.patch("/v1/users/ann", json={"name": "B"}, headers={"if-match": tag})
    assert answer.status_code == status


async def test_the_header_and_the_field_are_one(rest: httpx.AsyncClient) -> None:
    await rest.post("/v1/users", json={"email": "a@x.org", "name": "A", "user_id": "ann"})
    change = {"name": "B", "expected_version": 1}
    assert (await rest.patch("/v1/users/ann", headers={"if-match": '"2"'}, json=change)).status_code == 409
    assert (await rest.patch("/v1/users/ann", headers={"if-match": '"1"'}, json=change)).status_code == 200


async def test_what_has_no_version_cannot_depend_on_one(rest: httpx.AsyncClient) -> None:
    answer = await rest.post("/v1/tokens", json={"name": "x"}, headers={"if-match": '"1"'})
    assert answer.status_code == 409
    assert (await rest.get("/v1/users", headers={"if-match": '"1"'})).status_code == 200


async def test_who_is_calling_comes_first(rest: httpx.AsyncClient) -> None:
    answer = await rest.patch("/v1/users/ann", json={}, headers={"if-match": "junk", "authorization": "Bearer x"})
    assert answer.status_code == 401


def test_the_document_says_so(people: PeopleDesk) -> None:
    paths = openapi_document(people.dispatcher.registry, version="1")["paths"]
    update, show = paths["/v1/users/{user_id}"]["patch"], paths["/v1/users/{user_id}"]["get"]
    assert "If-Match" in [parameter["name"] for parameter in update["parameters"]]
    assert "ETag" in update["responses"]["200"]["headers"] and "ETag" in show["responses"]["200"]["headers"]
    assert "ETag" not in paths["/v1/users"]["get"]["responses"]["200"]["headers"]
