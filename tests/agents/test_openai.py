"""OpenAI's own client against our REST face: whole, streamed, with agents as models, and when it is refused."""

import asyncio
import json
import re
from collections.abc import AsyncIterator
from dataclasses import dataclass, field
from typing import Any

import httpx
import openai
import pytest
import pytest_asyncio

from headwater.faces import rest_face
from tests.agents.desk import AgentDesk, until
from tests.fakes.model_server import GARBAGE, Reply, calling
from tests.gateway.worlds import served

pytestmark = pytest.mark.asyncio(loop_scope="session")
COUNT = "SELECT count(*) AS n FROM shop.orders"
DESCRIBE = calling("describe_table", table="shop.customers", description="Who buys.")
ASK: Any = [{"role": "user", "content": "How many orders?"}]


@dataclass
class Street:
    """A served platform, and its people's clients."""

    desk: AgentDesk
    url: str
    tokens: dict[str, str]
    clients: dict[str, openai.AsyncOpenAI] = field(default_factory=dict)

    def client(self, who: str = "admin") -> openai.AsyncOpenAI:
        if who not in self.clients:
            key = self.tokens[who]
            self.clients[who] = openai.AsyncOpenAI(base_url=f"{self.url}/v1", api_key=key, max_retries=0)
        return self.clients[who]


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def street(strong: AgentDesk) -> AsyncIterator[Street]:
    identity = strong.platform.engine.identity
    tokens = {
        "admin": await identity.mint(subject="admin"),
        "olga": await identity.mint(subject="olga", tenant="other"),
        "auditor": await identity.mint(role="auditor"),
        "nobody": "no-token",
    }
    async with served(lambda url: rest_face(strong.platform)) as url:
        opened = Street(strong, url, tokens)
        yield opened
        for client in opened.clients.values():
            await client.close()


async def test_a_completion_is_answered(street: Street) -> None:
    street.desk.server.play([calling("execute_query", sql=COUNT), "There are 4."])
    told = await street.client().chat.completions.create(model="headwater", messages=ASK)
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("There are 4.", "stop")
    assert told.object == "chat.completion" and told.usage is not None and told.usage.total_tokens > 0
    facts = told.model_extra["headwater"] if told.model_extra else {}
    assert [item["tool"] for item in facts["tool_calls"]] == ["execute_query"]


async def test_a_completion_is_streamed_with_its_usage(street: Street) -> None:
    street.desk.server.play([calling("execute_query", sql=COUNT), "There are four of them."])
    stream = await street.client().chat.completions.create(
        model="headwater", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = [chunk async for chunk in stream]
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "There are four of them." and len([text for text in said if text]) > 2
    assert chunks[0].choices[0].delta.role == "assistant" and chunks[-2].choices[0].finish_reason == "stop"
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0
    assert len({chunk.id for chunk in chunks}) == 1


async def test_agents_and_the_chat_are_models(street: Street) -> None:
    made = await street.desk.call("create_agent", name="Own", system_prompt="You sell shoes.", capabilities=[])
    listed = [item.id async for item in street.client().models.list()]
    assert {"headwater", f"headwater/{made.id}"} <= set(listed)
    assert (await street.client().models.retrieve(f"headwater/{made.id}")).owned_by == "headwater"
    street.desk.server.play(["Shoes?"])
    told = await street.client().chat.completions.create(model=f"headwater/{made.id}", messages=ASK)
    assert told.choices[0].message.content == "Shoes?"
    assert f"headwater/{made.id}" not in [item.id async for item in street.client("olga").models.list()]
    for call in (
        street.client("olga").models.retrieve(f"headwater/{made.id}"),
        street.client("olga").chat.completions.create(model=f"headwater/{made.id}", messages=ASK),
    ):
        with pytest.raises(openai.NotFoundError):
            await call


@pytest.mark.parametrize("is_stream", [False, True])
async def test_workflows_are_models(street: Street, is_stream: bool) -> None:
    model: Any = "headwater/workflows/nl2sql"
    ask: Any = [{"role": "user", "content": "total amount by region"}]
    assert model in [item.id async for item in street.client().models.list()]
    made: Any = await street.client().chat.completions.create(model=model, messages=ask, stream=is_stream)
    if is_stream:
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in made if chunk.choices])
    else:
        text = made.choices[0].message.content
    assert "20.25" in text and "```sql" in text


