"""The models that a tenant may use: those of the installation's file, and its own."""

import asyncio
import json
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, replace
from decimal import Decimal
from typing import Any, Protocol

from sqlalchemy import Connection, delete, func, insert, select, update
from sqlalchemy.exc import IntegrityError

from core.context import Principal
from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.egress.client import EgressClient
from engine.models.file import check_provider
from engine.models.model import NONE, Model, ModelsFile, Price, Strength
from engine.store.db import Store
from engine.store.tables import model_choices, models

MAX_MODELS = 100  # of one tenant
KEEP_S = 2.0
MAX_KNOWN = 1_000


class Seal(Protocol):
    """Seals or opens bytes of a tenant, bound to what they belong to."""

    def __call__(self, tenant: str, data: bytes, aad: bytes = b"") -> bytes: ...


@dataclass(frozen=True, slots=True)
class ModelDraft:
    """What is set of a model; None leaves a field as it is. An empty key takes the stored one away."""

    model: str | None = None
    api_base: str | None = None
    api_key: str | None = None
    strength: Strength | None = None
    context_tokens: int | None = None
    max_output_tokens: int | None = None
    input_usd_per_million: Decimal | None = None
    output_usd_per_million: Decimal | None = None
    timeout_s: float | None = None
    fallbacks: tuple[str, ...] | None = None

    def values(self) -> dict[str, Any]:
        """What the stored document says of it: everything but the key."""
        given = {name: value for name, value in asdict(self).items() if value is not None and name != "api_key"}
        return {name: str(value) if isinstance(value, Decimal) else value for name, value in given.items()}


@dataclass(frozen=True, slots=True)
class _Known:
    """A tenant's models and choice, as read a moment ago."""

    until: float
    rows: Mapping[str, tuple[Model, bytes | None]]
    choice: str


