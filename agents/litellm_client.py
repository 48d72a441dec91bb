"""litellm, tamed: loaded on the first call, silent, and with no way out but our outbound client's."""

import asyncio
import json
import logging
import math
import threading
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any
from weakref import WeakKeyDictionary

from core.errors import PlatformError, Unavailable
from engine.egress.client import EgressClient
from engine.models.model import OPENAI_LIKE, Model

if TYPE_CHECKING:
    from types import ModuleType

log = logging.getLogger("headwater.models")

NO_KEY = "none"  # without one litellm would take a key of the operator's environment
MAX_CLIENTS = 64
BASE_BYTES = 2**20
BYTES_PER_TOKEN, STREAM_BYTES_PER_TOKEN = 64, 2048
RETRIED = frozenset({408, 409, 425, 429, 500, 502, 503, 504, 529})
_loading = threading.Lock()
_clients: "WeakKeyDictionary[EgressClient, dict[tuple[str, ...], Any]]" = WeakKeyDictionary()


class ModelUnavailable(Unavailable):
    """No model answers: none is set, or none of those that are."""


class ModelFailed(ModelUnavailable):
    """One call failed; `may_retry` when the same call may do better."""

    def __init__(self, message: str, *, hint: str = "", may_retry: bool = False, retry_after_s: float | None = None):
        super().__init__(message, hint=hint, retry_after_s=retry_after_s)
        self.may_retry = may_retry


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A native call of a tool, as the model wrote it; `arguments` may be no JSON at all."""

    id: str
    name: str
    arguments: str


@dataclass(slots=True)
class Said:
    """What a model has said so far."""

    text: str = ""
    calls: dict[int, list[str]] = field(default_factory=dict)  # id, name, arguments by place
    finish_reason: str = ""
    tokens_in: int = 0
    tokens_out: int = 0

    @property
    def tool_calls(self) -> tuple[ToolCall, ...]:
        return tuple(ToolCall(*self.calls[at]) for at in sorted(self.calls))


Hear = Callable[[str], Awaitable[None]]


@dataclass(frozen=True, slots=True)
class Wanted:
    """One call as it goes out."""

    messages: Sequence[Mapping[str, Any]]
    max_tokens: int
    temperature: float
    schema: Mapping[str, Any] | None = None
    tools: Sequence[Mapping[str, Any]] = ()
    hear: Hear | None = None  # given: the answer is streamed


async def load_litellm() -> None:
    """Have litellm at hand: the first time takes seconds, which are no model's."""
    await asyncio.to_thread(_load)


async def call_model(model: Model, wanted: Wanted, egress: EgressClient) -> Said:
    """Ask a model once. Raises ModelFailed; nothing of its text or of the key is in the error."""
    litellm = _load()
    arguments = _arguments(model, wanted)
    try:
        arguments["client"] = _client(litellm, model, wanted, egress)
        answer = await litellm.acompletion(**arguments)
        return await _heard(answer, wanted.hear) if wanted.hear is not None else _whole(answer)
    except PlatformError:
        raise
    except asyncio.CancelledError:
        raise
    except Exception as error:  # litellm and its providers raise anything; it becomes one of ours here
        raise _failure(error) from None


def list_price(model: Model, tokens_in: int, tokens_out: int) -> int:
    """Nano-dollars of a call: at the model's own price, or for a hosted one without, at litellm's list price."""
    if model.price.input_usd_per_million or model.price.output_usd_per_million or model.api_base:
        return model.price.nano(tokens_in, tokens_out)
    litellm = _load()
    with suppress(Exception):  # a model that the list does not know raises whatever it likes
        prices = litellm.cost_per_token(model=model.model, prompt_tokens=tokens_in, completion_tokens=tokens_out)
        return max(0, math.ceil(float(sum(prices)) * 1e9))
    return 0


def _load() -> "ModuleType":
    with _loading:
        import litellm  # lazily: 5 s of CPU and 150 MB
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        from engine.egress.transport import NoTransport, dead_client

        if litellm.aclient_session is None:
            litellm.suppress_debug_info = True
            litellm.turn_off_message_logging = True
            litellm.drop_params = True
            litellm.callbacks = []
            for name in ("LiteLLM", "LiteLLM Router", "LiteLLM Proxy", "openai", "httpx"):
                logging.getLogger(name).setLevel(logging.CRITICAL + 1)  # their lines may hold keys and prompts
            # Whatever is not called with our client has no way out.
            AsyncHTTPHandler.create_async_transport = staticmethod(lambda *_, **__: NoTransport())  # type: ignore[method-assign, assignment]
            litellm.aclient_session = dead_client()
    return litellm


def _arguments(model: Model, wanted: Wanted) -> dict[str, Any]:
    arguments: dict[str, Any] = {
        "model": model.model,
        "messages": [dict(message) for message in wanted.messages],
        "api_key": model.key or NO_KEY,
        "max_tokens": wanted.max_tokens,
        "temperature": wanted.temperature,
        "timeout": model.timeout_s,
        "max_retries": 0,
        "num_retries": 0,
        "_skip_mcp_handler": True,
    }
    if model.api_base:
        arguments["api_base"] = model.api_base
    if wanted.schema is not None:
        shape = {"name": "answer", "schema": dict(wanted.schema), "strict": True}
        arguments["response_format"] = {"type": "json_schema", "json_schema": shape}
    if wanted.tools:
        arguments["tools"] = [dict(tool) for tool in wanted.tools]
    if wanted.hear is not None:
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
    return arguments


