"""Files behind the links of results, saved by the command line: `download-export --output FILE`."""

import asyncio
import json
import re
from collections.abc import Awaitable, Callable
from dataclasses import replace
from typing import Any
from urllib.parse import urlsplit

from api.cli import Answer, Options
from api.cli_live import Live
from core.errors import PlatformError, Timeout, Unavailable, error_from
from core.portable import file_link
from core.tool import Tool
from engine.egress.client import ANY_TYPE, EgressClient

OURS = re.compile(r"/v1/[a-z-]+/[^/]+/content(/[A-Z]+)?")
MAX_FILE_BYTES = 2**40
PATIENCE_S = 3600.0


def linked(tool: Tool, answer: Answer, options: Options) -> str:
    """The link to follow, or empty where there is none or nobody asked for its file."""
    name = file_link(tool.result)
    if name is None or not options.output or answer.result is None:
        return ""
    return str(answer.result.get(name) or "")


def is_ours(link: str) -> bool:
    """Whether a link leads to a Headwater, by whatever name, and not to its store of objects."""
    return bool(OURS.fullmatch(urlsplit(link).path))


async def save_from_app(app: Any, link: str, answer: Answer, options: Options) -> Answer:
    """Save a file that this process serves itself, past the same gate as over the wire."""
    parts = urlsplit(link)
    scope = {
        "type": "http",
        "asgi": {"version": "3.0"},
        "http_version": "1.1",
        "method": "GET",
        "scheme": "http",
        "path": parts.path,
        "raw_path": parts.path.encode(),
        "query_string": parts.query.encode(),
        "root_path": "",
        "headers": [(b"host", b"127.0.0.1")],
        "client": ("127.0.0.1", 0),
        "server": ("127.0.0.1", 80),
    }
    return await _saved(answer, options, lambda live: _read_app(app, scope, live))


async def _read_app(app: Any, scope: dict[str, Any], live: Live) -> int:
    status, size, refusal, is_whole = 0, 0, b"", False
    asked, left = iter([{"type": "http.request", "body": b"", "more_body": False}]), asyncio.Event()

    async def receive() -> dict[str, Any]:
        first = next(asked, None)
        if first is None:
            await left.wait()  # the client stays until it has everything
        return first or {"type": "http.disconnect"}

    async def send(message: dict[str, Any]) -> None:
        nonlocal status, size, refusal, is_whole
        if message["type"] == "http.response.start":
            status = message["status"]
            return
        body = message.get("body", b"")
        if status < 300:
            live.write(body)
            size += len(body)
        else:
            refusal += body
        is_whole = not message.get("more_body", False)

    await app(scope, receive, send)
    if status >= 300 or not is_whole:
        raise _refused(status, refusal)
    return size


async def save_from_server(client: EgressClient, server: str, link: str, answer: Answer, options: Options) -> Answer:
    """Save a file from where its link leads: the server that was called, by the name it was called by, or its store."""
    parts = urlsplit(link)
    url = f"{server.rstrip('/')}{parts.path}?{parts.query}" if is_ours(link) else link
    return await _saved(answer, options, lambda live: _read_server(client, url, live))


async def _read_server(client: EgressClient, url: str, live: Live) -> int:
    size = 0

    def take(chunk: bytes) -> None:
        nonlocal size
        live.write(chunk)
        size += len(chunk)

    found = await client.request("GET", url, max_bytes=MAX_FILE_BYTES, timeout_s=PATIENCE_S, sinks={ANY_TYPE: take})
    if found.status >= 300:
        raise _refused(found.status, found.body)
    return size


async def _saved(answer: Answer, options: Options, read: Callable[[Live], Awaitable[int]]) -> Answer:
    try:
        with Live(options) as live:
            live.write(b"")  # a file without bytes is a file too
            async with asyncio.timeout(options.timeout_s):
                size = await read(live)
    except TimeoutError:
        error = Timeout(f"No whole file within {options.timeout_s:g} s.", hint="Allow more with --call-timeout.")
        return replace(answer, result=None, error=error)
    except PlatformError as error:
        return replace(answer, result=None, error=error)
    return replace(answer, result={"file": options.output, "size_bytes": size})


def _refused(status: int, body: bytes) -> PlatformError:
    try:
        error = json.loads(body)["error"]
        return error_from(error["code"], error["message"], hint=error["hint"])
    except (ValueError, KeyError, TypeError):
        return Unavailable(f"The file could not be fetched (status {status}).", hint="Run the command again.")
