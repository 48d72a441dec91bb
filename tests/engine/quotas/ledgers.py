"""Opens a ledger by URL; imports little, since processes of tests start with it."""

import time
from collections.abc import Callable

from engine.quotas.ledger import Ledger, SqlLedger
from engine.quotas.redis import RedisLedger
from engine.store.db import Store


def open_ledger(url: str, clock: Callable[[], float] = time.time) -> tuple[Ledger, Store | None]:
    """The ledger of a URL, as any process would open it."""
    if url.startswith("unix:"):
        return RedisLedger(url, clock=clock), None
    store = Store(url)
    return SqlLedger(store, clock=clock), store