async def test_history_and_instructions_are_the_callers(street: Street) -> None:
    street.desk.server.play(["Three."])
    talk: Any = [
        {"role": "system", "content": "Be short."},
        {"role": "user", "content": [{"type": "text", "text": "One."}]},
        {"role": "assistant", "content": "Two."},
        {"role": "user", "content": "And?"},
    ]
    await street.client().chat.completions.create(model="headwater", messages=talk, temperature=0.2)
    said = [item["content"] for item in street.desk.server.requests[0].body["messages"]]
    assert said[0].endswith("Be short.") and said[1:] == ["One.", "Two.", "And?"]


@pytest.mark.parametrize("is_stream", [False, True])
async def test_a_call_that_waits_goes_on_with_a_yes(street: Street, is_stream: bool) -> None:
    made = await street.desk.call("create_agent", name="Own", capabilities=["catalog", "query"])
    street.desk.server.play([calling("execute_query", sql=COUNT), DESCRIBE, "Described."])
    client, model = street.client(), f"headwater/{made.id}"
    if is_stream:
        stream = await client.chat.completions.create(model=model, messages=ASK, stream=True)
        text = "".join([chunk.choices[0].delta.content or "" async for chunk in stream if chunk.choices])
    else:
        text = str((await client.chat.completions.create(model=model, messages=ASK)).choices[0].message.content)
    assert "describe_table" in text and "(approval ask_" in text
    talk: Any = [*ASK, {"role": "assistant", "content": text}, {"role": "user", "content": "yes"}]
    told = await client.chat.completions.create(model=model, messages=talk)
    assert told.choices[0].message.content == "Described."
    with pytest.raises(openai.NotFoundError, match="waits"):
        await client.chat.completions.create(model=model, messages=talk)


async def test_nobody_says_yes_for_another(street: Street) -> None:
    made = await street.desk.call("create_agent", name="Own", capabilities=["maintenance"])
    street.desk.server.play([calling("drop_column", table="shop.customers", name="name"), "Hm."])
    model = f"headwater/{made.id}"
    told = await street.client().chat.completions.create(model=model, messages=ASK)
    waits = {"role": "assistant", "content": told.choices[0].message.content}
    talk: Any = [*ASK, waits, {"role": "user", "content": "yes"}]
    with pytest.raises(openai.NotFoundError):
        await street.client("olga").chat.completions.create(model="headwater", messages=talk)


@pytest.mark.parametrize(
    ("who", "more", "error", "code"),
    [
        ("nobody", {}, openai.AuthenticationError, "UNAUTHENTICATED"),
        ("auditor", {}, openai.PermissionDeniedError, "UNAUTHORIZED"),
        ("admin", {"model": "gpt-4o"}, openai.NotFoundError, "NOT_FOUND"),
        ("admin", {"model": "headwater/no-such"}, openai.NotFoundError, "NOT_FOUND"),
        ("admin", {"model": "headwater/workflows/none"}, openai.NotFoundError, "NOT_FOUND"),
        ("admin", {"n": 2}, openai.BadRequestError, "INVALID_ARGUMENT"),
        ("admin", {"tools": [{"type": "function", "function": {"name": "f"}}]}, openai.BadRequestError, ""),
        ("admin", {"response_format": {"type": "json_object"}}, openai.BadRequestError, ""),
        ("admin", {"messages": [{"role": "assistant", "content": "x"}]}, openai.BadRequestError, ""),
        ("admin", {"messages": [{"role": "user", "content": "x" * 70_000}]}, openai.BadRequestError, ""),
        ("admin", {"messages": []}, openai.BadRequestError, ""),
    ],
)
async def test_refusals_are_openais_with_our_code(
    street: Street, who: str, more: dict[str, Any], error: type[openai.APIStatusError], code: str
) -> None:
    with pytest.raises(error) as caught:
        await street.client(who).chat.completions.create(**{"model": "headwater", "messages": ASK, **more})
    body: Any = caught.value.body
    assert body["code"] == (code or "INVALID_ARGUMENT") and body["headwater"]["request_id"] in body["message"]
    assert body["type"] and body["headwater"]["code"] == body["code"]


