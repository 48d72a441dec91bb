"""A real server in a thread, and raw requests of both protocol eras."""

import asyncio
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from types import SimpleNamespace
from typing import Any

import httpx
import pytest
import uvicorn

from core.context import Emit, Principal
from core.jobs import Job, Progress
from core.registry import Registry
from core.settings import ServerSettings
from mcp_server.prompts import PeoplePrompt
from mcp_server.server import mcp_app
from tests.fakes.gate import FakeGate, dispatcher_over
from tests.fakes.results import FakeResults

MODERN = "2026-07-28"
LEGACY = "2025-11-25"
PACKAGES = ["tests.fakes.sample_tools", "tests.mcp_server.sample_catalog", "tools.query.results"]


class GateWithJobs(FakeGate):
    """Accepts jobs; they never end, but say how far they are."""

    async def submit(self, principal: Principal, tool: str, request_json: str, **kwargs: Any) -> Job:
        at = {"created_at": "2026-01-01T00:00:00Z", "updated_at": "2026-01-01T00:00:00Z"}
        return Job.model_validate({"job_id": "j1", "tool": tool, "status": "running", "owner": "ada", **at})

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        await emit(Progress(message="half", done=1, total=2))
        return await self.submit(principal, "rebuild_things", "")


@dataclass
class Face:
    """A running face: where it is, what was audited, what is kept."""

    base: str
    gate: FakeGate
    results: FakeResults
    http: httpx.Client = field(default_factory=lambda: httpx.Client(timeout=10))

    @property
    def url(self) -> str:
        return f"{self.base}/mcp"

    def post(
        self, method: str, *, token: str | None = "admin-token", path: str = "/mcp", **more: Any
    ) -> httpx.Response:
        """One modern request. `params`, `meta`, `capabilities` and `headers` go where they belong."""
        params = dict(more.get("params", {}))
        params["_meta"] = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientCapabilities": more.get("capabilities", {}),
            **more.get("meta", {}),
        }
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
        }
        if "name" in params or "uri" in params:
            headers["mcp-name"] = params.get("name") or params["uri"]
        if token:
            headers["authorization"] = f"Bearer {token}"
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.http.post(self.base + path, json=body, headers={**headers, **more.get("headers", {})})

    def ask(self, method: str, **more: Any) -> dict[str, Any]:
        """The result of a modern request."""
        answer = self.post(method, **more).json()
        assert "result" in answer, answer
        found: dict[str, Any] = answer["result"]
        return found

    def call(self, tool: str, arguments: dict[str, Any] | None = None, **more: Any) -> dict[str, Any]:
        """The result of a modern tools/call; `state` and `answers` continue an earlier one."""
        params: dict[str, Any] = {"name": tool, "arguments": arguments or {}}
        if "state" in more:
            params["requestState"] = more.pop("state")
        if "answers" in more:
            params["inputResponses"] = more.pop("answers")
        return self.ask("tools/call", params=params, **more)

    def names(self, **more: Any) -> list[str]:
        return [tool["name"] for tool in self.ask("tools/list", **more)["tools"]]


@contextmanager
def running(
    registry: Registry,
    settings: ServerSettings | None = None,
    state_key: bytes | None = None,
    prompts: Sequence[PeoplePrompt] = (),
) -> Iterator[Face]:
    """Serve a registry behind the fake gate, on a free port."""
    results = FakeResults()
    dispatcher, gate = dispatcher_over(registry, GateWithJobs(), SimpleNamespace(results=results))
    app = mcp_app(
        dispatcher,
        settings=settings or ServerSettings(),
        version="1.2.3",
        results=results,
        state_key=state_key,
        prompts=prompts,
    )
    listener = socket.socket(socket.AF_INET, socket.SOCK_STREAM, socket.IPPROTO_TCP)
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    server = uvicorn.Server(uvicorn.Config(app, log_level="warning", access_log=False, lifespan="on"))
    thread = threading.Thread(target=lambda: asyncio.run(server.serve(sockets=[listener])))
    thread.start()
    face = Face(f"http://127.0.0.1:{listener.getsockname()[1]}", gate, results)
    try:
        yield face
    finally:
        face.http.close()
        server.should_exit = True
        thread.join(10)
        listener.close()


@pytest.fixture(scope="session")
def shared_face() -> Iterator[Face]:
    with running(Registry.walk(PACKAGES)) as face:
        yield face


@pytest.fixture
def face(shared_face: Face) -> Face:
    """The shared server with nothing audited and nothing kept."""
    shared_face.gate.records.clear()
    shared_face.gate.results.clear()
    shared_face.results.kept.clear()
    shared_face.results.now = 0.0
    return shared_face
