"""What a model may cost and how long it may take, per tenant and per agent; and who stands in for it."""

import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any

import pytest

from core.errors import QuotaExceeded, Unavailable
from engine.usage.limits import Limit, write_limits
from tests.agents.desk import AgentDesk, changed
from tests.agents.test_chat import agent
from tests.fakes.model_server import Asked, Reply, calling

pytestmark = pytest.mark.asyncio(loop_scope="session")


@asynccontextmanager
async def limited(desk: AgentDesk, *limits: Limit, tenant: str = "default") -> AsyncIterator[None]:
    store = desk.platform.engine.store
    await store.write(lambda connection: write_limits(connection, tenant, list(limits)))
    try:
        yield
    finally:
        await store.write(lambda connection: write_limits(connection, tenant, []))


@pytest.mark.parametrize("metric", ["model_tokens", "model_usd"])
async def test_a_tenants_budget_ends_its_own_runs_and_nobody_elses(strong: AgentDesk, metric: Any) -> None:
    strong.server.play(lambda asked: "Hello.")
    one = 1 if metric == "model_tokens" else 0
    async with limited(strong, Limit("tenant", "", metric, "day", None, one)):
        with pytest.raises(QuotaExceeded):
            await strong.call("chat", prompt="Hi")
        assert not strong.server.requests
        assert (await strong.call("chat", "olga", "other", prompt="Hi")).response == "Hello."


async def test_a_persons_budget_is_their_own(strong: AgentDesk) -> None:
    strong.server.play(lambda asked: "Hello.")
    async with limited(strong, Limit("user", "vic", "model_tokens", "day", None, 1)):
        with pytest.raises(QuotaExceeded):
            await strong.call("chat", by="vic", prompt="Hi")
        assert (await strong.call("chat", prompt="Hi")).response == "Hello."


async def test_an_agents_tokens_have_a_bound_and_other_agents_have_theirs(strong: AgentDesk) -> None:
    few = await agent(strong, budget={"max_tokens": 9_000})
    number = iter(range(1000))

    def greedy(asked: Asked) -> Reply:
        call = calling("execute_query", sql=f"SELECT {next(number)} AS n")
        return replace(call, prompt_tokens=2_000, completion_tokens=500)

    strong.server.play(greedy)
    told = await strong.call("run_agent", agent_id=few, message="Go on.")
    assert "I stopped" in told.response and 0 < told.usage.total_tokens <= 9_000
    assert len(strong.server.requests) <= 3
    none = await agent(strong, budget={"max_tokens": 100})
    with pytest.raises(QuotaExceeded, match="may use 100 tokens of models, has used 0"):
        await strong.call("run_agent", agent_id=none, message="Go on.")
    much = await agent(strong, budget={"max_steps": 4})
    told = await strong.call("run_agent", agent_id=much, message="Go on.")
    assert told.usage.total_tokens == 4 * 2_500


async def test_a_models_own_time_ends_a_call_that_its_fallback_answers(strong: AgentDesk) -> None:
    strong.server.play([Reply("Late.", delay_s=2.0)])
    strong.spare.play([{"action": "answer", "tool": "", "arguments": {}, "text": "I am the spare."}])
    began = time.monotonic()
    with changed(strong, "twin", timeout_s=0.3, fallbacks=("spare",)):
        told = await strong.call("chat", prompt="Quick?")
    assert time.monotonic() - began < 2 and told.answered_by == "spare" and "I am the spare." in told.response
    with changed(strong, "twin", timeout_s=0.3), pytest.raises(Unavailable, match=r"within 0\.3 s"):
        strong.server.play([Reply("Late.", delay_s=2.0)])
        await strong.call("chat", prompt="Quick?")


async def test_an_agents_own_model_has_its_own_fallback(strong: AgentDesk) -> None:
    own = await agent(strong, model="spare")
    strong.spare.play(lambda asked: Reply(status=401))
    answer = {"action": "answer", "tool": "", "arguments": {}, "text": "From the twin."}  # as the spare is asked to
    strong.server.play(lambda asked: answer)
    with changed(strong, "spare", fallbacks=("twin",)):
        told = await strong.call("run_agent", agent_id=own, message="Hi")
    assert (told.response, told.answered_by) == ("From the twin.", "twin")
    with pytest.raises(Unavailable, match="refuses the key"):
        await strong.call("run_agent", agent_id=own, message="Hi")
    assert (await strong.call("chat", prompt="Hi")).answered_by == "twin"


async def test_tries_are_counted_and_end(strong: AgentDesk) -> None:
    """Each call is tried three times, and no try is made once the answer is final."""
    strong.server.play(lambda asked: Reply(status=503))
    with pytest.raises(Unavailable):
        await strong.call("chat", prompt="Hi")
    assert len(strong.server.requests) == 3
    strong.server.play([Reply(status=503), Reply(status=503), "At last."])
    assert (await strong.call("chat", prompt="Hi")).response == "At last."
    strong.server.play([Reply(status=400), "Never."])
    with pytest.raises(Unavailable):
        await strong.call("chat", prompt="Hi")
    assert len(strong.server.requests) == 1
