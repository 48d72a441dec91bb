"""The command line against a server: the tool's REST route, through the one outbound client."""

import asyncio
import json
import secrets
from dataclasses import dataclass
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from pydantic_core import PydanticUndefined

from api.cli import Answer, Options
from api.cli_live import Live
from api.streams import ARROW, ARROW_FIELD, SSE
from core.errors import InvalidArgument, PlatformError, Timeout, Unauthenticated, Unavailable, error_from
from core.jobs import Progress
from core.settings import EgressSettings
from core.tool import Route, Tool
from engine.egress.client import EgressClient, Response
from headwater.saving import linked, save_from_server

MAX_ANSWER_BYTES = 2**40  # a stream goes to a file, and what is no stream is bounded by the server
PATIENCE_S = 600.0


@dataclass(frozen=True, slots=True)
class Server:
    """The REST face to call, and as whom. Its host may be private, for the person named it."""

    url: str
    token: str
    egress: EgressSettings

    async def call(self, tool: Tool, arguments: dict[str, Any], options: Options) -> Answer:
        """Run one tool there."""
        request_id = f"req_{secrets.token_hex(8)}"
        host = urlsplit(self.url).netloc
        client = EgressClient(self.egress.model_copy(update={"allowed_private_hosts": [host]}))
        try:
            sent = _request(tool, arguments, options)
            with Live(options) as live:
                result = await self._exchange(client, sent, request_id, options, live)
            answer = Answer(request_id, result=result)
            link = linked(tool, answer, options)
            return await save_from_server(client, self.url, link, answer, options) if link else answer
        except PlatformError as error:
            if isinstance(error, Unauthenticated) and not self.token:
                error.hint = f"Sign in: `headwater login --server {self.url}`. Or give --token."
            return Answer(request_id, error=error)
        finally:
            await client.aclose()

    async def _exchange(
        self, client: EgressClient, sent: "_Request", request_id: str, options: Options, live: Live
    ) -> dict[str, Any]:
        received = _Received(live)
        headers = {**sent.headers, "x-request-id": request_id}
        if self.token:
            headers["authorization"] = f"Bearer {self.token}"
        try:
            async with asyncio.timeout(options.timeout_s):
                answer = await client.request(
                    sent.method,
                    self.url.rstrip("/") + sent.path,
                    body=sent.body,
                    headers=headers,
                    max_bytes=MAX_ANSWER_BYTES,
                    timeout_s=PATIENCE_S + (options.wait_s or 0.0),
                    sinks={ARROW: received.rows, SSE: received.events},
                )
        except TimeoutError:
            raise Timeout(
                f"No answer within {options.timeout_s:g} s.", hint="Allow more with --call-timeout."
            ) from None
        except (InvalidArgument, Unavailable) as error:
            hint = "Check --server, for example http://127.0.0.1:8000, and that `headwater serve` runs there."
            raise Unavailable(f"{self.url} cannot be called: {error.message}", hint=hint) from error
        return received.result(answer, options, sent.sole_list)


@dataclass(frozen=True, slots=True)
class _Request:
    method: str
    path: str
    headers: dict[str, str]
    body: bytes
    sole_list: str


def _request(tool: Tool, arguments: dict[str, Any], options: Options) -> _Request:
    if not tool.routes:
        raise InvalidArgument(f"{tool.name} is served over MCP only.", hint="Leave --server out to run it here.")
    route, rest = _route(tool, arguments), dict(arguments)
    path = _path(tool, route, rest)
    query: dict[str, Any] = {"wait_s": options.wait_s} if tool.job and options.wait_s is not None else {}
    is_query = route.method in ("GET", "DELETE")
    if is_query:
        query |= {name: _text(value) for name, value in rest.items() if value is not None}
    headers = {"accept": _accepted(tool)}
    if options.idempotency_key:
        headers["idempotency-key"] = options.idempotency_key
    if not is_query:
        headers["content-type"] = "application/json"
    body = b"" if is_query else json.dumps(rest).encode()
    return _Request(
        route.method, f"{path}?{urlencode(query, doseq=True)}" if query else path, headers, body, tool.result.sole_list
    )


def _accepted(tool: Tool) -> str:
    if tool.emits is None:
        return "application/json"
    stream = ARROW if ARROW_FIELD in tool.emits.model_fields else SSE
    return f"application/json, {stream}"


def _route(tool: Tool, arguments: dict[str, Any]) -> Route:
    """The first address all of whose parameters are known: `GET /tenant` where no tenant is named."""

    def is_known(name: str) -> bool:
        return arguments.get(name, tool.request.model_fields[name].default) not in (None, "", PydanticUndefined)

    return next((route for route in tool.routes if all(map(is_known, route.parameters))), tool.routes[0])


def _path(tool: Tool, route: Route, arguments: dict[str, Any]) -> str:
    path = route.path if route.at_root else f"/v1{route.path}"
    for name in route.parameters:
        field = tool.request.model_fields[name]
        if name not in arguments and field.is_required():
            raise InvalidArgument(f"{name} is missing.", hint=f"Give --{name.replace('_', '-')}.")
        value = arguments.pop(name, field.default)
        path = path.replace(f"{{{name}}}", quote(str(value), safe=""))
    return path


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return json.dumps(value)
    return [_text(item) for item in value] if isinstance(value, list) else value


class _Received:
    """An answer as it comes: rows to the file, events to the screen, and what is left of it as the result."""

    def __init__(self, live: Live):
        self._live = live
        self._size = 0
        self._pending = b""
        self._last: dict[str, Any] | None = None

    def rows(self, chunk: bytes) -> None:
        self._size += len(chunk)
        self._live.write(chunk)

    def events(self, chunk: bytes) -> None:
        *whole, self._pending = (self._pending + chunk).split(b"\n\n")
        for event in whole:
            fields = dict(line.split(": ", 1) for line in event.decode().splitlines() if ": " in line[1:])
            if "data" in fields:
                self._take(fields.get("event", ""), json.loads(fields["data"]))

    def _take(self, name: str, data: dict[str, Any]) -> None:
        if name in ("result", "error", "job"):
            self._last = data
        elif name == "progress":
            self._live.show(Progress.model_validate(data))
        else:
            self._live.show(data)

    def result(self, answer: Response, options: Options, sole: str = "") -> dict[str, Any]:
        """The tool's result. Raises the error that the server answered with."""
        if self._size:
            return {"file": options.output, "size_bytes": self._size}
        body = self._last if self._last is not None else _json(answer, sole)
        if answer.status < 400 and set(body) != {"error"}:
            return body
        found = body.get("error") if isinstance(body.get("error"), dict) else None
        if found is None:
            raise Unavailable(f"{answer.url} answered with status {answer.status}.", hint="Is --server the REST face?")
        raise error_from(found.get("code", ""), found.get("message", ""), hint=found.get("hint", ""))


def _json(answer: Response, sole: str = "") -> dict[str, Any]:
    body: Any = json.loads(answer.body) if answer.headers.get("content-type", "").startswith("application/json") else {}
    if sole and isinstance(body, list):
        return {sole: body}
    return body if isinstance(body, dict) else {}
