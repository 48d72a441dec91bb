"""Language models: those that a tenant may use, and which of them answers where nobody names one."""

from datetime import UTC, datetime
from decimal import Decimal
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.models.model import PROVIDERS
from engine.models.model import Model as Stored
from engine.models.models import ModelDraft

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.:-]{0,63}$"
KEY = r"^[!-~]*$"
URL = r"^(https?://[!-~]+)?$"
PROVIDER_MODEL = rf"^({'|'.join(sorted(PROVIDERS))})/[!-~]+$"
MODEL = "provider/model, for example `anthropic/claude-sonnet-4-5`; a server with OpenAI's protocol is `openai/NAME`."
API_BASE = "Base URL where the model is not at its provider's own address."
API_KEY = "Key; it is sealed, never shown, and sent to this model's address alone."
STRENGTH = "small: one structured answer at a time; strong: loops of tool calls."
TOKENS_IN = "Tokens of its context window."
TOKENS_OUT = "Tokens that one answer may have."
PRICE_IN = "USD for a million tokens read."
PRICE_OUT = "USD for a million tokens written."
TIMEOUT = "Seconds that one answer may take."
FALLBACKS = "Names of models to ask, in order, when this one does not answer."
VERSION = "The version that you read: if it has changed since, nothing is done and CONFLICT is answered."
MOST_USD, PLACES = 10**6, 9


class ListModels(Paged):
    """Which page."""


class ModelRef(Model):
    """Which model."""

    name: Annotated[str, Refers("model")] = Field(max_length=64, description="Name; list_models shows it.")


class CreateModel(Model):
    """A model of the tenant's own."""

    name: str = Field(pattern=NAME, description="Name that agents and callers use.")
    model: str = Field(pattern=PROVIDER_MODEL, max_length=255, description=MODEL)
    api_base: str = Field("", pattern=URL, max_length=2000, description=API_BASE)
    api_key: str = Field("", pattern=KEY, max_length=4096, description=API_KEY)
    strength: Literal["small", "strong"] = Field("small", description=STRENGTH)
    context_tokens: int = Field(8192, ge=512, le=10**8, description=TOKENS_IN)
    max_output_tokens: int = Field(1024, ge=1, le=10**7, description=TOKENS_OUT)
    input_usd_per_million: Decimal = Field(Decimal(0), ge=0, le=MOST_USD, decimal_places=PLACES, description=PRICE_IN)
    output_usd_per_million: Decimal = Field(Decimal(0), ge=0, le=MOST_USD, decimal_places=PLACES, description=PRICE_OUT)
    timeout_s: float = Field(60.0, gt=0, le=3600, description=TIMEOUT)
    fallbacks: list[str] = Field([], max_length=5, description=FALLBACKS)


class UpdateModel(ModelRef):
    """What to change; fields left out, or null, stay as they are."""

    model: str | None = Field(None, pattern=PROVIDER_MODEL, max_length=255, description=MODEL)
    api_base: str | None = Field(None, pattern=URL, max_length=2000, description=API_BASE)
    api_key: str | None = Field(None, pattern=KEY, max_length=4096, description=API_KEY + " Empty drops it.")
    strength: Literal["small", "strong"] | None = Field(None, description=STRENGTH)
    context_tokens: int | None = Field(None, ge=512, le=10**8, description=TOKENS_IN)
    max_output_tokens: int | None = Field(None, ge=1, le=10**7, description=TOKENS_OUT)
    input_usd_per_million: Decimal | None = Field(None, ge=0, le=MOST_USD, decimal_places=PLACES, description=PRICE_IN)
    output_usd_per_million: Decimal | None = Field(
        None, ge=0, le=MOST_USD, decimal_places=PLACES, description=PRICE_OUT
    )
    timeout_s: float | None = Field(None, gt=0, le=3600, description=TIMEOUT)
    fallbacks: list[str] | None = Field(None, max_length=5, description=FALLBACKS)
    version: int | None = Field(None, ge=1, description=VERSION)


class SetDefaultModel(Model):
    """Which model answers where nobody names one."""

    name: str = Field(
        "", max_length=64, description="Name of a model; `none`: answer without one; empty: the installation's default."
    )