def _client(litellm: "ModuleType", model: Model, wanted: Wanted, egress: EgressClient) -> Any:
    """The client that carries a call: OpenAI's or litellm's own, either over our transport."""
    per_token = STREAM_BYTES_PER_TOKEN if wanted.hear is not None else BYTES_PER_TOKEN
    max_bytes = BASE_BYTES + per_token * wanted.max_tokens
    kept = _clients.setdefault(egress, {})
    key = (model.model, model.api_base, model.key, str(max_bytes))
    if key not in kept:
        if len(kept) >= MAX_CLIENTS:
            kept.clear()
        kept[key] = _new_client(litellm, model, egress, max_bytes)
    return kept[key]


def _new_client(litellm: "ModuleType", model: Model, egress: EgressClient, max_bytes: int) -> Any:
    from engine.egress.transport import EgressTransport, new_client

    transport = EgressTransport(egress, lane="models", max_bytes=max_bytes)
    if model.provider not in OPENAI_LIKE:
        from litellm.llms.custom_httpx.http_handler import AsyncHTTPHandler

        return AsyncHTTPHandler(transport=transport, timeout=model.timeout_s, follow_redirects=False)
    import openai

    base = model.api_base or litellm.get_llm_provider(model.model)[3]
    http = new_client(transport, timeout_s=model.timeout_s)
    return openai.AsyncOpenAI(api_key=model.key or NO_KEY, base_url=base, http_client=http, max_retries=0)


def _whole(answer: Any) -> Said:
    said = Said()
    if not answer.choices:
        raise ModelFailed("The model's server answers nothing.", may_retry=True)
    choice = answer.choices[0]
    said.text = str(choice.message.content or "")
    said.finish_reason = str(choice.finish_reason or "")
    for at, call in enumerate(choice.message.tool_calls or ()):
        said.calls[at] = [str(call.id or f"call_{at}"), str(call.function.name or ""), call.function.arguments or ""]
    _count(said, getattr(answer, "usage", None))
    return said


async def _heard(answer: Any, hear: Hear) -> Said:
    said, chunks = Said(), aiter(answer)
    try:
        async for chunk in chunks:
            _count(said, getattr(chunk, "usage", None))
            for choice in chunk.choices[:1]:
                said.finish_reason = str(choice.finish_reason or said.finish_reason)
                _gather(said, choice.delta)
                text = str(choice.delta.content or "")
                if text:
                    said.text += text
                    await hear(text)
    finally:
        await _close(answer)
    if not (said.text or said.calls or said.tokens_out):  # litellm ends also a stream in which nothing came
        raise ModelFailed("The model's server answers nothing.", may_retry=True)
    return said


async def _close(answer: AsyncIterator[Any]) -> None:
    close = getattr(answer, "aclose", None)
    if close is not None:
        with suppress(Exception):  # it is over in any case
            await close()


def _gather(said: Said, delta: Any) -> None:
    for call in getattr(delta, "tool_calls", None) or ():
        at = int(call.index or 0)
        kept = said.calls.setdefault(at, [f"call_{at}", "", ""])
        kept[0] = str(call.id or kept[0])
        kept[1] += str(call.function.name or "")
        kept[2] += str(call.function.arguments or "")


def _count(said: Said, usage: Any) -> None:
    """What the server says that it used; believed within bounds later on."""
    for name, mine in (("prompt_tokens", "tokens_in"), ("completion_tokens", "tokens_out")):
        value = getattr(usage, name, None)
        if isinstance(value, int) and value > 0:
            setattr(said, mine, value)


def _failure(error: BaseException) -> ModelFailed:
    """What a foreign error means; its own words may hold a key or an address, so they are left out."""
    for cause in _causes(error):
        if isinstance(cause, PlatformError):
            is_final = cause.code in ("INVALID_ARGUMENT", "CONFLICT") or "larger than" in cause.message
            return ModelFailed(cause.message, hint=cause.hint, may_retry=not is_final)
    status = next((int(code) for cause in _causes(error) if (code := _status(cause))), 0)
    log.info("a model failed: %s", json.dumps({"type": type(error).__qualname__, "status": status}))
    if status in (401, 403):
        return ModelFailed("The model's server refuses the key.", hint="An administrator sets it with update_model.")
    if status == 404 and any(_is_not_recorded(cause) for cause in _causes(error)):
        return ModelFailed("This answer has not been recorded.", hint="`headwater evals replay --of URL` records it.")
    if status == 404:
        return ModelFailed("The model's server does not know this model.", hint="Check its name and api_base.")
    if status in (400, 413, 422):
        return ModelFailed("The model refuses the request.", hint="It may be too long for it; ask for less.")
    if status == 429:
        after_s = next((value for cause in _causes(error) if (value := _retry_after(cause))), None)
        return ModelFailed("The model's server is busy.", hint="Retry later.", may_retry=True, retry_after_s=after_s)
    return ModelFailed(
        "The model does not answer as it should.", hint="Retry later.", may_retry=status in RETRIED or not status
    )


def _causes(error: BaseException | None) -> list[BaseException]:
    found: list[BaseException] = []
    while error is not None and len(found) < 20:
        found.append(error)
        error = error.__cause__ or error.__context__
    return found


def _status(error: BaseException) -> int:
    """The HTTP status of an answer; what litellm makes up for a broken one is none."""
    response = getattr(error, "response", None)
    for value in (getattr(response, "status_code", None), getattr(error, "status_code", None)):
        if isinstance(value, int) and 400 <= value < 600:
            return value
    return 0


def _is_not_recorded(error: BaseException) -> bool:
    """Whether a replay of recordings answered, which has no model behind it."""
    headers = getattr(getattr(error, "response", None), "headers", None)
    return headers is not None and "x-not-recorded" in headers


def _retry_after(error: BaseException) -> float | None:
    headers = getattr(getattr(error, "response", None), "headers", None)
    try:
        return min(60.0, max(0.0, float(headers["retry-after"]))) if headers is not None else None
    except (KeyError, ValueError, TypeError):
        return None
