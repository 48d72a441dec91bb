"""Brakes on guessing: failed sign-ins per client and per address, counted in the store for all processes."""

import math
import time
from collections.abc import Callable, Sequence
from hashlib import sha256
from ipaddress import IPv6Address, ip_address

from sqlalchemy import Connection, delete, select, update
from sqlalchemy.dialects import postgresql, sqlite

from core.errors import RateLimited
from engine.store.db import Store
from engine.store.tables import buckets

PREFIX = "guess:"
FORGET_S = 3600.0
SWEEP_EVERY = 256


class Brakes:
    """A leaky bucket per key. An attempt is charged before it is looked at, so that a burst of parallel
    guesses can not slip through together, and given back when it was right."""

    def __init__(self, *, store: Store, per_minute: int, clock: Callable[[], float] = time.time):
        self._store = store
        self._capacity = per_minute
        self._drain_per_s = per_minute / 60
        self._clock = clock
        self._charges = 0

    def charge_now(self, keys: Sequence[str]) -> None:
        """Count one attempt under every key. Raises RateLimited, counting nothing, when one is full."""
        self._charges += 1
        is_sweeping = self._charges % SWEEP_EVERY == 0

        def work(connection: Connection) -> float:
            now = self._clock()
            levels = [self._level(connection, key, now) for key in keys]
            wait_s = max((level + 1 - self._capacity) / self._drain_per_s for level in levels)
            if wait_s <= 0:
                for key, level in zip(keys, levels, strict=True):
                    _set(connection, key, level + 1, now)
            if is_sweeping:
                old = (buckets.c.bucket.startswith(PREFIX), buckets.c.updated_at < now - FORGET_S)
                connection.execute(delete(buckets).where(*old))
            return wait_s

        wait_s = self._store.write_now(work)
        if wait_s > 0:
            raise RateLimited(
                "Too many failed sign-ins.", hint="Wait, then try again.", retry_after_s=math.ceil(wait_s)
            )

    def refund_now(self, keys: Sequence[str]) -> None:
        """Give back an attempt that was right."""

        def work(connection: Connection) -> None:
            now = self._clock()
            for key in keys:
                _set(connection, key, max(0.0, self._level(connection, key, now) - 1), now)

        self._store.write_now(work)

    def _level(self, connection: Connection, key: str, now: float) -> float:
        _ensure(connection, key, now)
        statement = select(buckets.c.level, buckets.c.updated_at).where(buckets.c.bucket == key).with_for_update()
        row = connection.execute(statement).one()
        drained = max(0.0, now - float(row.updated_at)) * self._drain_per_s
        return max(0.0, float(row.level) - drained)


def guess_key(*parts: str) -> str:
    """A bucket for guesses of one kind at one thing, whatever characters its name holds."""
    text = "\0".join(parts).encode("utf-8", "surrogatepass")
    return f"{PREFIX}{parts[0]}:{sha256(text).hexdigest()[:32]}"


def keys_of(client_id: str, address: str) -> list[str]:
    """The buckets of one attempt, in a fixed order, so that two attempts can not deadlock."""
    found = [f"{PREFIX}client:{sha256(client_id.encode('utf-8', 'surrogatepass')).hexdigest()[:32]}"]
    if address:
        found.append(f"{PREFIX}address:{network_of(address)}")
    return sorted(found)


def network_of(address: str) -> str:
    """The address, or for IPv6 its /64, of which one guesser usually has all."""
    try:
        parsed = ip_address(address)
    except ValueError:
        return sha256(address.encode("utf-8", "surrogatepass")).hexdigest()[:32]
    if isinstance(parsed, IPv6Address) and parsed.ipv4_mapped is None:
        return f"{int(parsed) >> 64:x}"
    return str(getattr(parsed, "ipv4_mapped", None) or parsed)


def _ensure(connection: Connection, key: str, now: float) -> None:
    module = postgresql if connection.dialect.name == "postgresql" else sqlite
    row = {"bucket": key, "tenant_id": "", "level": 0.0, "updated_at": now}
    connection.execute(module.insert(buckets).values(row).on_conflict_do_nothing())


def _set(connection: Connection, key: str, level: float, now: float) -> None:
    connection.execute(update(buckets).where(buckets.c.bucket == key).values(level=level, updated_at=now))
