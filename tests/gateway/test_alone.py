"""`headwater gateway`: a process that serves agents of others and nothing else."""

import json

import pytest

from headwater.gateway import serving_agents
from tests.gateway.conftest import House
from tests.gateway.test_a2a import message, rpc

pytestmark = pytest.mark.asyncio(loop_scope="session")


async def test_a_gateway_alone_serves_agents_and_its_health(house: House) -> None:
    settings = house.desk.platform.settings
    async with serving_agents(settings) as (_, port), house.client() as client:
        base = f"http://127.0.0.1:{port}"
        answered = (await client.post(f"{base}/a2a/echo/", json=rpc("SendMessage", message("hi")))).json()
        health = await client.get(f"{base}/health")
        others = [(await client.get(f"{base}{path}")).status_code for path in ("/v1/tools", "/mcp", "/openapi.json")]
        stranger = await client.post(f"{base}/a2a/echo/", json={}, headers={"authorization": ""})
        rebound = await client.get(f"{base}/health", headers={"host": "evil.example"})
    assert answered["result"]["message"]["parts"] == [{"text": "echo: hi"}]
    assert (health.status_code, json.loads(health.text)["status"]) == (200, "ok")
    assert others == [404, 404, 404]
    assert stranger.status_code == 401
    assert rebound.status_code == 421
