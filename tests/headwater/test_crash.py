"""kill -9 in the middle of writes: what was acknowledged is there, and the home starts again."""

import asyncio
import contextlib
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import httpx

from core.dispatch import Call
from headwater.running import running
from headwater.serve import serving
from tests.faces.world import settings_of
from tests.headwater.edge_world import is_alive
from tests.headwater.processes import Server, children_of, finished, headwater, serve, until

WRITERS = 4
WRITES_BEFORE_THE_KILL = 40


async def test_every_acknowledged_write_survives_a_killed_server(tmp_path: Path, shop: Path) -> None:
    home = tmp_path / "home"
    server = serve(home, "--data", str(shop))
    (data_plane,) = children_of(server.process.pid)
    made, described = _write_until_killed(server, shop)
    finished(server.process)
    assert until(lambda: not is_alive(data_plane), within_s=3)  # it never outlives its server
    left = list((home / "tmp").glob("edge-*/*"))
    assert left
    assert (home / "serve.json").exists()
    assert running(home) == []  # what it left behind deceives nobody
    assert "No server runs" in headwater("stop", "--home", str(home)).out
    assert len(made) >= WRITES_BEFORE_THE_KILL

    async with serving(settings_of(home)) as (platform, _):
        owner = await platform.engine.identity.local_owner()

        async def again(tool: str, **arguments: Any) -> Any:
            return await platform.dispatcher.call(Call(tool, arguments, "test", "r1", principal=owner))

        listed = (await again("list_connections", page_size=1000)).connections
        assert set(made) <= {connection.connection_id for connection in listed}
        column = (await again("get_table", connection_id="data", table="orders")).columns[0]
        assert int(column.description) >= max(described)
        check = await again("verify_audit_log")
        assert check.is_valid
        assert check.checked_count >= len(made) + len(described)
        assert (await asyncio.to_thread(headwater, "doctor", "--home", str(home))).code == 0
        assert not any(path.exists() for path in left)


def _write_until_killed(server: Server, shop: Path) -> tuple[list[str], list[int]]:
    """Writes of several clients; returns those that were acknowledged before the server was gone."""
    made: list[str] = []
    described: list[int] = []
    token = server.token()

    def connect(writer: int) -> None:
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}, trust_env=False) as client:
            for number in range(10_000):
                name = f"c-{writer}-{number}"
                body = {"connection_id": name, "name": name, "kind": "files", "options": {"path": str(shop)}}
                client.post("/v1/connections", json=body).raise_for_status()
                made.append(name)

    def describe() -> None:
        with httpx.Client(base_url=server.url, headers={"authorization": f"Bearer {token}"}, trust_env=False) as client:
            for number in range(10_000):
                path = "/v1/catalog/schemas/data/tables/orders/columns/id/description"
                client.put(path, json={"description": str(number)}).raise_for_status()
                described.append(number)

    threads = [threading.Thread(target=_until_gone, args=(connect, writer)) for writer in range(WRITERS)]
    threads.append(threading.Thread(target=_until_gone, args=(describe,)))
    for thread in threads:
        thread.start()
    assert until(lambda: len(made) >= WRITES_BEFORE_THE_KILL and described)
    server.process.kill()
    for thread in threads:
        thread.join(20)
    return made, described


def _until_gone(work: Callable[..., None], *arguments: int) -> None:
    with contextlib.suppress(httpx.TransportError):
        work(*arguments)
