"""OpenAI's `/v1/chat/completions` and `/v1/models`: a foreign protocol's requests and errors around the chat tools."""

import json
import re
import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field, ValidationError
from starlette.requests import Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from api.errors import MethodNotAllowed, error_headers, request_id_of, status_of
from api.openai_streams import completion_stream
from api.openai_wire import completion, error_document
from api.rest_calls import read_all
from core.callers import bearer, watched
from core.context import Principal
from core.dispatch import Call, Dispatcher
from core.errors import InvalidArgument, NotFound, PlatformError

FACE = "openai"
OWN = "headwater"
WORKFLOWS = ("nl2sql", "fixed", "reflection", "metric_to_sql")
MAX_MESSAGES = 200
_NO_STORE = {"cache-control": "no-store"}
_WAITS = re.compile(r"\(approval (ask_[0-9a-f]{24,32})\)\s*$")


class _Part(BaseModel):
    """A piece of a message."""

    model_config = ConfigDict(extra="ignore")
    type: Literal["text"]
    text: str


class _Said(BaseModel):
    """One message."""

    model_config = ConfigDict(extra="ignore")
    role: Literal["system", "developer", "user", "assistant"]
    content: str | list[_Part] | None = None

    @property
    def text(self) -> str:
        return self.content if isinstance(self.content, str) else "".join(part.text for part in self.content or ())


class _StreamOptions(BaseModel):
    model_config = ConfigDict(extra="ignore")
    include_usage: bool = False


class _Format(BaseModel):
    model_config = ConfigDict(extra="ignore")
    type: Literal["text"]


class _Wanted(BaseModel):
    """What of a request is read. Sampling is the platform's own affair; what would change the answer is refused."""

    model_config = ConfigDict(extra="ignore")
    model: str = Field(min_length=1, max_length=128)
    messages: list[_Said] = Field(min_length=1, max_length=MAX_MESSAGES)
    stream: bool | None = False
    stream_options: _StreamOptions | None = None
    n: Literal[1] | None = 1
    tools: list[Any] | None = Field(None, max_length=0)
    functions: list[Any] | None = Field(None, max_length=0)
    response_format: _Format | None = None


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as a call of one of our tools."""

    tool: str
    arguments: Mapping[str, Any]
    model: str
    is_stream: bool = False
    has_usage: bool = False
    created: int = field(default_factory=lambda: int(time.time()))


def openai_routes(dispatcher: Dispatcher[Any]) -> list[BaseRoute]:
    """The routes. Models are the chat, the tenant's own agents and the workflows."""

    async def complete(request: Request) -> Response:
        try:
            by = await _sign_in(dispatcher, request)
            asked = read_request(await read_all(request.receive) or b"")
            call = Call(asked.tool, asked.arguments, FACE, request_id_of(request.scope), principal=by)
            if asked.is_stream:
                return await completion_stream(dispatcher, call, asked)
            async with watched(request.receive, call):
                result = await dispatcher.call(call)
            return _json(completion(asked.model, asked.created, result))
        except PlatformError as error:
            return _refusal(error, request)

    async def models(request: Request) -> Response:
        try:
            found = await list_models(dispatcher, await _sign_in(dispatcher, request), request_id_of(request.scope))
            return _json({"object": "list", "data": found})
        except PlatformError as error:
            return _refusal(error, request)

    async def model(request: Request) -> Response:
        try:
            name = request.path_params["model"]
            found = await list_models(dispatcher, await _sign_in(dispatcher, request), request_id_of(request.scope))
            one = next((item for item in found if item["id"] == name), None)
            if one is None:
                raise no_model(name)
            return _json(one)
        except PlatformError as error:
            return _refusal(error, request)

    async def other(request: Request) -> Response:
        is_chat = request.url.path.endswith("/completions")
        return _refusal(MethodNotAllowed(request.method, ["POST" if is_chat else "GET"]), request)

    others = ["POST", "PUT", "PATCH", "DELETE"]
    return [
        Route("/v1/chat/completions", complete, methods=["POST"]),
        Route("/v1/chat/completions", other, methods=["GET", "PUT", "PATCH", "DELETE"]),
        Route("/v1/models", models, methods=["GET"]),
        Route("/v1/models", other, methods=others),
        Route("/v1/models/{model:path}", model, methods=["GET"]),
        Route("/v1/models/{model:path}", other, methods=others),
    ]


