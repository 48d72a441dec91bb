"""Queries of several tenants on a served platform while its data plane is killed, its clients go away, and a source
is gone in the middle of a stream: each ends with a clear code, and nothing is left behind."""

import asyncio
import os
import resource
import signal
import threading
import time
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import duckdb
import httpx
import pytest
from sqlalchemy import func, select

from engine.store.tables import queries, slots
from headwater.build import Platform
from headwater.serve import serving
from headwater.settings import read_settings
from tests.faces.world import FREE
from tests.fixtures_postgres import PostgresServer

pytestmark = pytest.mark.slow

TENANTS = ("default", "north", "south")
LOAD = 50
ENDLESS = (
    "SELECT count(*) AS n FROM range(1000000) a, range(1000000) b, range(1000) c WHERE a.range + b.range = c.range"
)
MANY = "SELECT a.range AS n, repeat('x', 100) AS text FROM range(1000000) a, range(20) b"
HUNGRY = "SELECT list(a.range + b.range) AS n FROM range(1000000) a, range(1000) b"
ENDINGS = ("OK", "UNAVAILABLE", "TIMEOUT", "QUOTA_EXCEEDED", "RATE_LIMITED", "CANCELLED")
BACK_S = 3.0  # two by promise, one for a busy machine


@dataclass
class House:
    """A served platform with a table for each tenant."""

    platform: Platform
    http: httpx.AsyncClient
    tokens: dict[str, str]

    @property
    def edge(self) -> int:
        assert self.platform.edges is not None
        return int(self.platform.edges.facts["pid"])

    async def ask(self, tenant: str, sql: str, *, connection_id: str = "shop", **more: Any) -> tuple[str, Any]:
        body = {"sql": sql, "connection_id": connection_id, **more}
        answer = await self.http.post("/v1/query/execute", json=body, headers=self.bearer(tenant))
        found = answer.json()
        return ("OK", found["data"]) if answer.status_code < 400 else (found["error"]["code"], found["error"])

    def bearer(self, tenant: str) -> dict[str, str]:
        return {"authorization": f"Bearer {self.tokens[tenant]}"}

    async def is_right(self, tenant: str) -> bool:
        return await self.ask(tenant, "SELECT owner FROM t") == ("OK", [{"owner": tenant}])

    async def held(self) -> dict[str, int]:
        """Slots, and queries that are said to run."""
        store = self.platform.engine.store
        wanted = {"slots": select(func.count()).select_from(slots)}
        wanted["running"] = select(func.count()).select_from(queries).where(queries.c.status == "running")
        return {
            name: await store.read(lambda connection, query=query: int(connection.execute(query).scalar_one()))  # type: ignore[misc]
            for name, query in wanted.items()
        }

    async def ended_with(self) -> list[str]:
        """The error codes of all queries, in the order of their start."""
        wanted = select(queries.c.error_code).order_by(queries.c.started_at)
        store = self.platform.engine.store
        return await store.read(lambda connection: [row.error_code or "" for row in connection.execute(wanted)])

    async def settles(self, before: dict[str, int]) -> dict[str, int]:
        """What is held once nothing has more than before, or after ten seconds."""
        ends_at = time.monotonic() + 10
        while True:
            now = await self.held() | _process(self.edge)
            if all(now[name] <= before[name] for name in before) or time.monotonic() > ends_at:
                return now
            await asyncio.sleep(0.1)


def _process(edge: int) -> dict[str, int]:
    own, other = Path("/proc/self/fd"), Path(f"/proc/{edge}/fd")
    return {
        "files": len(list(own.iterdir())) - 4,  # those that looking takes, and a kept connection or two
        "threads": threading.active_count() - 4,
        "files of the data plane": len(list(other.iterdir())) - 4,
    }


@asynccontextmanager
async def house(base: Path, host: str = "", **more: Any) -> AsyncIterator[House]:
    data, home = base / "data", base / "home"
    data.mkdir()
    query = {"allowed_roots": [data], "timeout_s": 10, "memory_mb": 128, **more}
    settings = read_settings(home, server=FREE, query=query, egress={"allowed_private_hosts": [host] if host else []})
    async with serving(settings) as (platform, ports):
        identity, connections, tokens = platform.engine.identity, platform.engine.catalog.connections, {}
        for tenant in TENANTS:
            if tenant != "default":
                await identity.directory.create_tenant(tenant, tenant_id=tenant, tier="pro")
                await identity.directory.create_user(tenant, user_id="u", roles=["editor"])
            else:
                await identity.directory.create_user(tenant, user_id="u", roles=["editor"])
            tokens[tenant] = await identity.mint(subject="u", tenant=tenant)
            path = data / f"{tenant}.duckdb"
            with duckdb.connect(str(path)) as database:
                database.execute("CREATE TABLE t AS SELECT ? AS owner", [tenant])
            options = {"path": str(path)}
            await connections.create(tenant, name="shop", kind="duckdb", options=options, connection_id="shop")
        limits = httpx.Limits(max_connections=2 * LOAD, max_keepalive_connections=1, keepalive_expiry=1)
        url = f"http://127.0.0.1:{ports.rest}"
        async with httpx.AsyncClient(base_url=url, timeout=60, limits=limits) as http:
            opened = House(platform, http, tokens)
            for tenant in TENANTS:
                assert await opened.is_right(tenant)
            yield opened


