"""The gate over real identity, for the tools of one's own account."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.dispatch import Call, Dispatcher
from core.pages import PageSigner
from core.registry import Registry
from core.settings import AuthSettings, EgressSettings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault
from engine.quotas.ledger import SqlLedger
from engine.quotas.quotas import Quotas
from engine.store.db import Store
from engine.usage.prices import Prices
from engine.usage.usage import Usage
from tests.fakes.gate import sample_dispatcher
from tests.fixtures_store import new_sqlite


@dataclass
class Desk:
    """Calls tools with a bearer token."""

    dispatcher: Dispatcher[Any]
    identity: Identity
    usage: Usage

    async def call(self, tool: str, token: str, **arguments: Any) -> Any:
        return await self.dispatcher.call(Call(tool, arguments, face="test", request_id="r1", token=token))


@asynccontextmanager
async def opened_desk(home: Path) -> AsyncIterator[Desk]:
    store = Store(new_sqlite(home))
    egress = EgressClient(EgressSettings())
    identity = Identity(store=store, vault=Vault(b"k" * 32), egress=egress, settings=AuthSettings(), home=home)
    await identity.bootstrap()
    sample, _ = sample_dispatcher()
    engine = SimpleNamespace(
        identity=identity,
        pages=PageSigner(b"p" * 32),
        quotas=Quotas(store, SqlLedger(store)),
        usage=Usage(store, Prices(Decimal(5), Decimal(36))),
    )
    registry = Registry.walk(["tools.admin.tokens", "tools.admin.current_user"])
    yield Desk(Dispatcher(registry, engine, replace(sample._ports, verify=identity.verify)), identity, engine.usage)
    identity.close()
    store.close()
