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
