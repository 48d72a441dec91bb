"""models.yml: what it may say, where keys come from, and that nothing of a key is ever told."""

from decimal import Decimal
from pathlib import Path

import pytest

from core.errors import InvalidArgument
from engine.models.file import private_hosts, read_models_file
from engine.models.model import Price

GOOD = """
models:
  - {name: qwen, model: openai/qwen, api_base: "http://127.0.0.1:8089/v1/", api_key: unused}
  - name: claude
    model: anthropic/claude
    api_key_env: SOME_KEY
    strength: strong
    price: {input_usd_per_million: 3, output_usd_per_million: "15.5"}
    fallbacks: [qwen]
    tenants: [acme]
default: qwen
embedder: {kind: openai, model: e, api_base: "http://10.0.0.7:9/v1"}
index: {url: "http://chroma:8000"}
"""


def read(tmp_path: Path, text: str, **variables: str):  # type: ignore[no-untyped-def]
    path = tmp_path / "models.yml"
    path.write_text(text)
    return read_models_file(path, variables.get)


def test_a_file_names_models_embedder_and_index(tmp_path: Path) -> None:
    found = read(tmp_path, GOOD, SOME_KEY="sk-1")
    assert (found.default, found.embedder.kind, found.index_url) == ("qwen", "openai", "http://chroma:8000")
    claude = found.models["claude"]
    assert (claude.key, claude.fallbacks, claude.tenants) == ("sk-1", ("qwen",), frozenset({"acme"}))
    assert claude.price == Price(Decimal(3), Decimal("15.5")) and claude.price.nano(1000, 10) == 3_155_000
    assert found.models["qwen"].api_base == "http://127.0.0.1:8089/v1" and "sk-1" not in repr(found)
    assert private_hosts(found) == ["127.0.0.1:8089", "10.0.0.7:9", "chroma:8000"]


def test_keys_are_read_from_files(tmp_path: Path) -> None:
    (tmp_path / "key").write_text("sk-2\n")
    found = read(tmp_path, f"models: [{{name: a, model: openai/a, api_key_file: '{tmp_path / 'key'}'}}]")
    assert found.models["a"].key == "sk-2"


def test_without_a_file_there_are_no_models(tmp_path: Path) -> None:
    assert not read_models_file(tmp_path / "none.yml", lambda name: None).models
    with pytest.raises(InvalidArgument):
        read_models_file(tmp_path / "none.yml", lambda name: None, is_wanted=True)


@pytest.mark.parametrize(
    "text",
    [
        "models: [{name: a, model: openai/a, api_key_env: NOT_SET}]",
        "models: [{name: a, model: openai/a, api_key: sk-3, api_key_env: SOME_KEY}]",
        "models: [{name: a, model: bedrock/a}]",
        "models: [{name: a, model: openai/a}, {name: a, model: openai/b}]",
        "models: [{name: none, model: openai/a}]",
        "models: [{name: a, model: openai/a, fallbacks: [b]}]",
        "models: [{name: a, model: openai/a, api_key: [sk-3]}]",
        "default: gone",
        "surprise: 1",
        "models: [",
        'models: [{name: a, model: openai/a, api_key: "sk-3\\nX: y"}]',
    ],
)
def test_a_wrong_file_is_refused_without_telling_a_key(tmp_path: Path, text: str) -> None:
    with pytest.raises(InvalidArgument) as refused:
        read(tmp_path, text, SOME_KEY="sk-3")
    assert "sk-3" not in str(refused.value)
