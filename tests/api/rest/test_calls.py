"""One request becomes one call: arguments, results, statuses, headers."""

import json
import re

import httpx
import pytest

from tests.api.rest.serving import Face

ECHO = "/v1/things/t9/echo"


async def test_path_and_body_become_one_call(client: httpx.AsyncClient) -> None:
    response = await client.post(ECHO, json={"text": "hi", "count": 7, "raw": "aGk=", "parts": [{"name": "p"}]})
    assert response.status_code == 200
    told = response.json()
    assert (told["thing_id"], told["text"], told["count"], told["raw"]) == ("t9", "hi", 7, "aGk=")


async def test_query_may_fill_fields_beside_the_body(client: httpx.AsyncClient) -> None:
    response = await client.post(f"{ECHO}?text=q&tags=a&tags=b&is_big=false", json={"count": 2})
    told = response.json()
    assert (told["text"], told["tags"], told["is_big"], told["count"]) == ("q", ["a", "b"], False, 2)


async def test_repeated_query_parameters_are_a_list(client: httpx.AsyncClient) -> None:
    assert (await client.get("/v1/things/x?tags=a&tags=b&verbose=true")).status_code == 200


@pytest.mark.parametrize(
    "path, body",
    [
        (ECHO, {"thing_id": "other"}),
        (f"{ECHO}?count=1", {"count": 2}),
        (f"{ECHO}?text=a&text=b", {}),
    ],
)
async def test_a_name_given_twice_is_refused(client: httpx.AsyncClient, path: str, body: dict[str, object]) -> None:
    response = await client.post(path, json=body)
    assert (response.status_code, response.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")


async def test_the_same_value_twice_is_no_clash(client: httpx.AsyncClient) -> None:
    assert (
        await client.post(f"{ECHO}?count=2&is_big=true", json={"thing_id": "t9", "count": 2, "is_big": True})
    ).is_success


@pytest.mark.parametrize("path", ["/v1/things/x?colour=red", "/v1/things/x?verbose=maybe", "/v1/things/x?verbose=%00"])
async def test_query_parameters_that_do_not_fit_are_refused(client: httpx.AsyncClient, path: str) -> None:
    assert (await client.get(path)).status_code == 400


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"null",
        b"{",
        b"\xff\xfe{}",
        b'{"text": "\xff"}',
        b'{"text": "a", "text": "b"}',
        b'{"cell": {"a": 1, "a": 2}}',
        b'{"ratio": NaN}',
        b'{"cell": NaN}',
        b'{"cell": Infinity}',
        b'{"cell": 1e999}',
        b'{"count": 1' + b"0" * 5000 + b"}",
        b'{"count": "7"}',
        b'{"count": true}',
        b'{"count": 7.5}',
        b'{"is_big": 1}',
        b'{"at": "0.5"}',
        b'{"at": 0}',
        b'{"raw": "a"}',
        b'{"text": "\\ud800"}',
        b'{"text": "a\\u0000b"}',
        b'{"unknown": 1}',
        b'{"cell": ' + b"[" * 100_000 + b"]" * 100_000 + b"}",
        b'{"cell": ' + b'{"a":' * 150 + b"1" + b"}" * 151,
        b"[" * 200_000,
    ],
    ids=range(25),
)
async def test_bad_bodies_are_refused_clearly(client: httpx.AsyncClient, body: bytes) -> None:
    response = await client.post(ECHO, content=body, headers={"Content-Type": "application/json"})
    assert (response.status_code, response.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")


async def test_a_whole_number_may_be_written_with_a_point(client: httpx.AsyncClient) -> None:
    assert (await client.post(ECHO, json={"count": 7.0})).json()["count"] == 7


@pytest.mark.parametrize(
    "kind", ["text/plain", "application/x-www-form-urlencoded", "application/json; charset=utf-16"]
)
async def test_a_foreign_content_type_is_415(client: httpx.AsyncClient, kind: str) -> None:
    response = await client.post(ECHO, content=b"{}", headers={"Content-Type": kind})
    assert (response.status_code, response.json()["error"]["code"]) == (415, "INVALID_ARGUMENT")


async def test_an_empty_body_takes_the_defaults(client: httpx.AsyncClient) -> None:
    assert (await client.post("/v1/things/rows")).json()["row_count"] == 3


async def test_a_stranger_is_refused_as_one_whatever_he_sends(client: httpx.AsyncClient, face: Face) -> None:
    for token in ("", "Bearer wrong", "Basic YTpi"):
        response = await client.post(ECHO, content=b"{", headers={"Authorization": token})
        assert response.status_code == 401
        assert response.headers["www-authenticate"].startswith("Bearer")
    assert [record.code for record in face.gate.records] == ["UNAUTHENTICATED"] * 3


async def test_a_missing_permission_comes_before_a_malformed_body(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/things", content=b"{", headers={"Authorization": "Bearer viewer-token"})
    assert (response.status_code, response.json()["error"]["code"]) == (403, "UNAUTHORIZED")


async def test_anyone_may_call_what_needs_nothing(client: httpx.AsyncClient) -> None:
    for path in ("/things/ping", "/v1/things/ping", "/api/things/ping"):
        assert (await client.get(path, headers={"Authorization": ""})).json() == {"total": 1}


async def test_what_was_made_has_a_location(client: httpx.AsyncClient) -> None:
    response = await client.post("/api/things", json={"name": "n"})
    assert (response.status_code, response.headers["location"]) == (201, "/v1/things/t1")


async def test_a_deletion_answers_nothing(client: httpx.AsyncClient) -> None:
    response = await client.delete("/v1/things/t1")
    assert (response.status_code, response.content) == (204, b"")


async def test_an_idempotency_key_reaches_the_gate(client: httpx.AsyncClient, face: Face) -> None:
    await client.post("/v1/things", json={"name": "n"}, headers={"Idempotency-Key": "k1"})
    assert [key[-1] for key in face.gate.results] == ["k1"]
    refused = await client.post("/v1/things", json={"name": "n"}, headers={"Idempotency-Key": "k" * 256})
    assert refused.status_code == 400


async def test_a_job_that_ends_in_time_answers_its_result(client: httpx.AsyncClient, face: Face) -> None:
    face.jobs.status = "succeeded"
    response = await client.post("/v1/things/rebuild?wait_s=2.5", json={})
    assert (response.status_code, response.json(), face.jobs.waits) == (200, {"total": 3}, [2.5])


@pytest.mark.parametrize("query, prefer", [("?wait_s=0", ""), ("", "respond-async"), ("", "wait=5, respond-async")])
async def test_a_job_that_lasts_is_accepted(client: httpx.AsyncClient, query: str, prefer: str) -> None:
    response = await client.post(f"/v1/things/rebuild{query}", json={}, headers={"Prefer": prefer})
    assert (response.status_code, response.headers["location"]) == (202, "/v1/jobs/j%201")
    assert response.json()["status"] == "pending"


async def test_a_preference_that_was_followed_is_named(client: httpx.AsyncClient, face: Face) -> None:
    response = await client.post("/v1/things/rebuild", json={}, headers={"Prefer": "wait=5"})
    assert (response.headers["preference-applied"], face.jobs.waits) == ("wait=5", [5.0])


@pytest.mark.parametrize("wait", ["x", "-1", "301", "nan", "1&wait_s=2", ""])
async def test_a_wait_that_is_no_number_is_refused(client: httpx.AsyncClient, wait: str) -> None:
    assert (await client.post(f"/v1/things/rebuild?wait_s={wait}", json={})).status_code == 400


async def test_request_ids_are_taken_over_when_well_formed(client: httpx.AsyncClient, face: Face) -> None:
    response = await client.get("/v1/things/x", headers={"X-Request-Id": "my.id-1"})
    assert (response.headers["x-request-id"], face.gate.records[-1].request_id) == ("my.id-1", "my.id-1")
    for bad in ("a b", "x" * 65, "<script>"):
        answered = (await client.get("/v1/nothing", headers={"X-Request-Id": bad})).headers["x-request-id"]
        assert re.fullmatch("req_[0-9a-f]{24}", answered)


async def test_rows_are_answered_as_objects(client: httpx.AsyncClient) -> None:
    response = await client.post("/v1/things/rows", json={"count": 2})
    assert response.json()["data"] == [{"id": 0, "name": "row 0"}, {"id": 1, "name": "row 1"}]


async def test_a_slash_inside_a_path_value_stays_inside(client: httpx.AsyncClient) -> None:
    assert json.loads((await client.get("/v1/things/a%2Fb")).text)["thing_id"] == "a/b"
