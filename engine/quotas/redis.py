"""The ledger in Redis, for replicas that share one. The same arithmetic as `windows`, in one script each.

State lives as long as Redis keeps it: after a restart without persistence the limits start anew."""

import time
from collections.abc import Callable, Collection, Iterator
from contextlib import contextmanager
from typing import Any

from core.errors import Unavailable
from engine.quotas.windows import Ask, Lease, Window, current_slice, describe

RETRY_S = 2.0
LEASE = """
local slice_now, span, limit = tonumber(ARGV[1]), tonumber(ARGV[2]), tonumber(ARGV[3])
local needed, welcome = tonumber(ARGV[4]), tonumber(ARGV[5])
local unspent_slice, unspent = tonumber(ARGV[6]), tonumber(ARGV[7])
local flat = redis.call('HGETALL', KEYS[1])
local used, current = 0, 0
for i = 1, #flat, 2 do
  local slice, count = tonumber(flat[i]), tonumber(flat[i + 1])
  if slice == unspent_slice then count = count - math.min(count, unspent) end
  if slice < slice_now - span or count <= 0 then
    redis.call('HDEL', KEYS[1], flat[i])
  else
    used = used + count
    if slice >= slice_now then
      current = current + count
      if slice > slice_now then redis.call('HDEL', KEYS[1], flat[i]) end
    else
      redis.call('HSET', KEYS[1], flat[i], count)
    end
  end
end
local free = math.max(0, limit - used)
local granted = math.min(free, math.max(needed, math.min(needed + welcome, math.floor(free / 8))))
if current + granted > 0 then redis.call('HSET', KEYS[1], tostring(slice_now), current + granted)
else redis.call('HDEL', KEYS[1], tostring(slice_now)) end
redis.call('PEXPIRE', KEYS[1], ARGV[8])
return {granted, redis.call('HGETALL', KEYS[1])}
"""

CLAIM = """
redis.call('ZREMRANGEBYSCORE', KEYS[1], '-inf', ARGV[1])
if redis.call('ZCARD', KEYS[1]) >= tonumber(ARGV[2]) then return 0 end
redis.call('ZADD', KEYS[1], ARGV[3], ARGV[4])
redis.call('PEXPIRE', KEYS[1], ARGV[5])
return 1
"""


class RedisLedger:
    """A ledger on a Redis server. Needs the extra `redis`."""

    def __init__(self, url: str, *, clock: Callable[[], float] = time.time):
        redis = _load()
        self._clock = clock
        self._failure: type[Exception] = redis.exceptions.RedisError
        self._redis: Any = redis.asyncio.from_url(url, socket_timeout=5, socket_connect_timeout=5)
        self._lease = self._redis.register_script(LEASE)
        self._claim = self._redis.register_script(CLAIM)

    async def lease(self, tenant: str, purpose: str, window: Window, ask: Ask) -> Lease:
        now = self._clock()
        lifetime_ms = int(window.seconds * 2_000)
        arguments = [current_slice(window, now), window.slices, window.limit, ask.needed, ask.welcome]
        arguments += [ask.unspent_slice, ask.unspent, lifetime_ms]
        with self._translated():
            granted, flat = await self._lease(keys=[_key("window", tenant, purpose)], args=arguments)
        numbers = [int(value) for value in flat]
        return describe(window, sorted(zip(numbers[::2], numbers[1::2], strict=True)), now, int(granted))

    async def claim(self, tenant: str, purpose: str, slot_id: str, *, cap: int, lease_s: float) -> bool:
        now = self._clock()
        arguments = [now, cap, now + lease_s, slot_id, int(lease_s * 2_000)]
        with self._translated():
            return bool(await self._claim(keys=[_key("slots", tenant, purpose)], args=arguments))

    async def renew(self, tenant: str, purpose: str, slot_ids: Collection[str], *, lease_s: float) -> None:
        key, expires_at = _key("slots", tenant, purpose), self._clock() + lease_s
        with self._translated():
            await self._redis.zadd(key, dict.fromkeys(slot_ids, expires_at), xx=True)
            await self._redis.pexpire(key, int(lease_s * 2_000))

    async def release(self, tenant: str, purpose: str, slot_id: str) -> None:
        with self._translated():
            await self._redis.zrem(_key("slots", tenant, purpose), slot_id)

    async def close(self) -> None:
        await self._redis.aclose()

    @contextmanager
    def _translated(self) -> Iterator[None]:
        try:
            yield
        except self._failure as error:
            message = "The Redis that keeps the limits does not answer."
            raise Unavailable(message, hint="Retry later.", retry_after_s=RETRY_S) from error


def _key(kind: str, tenant: str, purpose: str) -> str:
    return f"headwater:{kind}:{tenant}:{purpose}"


def _load() -> Any:
    try:
        import redis.asyncio  # 0.4 s of import, and an optional extra
    except ImportError:
        raise Unavailable(
            "limits.redis_url is set, but the package redis is not installed.", hint="pip install 'headwater[redis]'"
        ) from None
    return redis
