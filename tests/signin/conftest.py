"""One served platform with people who have passwords, and a browser that follows pages as a person would."""

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from core.settings import AuthSettings, EgressSettings, ServerSettings, Settings
from headwater.build import Platform
from tests.faces.served import Served, served
from tests.signin.browser import NODE, PASSWORD, Browser
from tests.signin.documents import Documents, documents


async def people(platform: Platform) -> dict[str, str]:
    """Ann, an editor, and Bob, a viewer, each with a password."""
    identity = platform.engine.identity
    owner = await identity.local_owner()
    for name, role in (("ann", "editor"), ("bob", "viewer")):
        await identity.directory.create_user("default", user_id=name, roles=[role], email=f"{name}@example.com")
        link = await identity.admin.passwords.make_link(owner, name)
        await identity.admin.passwords.accept(link.secret, "password", PASSWORD)
    return {"admin": await identity.mint()}


@pytest.fixture(scope="session")
def web(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Documents]:
    """Client ids that are URLs."""
    with documents(tmp_path_factory.mktemp("web")) as running:
        yield running


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory, web: Documents) -> Iterator[Served]:
    """A server with every face."""
    home: Path = tmp_path_factory.mktemp("signin")
    free = ServerSettings(rest_port=0, grpc_web_port=0, mcp_port=0, grpc_port=0, admin_port=0)
    egress = EgressSettings(allowed_private_hosts=["localhost"], ca_file=web.certificate)
    settings = Settings(home=home, server=free, auth=AuthSettings(guesses_per_minute=1000), egress=egress)
    with served(settings, people) as running:
        yield running


@pytest.fixture(scope="session")
def ann(house: Served) -> Iterator[Browser]:
    """Ann has signed in: checking a password costs on purpose."""
    with Browser(house.url("mcp")) as opened:
        opened.sign_in(opened.get("/auth/sign-in"))
        yield opened


@pytest.fixture
def browser(house: Served, ann: Browser) -> Iterator[Browser]:
    """Ann's browser."""
    with Browser(house.url("mcp")) as opened:
        opened.http.cookies = ann.http.cookies
        yield opened


@pytest.fixture(scope="session")
def packages() -> Path:
    """Where the clients are installed."""
    done = subprocess.run([NODE / "packages.sh"], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"the clients are not at hand: {done.stderr.strip().splitlines()[-1:]}")
    return Path(done.stdout.strip())