def read_request(body: bytes) -> Asked:
    """The call that a request stands for. Raises InvalidArgument, NotFound."""
    try:
        wanted = _Wanted.model_validate(json.loads(body or b"null"))
    except (ValueError, RecursionError) as error:
        raise InvalidArgument(_explained(error), hint="Send model and messages, as text; see docs/guides.") from None
    *earlier, last = wanted.messages
    if last.role != "user" or not last.text:
        raise InvalidArgument("The last message is no user's text.", hint="End messages with one of role user.")
    tool, arguments = _tool_of(wanted.model, last.text)
    if tool != "run_workflow":
        arguments |= {"messages": [_earlier(item) for item in earlier], "keep": False}
        waits = _WAITS.search(earlier[-1].text) if earlier and earlier[-1].role == "assistant" else None
        arguments |= {"approval_id": waits[1]} if waits else {}
    has_usage = wanted.stream_options is not None and wanted.stream_options.include_usage
    return Asked(tool, arguments, wanted.model, bool(wanted.stream), has_usage)


def _tool_of(model: str, text: str) -> tuple[str, dict[str, Any]]:
    if model == OWN:
        return "chat", {"prompt": text}
    place, _, name = model.removeprefix(f"{OWN}/").partition("/")
    if not model.startswith(f"{OWN}/") or not place:
        raise no_model(model)
    if place == "workflows":
        if name not in WORKFLOWS:
            raise no_model(model)
        return "run_workflow", {"workflow": name, "task": text}
    if name:
        raise no_model(model)
    return "run_agent", {"agent_id": place, "message": text}


def _earlier(said: _Said) -> dict[str, str]:
    return {"role": "system" if said.role == "developer" else said.role, "content": said.text}


async def list_models(dispatcher: Dispatcher[Any], by: Principal, request_id: str) -> list[dict[str, Any]]:
    """What the caller may talk with."""
    permitted = {tool.name for tool in dispatcher.tools_for(by)}
    names = [OWN] if "chat" in permitted else []
    if "run_workflow" in permitted:
        names += [f"{OWN}/workflows/{name}" for name in WORKFLOWS]
    if {"run_agent", "list_agents"} <= permitted:
        call = Call("list_agents", {"limit": 1000}, FACE, request_id, principal=by)
        listed: Any = await dispatcher.call(call)
        names += [f"{OWN}/{item.id}" for item in listed.agents if not item.protocol and item.status == "active"]
    return [{"id": name, "object": "model", "created": 0, "owned_by": OWN} for name in names]


async def _sign_in(dispatcher: Dispatcher[Any], request: Request) -> Principal:
    return await dispatcher.authenticate(bearer(request.headers.get("authorization", "")), "rest")


def no_model(name: str) -> NotFound:
    return NotFound(f"No model {name[:80]!r}.", hint="GET /v1/models lists those that you may talk with.")


def _explained(error: Exception) -> str:
    if not isinstance(error, ValidationError):
        return "The body is no JSON."
    first = error.errors(include_url=False, include_input=False)[0]
    where = ".".join(str(item) for item in first["loc"]) or "body"
    return f"{where[:100]}: {first['msg']}."


def _json(document: Mapping[str, Any]) -> Response:
    return Response(json.dumps(document, ensure_ascii=False, default=str), 200, _NO_STORE, "application/json")


def _refusal(error: PlatformError, request: Request) -> Response:
    token_was_sent = "authorization" in request.headers
    headers = {name.decode(): value.decode() for name, value in error_headers(error, token_was_sent=token_was_sent)}
    body = json.dumps(error_document(error, request_id_of(request.scope)))
    return Response(body, status_of(error), {**headers, **_NO_STORE}, "application/json")
