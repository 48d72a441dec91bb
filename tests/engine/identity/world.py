"""What the tests of identity share."""

from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest

from core.settings import AuthSettings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault
from engine.store.db import Store
from tests.fixtures_store import DIALECTS

on_both_stores = pytest.mark.parametrize("store_url", DIALECTS, indirect=True)


class Clock:
    """A clock that stands still until a test moves it."""

    def __init__(self) -> None:
        self.now = 1_800_000_000.0

    def __call__(self) -> float:
        return self.now

    def advance(self, seconds: float) -> None:
        self.now += seconds


@dataclass
class World:
    """One store, and identities over it as several processes would have them."""

    store: Store
    vault: Vault
    egress: EgressClient
    home: Path
    clock: Clock
    opened: list[Identity] = field(default_factory=list)

    @property
    def identity(self) -> Identity:
        return self.opened[0]

    async def start(self) -> None:
        await self.process().bootstrap()

    def process(self, **settings: Any) -> Identity:
        """Another process on the same store and home."""
        identity = Identity(
            store=self.store,
            vault=self.vault,
            egress=self.egress,
            settings=AuthSettings(**settings),
            home=self.home,
            clock=self.clock,
        )
        self.opened.append(identity)
        return identity

    def close(self) -> None:
        for identity in self.opened:
            identity.close()
