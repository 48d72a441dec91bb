"""Clocks that jump: nothing rests for ever, limits hold on either side."""

from pathlib import Path

from core.errors import RateLimited
from engine.agents.breaker import FAILURES, MAX_OPEN_S, Breakers
from engine.agents.watch import AgentWatch
from engine.quotas.leases import Leases
from engine.quotas.ledger import SqlLedger
from engine.quotas.windows import Window
from tests.gateway.hostile_agents import Received, Write, mcp_agent, result, scripted
from tests.gateway.worlds import desk

KEY = ("default", "them")
HOUR_S = 3600.0


class Clock:
    """A clock that a test sets."""

    def __init__(self, now: float):
        self.now = now

    def __call__(self) -> float:
        return self.now


async def answer(received: Received, write: Write) -> None:
    await write(result(received, {"content": [], "isError": False}))


async def test_agents_are_looked_at_again_though_the_clock_was_put_back(tmp_path: Path) -> None:
    async with scripted() as agents, desk(tmp_path / "home") as here:
        await here.register(agents.agent("them", mcp_agent(answer)), "MCP", "them")
        engine = here.platform.engine
        clock = Clock(2_000_000_000.0)
        watch = AgentWatch(engine.store, engine.agents.looks, clock=clock)
        assert await watch.look_round() == 1
        assert await watch.look_round() == 0
        clock.now -= 24 * HOUR_S
        assert await watch.look_round() == 1  # and not only a day later
        assert await watch.look_round() == 0
        clock.now += 48 * HOUR_S
        assert await watch.look_round() == 1


async def test_a_limit_holds_though_the_clock_jumps_either_way(tmp_path: Path) -> None:
    """On either side of a jump no more than the limit passes, and nobody is locked out for as long as it was."""
    async with desk(tmp_path / "home") as here:
        clock = Clock(2_000_000_000.0)
        leases = Leases(SqlLedger(here.platform.engine.store, clock=clock), clock=clock)

        async def passed(times: int) -> int:
            count = 0
            for _ in range(times):
                try:
                    await leases.take("default", "ag:min:them", Window(10, 60.0))
                except RateLimited:
                    clock.now += 0.3  # a refusal is believed for a quarter of a second
                else:
                    count += 1
            return count

        assert await passed(15) == 10
        clock.now -= HOUR_S
        assert await passed(15) == 0  # what was counted still counts, for one window more
        clock.now += 62
        assert await passed(15) == 10
        clock.now += 2 * HOUR_S
        assert await passed(15) == 10
        await leases.close()


def test_a_breaker_whose_clock_jumps_opens_again_in_bounded_time() -> None:
    clock = Clock(1_000.0)
    breakers = Breakers(clock=clock)
    for _ in range(FAILURES):
        breakers.fail(KEY)
    assert breakers.state(KEY) == "open"
    clock.now += HOUR_S
    assert breakers.state(KEY) == "half-open"
    breakers.admit(KEY)
    breakers.fail(KEY)
    clock.now += MAX_OPEN_S + 1
    breakers.admit(KEY)
    breakers.succeed(KEY)
    assert breakers.state(KEY) == "closed"
