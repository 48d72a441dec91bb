"""Projects and approvals as DataCovey and DRLS print them."""

from typing import Any

import httpx

from tests.faces.served import Served
from tests.reference.examples import differences

ID, AT = "497f6eca-6276-4993-bfeb-53cbbbba6f08", "2019-08-24T14:15:22Z"
PROJECT = {"name": "string", "description": "string", "id": ID, "tenant_id": ID, "created_at": AT, "archived_at": AT}
REQUEST = {
    "status": "string",
    "requested_by": ID,
    "reviewed_by": ID,
    "created_at": AT,
    "expires_at": AT,
    "reviewed_at": AT,
    "rejection_reason": "string",
    "id": ID,
    "project_id": ID,
    "project_name": "string",
    "requester_name": "string",
    "requester_email": "string",
}
PROJECT_TENANT = {**REQUEST, "tenant_id": ID, "tenant_name": "string"}
PROJECT_DATASET = {**REQUEST, "dataset_id": ID, "dataset_name": "string"}


def as_role(platform: Served, role: str) -> httpx.Client:
    return httpx.Client(
        base_url=platform.url("rest"), headers={"authorization": f"Bearer {platform.tokens[role]}"}, timeout=20
    )


def shown(answer: httpx.Response, status: int = 200) -> Any:
    assert answer.status_code == status, answer.text
    return answer.json() if answer.content else None


def test_projects(platform: Served) -> None:
    with as_role(platform, "editor") as client:
        made = client.post("/v1/projects", json={"name": "string", "description": "string"})
        project = shown(made, 201)
        assert differences(PROJECT, project) == [] and made.headers["location"].endswith(f"/projects/{project['id']}")
        one = f"/v1/projects/{project['id']}"
        assert differences({"projects": [PROJECT]}, shown(client.get("/v1/projects?skip=0&limit=100"))) == []
        for method in ("PUT", "PATCH"):
            changed = shown(client.request(method, one, json={"name": "string", "description": "other"}))
            assert changed["description"] == "other"
        assert "datasets" in shown(client.get(f"{one}/datasets"))
        assert (client.delete(one).status_code, client.get(one).status_code) == (204, 404)


def test_requests_between_tenants_and_their_decision(platform: Served) -> None:
    with as_role(platform, "editor") as client, as_role(platform, "admin") as admin:
        project = shown(client.post("/v1/projects", json={"name": "Requests"}), 201)["id"]
        for path, field, example in (
            ("project-tenant", "tenant_id", PROJECT_TENANT),
            ("project-dataset", "dataset_id", PROJECT_DATASET),
        ):
            asked = shown(client.post(f"/v1/approvals/{path}", json={"project_id": project, field: ID}), 201)
            assert differences(example, asked) == [] and asked["status"] == "pending"
            details = shown(admin.get(f"/v1/approvals/{asked['id']}"))
            name = path.replace("-", "_") + "_details"
            assert differences(example, details[name]) == [] and details["approval"]["id"] == asked["id"]
        waiting = shown(admin.get("/v1/approvals/pending"))
        assert {"project_tenant_approvals", "project_dataset_approvals"} <= waiting.keys()


def test_approvals_of_pipelines_have_their_paths(platform: Served) -> None:
    with as_role(platform, "lead_data_engineer") as lead, as_role(platform, "data_engineer") as engineer:
        assert "approvals" in shown(lead.get("/api/approvals?status=pending"))
        told = shown(lead.get("/api/notifications/pending-approvals"))
        assert told["count"] == len(told["requests"])
        assert engineer.get("/api/approvals").status_code == 403
        for path, body in (("approve", {"reason": "Looks good"}), ("reject", {"reason": "Needs fix"})):
            assert lead.post(f"/api/approvals/pr-1/{path}", json=body).status_code == 404
        assert engineer.post("/api/approvals/pr-1/comments", json={"content": "Updated"}).status_code == 404


def test_rejecting_takes_either_name_of_the_reason(platform: Served) -> None:
    with as_role(platform, "viewer") as viewer, as_role(platform, "admin") as admin:
        asked = shown(viewer.post("/v1/catalog/access-requests", json={"table": "a.b", "reason": "Need it."}), 201)
        decided = shown(admin.post(f"/v1/approvals/{asked['id']}/reject", json={"rejection_reason": "string"}))
        assert (decided["status"], decided["rejection_reason"]) == ("rejected", "string")
        again = admin.post(f"/v1/approvals/{asked['id']}/approve")
        assert (again.status_code, again.json()["error"]["code"]) == (409, "CONFLICT")
