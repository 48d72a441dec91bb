"""The gate over real identity, for the tools of administrators: two tenants, and whoever a test needs."""

import tempfile
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from decimal import Decimal
from pathlib import Path
from types import SimpleNamespace
from typing import Any

from core.dispatch import Call, Dispatcher
from core.errors import PlatformError
from core.pages import PageSigner
from core.registry import Registry
from core.settings import AuthSettings, EgressSettings, Settings
from engine.egress.client import EgressClient
from engine.identity.identity import Identity
from engine.identity.vault import Vault
from engine.quotas.ledger import SqlLedger
from engine.quotas.quotas import Quotas
from engine.store.db import Store, sqlite_url
from engine.usage.prices import Prices
from engine.usage.usage import Usage
from engine.visibility.objects import Look, ObjectVisibility
from tests.fakes.gate import sample_dispatcher
from tests.fixtures_store import new_sqlite

PARTS = ("tenants", "users", "roles", "clients", "sessions", "tokens", "passwords", "current_user")


@dataclass
class PeopleDesk:
    """Calls tools as somebody, named by their id, or by `id@tenant`."""

    store: Store
    identity: Identity
    dispatcher: Dispatcher[Any]

    async def call(self, tool: str, whom: str = "admin", **arguments: Any) -> Any:
        """As that person signs in; `agent:ID` as its agent, and nobody for an empty name."""
        via = "agent" if whom.startswith("agent:") else "user"
        subject, _, tenant = whom.removeprefix("agent:").partition("@")
        by = await self.identity.principal_of(tenant or "default", subject, via, "helper") if subject else None
        return await self.dispatcher.call(Call(tool, arguments, face="test", request_id="r1", principal=by))

    async def code(self, tool: str, whom: str = "admin", **arguments: Any) -> str:
        """OK, or the error's code."""
        try:
            await self.call(tool, whom, **arguments)
        except PlatformError as error:
            return error.code
        return "OK"

    async def person(self, user_id: str, *roles: str, tenant: str = "default", **more: Any) -> str:
        """A user, made without asking anybody."""
        await self.identity.directory.create_user(tenant, user_id=user_id, roles=roles, **more)
        return user_id if tenant == "default" else f"{user_id}@{tenant}"


def process(store: Store, home: Path, **settings: Any) -> Identity:
    """One process's identity over a store."""
    return Identity(
        store=store,
        vault=Vault(b"k" * 32),
        egress=EgressClient(EgressSettings()),
        settings=AuthSettings(**settings),
        home=home,
    )


def desk_over(store: Store, identity: Identity) -> PeopleDesk:
    sample, _ = sample_dispatcher()
    engine = SimpleNamespace(
        identity=identity,
        pages=PageSigner(b"p" * 32),
        settings=Settings(),
        quotas=Quotas(store, SqlLedger(store)),
        usage=Usage(store, Prices(Decimal(5), Decimal(36))),
    )
    admin = identity.admin
    looks: dict[str, Look] = {
        "tenant": admin.tenants.get,
        "user": admin.people.get,
        "role": admin.roles.get,
        "client": admin.clients.get,
        "session": admin.sessions.get,
    }
    ports = replace(
        sample._ports, verify=identity.verify, visibility=ObjectVisibility(looks), stay=identity.presence.stay
    )
    registry = Registry.walk([f"tools.admin.{part}" for part in PARTS])
    return PeopleDesk(store, identity, Dispatcher(registry, engine, ports))


@asynccontextmanager
async def opened_people(home: Path) -> AsyncIterator[PeopleDesk]:
    """`admin` and `super_admin` of the default tenant, `olga` who administers the tenant other."""
    if not _FOUNDED:
        _FOUNDED.append(await _found())
    (home / "headwater.db").write_bytes(_FOUNDED[0])
    store = Store(sqlite_url(home))
    identity = process(store, home)
    yield desk_over(store, identity)
    identity.close()
    store.close()


_FOUNDED: list[bytes] = []
"""The store as every test finds it, made once: signing keys take most of the time of a first start."""


async def _found() -> bytes:
    with tempfile.TemporaryDirectory() as folder:
        home = Path(folder)
        store = Store(new_sqlite(home))
        identity = process(store, home)
        await identity.bootstrap()
        people = identity.directory
        await people.create_user("default", user_id="super_admin", roles=["super_admin"])
        await people.create_tenant("Other", tenant_id="other", tier="enterprise")
        await people.create_user("other", user_id="olga", roles=["admin"])
        identity.close()
        store.close()
        return (home / "headwater.db").read_bytes()
