"""How often strangers may try."""

from collections.abc import Awaitable, Callable
from typing import Any

from api.oauth_port import Caller
from core.errors import PlatformError, RateLimited
from engine.identity.oauth.oauth import VISITS
from tests.engine.identity.world import World

ATTEMPT: dict[str, Callable[[Any, Caller], Awaitable[object]]] = {
    "register": lambda oauth, by: oauth.register({"redirect_uris": ["https://a.example/x"]}, by),
    "device": lambda oauth, by: oauth.start_device({"client_id": "headwater-cli"}, by),
    "code": lambda oauth, by: oauth.find_device("BBBB-BBBB", by),
    "link": lambda oauth, by: oauth.accept_link("invitation", "hwl_guess", "four quiet wooden boats", by),
    "token": lambda oauth, by: oauth.token({"grant_type": "refresh_token", "client_id": "hwa_x"}, None, by),
    "ask": lambda oauth, by: oauth.ask_link("default", "nobody", by),
}


async def outcome(attempt: Awaitable[object]) -> str:
    try:
        await attempt
    except RateLimited as error:
        assert error.retry_after_s
        return "wait"
    except PlatformError:
        return "refused"
    return "done"


async def test_strangers_of_one_network_wait_after_so_many_attempts(world: World) -> None:
    oauth = world.process(guesses_per_minute=1).oauth
    here, elsewhere = Caller("https://data.example", "203.0.113.7"), Caller("https://data.example", "203.0.113.8")
    for kind, attempt in ATTEMPT.items():
        said = [await outcome(attempt(oauth, here)) for _ in range(VISITS + 1)]
        assert "wait" not in said[:-1], kind
        assert said[-1] == "wait", kind
        assert await outcome(attempt(oauth, elsewhere)) != "wait", kind
    world.clock.advance(60)
    for kind, attempt in ATTEMPT.items():
        assert await outcome(attempt(oauth, here)) != "wait", kind
