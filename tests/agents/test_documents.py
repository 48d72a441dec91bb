"""The examples of the documents, as printed, on an installation that has no model."""

from pathlib import Path

import httpx

from headwater.build import build
from headwater.faces import rest_face
from tests.faces.world import load_shop, settings_of
from tests.gateway.worlds import served

AGENT = {
    "name": "Sales Analyst",
    "description": "Answers questions about sales data",
    "system_prompt": "You are a sales data analyst. Use the available tools to query sales data and provide insights.",
    "connections": ["lakehouse"],  # conn_abc123 in the document, where it is there
    "capabilities": ["query", "document_qa"],
}
RUN = {"message": "What were our top 5 customers by revenue last quarter?", "session_id": "session_001"}
CHAT = {
    "prompt": "How healthy is the orders table?",
    "provider": "ollama",
    "model": "llama3:8b",
    "api_base": None,
}


async def test_the_examples_of_the_documents_work_as_printed(tmp_path: Path) -> None:
    platform = await build(settings_of(tmp_path / "home"))
    load_shop(platform)
    token = await platform.engine.identity.mint(role="admin")
    try:
        async with (
            served(lambda url: rest_face(platform)) as url,
            httpx.AsyncClient(base_url=url, headers={"authorization": f"Bearer {token}"}, timeout=30) as http,
        ):
            made = await http.post("/v1/agents", json=AGENT)
            assert (made.status_code, made.json()["capabilities"]) == (201, ["query", "document_qa"])
            agent_id = made.json()["id"]
            run = (await http.post(f"/v1/agents/{agent_id}/run", json=RUN)).json()
            assert run["session_id"] == "session_001" and run["run_id"] and run["response"]
            assert {"tool_calls", "usage"} <= set(run) and run["answered_by"] == "planner"
            chat = (await http.post("/api/agent/chat", json=CHAT)).json()
            assert chat["success"] is True and "snapshot_count: 1" in chat["response"]
            assert "'llama3:8b' is not listed" in chat["response"]
            called = chat["tool_calls"][-1]
            assert called["tool"] == "get_table_health" and called["arguments_json"] == '{"table": "shop.orders"}'
            assert '"snapshot_count"' in called["result_json"]
            elsewhere = await http.post("/api/agent/chat", json={**CHAT, "api_base": "http://evil.example"})
            assert elsewhere.status_code == 403
            async with http.stream(
                "POST", f"/v1/agents/{agent_id}/run/stream", json=RUN, headers={"accept": "text/event-stream"}
            ) as stream:
                events = [line[7:] async for line in stream.aiter_lines() if line.startswith("event: ")]
            assert events[0] == "started" and events[-2:] == ["done", "result"] and "token" in events
    finally:
        await platform.close()
