"""SCIM, judged by scim2-tester over a real socket: it finds no error."""

import asyncio
from pathlib import Path

import pytest
from httpx2 import Client
from scim2_client.engines.httpx2 import SyncSCIMClient
from scim2_tester import Status, check_server

from headwater.serve import serving
from tests.faces.world import settings_of


def judge(port: int, token: str) -> list[str]:
    """What the tester finds wrong, in its own words."""
    headers = {"authorization": f"Bearer {token}"}
    with Client(base_url=f"http://127.0.0.1:{port}/scim/v2", headers=headers) as http:
        results = check_server(SyncSCIMClient(http))
    assert len(results) > 80
    wrong = {Status.DEVIATION, Status.ERROR, Status.CRITICAL}
    return [f"{result.title}: {result.reason}" for result in results if result.status in wrong]


@pytest.mark.slow
async def test_the_public_checker_finds_no_error(tmp_path: Path) -> None:
    async with serving(settings_of(tmp_path / "home")) as (platform, ports):
        token = await platform.engine.identity.mint()
        assert await asyncio.to_thread(judge, ports.rest, token) == []
