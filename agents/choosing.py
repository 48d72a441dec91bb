"""Which model answers: one that an administrator has listed, or none."""

from collections.abc import Sequence

from agents.models import find_model
from core.errors import NotFound, Unauthorized
from engine.context import Ctx
from engine.models.model import NONE, Model


async def choose_model(ctx: Ctx, *, provider: str, model: str, api_base: str, usual: str) -> tuple[Model | None, str]:
    """The model that is asked for among those listed, else the agent's, else the tenant's; None: the planner answers.

    With it what the person should know. Raises NotFound, and Unauthorized for an address that nobody listed."""
    if not (provider or model or api_base):
        return await find_model(ctx, usual), ""
    if model == NONE:
        return None, ""
    listed = await ctx.engine.models.all(ctx.principal)
    fitting = [item for item in listed if _is_meant(item, provider, model)]
    if api_base:
        fitting = [item for item in fitting if item.api_base.rstrip("/") == api_base.rstrip("/")]
        if not fitting:
            raise Unauthorized(
                "Models are asked only where an administrator has listed them.", hint="list_models shows them."
            )
    if fitting:
        meant = next((item for item in fitting if item.name == model), fitting[0])
        return await find_model(ctx, meant.name), ""
    if listed:
        raise NotFound(f"No model {(model or provider)[:80]!r} is listed.", hint=_names(listed))
    return None, f"The model {(model or provider)[:80]!r} is not listed here."


def _is_meant(listed: Model, provider: str, model: str) -> bool:
    short = listed.model.partition("/")[2]
    is_named = not model or model in (listed.name, listed.model, short)
    return is_named and (not provider or listed.provider.startswith(provider) or model in (listed.name, listed.model))


def _names(listed: Sequence[Model]) -> str:
    return f"There are: {', '.join(item.name for item in listed[:20])}."