class LanguageModel(Model):
    """A model that the tenant may use."""

    name: str = Field(description="Name that agents and callers use.")
    model: str = Field(description=MODEL)
    api_base: str = Field(description=API_BASE)
    has_key: bool = Field(description="Whether a key is kept for it.")
    strength: Literal["small", "strong"] = Field(description=STRENGTH)
    context_tokens: int = Field(description=TOKENS_IN)
    max_output_tokens: int = Field(description=TOKENS_OUT)
    input_usd_per_million: Decimal = Field(description=PRICE_IN)
    output_usd_per_million: Decimal = Field(description=PRICE_OUT)
    timeout_s: float = Field(description=TIMEOUT)
    fallbacks: list[str] = Field(description=FALLBACKS)
    source: Literal["installation", "tenant"] = Field(description="Who keeps it.")
    is_default: bool = Field(description="Whether it answers where nobody names a model.")
    version: int = Field(description="Raised by every change.")
    created_at: datetime | None = Field(description="When it was made (UTC); null for the installation's.")
    updated_at: datetime | None = Field(description="When it was last changed (UTC).")


class LanguageModelList(Listing):
    """A page of models."""

    models: list[LanguageModel] = Field(description="The models, by name.")
    items: list[LanguageModel] = Field(description="The same list.")


class DefaultModel(Model):
    """What answers where nobody names a model."""

    name: str = Field(description="Its name; empty: the planner answers, without a model.")


@tool("GET /llm/models", needs="agents.read", effect="read")
async def list_models(ctx: Ctx, request: ListModels) -> LanguageModelList:
    """List the language models that your tenant may use: its own and the installation's."""
    found = await ctx.engine.models.all(ctx.principal)
    window = ctx.engine.pages.window("list_models", request, ctx.principal)
    default = await ctx.engine.models.default(ctx.principal)
    shown = [_show(model, default) for model in found[window.offset : window.offset + window.size]]
    return LanguageModelList(
        models=shown,
        items=shown,
        total_count=len(found),
        next_page_token=ctx.engine.pages.next_token("list_models", request, ctx.principal, window, len(found)),
    )


@tool("GET /llm/models/{name}", needs="agents.read", effect="read")
async def get_model(ctx: Ctx, request: ModelRef) -> LanguageModel:
    """Show one language model: where it is, what it can, what it costs. Keys are never shown."""
    found = await ctx.engine.models.get(ctx.principal, request.name)
    return _show(found, await ctx.engine.models.default(ctx.principal))


@tool("POST /llm/models", needs="tenant.manage", effect="write", status=201, location="/llm/models/{name}")
async def create_model(ctx: Ctx, request: CreateModel) -> LanguageModel:
    """Give your tenant a language model: hosted, or at any URL with OpenAI's protocol.

    Nothing is asked of it yet. set_default_model makes it answer; agents may name it."""
    made = await ctx.engine.models.create(ctx.principal, request.name, _draft(request))
    return _show(made, await ctx.engine.models.default(ctx.principal))


@tool("PATCH /llm/models/{name}", "PUT /llm/models/{name}", needs="tenant.manage", effect="write")
async def update_model(ctx: Ctx, request: UpdateModel) -> LanguageModel:
    """Change a language model of your tenant's. A stored key does not follow to another address."""
    models = ctx.engine.models
    changed = await models.update(ctx.principal, request.name, _draft(request), version=request.version)
    return _show(changed, await models.default(ctx.principal))


@tool("DELETE /llm/models/{name}", needs="tenant.manage", effect="destroy", status=204)
async def delete_model(ctx: Ctx, request: ModelRef) -> Empty:
    """Remove a language model of your tenant's, with its key."""
    await ctx.engine.models.delete(ctx.principal, request.name)
    return Empty()


@tool("PUT /llm/default", needs="tenant.manage", effect="write")
async def set_default_model(ctx: Ctx, request: SetDefaultModel) -> DefaultModel:
    """Choose the language model that answers in your tenant where nobody names one, or none."""
    return DefaultModel(name=await ctx.engine.models.choose(ctx.principal, request.name))


def _draft(request: CreateModel | UpdateModel) -> ModelDraft:
    given = request.model_dump(exclude={"name", "version"})
    fallbacks = given.pop("fallbacks")
    return ModelDraft(**given, fallbacks=None if fallbacks is None else tuple(fallbacks))


def _show(model: Stored, default: str) -> LanguageModel:
    return LanguageModel(
        name=model.name,
        model=model.model,
        api_base="" if model.is_of_file else model.api_base,
        has_key=model.has_key,
        strength=model.strength,
        context_tokens=model.context_tokens,
        max_output_tokens=model.max_output_tokens,
        input_usd_per_million=model.price.input_usd_per_million,
        output_usd_per_million=model.price.output_usd_per_million,
        timeout_s=model.timeout_s,
        fallbacks=list(model.fallbacks),
        source="installation" if model.is_of_file else "tenant",
        is_default=model.name == default,
        version=model.version,
        created_at=_time(model.created_at),
        updated_at=_time(model.updated_at),
    )


def _time(seconds: float) -> datetime | None:
    return datetime.fromtimestamp(seconds, UTC) if seconds else None
