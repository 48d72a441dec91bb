"""`POST /auth/token` as the document prints it, by form and by Basic."""

import base64

import httpx
import pytest

from tests.api.rest.serving import Face

FORM = {"client_id": "your_client_id", "client_secret": "s3cret+/=", "grant_type": "client_credentials"}
GRANT = {"grant_type": "client_credentials"}


def basic(client_id: str, secret: str) -> dict[str, str]:
    return {"Authorization": "Basic " + base64.b64encode(f"{client_id}:{secret}".encode()).decode()}


async def test_a_form_buys_a_token(client: httpx.AsyncClient, face: Face) -> None:
    response = await client.post("/auth/token", data=FORM)
    assert response.json() == {"access_token": "admin-token", "token_type": "Bearer", "expires_in": 7200}
    assert response.headers["cache-control"] == "no-store"
    assert face.auth.addresses == ["127.0.0.1"]


async def test_basic_buys_a_token_too(client: httpx.AsyncClient) -> None:
    headers = basic("your_client_id", "s3cret%2B%2F%3D")
    assert (await client.post("/auth/token", data=GRANT, headers=headers)).status_code == 200
    assert (await client.post("/auth/token", data=FORM, headers=headers)).status_code == 400


@pytest.mark.parametrize(
    "form, status, error",
    [
        ({**FORM, "client_secret": "x"}, 401, "invalid_client"),
        ({**FORM, "client_secret": ""}, 401, "invalid_client"),
        (GRANT, 401, "invalid_client"),
        ({**FORM, "grant_type": "password"}, 400, "unsupported_grant_type"),
        ({**FORM, "grant_type": ""}, 400, "invalid_request"),
        ({}, 400, "invalid_request"),
        ({**FORM, "client_id": "a\0b"}, 400, "invalid_request"),
        ({**FORM, "client_id": ["a", "b"]}, 400, "invalid_request"),
        ({**FORM, "client_id": "guesser"}, 429, "temporarily_unavailable"),
    ],
)
async def test_refusals_have_the_shape_of_oauth(
    client: httpx.AsyncClient, form: dict[str, str], status: int, error: str
) -> None:
    response = await client.post("/auth/token", data=form)
    assert (response.status_code, response.json()["error"]) == (status, error)
    assert {"error_description", "code", "request_id"} <= set(response.json())
    assert (status == 401) == ("www-authenticate" in response.headers)
    assert (status == 429) == (response.headers.get("retry-after") == "30")


@pytest.mark.parametrize("credentials", ["Basic ???", "Basic " + base64.b64encode(b"\xff:x").decode(), "Basic YQ=="])
async def test_unreadable_basic_credentials_are_wrong_ones(client: httpx.AsyncClient, credentials: str) -> None:
    response = await client.post("/auth/token", data=GRANT, headers={"Authorization": credentials})
    assert response.json()["error"] == "invalid_client"


async def test_json_and_oversized_forms_are_refused(client: httpx.AsyncClient) -> None:
    assert (await client.post("/auth/token", json=FORM)).status_code == 400
    assert (await client.post("/auth/token", data={**FORM, "scope": "x" * 20_000})).status_code == 413


async def test_the_keys_are_public(client: httpx.AsyncClient) -> None:
    response = await client.get("/.well-known/jwks.json", headers={"Authorization": ""})
    assert response.json()["keys"][0]["kid"] == "k1"
