"""`X-Internal-Token`: how a scheduler of the operator's says who it is, where it works, and nowhere else."""

from collections.abc import AsyncIterator

import httpx
import pytest

from api.rest import rest_app
from core.settings import ServerSettings
from tests.fixtures_town import Town, town

__all__ = ["town"]

EXPIRE = "/v1/approvals/expire"


@pytest.fixture
async def rest(town: Town) -> AsyncIterator[httpx.AsyncClient]:
    auth = town.platform.engine.identity
    app = rest_app(town.platform.dispatcher, settings=ServerSettings(), auth=auth, version="1")
    transport = httpx.ASGITransport(app)
    async with httpx.AsyncClient(
        transport=transport, base_url="http://127.0.0.1:8000", headers={"host": "127.0.0.1"}
    ) as client:
        yield client


async def test_a_scheduler_expires_approvals_with_its_narrow_token(town: Town, rest: httpx.AsyncClient) -> None:
    made = await town.call("create_token", "root", name="scheduler", permissions=["platform.operate"])
    header = {"x-internal-token": made.token}
    answer = await rest.post(EXPIRE, headers=header)
    assert (answer.status_code, answer.json()) == (200, {"expired": 0})
    assert (await rest.post("/api/approvals/expire", headers=header)).status_code == 200
    await town.call("revoke_token", "root", token_id=made.token_id)
    town.platform.engine.identity._verifier.forget()
    assert (await rest.post(EXPIRE, headers=header)).status_code == 401


async def test_the_token_is_read_from_no_url_and_opens_nothing_else(town: Town, rest: httpx.AsyncClient) -> None:
    identity = town.platform.engine.identity
    root, cora = [await identity.mint(subject=name) for name in ("root", "cora")]
    assert (await rest.post(f"{EXPIRE}?internal_token={root}")).status_code == 401
    sent = await rest.post(f"{EXPIRE}?internal_token=x", headers={"x-internal-token": root})
    assert (sent.status_code, sent.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")
    assert (await rest.get("/v1/users/me", headers={"x-internal-token": root})).status_code == 401
    for token, status in ((cora, 403), ("", 401), ("junk", 401), (root + "x", 401)):
        assert (await rest.post(EXPIRE, headers={"x-internal-token": token})).status_code == status
    both = {"authorization": f"Bearer {cora}", "x-internal-token": root}
    assert (await rest.post(EXPIRE, headers=both)).status_code == 403  # whoever signs in as somebody is that one