class Models:
    """Every tenant's models. Keys are sealed and never given to a caller."""

    def __init__(
        self,
        store: Store,
        file: ModelsFile,
        *,
        egress: EgressClient,
        egress_of_file: EgressClient,
        seal: Seal,
        unseal: Seal,
        clock: Callable[[], float] = time.time,
    ):
        self._store = store
        self.file = file
        self._egress = egress
        self._egress_of_file = egress_of_file
        self._seal = seal
        self._unseal = unseal
        self._clock = clock
        self._known: dict[str, _Known] = {}

    async def all(self, by: Principal) -> list[Model]:
        """The models that a caller's tenant may use, by name, without their keys."""
        known = await self._read(by.tenant)
        found = {**self._shared(by.tenant), **{name: model for name, (model, _) in known.rows.items()}}
        return [replace(found[name], key="") for name in sorted(found)]

    async def get(self, by: Principal, name: str) -> Model:
        """One of them, without its key. Raises NotFound."""
        found = next((model for model in await self.all(by) if model.name == name), None)
        if found is None:
            raise _missing(name)
        return found

    async def default(self, by: Principal) -> str:
        """The name of the model that is used where nobody names one; empty: none."""
        choice = (await self._read(by.tenant)).choice
        if choice == NONE:
            return ""
        usable = {model.name for model in await self.all(by)}
        return next((name for name in (choice, self.file.default) if name and name in usable), "")

    async def resolve(self, by: Principal, name: str = "") -> Model | None:
        """The model of that name with its key, or the tenant's default, or the installation's, or None.

        Raises NotFound for a name that the tenant has not."""
        if name == NONE:
            return None
        wanted = name or await self.default(by)
        if not wanted:
            return None
        known = await self._read(by.tenant)
        if wanted in known.rows:
            model, secret = known.rows[wanted]
            if secret is None:
                return model
            opened = await asyncio.to_thread(self._unseal, by.tenant, secret, wanted.encode())
            return replace(model, key=opened.decode())
        shared = self._shared(by.tenant).get(wanted)
        if shared is None:
            raise _missing(wanted)
        return shared

    async def fallbacks(self, by: Principal, model: Model) -> list[Model]:
        """The models to ask when `model` does not answer, in order; names that are gone are left out."""
        usable = {item.name for item in await self.all(by)}
        names = [name for name in dict.fromkeys(model.fallbacks) if name in usable and name != model.name]
        found = [await self.resolve(by, name) for name in names]
        return [item for item in found if item is not None]

    def way_to(self, model: Model) -> EgressClient:
        """The client that calls a model: what the operator wrote down may lie where tenants may not call."""
        return self._egress_of_file if model.is_of_file else self._egress

    async def close(self) -> None:
        await self._egress_of_file.aclose()

    async def create(self, by: Principal, name: str, draft: ModelDraft) -> Model:
        """Raises Conflict when the name is taken, also on an address that may not be called."""
        _refuse_agents(by)
        if name == NONE or name in self._shared(by.tenant):
            raise Conflict(f"The name {name!r} is taken.", hint="Choose another.")
        await self._check(by, name, draft)
        now = self._clock()
        secret = await self._sealed(by.tenant, name, draft.api_key)
        row = {"tenant_id": by.tenant, "name": name, "document": json.dumps(draft.values()), "secret": secret}

        def work(connection: Connection) -> None:
            count = connection.scalar(select(func.count()).select_from(models).where(models.c.tenant_id == by.tenant))
            if (count or 0) >= MAX_MODELS:
                raise Conflict(f"A tenant has at most {MAX_MODELS} models.", hint="delete_model removes old ones.")
            connection.execute(insert(models).values(**row, version=1, created_at=now, updated_at=now))

        try:
            await self._store.write(work)
        except IntegrityError:
            raise Conflict(f"The name {name!r} is taken.", hint="Choose another.") from None
        self._known.pop(by.tenant, None)
        return await self.get(by, name)

    async def update(self, by: Principal, name: str, draft: ModelDraft, *, version: int | None = None) -> Model:
        """Change what the draft gives. A key does not follow to another address. Raises NotFound, Conflict."""
        _refuse_agents(by)
        found = await self._own(by, name)
        if version is not None and version != found.version:
            raise _stale(found.version)
        await self._check(by, name, draft)
        place = (draft.api_base or found.api_base, (draft.model or found.model).partition("/")[0])
        moves = place != (found.api_base, found.provider)
        if moves and found.has_key and draft.api_key is None:
            raise Conflict(
                "The stored key belongs to the address that the model has now.",
                hint="Send api_key with the new address, or an empty one to drop it.",
            )
        values: dict[str, Any] = {"version": found.version + 1, "updated_at": self._clock()}
        if draft.api_key is not None:
            values["secret"] = await self._sealed(by.tenant, name, draft.api_key)

        def work(connection: Connection) -> int:
            where = (models.c.tenant_id == by.tenant, models.c.name == name, models.c.version == found.version)
            document = connection.scalar(select(models.c.document).where(*where))
            changed = json.dumps({**json.loads(document or "{}"), **draft.values()})
            return connection.execute(update(models).where(*where).values(document=changed, **values)).rowcount

        if await self._store.write(work) != 1:
            raise _stale(None)
        self._known.pop(by.tenant, None)
        return await self.get(by, name)

    async def delete(self, by: Principal, name: str) -> None:
        """Raises NotFound, and Conflict for a model of the installation's file."""
        _refuse_agents(by)
        await self._own(by, name)
        where = (models.c.tenant_id == by.tenant, models.c.name == name)
        await self._store.write(lambda connection: connection.execute(delete(models).where(*where)))
        self._known.pop(by.tenant, None)

    async def choose(self, by: Principal, name: str) -> str:
        """Set the tenant's default: a model's name, `none`, or empty for the installation's. Raises NotFound."""
        _refuse_agents(by)
        if name not in ("", NONE):
            await self.get(by, name)
        now = self._clock()

        def work(connection: Connection) -> None:
            connection.execute(delete(model_choices).where(model_choices.c.tenant_id == by.tenant))
            if name:
                connection.execute(insert(model_choices).values(tenant_id=by.tenant, name=name, updated_at=now))

        await self._store.write(work)
        self._known.pop(by.tenant, None)
        return await self.default(by)

    async def _own(self, by: Principal, name: str) -> Model:
        found = (await self._read(by.tenant)).rows.get(name)
        if found is None:
            if name in self._shared(by.tenant):
                raise Conflict(f"{name!r} is the installation's.", hint="Its operator changes it in models.yml.")
            raise _missing(name)
        return found[0]

    async def _check(self, by: Principal, name: str, draft: ModelDraft) -> None:
        if draft.model is not None:
            check_provider(draft.model)
        if draft.api_base:
            try:
                self._egress.check(draft.api_base)
            except InvalidArgument as refused:
                raise Conflict(refused.message, hint=refused.hint) from None
        usable = {model.name for model in await self.all(by)} | {name}
        for other in draft.fallbacks or ():
            if other not in usable:
                raise _missing(other)

    async def _sealed(self, tenant: str, name: str, key: str | None) -> bytes | None:
        return None if not key else await asyncio.to_thread(self._seal, tenant, key.encode(), name.encode())

    def _shared(self, tenant: str) -> dict[str, Model]:
        return {name: model for name, model in self.file.models.items() if not model.tenants or tenant in model.tenants}

    async def _read(self, tenant: str) -> _Known:
        known = self._known.get(tenant)
        if known is not None and 0 < known.until - self._clock() <= KEEP_S:
            return known

        def work(connection: Connection) -> tuple[list[Any], str]:
            rows = connection.execute(select(models).where(models.c.tenant_id == tenant)).all()
            choice = connection.scalar(select(model_choices.c.name).where(model_choices.c.tenant_id == tenant))
            return list(rows), choice or ""

        rows, choice = await self._store.read(work)
        if len(self._known) >= MAX_KNOWN:
            self._known.clear()
        found = {row.name: (_model(row), row.secret) for row in rows}
        self._known[tenant] = known = _Known(self._clock() + KEEP_S, found, choice)
        return known


def _model(row: Any) -> Model:
    said = json.loads(row.document)
    price = Price(*(Decimal(said.pop(f"{way}_usd_per_million", "0")) for way in ("input", "output")))
    said["fallbacks"] = tuple(said.get("fallbacks", ()))
    return Model(
        name=row.name,
        price=price,
        has_key=row.secret is not None,
        version=row.version,
        created_at=row.created_at,
        updated_at=row.updated_at,
        **said,
    )


def _refuse_agents(by: Principal) -> None:
    if by.via == "agent":
        raise Unauthorized("Agents do not change models.", hint="A person with tenant.manage does.")


def _missing(name: str) -> NotFound:
    return NotFound(f"No model {name[:64]!r}.", hint="list_models shows those that your tenant may use.")


def _stale(version: int | None) -> Conflict:
    now = f"; it is at version {version}" if version is not None else ""
    return Conflict(f"The model was changed meanwhile{now}.", hint="Read it with get_model and try again.")
