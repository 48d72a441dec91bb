"""OpenAI's own client against `headwater serve`, as a person would start it: two tenants, an agent, a model, tools."""

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import openai
import pytest

from tests.fakes.model_server import Asked, ModelServer, Reply, calling
from tests.headwater.processes import Server, headwater, served

pytestmark = pytest.mark.slow
MODELS = '{{models: [{{name: twin, model: openai/twin, api_base: "{url}", strength: strong}}], default: twin}}'
COUNT = "SELECT count(*) AS n FROM orders"
ASK: Any = [{"role": "user", "content": "How many orders?"}]


@dataclass
class Shop:
    server: Server
    model: ModelServer

    def client(self, key: str) -> openai.OpenAI:
        return openai.OpenAI(base_url=f"{self.server.url}/v1", api_key=key, max_retries=0)


@pytest.fixture(scope="module")
def shop(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Shop]:
    folder: Path = tmp_path_factory.mktemp("shop")
    (folder / "data").mkdir()
    (folder / "data" / "orders.csv").write_text("id,region\n1,eu\n2,us\n3,eu\n4,us\n")
    (folder / "home").mkdir()
    with ModelServer() as model:
        (folder / "home" / "models.yml").write_text(MODELS.format(url=model.url))
        with served(folder / "home", "--data", str(folder / "data")) as server:
            yield Shop(server, model)


def say(asked: Asked) -> Any:
    """Calls a tool, and reads the number off its result."""
    last = asked.body["messages"][-1]
    if last["role"] != "tool":
        return calling("execute_query", sql=COUNT, connection_id="data")
    return Reply("There are four." if "\n4\n" in last["content"] else f"I do not know: {last['content']}")


def test_a_real_client_at_a_real_server(shop: Shop) -> None:
    shop.model.play(say)
    client = shop.client(shop.server.token())
    assert "headwater" in [item.id for item in client.models.list()]
    told = client.chat.completions.create(model="headwater", messages=ASK)
    assert (told.choices[0].message.content, told.choices[0].finish_reason) == ("There are four.", "stop")
    facts: Any = told.model_extra
    assert [item["tool"] for item in facts["headwater"]["tool_calls"]] == ["execute_query"]
    stream = client.chat.completions.create(
        model="headwater", messages=ASK, stream=True, stream_options={"include_usage": True}
    )
    chunks = list(stream)
    said = [chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices]
    assert "".join(said) == "There are four." and len([text for text in said if text]) > 1
    assert chunks[-1].usage is not None and chunks[-1].usage.total_tokens > 0


def test_workflows_and_agents_are_models_of_their_tenant_alone(shop: Shop) -> None:
    shop.model.play(lambda asked: "Shoes?")
    with shop.server.client("super_admin") as http:
        tenant = http.post("/v1/tenants", json={"name": "Other"}).raise_for_status().json()["id"]
    made = shop.server.call("create_agent", name="Own", system_prompt="You sell shoes.", capabilities=[])["id"]
    theirs = headwater("token", "--home", str(shop.server.home), "--tenant", tenant).out.strip()
    mine, other = shop.client(shop.server.token()), shop.client(theirs)
    model = f"headwater/{made}"
    assert model in [item.id for item in mine.models.list()] and model not in [item.id for item in other.models.list()]
    assert mine.chat.completions.create(model=model, messages=ASK).choices[0].message.content == "Shoes?"
    assert "You sell shoes." in json.dumps(shop.model.requests[-1].body["messages"])
    for wrong in (model, "gpt-4o"):
        with pytest.raises(openai.NotFoundError):
            other.chat.completions.create(model=wrong, messages=ASK)
        with pytest.raises(openai.NotFoundError):
            list(other.chat.completions.create(model=wrong, messages=ASK, stream=True))


def test_who_has_no_token_or_no_right_is_told_so(shop: Shop) -> None:
    shop.model.play(say)
    for key in ("sk-wrong", shop.server.token()[:-4]):
        with pytest.raises(openai.AuthenticationError):
            shop.client(key).models.list()
        with pytest.raises(openai.AuthenticationError):
            shop.client(key).chat.completions.create(model="headwater", messages=ASK)
    with pytest.raises(openai.PermissionDeniedError):
        shop.client(shop.server.token("auditor")).chat.completions.create(model="headwater", messages=ASK)
    assert not shop.model.requests
