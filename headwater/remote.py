"""The command line against a server: the tool's REST route, through the one outbound client."""

import json
import secrets
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode, urlsplit

from api.cli import Answer, Options
from core.errors import InvalidArgument, PlatformError, error_from
from core.settings import EgressSettings
from core.tool import Route, Tool
from engine.egress.client import EgressClient, Response

MAX_ANSWER_BYTES = 256 * 2**20
SLACK_S = 5.0


async def call_server(server: str, token: str, tool: Tool, arguments: dict[str, Any], options: Options) -> Answer:
    """Run one tool on a server's REST face. The host that the person named may be private."""
    request_id = f"req_{secrets.token_hex(8)}"
    host = urlsplit(server).netloc
    egress = EgressClient(EgressSettings(allowed_private_hosts=[host]))
    try:
        answer = await _send(egress, server.rstrip("/"), token, tool, arguments, options, request_id)
        return _read(answer, options, request_id)
    except PlatformError as error:
        return Answer(request_id, error=error)
    finally:
        await egress.aclose()


async def _send(
    egress: EgressClient,
    server: str,
    token: str,
    tool: Tool,
    arguments: dict[str, Any],
    options: Options,
    request_id: str,
) -> Response:
    if not tool.routes:
        raise InvalidArgument(f"{tool.name} is served over MCP only.", hint="Leave --server out to run it here.")
    route, rest = tool.routes[0], dict(arguments)
    url = server + _path(route, rest)
    query: dict[str, Any] = {} if options.wait_s is None else {"wait_s": options.wait_s}
    is_query = route.method in ("GET", "DELETE")
    if is_query:
        query |= {name: _text(value) for name, value in rest.items() if value is not None}
    if query:
        url += "?" + urlencode(query, doseq=True)
    headers = {"x-request-id": request_id, "accept": "application/json, application/vnd.apache.arrow.stream"}
    if token:
        headers["authorization"] = f"Bearer {token}"
    if options.idempotency_key:
        headers["idempotency-key"] = options.idempotency_key
    if not is_query:
        headers["content-type"] = "application/json"
    body = b"" if is_query else json.dumps(rest).encode()
    timeout_s = (options.timeout_s or 60.0) + (options.wait_s or 0.0) + SLACK_S
    return await egress.request(
        route.method, url, body=body, headers=headers, max_bytes=MAX_ANSWER_BYTES, timeout_s=timeout_s
    )


def _path(route: Route, arguments: dict[str, Any]) -> str:
    path = route.path if route.at_root else f"/v1{route.path}"
    for name in route.parameters:
        if name not in arguments:
            raise InvalidArgument(f"{name} is missing.", hint=f"Give --{name.replace('_', '-')}.")
        path = path.replace(f"{{{name}}}", quote(str(arguments.pop(name)), safe=""))
    return path


def _text(value: Any) -> Any:
    if isinstance(value, bool):
        return json.dumps(value)
    return [_text(item) for item in value] if isinstance(value, list) else value


def _read(answer: Response, options: Options, request_id: str) -> Answer:
    if answer.headers.get("content-type", "").startswith("application/vnd.apache.arrow"):
        return _keep(answer.body, options, request_id)
    body: dict[str, Any] = answer.json() if answer.body else {}
    if answer.status < 400:
        return Answer(request_id, result=body)
    found = body.get("error", {})
    error = error_from(found.get("code", "INTERNAL"), found.get("message", ""), hint=found.get("hint", ""))
    return Answer(found.get("request_id", request_id), error=error)


def _keep(body: bytes, options: Options, request_id: str) -> Answer:
    if options.output is None:
        raise InvalidArgument("This tool streams bytes.", hint="Say where to with --output FILE.")
    Path(options.output).write_bytes(body)
    return Answer(request_id, result={"bytes_written": len(body), "file": options.output})
