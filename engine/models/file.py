"""`models.yml`: the models of an installation, the embedder, and where the index of retrieval lies.

models:
  - name: qwen
    model: openai/qwen2.5-coder-1.5b-instruct-q4_k_m
    api_base: http://127.0.0.1:8089/v1
    strength: small
  - name: claude
    model: anthropic/claude-sonnet-4-5
    api_key_env: ANTHROPIC_API_KEY
    strength: strong
    price: {input_usd_per_million: 3, output_usd_per_million: 15}
    fallbacks: [qwen]
default: qwen
embedder: {kind: lexical}
"""

from collections.abc import Callable
from decimal import Decimal
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from core.errors import InvalidArgument
from engine.identity.auth_file import describe, read_yaml
from engine.models.model import NONE, PROVIDERS, EmbedderConfig, Model, ModelsFile, Price, Strength

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
MAX_KEY_CHARS = 4096
ReadVariable = Callable[[str], str | None]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", hide_input_in_errors=True)


class _Price(_Strict):
    input_usd_per_million: Decimal = Field(Decimal(0), ge=0, le=10**6)
    output_usd_per_million: Decimal = Field(Decimal(0), ge=0, le=10**6)


class _Keyed(_Strict):
    api_key: str = ""
    api_key_env: str = ""
    api_key_file: Path | None = None


class _Model(_Keyed):
    name: str = Field(pattern=NAME)
    model: str = Field(min_length=3, max_length=255)
    api_base: str = Field("", max_length=2000)
    strength: Strength = "small"
    context_tokens: int = Field(8192, ge=512, le=10**8)
    max_output_tokens: int = Field(1024, ge=1, le=10**7)
    price: _Price = _Price()
    timeout_s: float = Field(60.0, gt=0, le=3600)
    fallbacks: list[str] = []
    tenants: list[str] = []


class _Embedder(_Keyed):
    kind: Literal["lexical", "openai", "onnx"] = "lexical"
    model: str = ""
    api_base: str = ""
    path: str = ""
    sha256: str = Field("", pattern=r"^([0-9a-f]{64})?$")
    tokenizer: str = ""


class _Index(_Strict):
    url: str = ""


class _File(_Strict):
    models: list[_Model] = []
    default: str = ""
    embedder: _Embedder = _Embedder()
    index: _Index = _Index()


def read_models_file(path: Path, read_variable: ReadVariable, *, is_wanted: bool = False) -> ModelsFile:
    """Read the file, if it is there. Raises InvalidArgument, naming what is wrong but no key."""
    document = read_yaml(path)
    if document is None and is_wanted:
        raise InvalidArgument(f"{path} is not there.", hint="Write it, or leave models.file out.")
    try:
        parsed = _File.model_validate(document or {})
    except ValidationError as error:
        raise InvalidArgument(f"{path}: {describe(error)}", hint="See docs/guides/models.md.") from None
    models = {item.name: _model(path, item, read_variable) for item in parsed.models}
    _check(path, parsed, models)
    embedder = parsed.embedder
    return ModelsFile(
        models=models,
        default=parsed.default,
        embedder=EmbedderConfig(
            key=_key(path, embedder, read_variable),
            **embedder.model_dump(exclude={"api_key", "api_key_env", "api_key_file"}),
        ),
        index_url=parsed.index.url,
    )


def private_hosts(file: ModelsFile) -> list[str]:
    """host:port of every address in the file: its operator says that they may be called."""
    places = [model.api_base for model in file.models.values()] + [file.embedder.api_base, file.index_url]
    parsed = [urlsplit(place) for place in places if place]
    return [f"{item.hostname}:{item.port}" if item.port else str(item.hostname) for item in parsed if item.hostname]


def check_provider(model: str) -> None:
    """Refuse a model whose provider is not known to keep to the client that it is given. Raises InvalidArgument."""
    provider, slash, name = model.partition("/")
    if not slash or not name or provider not in PROVIDERS:
        raise InvalidArgument(
            f"{model[:100]!r} names no known provider.",
            hint=f"Write provider/model with one of: {', '.join(sorted(PROVIDERS))}. "
            "A server that speaks OpenAI's protocol is openai/NAME with api_base.",
        )


def _check(path: Path, parsed: _File, models: dict[str, Model]) -> None:
    if len(models) < len(parsed.models):
        raise InvalidArgument(f"{path}: two models have the same name.")
    if NONE in models:
        raise InvalidArgument(f"{path}: a model can not be called {NONE!r}.")
    named = {name for item in parsed.models for name in item.fallbacks} | ({parsed.default} - {"", NONE})
    missing = sorted(named - set(models))
    if missing:
        raise InvalidArgument(f"{path}: no model is called {missing[0]!r}.", hint=f"There are: {', '.join(models)}.")


def _model(path: Path, said: _Model, read_variable: ReadVariable) -> Model:
    check_provider(said.model)
    key = _key(path, said, read_variable)
    return Model(
        name=said.name,
        model=said.model,
        api_base=said.api_base.rstrip("/"),
        key=key,
        has_key=bool(key),
        strength=said.strength,
        context_tokens=said.context_tokens,
        max_output_tokens=said.max_output_tokens,
        price=Price(**said.price.model_dump()),
        timeout_s=said.timeout_s,
        fallbacks=tuple(said.fallbacks),
        tenants=frozenset(said.tenants),
        is_of_file=True,
    )


def _key(path: Path, said: _Keyed, read_variable: ReadVariable) -> str:
    given = [name for name in ("api_key", "api_key_env", "api_key_file") if getattr(said, name)]
    if len(given) > 1:
        raise InvalidArgument(f"{path}: give one of {' and '.join(given)}.")
    key = said.api_key
    if said.api_key_env:
        key = read_variable(said.api_key_env) or ""
        if not key:
            raise InvalidArgument(f"{path}: the variable {said.api_key_env} is not set.")
    if said.api_key_file is not None:
        key = _read_key(said.api_key_file)
    if len(key) > MAX_KEY_CHARS or not key.isascii() or not (key.isprintable() or not key):
        raise InvalidArgument(f"{path}: a key has characters that can not be sent.")
    return key


def _read_key(path: Path) -> str:
    try:
        return path.read_text("utf-8").strip()
    except (OSError, UnicodeDecodeError):
        raise InvalidArgument(f"The key file {path} cannot be read.") from None
