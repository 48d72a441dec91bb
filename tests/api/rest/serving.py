"""The REST face over the sample tools, in process or on a real port."""

import asyncio
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

import uvicorn
from fastapi import FastAPI

from api.rest import rest_app
from core.context import Emit, Principal
from core.dispatch import Dispatcher, Ports
from core.errors import RateLimited, Unauthenticated
from core.jobs import Job, JobStatus
from core.registry import Registry
from core.settings import ServerSettings
from engine.identity.clients import AccessToken
from tests.fakes.gate import FakeGate, sample_dispatcher

ADMIN = {"Authorization": "Bearer admin-token"}


class OneClient:
    """Identity with one client, who may guess wrong twice."""

    def __init__(self) -> None:
        self.addresses: list[str] = []

    async def issue_token(self, client_id: str, client_secret: str, address: str = "") -> AccessToken:
        self.addresses.append(address)
        if client_id == "guesser":
            raise RateLimited("Too many wrong guesses.", retry_after_s=30)
        if (client_id, client_secret) != ("your_client_id", "s3cret+/="):
            raise Unauthenticated("The client id or the secret is wrong.")
        return AccessToken("admin-token", "Bearer", 7200)

    def jwks(self) -> dict[str, Any]:
        return {"keys": [{"kty": "OKP", "kid": "k1"}]}


@dataclass
class OneJob:
    """A queue that ends every job at once when it is waited for."""

    status: JobStatus = "pending"
    waits: list[float] = field(default_factory=list)

    async def submit(self, principal: Principal, tool: str, request_json: str, **given: Any) -> Job:
        return self._job(principal, "pending")

    async def wait(self, principal: Principal, job_id: str, *, timeout_s: float, emit: Emit) -> Job:
        self.waits.append(timeout_s)
        return self._job(principal, self.status)

    def _job(self, principal: Principal, status: JobStatus) -> Job:
        now = datetime(2026, 1, 2, tzinfo=UTC)
        made = Job(job_id="j 1", tool="t", status=status, owner=principal.subject, created_at=now, updated_at=now)
        return made.model_copy(update={"result": {"total": 3}}) if status == "succeeded" else made


@dataclass
class Face:
    """An application and what stands behind it."""

    app: FastAPI
    dispatcher: Dispatcher[None]
    gate: FakeGate
    auth: OneClient
    jobs: OneJob


def build_face(**settings: Any) -> Face:
    sample, gate = sample_dispatcher()
    tools = [*sample.registry, *Registry.walk(["tests.api.rest.stream_tools"])]
    auth, jobs = OneClient(), OneJob()
    ports = sample._ports
    parts = Ports(ports.verify, ports.limits, ports.visibility, ports.approvals, gate, jobs, gate)
    dispatcher: Dispatcher[None] = Dispatcher(Registry(tools), None, parts, timeout_s=5.0)
    app = rest_app(dispatcher, settings=ServerSettings(**settings), auth=auth, version="1.2.3")
    return Face(app, dispatcher, gate, auth, jobs)


@contextmanager
def serving(app: Any) -> Iterator[int]:
    """A real uvicorn on a free port, in a thread of its own."""
    config = uvicorn.Config(app, host="127.0.0.1", port=0, log_config=None, lifespan="off")
    server = uvicorn.Server(config)
    thread = threading.Thread(target=lambda: asyncio.run(server.serve()), daemon=True)
    thread.start()
    while not server.started:
        time.sleep(0.01)
    try:
        yield server.servers[0].sockets[0].getsockname()[1]
    finally:
        server.should_exit = True
        thread.join(5)