async def test_the_data_plane_is_killed_under_the_load_of_several_tenants(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        before = await here.held() | {name: count + 8 for name, count in _process(here.edge).items()}
        first = here.edge
        load = [
            asyncio.create_task(here.ask(TENANTS[number % 3], ENDLESS if number % 2 else "SELECT owner FROM t"))
            for number in range(LOAD)
        ]
        await asyncio.sleep(1.0)
        os.kill(first, signal.SIGKILL)
        killed_at = time.monotonic()
        while not all([await here.is_right(tenant) for tenant in TENANTS]):
            assert time.monotonic() - killed_at < BACK_S + 10
            await asyncio.sleep(0.05)
        codes = Counter(code for code, _ in await asyncio.gather(*load))
        assert set(codes) <= set(ENDINGS), codes
        assert codes["UNAVAILABLE"] + codes["TIMEOUT"] > 0 and codes["OK"] > 0, codes
        assert here.edge != first
        now = await here.settles(before)
        assert {name: count for name, count in now.items() if count > before[name]} == {}


async def test_a_query_that_gets_no_memory_ends_alone(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        code, error = await here.ask("north", HUNGRY)
        assert code == "CONFLICT" and "memory" in error["message"], error
        assert [await here.is_right(tenant) for tenant in TENANTS] == [True] * 3


async def test_a_data_plane_without_address_space_ends_and_comes_back(tmp_path: Path) -> None:
    async with house(tmp_path, memory_mb=2048) as here:
        pages = int(Path(f"/proc/{here.edge}/statm").read_text().split()[0])
        most = pages * resource.getpagesize() + 96 * 2**20
        resource.prlimit(here.edge, resource.RLIMIT_AS, (most, most))
        code, error = await here.ask("north", HUNGRY)
        assert code in ("UNAVAILABLE", "CONFLICT"), error  # by whether the engine or the process notices first
        ends_at = time.monotonic() + BACK_S + 10
        while not await here.is_right("south"):
            assert time.monotonic() < ends_at
            await asyncio.sleep(0.05)
        assert (await here.settles(await here.held()))["slots"] == 0


async def test_clients_that_go_away_leave_nothing(tmp_path: Path) -> None:
    async with house(tmp_path) as here:
        before = await here.held() | {name: count + 8 for name, count in _process(here.edge).items()}

        async def leave(number: int) -> None:
            tenant = TENANTS[number % 3]
            body = {"sql": MANY if number % 2 else ENDLESS, "connection_id": "shop"}
            sent = here.http.stream("POST", "/v1/query/stream", json=body, headers=here.bearer(tenant))
            try:
                async with asyncio.timeout(0.5), sent as answer:
                    async for _ in answer.aiter_bytes():
                        break
            except TimeoutError:
                return

        await asyncio.gather(*(leave(number) for number in range(LOAD // 2)))
        now = await here.settles(before)
        assert {name: count for name, count in now.items() if count > before[name]} == {}
        assert [await here.is_right(tenant) for tenant in TENANTS] == [True] * 3


@pytest.mark.postgres
async def test_a_source_that_is_gone_in_the_middle_of_a_stream(
    tmp_path: Path, postgres: PostgresServer, postgres_database: str
) -> None:
    folder = postgres.url(postgres_database).split("host=")[1]
    async with house(tmp_path, folder) as here:
        options = {"host": folder, "database": postgres_database, "user": "postgres"}
        connections = here.platform.engine.catalog.connections
        await connections.create("north", name="pg", kind="postgresql", options=options, connection_id="pg")
        body = {"sql": "SELECT n, repeat('x', 200) AS text FROM generate_series(1, 1000000) AS s(n)"}
        sent = here.http.stream(
            "POST", "/v1/query/stream", json={**body, "connection_id": "pg"}, headers=here.bearer("north")
        )
        is_cut = False
        # The body of a stream that failed is cut, never ended as if it were whole.
        with pytest.raises(httpx.RemoteProtocolError):
            async with sent as answer:
                assert answer.status_code == 200
                async for _ in answer.aiter_bytes():
                    if not is_cut:
                        postgres.cut_off(postgres_database)
                    is_cut = True
        postgres.let_in(postgres_database)
        assert (await here.ended_with())[-1] == "UNAVAILABLE"
        assert await here.ask("north", "SELECT 1 AS one", connection_id="pg") == ("OK", [{"one": 1}])
        assert (await here.settles(await here.held()))["slots"] == 0
