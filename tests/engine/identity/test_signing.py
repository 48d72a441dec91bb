"""Our own signing keys."""

import asyncio
from concurrent.futures import ThreadPoolExecutor

from engine.identity.jws import parse
from engine.identity.signing import DAY_S, SETTLE_S, SigningKeys
from tests.engine.identity.world import World, on_both_stores


def keys_of(world: World) -> SigningKeys:
    return SigningKeys(store=world.store, vault=world.vault, clock=world.clock)


def kid_of(keys: SigningKeys) -> str:
    return parse(keys.sign_now({"a": 1})).kid or ""


@on_both_stores
async def test_replicas_share_keys(world: World) -> None:
    one, other = keys_of(world), keys_of(world)
    kid = kid_of(one)
    assert kid_of(other) == kid and await other.find(kid) is not None


@on_both_stores
async def test_a_new_key_takes_over_by_age_and_the_old_one_verifies_until_its_tokens_are_dead(world: World) -> None:
    keys, replica = keys_of(world), keys_of(world)
    old = kid_of(keys)
    assert await replica.find(old)
    world.clock.advance(31 * DAY_S)
    assert kid_of(keys) == old  # the new one is published first, for every replica to read
    assert len(keys.jwks()["keys"]) == 2
    world.clock.advance(SETTLE_S)
    new = kid_of(keys)
    assert new != old and await replica.find(new) and await replica.find(old)
    world.clock.advance(DAY_S + SETTLE_S + 20)
    assert await replica.find(old) is None and await replica.find(new)
    assert [key["kid"] for key in keys.jwks()["keys"]] == [new]


async def test_the_key_set_holds_nothing_private(world: World) -> None:
    (key,) = world.identity.jwks()["keys"]
    assert set(key) == {"kty", "use", "alg", "kid", "n", "e"} and key["alg"] == "RS256"


@on_both_stores
async def test_many_threads_rotate_once(world: World) -> None:
    world.clock.advance(31 * DAY_S)
    replicas = [keys_of(world) for _ in range(4)]
    with ThreadPoolExecutor(4) as threads:
        await asyncio.gather(
            *(asyncio.get_running_loop().run_in_executor(threads, keys.sign_now, {"a": 1}) for keys in replicas)
        )
    assert len(replicas[0].jwks()["keys"]) == 2