async def test_a_model_that_fails_is_an_error_also_in_a_stream(street: Street) -> None:
    street.desk.server.play(lambda asked: GARBAGE)
    client = street.client()
    with pytest.raises(openai.InternalServerError):
        await client.chat.completions.create(model="headwater", messages=ASK)
    street.desk.server.play([Reply(status=401)])
    stream = await client.chat.completions.create(model="headwater", messages=ASK, stream=True)
    with pytest.raises(openai.APIError, match="refuses the key"):
        async for _ in stream:
            pass


@pytest.mark.parametrize("body", [b"", b"{", b"[]", b"[" * 100_000, b'{"model": 7}', b'\xff\xfe{"a":1}'])
async def test_bodies_that_are_none_are_refused(street: Street, body: bytes) -> None:
    async with httpx.AsyncClient(base_url=street.url) as http:
        headers = {"authorization": f"Bearer {street.tokens['admin']}", "content-type": "application/json"}
        refused = await http.post("/v1/chat/completions", content=body, headers=headers)
        assert (refused.status_code, refused.json()["error"]["code"]) == (400, "INVALID_ARGUMENT")


async def test_other_methods_are_named_and_strangers_are_refused_first(street: Street) -> None:
    async with httpx.AsyncClient(base_url=street.url) as http:
        assert (await http.get("/v1/chat/completions")).status_code == 405
        assert (await http.post("/v1/models", json={})).headers["allow"] == "GET"
        refused = await http.post("/v1/chat/completions", content=b"{")
        assert refused.status_code == 401 and refused.json()["error"]["type"] == "authentication_error"
        assert (await http.get("/v1/models")).status_code == 401


async def test_a_listener_that_leaves_stops_the_run(street: Street) -> None:
    street.desk.server.play([Reply("word " * 200, drip_s=0.05)])
    stream = await street.client().chat.completions.create(model="headwater", messages=ASK, stream=True)
    async for chunk in stream:
        if chunk.choices and chunk.choices[0].delta.content:
            break
    await stream.close()
    for _ in range(100):
        runs = (await street.desk.call("list_agent_runs", agent_id="chat")).runs
        if runs[0].status != "running":
            break
        await asyncio.sleep(0.02)
    assert runs[0].status == "cancelled"
    assert json.dumps(runs[0].error)


async def test_the_stream_of_a_workflow_that_is_cancelled_ends_with_error_and_done(street: Street) -> None:
    """Also for whoever asks again; without a stream it is an error with a status of its own."""
    street.desk.server.play(lambda asked: Reply("late", delay_s=5))
    ask = {"task": "what is the moonlight standing of the eu region", "ext_knowledge": "moonlight standing"}
    body = {**ask, "workflow": "reflection", "task_id": "stopped"}
    headers = {"authorization": f"Bearer {street.tokens['admin']}"}
    events = {"accept": "text/event-stream"}
    async with httpx.AsyncClient(base_url=street.url, headers=headers, timeout=20) as http:
        asking = asyncio.create_task(http.post("/workflows/run", json=body, headers=events))
        await until(lambda: street.desk.server.requests)
        await http.post("/workflows/stopped/cancel")
        first, again = (await asking).text, (await http.post("/workflows/run", json=body, headers=events)).text
        refused = await http.post("/workflows/run", json=body)
        unbegun = await http.post("/workflows/run", json={**body, "task_id": "x", "model": "no-such"}, headers=events)
    assert first == again and first.startswith("id: 1\nevent: started\n")
    names = re.findall(r"^event: (\w+)$", first, re.M)
    assert names[-2:] == ["error", "done"] and names.count("error") == 1
    *_, error, done = (json.loads(text) for text in re.findall(r"^data: (.*)$", first, re.M))
    assert error["code"] == "CANCELLED" and (done["task_id"], done["status"]) == ("stopped", "cancelled")
    assert (refused.json()["error"]["code"], unbegun.status_code) == ("CANCELLED", 404)
