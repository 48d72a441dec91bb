"""Sealing and the root key."""

import stat
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from core.errors import Unavailable
from engine.identity.vault import SealBroken, Vault, load_root_key


def test_the_root_key_is_made_once_and_for_its_owner_alone(tmp_path: Path) -> None:
    with ThreadPoolExecutor(8) as threads:
        found = set(threads.map(lambda _: load_root_key(tmp_path), range(32)))
    path = tmp_path / "keys" / "root.key"
    assert len(found) == 1 and len(found.pop()) == 32
    assert stat.S_IMODE(path.stat().st_mode) == 0o600
    assert list(path.parent.iterdir()) == [path]


def test_a_file_that_is_no_root_key_is_refused(tmp_path: Path) -> None:
    (tmp_path / "keys").mkdir()
    (tmp_path / "keys" / "root.key").write_bytes(b"short")
    with pytest.raises(Unavailable, match="not a root key"):
        load_root_key(tmp_path)


def test_a_seal_opens_only_where_it_belongs() -> None:
    vault = Vault(b"k" * 32)
    ours, theirs = vault.new_tenant_key(), vault.new_tenant_key()
    sealed = vault.seal(ours, "audit", b"data", b"row 1")
    assert vault.open(ours, "audit", sealed, b"row 1") == b"data"
    for key, purpose, data, aad in (
        (theirs, "audit", sealed, b"row 1"),
        (ours, "secrets", sealed, b"row 1"),
        (ours, "audit", sealed, b"row 2"),
        (ours, "audit", sealed[:-1] + bytes([sealed[-1] ^ 1]), b"row 1"),
        (ours, "audit", b"", b"row 1"),
        (ours, "audit", b"short", b"row 1"),
    ):
        with pytest.raises(SealBroken):
            vault.open(key, purpose, data, aad)


def test_another_root_key_says_what_to_do() -> None:
    wrapped = Vault(b"k" * 32).new_tenant_key()
    with pytest.raises(Unavailable) as refused:
        Vault(b"x" * 32).seal(wrapped, "audit", b"data")
    assert "keys/root.key" in refused.value.hint


def test_a_forgotten_tenant_key_is_gone_for_good() -> None:
    vault = Vault(b"k" * 32)
    for shredded in (b"", b"\0" * 60):
        with pytest.raises(Unavailable):
            vault.seal(shredded, "audit", b"data")


def test_keys_of_purposes_and_tenants_differ_and_hold_across_processes() -> None:
    vault = Vault(b"k" * 32)
    wrapped = vault.new_tenant_key()
    keys = {vault.purpose_key("pages"), vault.purpose_key("handles"), vault.tenant_purpose_key(wrapped, "pages")}
    assert len(keys) == 3 and {len(key) for key in keys} == {32}
    assert Vault(b"k" * 32).purpose_key("pages") == vault.purpose_key("pages")


def test_platform_seals_open_with_their_purpose_alone() -> None:
    vault = Vault(b"k" * 32)
    sealed = vault.seal_platform("signing keys", b"data", b"kid")
    assert vault.open_platform("signing keys", sealed, b"kid") == b"data"
    with pytest.raises(SealBroken):
        vault.open_platform("other", sealed, b"kid")


def test_a_seal_costs_next_to_nothing() -> None:
    vault = Vault(b"k" * 32)
    wrapped = vault.new_tenant_key()
    vault.seal(wrapped, "audit", b"warm")
    started = time.process_time()
    for _ in range(2000):
        vault.seal(wrapped, "audit", b"x" * 500, b"row")
    assert (time.process_time() - started) / 2000 < 50e-6  # 2 us on a quiet machine
