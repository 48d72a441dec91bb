"""Asking models: charged, within budget, time and size, retried, stood in for, and telling nothing of a key."""

import asyncio
import logging
import time
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import pytest
import pytest_asyncio

from agents.models import Ask, BadReply, Budget, ModelUnavailable, complete
from core.errors import Cancelled, QuotaExceeded
from engine.context import Ctx
from engine.store.tables import usage_counters
from tests.agents.desk import AgentDesk, opened_desk
from tests.fakes.model_server import CUT_JSON, GARBAGE, HUGE, HUGE_USAGE, Asked, Reply, ToolCall

pytestmark = pytest.mark.asyncio(loop_scope="module")
HELLO = ({"role": "user", "content": "hello"},)
SHAPE = {"type": "object", "properties": {"a": {"type": "integer"}}, "required": ["a"], "additionalProperties": False}


@pytest_asyncio.fixture(scope="module", loop_scope="module")
async def desk(tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[AgentDesk]:
    more = "price: {input_usd_per_million: 1, output_usd_per_million: 2}, max_output_tokens: 500"
    async with opened_desk(tmp_path_factory.mktemp("models"), more=more) as opened:
        yield opened


@pytest_asyncio.fixture(loop_scope="module")
async def ctx(desk: AgentDesk) -> Ctx:
    desk.spare.play([])
    return await desk.context()


async def used(desk: AgentDesk) -> tuple[int, int]:
    """Tokens and nano-dollars that the store has counted for the tenant."""
    wanted = usage_counters.select().where(usage_counters.c.scope == "tenant")
    rows = await desk.platform.engine.store.read(lambda connection: connection.execute(wanted).all())
    return max((row.model_tokens, row.model_nano) for row in rows)


async def test_an_answer_is_charged_and_counted(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play([Reply("hi", prompt_tokens=10, completion_tokens=5)])
    budget = Budget()
    reply = await complete(ctx, Ask(HELLO, budget=budget))
    assert await used(desk) == (15, 20_000)
    assert (reply.text, reply.model, reply.cost.tokens_in, reply.cost.tokens_out) == ("hi", "twin", 10, 5)
    assert reply.cost.nano == 10 * 1000 + 5 * 2000 and budget.cost == reply.cost
    asked = desk.server.requests[0]
    assert asked.headers["authorization"] == "Bearer sk-twin-key" and asked.body["max_tokens"] == 500


async def test_json_is_asked_for_strictly_and_read(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play([{"a": 1}, '```json\n{"a": 2}\n```', "no json", CUT_JSON])
    assert [(await complete(ctx, Ask(HELLO, schema=SHAPE))).data for _ in range(2)] == [{"a": 1}, {"a": 2}]
    wanted = desk.server.requests[0].body["response_format"]
    assert (wanted["type"], wanted["json_schema"]["strict"]) == ("json_schema", True)
    for _ in range(2):
        with pytest.raises(BadReply):
            await complete(ctx, Ask(HELLO, schema=SHAPE))


async def test_text_is_streamed_and_usage_comes_with_it(desk: AgentDesk, ctx: Ctx) -> None:
    heard: list[str] = []

    async def hear(text: str) -> None:
        heard.append(text)

    desk.server.play([Reply("one two three", prompt_tokens=7, completion_tokens=3)])
    reply = await complete(ctx, Ask(HELLO, hear=hear))
    assert "".join(heard) == reply.text == "one two three" and len(heard) > 1
    assert (reply.cost.tokens_in, reply.cost.tokens_out) == (7, 3)


@pytest.mark.parametrize("is_streamed", [False, True])
async def test_native_tool_calls_come_as_they_were_written(desk: AgentDesk, ctx: Ctx, is_streamed: bool) -> None:
    async def hear(text: str) -> None:
        raise AssertionError(text)

    desk.server.play([Reply(tool_calls=(ToolCall("look", {"q": 1}), ToolCall("look", "{broken")))])
    tools = [{"type": "function", "function": {"name": "look", "parameters": {"type": "object"}}}]
    reply = await complete(ctx, Ask(HELLO, tools=tools, hear=hear if is_streamed else None))
    assert [(call.name, call.arguments) for call in reply.tool_calls] == [("look", '{"q": 1}'), ("look", "{broken")]
    assert desk.server.requests[0].tools == ["look"]


async def test_a_busy_server_is_asked_again_and_a_strict_one_not(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play([Reply(status=429), Reply(status=503), "at last"])
    assert (await complete(ctx, Ask(HELLO))).text == "at last"
    desk.server.play([Reply(status=401, body=b'{"error": "sk-twin-key is wrong"}')])
    with pytest.raises(ModelUnavailable) as refused:
        await complete(ctx, Ask(HELLO))
    assert len(desk.server.requests) == 1 and "sk-" not in f"{refused.value} {refused.value.hint}"


async def test_another_model_stands_in(desk: AgentDesk, ctx: Ctx) -> None:
    models = desk.platform.engine.models
    twin = models.file.models["twin"]
    models.file.models["twin"] = replace(twin, fallbacks=("spare",))  # type: ignore[index]
    desk.server.play([Reply(status=401)])
    desk.spare.play(["from the spare"])
    try:
        reply = await complete(ctx, Ask(HELLO))
    finally:
        models.file.models["twin"] = twin  # type: ignore[index]
    assert (reply.text, reply.model) == ("from the spare", "spare")
    assert desk.spare.requests[0].headers["authorization"] == "Bearer none"  # no key of anybody else's


@pytest.mark.parametrize("is_streamed", [False, True])
@pytest.mark.parametrize("liar", [GARBAGE, HUGE, Reply(body=b"[]"), Reply(body=b'{"choices": []}'), Reply(body=b"")])
async def test_a_broken_answer_is_an_error_of_ours(desk: AgentDesk, ctx: Ctx, liar: Reply, is_streamed: bool) -> None:
    async def hear(text: str) -> None:
        raise AssertionError(text)

    desk.server.play(lambda asked: liar)
    with pytest.raises(ModelUnavailable):
        await complete(ctx, Ask(HELLO, budget=Budget(max_calls=10), hear=hear if is_streamed else None))


async def test_a_slow_drip_ends_with_the_time(desk: AgentDesk, ctx: Ctx) -> None:
    async def hear(text: str) -> None: ...

    began = time.monotonic()
    for ask in (Ask(HELLO, timeout_s=0.3), Ask(HELLO, timeout_s=0.3, hear=hear)):
        desk.server.play([Reply("x" * 400, drip_s=0.05)])
        with pytest.raises(ModelUnavailable, match=r"within 0\.3 s"):
            await complete(ctx, ask)
    assert time.monotonic() - began < 3


async def test_wrong_usage_numbers_are_kept_within_what_can_be(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play([HUGE_USAGE, Reply("a long answer " * 20, has_usage=False)])
    most = await complete(ctx, Ask(HELLO))
    assert 0 < most.cost.tokens_in < 10_000 and 0 <= most.cost.tokens_out <= 500
    least = await complete(ctx, Ask(HELLO))
    assert least.cost.tokens_out > 0  # silence is not free


async def test_a_runs_budget_ends_it(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play(lambda asked: "again")
    budget = Budget(max_calls=2)
    for _ in range(2):
        await complete(ctx, Ask(HELLO, budget=budget))
    with pytest.raises(QuotaExceeded):
        await complete(ctx, Ask(HELLO, budget=budget))
    with pytest.raises(QuotaExceeded):
        await complete(ctx, Ask(HELLO, budget=Budget(max_tokens=100)))
    with pytest.raises(QuotaExceeded):
        await complete(ctx, Ask(HELLO, budget=Budget(max_nano=10)))
    assert len(desk.server.requests) == 2


async def test_cancelling_ends_a_call_at_once(desk: AgentDesk, ctx: Ctx) -> None:
    desk.server.play([Reply("late", delay_s=1.0)])
    asking = asyncio.create_task(complete(ctx, Ask(HELLO)))
    await asyncio.sleep(0.2)
    ctx.cancelled.set()
    began = time.monotonic()
    with pytest.raises(Cancelled):
        await asking
    assert time.monotonic() - began < 0.5


async def test_no_model_is_said_so(desk: AgentDesk, ctx: Ctx) -> None:
    with pytest.raises(ModelUnavailable, match="No model is set"):
        await complete(ctx, Ask(HELLO, model="none"))


async def test_a_tenants_model_may_not_lie_in_the_house(desk: AgentDesk, ctx: Ctx) -> None:
    """What the operator wrote into models.yml may; a tenant's name that resolves to it may not."""
    await desk.call("create_model", name="mine", model="openai/x", api_base="https://localhost.invalid/v1")
    with pytest.raises(ModelUnavailable, match="may not be called"):
        await complete(ctx, Ask(HELLO, model="mine"))
    await desk.call("delete_model", name="mine")


@pytest.mark.parametrize("provider", ["anthropic", "mistral", "hosted_vllm", "gemini", "lm_studio"])
async def test_every_kind_of_provider_is_called_through_the_gate(desk: AgentDesk, ctx: Ctx, provider: str) -> None:
    models: Any = desk.platform.engine.models.file.models
    models["other"] = replace(models["spare"], name="other", model=f"{provider}/x")
    desk.spare.play(lambda asked: Reply(status=400))
    try:
        with pytest.raises(ModelUnavailable):
            await complete(ctx, Ask(HELLO, model="other"))
    finally:
        del models["other"]
    assert len(desk.spare.requests) == 1


async def test_prompts_and_keys_stand_in_no_log(desk: AgentDesk, ctx: Ctx, caplog: pytest.LogCaptureFixture) -> None:
    def fail(asked: Asked) -> Reply:
        return Reply(status=500, body=b'{"error": {"message": "sk-twin-key hello"}}')

    desk.server.play(fail)
    with caplog.at_level(logging.DEBUG), pytest.raises(ModelUnavailable):
        await complete(ctx, Ask(({"role": "user", "content": "a very private question"},)))
    assert "sk-twin-key" not in caplog.text and "very private" not in caplog.text
