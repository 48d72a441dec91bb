"""Kept results: whole, sealed, for their owner, for a while."""

from pathlib import Path

import pytest

from core.context import Principal
from core.errors import NotFound
from engine.identity.vault import SealBroken, Vault
from engine.results.kept import LIFETIME_S, MAX_PER_TENANT, SWEEP_EVERY_S, KeptResult, KeptResults

ADA, BOB, EVE = Principal("ada", "acme"), Principal("bob", "acme"), Principal("ada", "other")


class Clock:
    def __init__(self) -> None:
        self.now = 2_000_000_000.0

    def __call__(self) -> float:
        return self.now


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def kept(tmp_path: Path, clock: Clock) -> KeptResults:
    vault, keys = Vault(b"k" * 32), {}
    for tenant in ("acme", "other"):
        keys[tenant] = vault.new_tenant_key()
    return KeptResults(
        tmp_path,
        seal=lambda tenant, data, aad: vault.seal(keys[tenant], "results", data, aad),
        unseal=lambda tenant, data, aad: vault.open(keys[tenant], "results", data, aad),
        clock=clock,
    )


async def test_a_result_comes_back_whole(kept: KeptResults) -> None:
    result_id = await kept.save(ADA, "list_tables", b'{"a": 1}\n')
    found = await kept.load(ADA, result_id)
    assert isinstance(found, KeptResult)
    assert (found.tool, found.result_json) == ("list_tables", b'{"a": 1}\n')


@pytest.mark.parametrize("stranger", [BOB, EVE])
async def test_nobody_else_finds_it(kept: KeptResults, stranger: Principal) -> None:
    result_id = await kept.save(ADA, "list_tables", b"{}")
    with pytest.raises(NotFound):
        await kept.load(stranger, result_id)


async def test_it_is_gone_after_an_hour(kept: KeptResults, clock: Clock) -> None:
    result_id = await kept.save(ADA, "list_tables", b"{}")
    clock.now += LIFETIME_S + 1
    with pytest.raises(NotFound):
        await kept.load(ADA, result_id)


@pytest.mark.parametrize("result_id", ["", "../../etc/passwd", "a/b", "x" * 100, "no-such"])
async def test_an_id_names_no_other_file(kept: KeptResults, result_id: str) -> None:
    with pytest.raises(NotFound):
        await kept.load(ADA, result_id)


async def test_the_file_does_not_show_its_content(kept: KeptResults, tmp_path: Path) -> None:
    result_id = await kept.save(ADA, "list_tables", b"canary")
    assert b"canary" not in (tmp_path / "acme" / result_id).read_bytes()


async def test_a_renamed_file_does_not_open(kept: KeptResults, tmp_path: Path) -> None:
    result_id = await kept.save(ADA, "list_tables", b"{}")
    (tmp_path / "acme" / result_id).rename(tmp_path / "acme" / "moved")
    with pytest.raises(SealBroken):
        await kept.load(ADA, "moved")


async def test_a_tenant_keeps_a_bounded_number(kept: KeptResults, tmp_path: Path, clock: Clock) -> None:
    for _ in range(MAX_PER_TENANT + 5):
        await kept.save(ADA, "list_tables", b"{}")
    clock.now += SWEEP_EVERY_S + 1
    await kept.save(ADA, "list_tables", b"{}")
    assert len(list((tmp_path / "acme").iterdir())) <= MAX_PER_TENANT + 1
