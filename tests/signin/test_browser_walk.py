"""A person at a real Chromium: `tests/judge.sh signin-browser`. SIGNIN_PICTURES names a folder for its pictures."""

import json
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest
from sqlalchemy import update

from core.settings import AuthSettings, ServerSettings, Settings
from engine.identity.people import UserDraft
from engine.identity.secrets import digest
from engine.store.tables import one_time_links
from headwater.build import Platform
from tests.faces.served import Served, served
from tests.signin.browser import NODE, PASSWORD, VERIFIER, Application, free_port

pytestmark = pytest.mark.slow
CHROMIUM = shutil.which("chromium") or shutil.which("google-chrome") or ""
PICTURES = {
    "invitation",
    "invitation-expired",
    "sign-in",
    "wrong-password",
    "consent",
    "applications",
    "device",
    "locked-out",
}


async def prepare(platform: Platform) -> dict[str, str]:
    return {"admin": await platform.engine.identity.mint()}


@pytest.fixture(scope="module")
def strict(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served]:
    """A server that counts guesses as it does out of the box."""
    home: Path = tmp_path_factory.mktemp("walk")
    free = ServerSettings(rest_port=0, grpc_web_port=0, mcp_port=0, grpc_port=0, admin_port=0)
    with served(Settings(home=home, server=free, auth=AuthSettings()), prepare) as running:
        yield running


def invite(house: Served, name: str) -> str:
    """The link of an invitation."""
    identity = house.platform.engine.identity
    owner = house.run(identity.local_owner())
    draft = UserDraft(email=f"{name}@example.com", name=name.title(), roles=["viewer"])
    _, link = house.run(identity.admin.people.invite(owner, draft))
    return link.url(house.url("mcp"))


def expire(house: Served, link: str) -> None:
    where = one_time_links.c.token_hash == digest(link.partition("#")[2])
    statement = update(one_time_links).where(where).values(expires_at=1.0)
    house.run(house.platform.engine.store.write(lambda connection: connection.execute(statement)))


@pytest.mark.skipif(not CHROMIUM, reason="no chromium here")
def test_a_person_walks_through_every_page(strict: Served, packages: Path, tmp_path: Path) -> None:
    port, origin = free_port(), strict.url("mcp")
    redirect = f"http://127.0.0.1:{port}/callback"
    app = Application(origin, client_name="Claude", redirect_uris=[redirect])
    invitation, expired = invite(strict, "ann"), invite(strict, "bob")
    expire(strict, expired)
    started = httpx.post(f"{origin}/oauth/device", data={"client_id": "headwater-cli"}, timeout=20).json()
    given = {
        "origin": origin,
        "api": strict.url("rest"),
        "local": origin.replace("127.0.0.1", "localhost"),  # passkeys need a name
        "port": port,
        "invitation": invitation,
        "expired": expired,
        "login": "ann@example.com",
        "password": PASSWORD,
        "authorize": app.url(redirect_uri=redirect, resource=origin),
        "redeem": {"client_id": app.client_id, "redirect_uri": redirect, "code_verifier": VERIFIER},
        "userCode": started["user_code"],
    }
    pictures = Path(os.environ.get("SIGNIN_PICTURES", tmp_path / "pictures"))
    done = subprocess.run(
        ["node", str(NODE / "walk.mjs")],
        input=json.dumps(given),
        env=os.environ | {"PACKAGES": str(packages), "CHROMIUM": CHROMIUM, "PICTURES": str(pictures)},
        capture_output=True,
        text=True,
        timeout=180,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    found = json.loads(done.stdout)
    assert found.get("error", "") == "", found
    assert found["violations"] == []
    assert found["complaints"] == []
    assert len(found["steps"]) >= 22
    assert {picture.stem for picture in pictures.glob("*.png")} >= PICTURES
