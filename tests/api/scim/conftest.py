"""A real server's SCIM: the application over the gate of a real platform, and tokens to call it with."""

from collections.abc import AsyncIterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.registry import Registry
from headwater.build import Platform, build
from headwater.faces import rest_face
from tests.faces.world import settings_of

USER = "urn:ietf:params:scim:schemas:core:2.0:User"
GROUP = "urn:ietf:params:scim:schemas:core:2.0:Group"
PATCH = "urn:ietf:params:scim:api:messages:2.0:PatchOp"


@dataclass
class Scim:
    """The protocol as a directory speaks it, with an administrator's token."""

    platform: Platform
    app: Any
    token: str
    client: httpx.AsyncClient

    async def call(self, method: str, path: str, body: Any = None, token: str = "", **more: Any) -> httpx.Response:
        headers = {"authorization": f"Bearer {token or self.token}", "content-type": "application/scim+json"}
        return await self.client.request(method, f"/scim/v2{path}", json=body, headers=headers, **more)

    async def user(self, name: str, **more: Any) -> str:
        made = await self.call("POST", "/Users", {"schemas": [USER], "userName": name, **more})
        assert made.status_code == 201, made.text
        return str(made.json()["id"])

    async def patch(self, path: str, *operations: dict[str, Any], token: str = "") -> httpx.Response:
        return await self.call("PATCH", path, {"schemas": [PATCH], "Operations": list(operations)}, token)


@pytest.fixture
async def scim(tmp_path: Path) -> AsyncIterator[Scim]:
    platform = await build(settings_of(tmp_path / "home"), registry=Registry.walk(["tools.system.health"]))
    app = rest_face(platform)
    token = await platform.engine.identity.mint()
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(transport=transport, base_url="http://127.0.0.1:8000") as client:
        yield Scim(platform, app, token, client)
    await platform.close()
