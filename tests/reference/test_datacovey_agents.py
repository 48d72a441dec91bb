"""The examples of the DataCovey API about agents, their projects, their limits and the gateway."""

from typing import Any

import httpx

from tests.faces.served import Served
from tests.reference.examples import differences

ASKED = {
    "name": "string",
    "description": "string",
    "protocol": "A2A",
    "endpoint_url": "https://agent.example/",
    "capabilities": {},
    "agent_metadata": {},
    "role": "string",
}
AGENT = {
    **{name: value for name, value in ASKED.items() if name != "role"},
    "id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "tenant_id": "34f5c98e-f430-457b-a812-92637d0c6fd0",
    "status": "string",
    "created_at": "2019-08-24T14:15:22Z",
    "archived_at": "2019-08-24T14:15:22Z",
    "gateway_url": "string",
}
LIMIT = {
    "max_requests_per_second": "string",
    "max_requests_per_minute": "string",
    "max_requests_per_hour": "string",
    "id": "497f6eca-6276-4993-bfeb-53cbbbba6f08",
    "agent_id": "2b1e3b65-2c04-4fa2-a2d7-467901e98978",
}
PLACE = {
    "project_id": "405d8375-3514-403b-8c43-83ae74cfe0e9",
    "agent_id": "2b1e3b65-2c04-4fa2-a2d7-467901e98978",
    "role": "string",
    "created_at": "2019-08-24T14:15:22Z",
    "archived_at": "2019-08-24T14:15:22Z",
}
ANALYST = {
    "name": "Sales Analyst",
    "description": "Answers questions about sales data",
    "system_prompt": "You are a sales data analyst. Use the available tools to query sales data and provide insights.",
    "connections": ["conn_abc123"],
    "capabilities": ["query", "document_qa"],
}


def test_agents_their_projects_and_their_limits(platform: Served) -> None:
    with _client(platform) as client:
        projects = [client.post("/v1/projects", json={"name": f"Agents {each}"}).json()["id"] for each in (1, 2)]
        made = client.post("/v1/agents", json={**ASKED, "project_id": projects[0]})
        assert made.status_code == 201 and differences(AGENT, made.json()) == []
        one = f"/v1/agents/{made.json()['id']}"
        assert client.get(one).json() == made.json()
        assert made.json()["id"] in [each["id"] for each in client.get("/v1/agents?skip=0&limit=100").json()["agents"]]
        assert client.put(one, json={"description": "Another."}).json()["description"] == "Another."
        numbers = {"max_requests_per_second": 0, "max_requests_per_minute": "2.5", "max_requests_per_hour": 7}
        limit = client.put(f"{one}/rate-limit", json=numbers).json()
        assert differences(LIMIT, limit) == [] and limit == client.get(f"{one}/rate-limit").json()
        placed = client.post(
            f"/v1/projects/{projects[1]}/agents", json={"agent_id": made.json()["id"], "role": "string"}
        )
        assert placed.status_code == 201 and differences(PLACE, placed.json()) == []
        assert len(client.get(f"/v1/projects/{projects[1]}/agents").json()["agents"]) == 1
        assert client.delete(f"/v1/projects/{projects[1]}/agents/{made.json()['id']}").status_code == 204
        assert client.delete(one).status_code == 204 and client.get(one).status_code == 404


def test_the_gateway_answers_one_agent_and_an_array_for_a_project(platform: Served) -> None:
    with _client(platform) as client:
        project = client.post("/v1/projects", json={"name": "Gateway"}).json()["id"]
        agent = client.post("/v1/agents", json={**ASKED, "project_id": project}).json()["id"]
        client.put(f"/v1/agents/{agent}", json={"status": "disabled"})
        answers: list[dict[str, Any]] = client.post(
            "/v1/agent-gateway/route-project", json={"project_id": project, "message": {}}
        ).json()
        assert [(each["agent_id"], each["result"], each["error"]["code"]) for each in answers] == [
            (agent, None, "UNAVAILABLE")
        ]
        refused = client.post("/v1/agent-gateway/route", json={"agent_id": agent, "message": {}, "project_id": project})
        assert refused.status_code == 503


def test_an_agent_of_ones_own_as_datafi_prints_it(platform: Served) -> None:
    with _client(platform) as client:
        made = client.post("/v1/agents", json=ANALYST)
        assert made.status_code == 201 and differences(ANALYST, made.json()) == []


def _client(platform: Served) -> httpx.Client:
    headers = {"authorization": f"Bearer {platform.tokens['admin']}"}
    return httpx.Client(base_url=platform.url("rest"), headers=headers, timeout=20)
