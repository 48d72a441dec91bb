"""Rotation of keys: what was sealed and signed before stays good, and an interruption can be ended."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from click.testing import CliRunner

from core.errors import NotFound, Unavailable
from core.settings import Settings
from engine.identity.seals import TenantSeals
from engine.identity.vault import Vault, load_root_key
from headwater.build import Platform, build
from headwater.commands import cli
from headwater.keys import NEXT, _open, _rewrap, _write, rotate_root, rotate_signing, rotate_tenant
from tests.faces.world import settings_of


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    return settings_of(tmp_path / "home")


@asynccontextmanager
async def opened(settings: Settings) -> AsyncIterator[Platform]:
    platform = await build(settings)
    yield platform
    await platform.close()


def seals_of(platform: Platform) -> TenantSeals:
    return TenantSeals(platform.engine.store, platform.engine.vault)


async def begin(settings: Settings) -> tuple[str, bytes, bytes]:
    """A token, a sealed secret and a purpose key from before."""
    async with opened(settings) as platform:
        token = await platform.engine.identity.mint(role="admin")
        await platform.engine.identity.verify(token)
        seals = seals_of(platform)
        return token, seals.seal("test", "default", b"before"), seals.purpose_key("masks", "default")


async def check(settings: Settings, token: str, sealed: bytes, purpose_key: bytes) -> None:
    async with opened(settings) as platform:
        assert (await platform.engine.identity.verify(token)).subject == "admin"
        seals = seals_of(platform)
        assert seals.open("test", "default", sealed) == b"before"
        assert seals.purpose_key("masks", "default") == purpose_key
        assert (await platform.engine.audit.verify("default")).is_valid


async def test_a_new_root_key_opens_all_that_the_old_one_did_and_the_old_one_nothing(settings: Settings) -> None:
    old = await _root_after(settings)
    before = await begin(settings)
    for _ in range(2):
        assert "new one" in rotate_root(settings)
        await check(settings, *before)
    assert load_root_key(settings.home)[:32] != old
    (settings.home / "keys" / "root.key").write_bytes(old)
    with pytest.raises(Unavailable, match="root key"):
        await build(settings)


async def _root_after(settings: Settings) -> bytes:
    async with opened(settings):
        return load_root_key(settings.home)


async def test_a_rotation_that_was_killed_is_ended_by_the_next(settings: Settings) -> None:
    before = await begin(settings)
    draft, vault = settings.home / "keys" / NEXT, Vault(load_root_key(settings.home))
    _write(draft, vault.new_root())  # killed before the store changed
    assert "new one" in rotate_root(settings)
    vault = Vault(load_root_key(settings.home))
    _write(draft, vault.new_root())
    store = _open(settings)
    store.write_now(lambda connection: _rewrap(connection, vault, Vault(draft.read_bytes())))
    store.close()  # killed before the new key took its place
    assert "interrupted" in rotate_root(settings)
    await check(settings, *before)
    assert not draft.exists()


async def test_a_tenants_new_key_seals_what_comes_and_opens_what_was(settings: Settings) -> None:
    before = await begin(settings)
    rotate_tenant(settings, "default")
    await check(settings, *before)
    async with opened(settings) as platform:
        assert seals_of(platform).open("test", "default", seals_of(platform).seal("test", "default", b"x")) == b"x"
    rotate_root(settings)
    await check(settings, *before)
    with pytest.raises(NotFound):
        rotate_tenant(settings, "nowhere")


async def test_a_running_process_follows_a_tenants_new_key(settings: Settings) -> None:
    async with opened(settings) as platform:
        slow, quick = seals_of(platform), seals_of(platform)
        slow.seal("test", "default", b"warm")
        rotate_tenant(settings, "default")
        assert slow.open("test", "default", quick.seal("test", "default", b"new")) == b"new"


async def test_tokens_that_live_stay_good_under_a_new_signing_key(settings: Settings) -> None:
    before = await begin(settings)
    assert "stay good" in rotate_signing(settings)
    await check(settings, *before)
    async with opened(settings) as platform:
        assert len(platform.engine.identity.jwks()["keys"]) == 2


def test_the_command_says_what_excludes_what(settings: Settings) -> None:
    answer = CliRunner().invoke(cli, ["keys", "rotate", "--signing", "--tenant", "x", "--home", str(settings.home)])
    assert answer.exit_code != 0 and "exclude one another" in answer.output
