"""Every example of the DataCovey API that concerns the tools there are, as printed."""

from datetime import datetime
from typing import Any

import httpx

from tests.faces.served import Served
from tests.reference.examples import differences

CURRENT_USER = {
    "email": "string",
    "name": "string",
    "role": "Dataset user",
    "id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "tenant_id": "34f5c98e-f430-457b-a812-92637d0c6fd0",
    "identity_provider_id": "string",
    "created_at": "2019-08-24T14:15:22Z",
}
SAVED_QUERY = {
    "query_text": "string",
    "id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "tenant_id": "34f5c98e-f430-457b-a812-92637d0c6fd0",
    "project_id": "405d8375-3514-403b-8c43-83ae74cfe0e9",
    "created_at": "2019-08-24T14:15:22Z",
    "archived_at": "2019-08-24T14:15:22Z",
}
ROLES = {"viewer": "Dataset user", "editor": "Dataset editor", "admin": "Org admin"}


def get(platform: Served, path: str, role: str = "viewer", **params: Any) -> Any:
    answer = httpx.get(
        platform.url("rest") + path, params=params, headers={"authorization": f"Bearer {platform.tokens[role]}"}
    )
    assert answer.status_code == 200, answer.text
    return answer.json()


def test_the_current_user(platform: Served) -> None:
    for role, spelling in ROLES.items():
        answer = get(platform, "/v1/users/me", role)
        assert differences(CURRENT_USER, answer) == []
        assert answer["role"] == spelling
        assert datetime.fromisoformat(answer["created_at"]).utcoffset() is not None


def test_listings_take_skip_and_limit(platform: Served) -> None:
    everything = get(platform, "/v1/catalog/schemas/lakehouse/tables", skip=0, limit=100)["tables"]
    rest = get(platform, "/v1/catalog/schemas/lakehouse/tables", skip=1, limit=2)["tables"]
    assert rest == everything[1:3]


def test_saved_queries(platform: Served) -> None:
    url, project = platform.url("rest") + "/v1/queries", "405d8375-3514-403b-8c43-83ae74cfe0e9"
    with httpx.Client(headers={"authorization": f"Bearer {platform.tokens['editor']}"}) as client:
        named = {"name": "Saved queries", "project_id": project}
        assert client.post(platform.url("rest") + "/v1/projects", json=named).status_code == 201
        made = client.post(url, json={"query_text": "string", "project_id": project})
        assert made.status_code == 201 and differences(SAVED_QUERY, made.json()) == []
        one = f"{url}/{made.json()['id']}"
        assert made.headers["location"].endswith(f"/v1/queries/{made.json()['id']}")
        assert client.get(one).json() == made.json()
        assert differences({"queries": [SAVED_QUERY]}, client.get(url, params={"project_id": project}).json()) == []
        for method in ("PUT", "PATCH"):
            changed = client.request(method, one, json={"query_text": "SELECT 1", "project_id": project})
            assert changed.status_code == 200 and changed.json()["query_text"] == "SELECT 1"
        assert (client.delete(one).status_code, client.get(one).status_code) == (204, 404)
