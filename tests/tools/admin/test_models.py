"""Language models through the gate: a tenant's own, their keys, the default, the installation's file."""

from typing import Any

import pytest

from core.errors import Conflict, InvalidArgument, NotFound, Unauthorized
from engine.store.tables import models
from tests.fixtures_town import Town, town

__all__ = ["town"]
KEY = "sk-very-secret-key"


async def make(town: Town, name: str = "gpt", **changes: Any) -> Any:
    return await town.call("create_model", **{"name": name, "model": "openai/gpt-5", "api_key": KEY, **changes})


async def test_a_tenant_keeps_models_and_their_keys_are_never_shown(town: Town) -> None:
    made = await make(town, strength="strong", input_usd_per_million="1.25")
    assert (made.has_key, made.strength, made.source, made.is_default) == (True, "strong", "tenant", False)
    changed = await town.call("update_model", name="gpt", max_output_tokens=99, version=1)
    assert (changed.max_output_tokens, changed.version, changed.has_key) == (99, 2, True)
    shown = await town.call("get_model", "ada", name="gpt")
    listed = await town.call("list_models", "ada")
    assert shown == changed == listed.models[0] and KEY not in listed.model_dump_json()
    rows = await town.platform.engine.store.read(lambda connection: connection.execute(models.select()).all())
    assert KEY.encode() not in bytes(rows[0].secret) and KEY not in rows[0].document
    resolved = await town.platform.engine.models.resolve(await town.who("ada"), "gpt")
    assert resolved is not None and resolved.key == KEY and KEY not in repr(resolved)
    await town.call("delete_model", name="gpt")
    with pytest.raises(NotFound):
        await town.call("get_model", name="gpt")


async def test_another_tenants_models_do_not_exist(town: Town) -> None:
    await make(town)
    assert (await town.call("list_models", "olga")).total_count == 0
    for tool in ("get_model", "update_model", "delete_model"):
        with pytest.raises(NotFound):
            await town.call(tool, "olga", name="gpt")
    with pytest.raises(NotFound):
        await town.call("set_default_model", "olga", name="gpt")


async def test_only_administrators_change_models_and_agents_never_do(town: Town) -> None:
    with pytest.raises(Unauthorized):
        await town.call("create_model", "ada", name="x", model="openai/x")
    with pytest.raises(Unauthorized):
        await town.call("set_default_model", "ada", name="none")
    with pytest.raises(Unauthorized):
        await town.call("create_model", "cora", "agent", name="x", model="openai/x")


async def test_the_default_is_chosen_and_taken_back(town: Town) -> None:
    await make(town)
    assert (await town.call("set_default_model", name="gpt")).name == "gpt"
    assert (await town.call("get_model", name="gpt")).is_default
    assert (await town.call("set_default_model", name="none")).name == ""
    await town.call("set_default_model", name="gpt")
    await town.call("delete_model", name="gpt")
    assert await town.platform.engine.models.resolve(await town.who("ada")) is None


async def test_a_key_does_not_follow_to_another_address(town: Town) -> None:
    await make(town)
    for place in ({"api_base": "https://elsewhere.example.org/v1"}, {"model": "groq/llama"}):
        with pytest.raises(Conflict, match="stored key"):
            await town.call("update_model", name="gpt", **place)
    moved = await town.call("update_model", name="gpt", api_base="https://elsewhere.example.org/v1", api_key="")
    assert not moved.has_key


@pytest.mark.parametrize(
    "wrong",
    [
        {"model": "bedrock/claude"},
        {"model": "gpt-5"},
        {"api_base": "file:///etc/passwd"},
        {"api_key": "a\nb"},
        {"input_usd_per_million": "-1"},
        {"name": "a b"},
        {"context_tokens": 0},
    ],
)
async def test_a_model_that_cannot_be_is_refused(town: Town, wrong: dict[str, Any]) -> None:
    with pytest.raises(InvalidArgument):
        await make(town, **wrong)


@pytest.mark.parametrize("url", ["http://127.0.0.1:8080/v1", "http://169.254.169.254/v1", "http://models.example.org/"])
async def test_an_address_in_the_house_is_refused(town: Town, url: str) -> None:
    with pytest.raises(Conflict):
        await make(town, api_base=url)


async def test_a_name_is_taken_once_and_fallbacks_exist(town: Town) -> None:
    await make(town)
    with pytest.raises(Conflict):
        await make(town)
    with pytest.raises(NotFound):
        await make(town, "other", fallbacks=["gone"])
    await make(town, "other", fallbacks=["gpt", "other"])
    by = await town.who("ada")
    resolved = await town.platform.engine.models.resolve(by, "other")
    assert resolved is not None
    assert [model.name for model in await town.platform.engine.models.fallbacks(by, resolved)] == ["gpt"]
    with pytest.raises(Conflict):
        await town.call("update_model", name="gpt", strength="small", version=7)
