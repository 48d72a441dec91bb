"""What models cost: tokens and USD, set aside before a call and charged after it, exact for any number of processes."""

import time
import uuid
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from sqlalchemy import Connection

from core.context import Principal
from engine.store.db import Store
from engine.usage.amounts import Amount, Who
from engine.usage.counters import add
from engine.usage.limits import Asked, hold, note_soft, release
from engine.usage.periods import periods_at

MODEL_METRICS = frozenset({"model_tokens", "model_usd"})
CALL_S = 600.0  # a call that lasts longer has lost what was set aside for it


class ModelCharge:
    """What one call of a model has used so far; the call adds to it as it learns."""

    def __init__(self) -> None:
        self.tokens = 0
        self.nano = 0

    def add(self, *, tokens: int, nano: int) -> None:
        """Count tokens read and written, and their price in nano-dollars."""
        self.tokens += tokens
        self.nano += nano


class ModelUsage:
    """Charges calls of models to a tenant, its user and the project."""

    def __init__(
        self,
        store: Store,
        *,
        clock: Callable[[], float] = time.time,
        new_id: Callable[[], str] = lambda: uuid.uuid4().hex,
    ):
        self._store = store
        self._clock = clock
        self._new_id = new_id

    @asynccontextmanager
    async def call(
        self, by: Principal, *, likely_tokens: int, likely_nano: int, project_id: str = ""
    ) -> AsyncIterator[ModelCharge]:
        """Call a model inside, and say on what is yielded what it used. Raises QuotaExceeded before it begins.

        What was set aside is freed and what was used is counted however the block ends."""
        who, hold_id = Who(by.tenant, by.subject, project_id), self._new_id()
        likely = Amount(model_tokens=likely_tokens, model_nano=likely_nano)
        charge = ModelCharge()

        def begin(connection: Connection) -> None:
            now = periods_at(self._clock())
            hold(connection, who, Asked(hold_id, MODEL_METRICS, likely, now.seconds + CALL_S), now)

        await self._store.write(begin)
        try:
            yield charge
        finally:
            await self._store.write(lambda connection: self._end(connection, who, hold_id, charge))

    async def charge(self, by: Principal, *, tokens: int, nano: int, project_id: str = "") -> None:
        """Count what a call has used that nothing was set aside for."""
        charge = ModelCharge()
        charge.add(tokens=tokens, nano=nano)
        who = Who(by.tenant, by.subject, project_id)
        await self._store.write(lambda connection: self._end(connection, who, "", charge))

    def _end(self, connection: Connection, who: Who, hold_id: str, charge: ModelCharge) -> None:
        now = periods_at(self._clock())
        release(connection, who.tenant, hold_id)
        add(connection, who, now, Amount(model_tokens=charge.tokens, model_nano=charge.nano))
        note_soft(connection, who, now)
