"""Agents whose answers a test writes itself, byte by byte, on a real socket."""

import asyncio
import json
import ssl
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

Write = Callable[[bytes], Awaitable[None]]
Behave = Callable[["Received", Write], Awaitable[None]]


@dataclass
class Received:
    """A request as the agent got it."""

    method: str
    path: str
    headers: dict[str, str]
    body: bytes

    @property
    def rpc(self) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.body) if self.body else {}
        return found


@dataclass
class Scripted:
    """A server of agents: each path's first segment names a behaviour."""

    url: str = ""
    behaviours: dict[str, Behave] = field(default_factory=dict)
    received: list[Received] = field(default_factory=list)
    peers: list[str] = field(default_factory=list)  # names in the certificates of those who called
    open_calls: int = 0

    def agent(self, name: str, behave: Behave) -> str:
        self.behaviours[name] = behave
        return f"{self.url}/{name}"

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        async def write(data: bytes) -> None:
            writer.write(data)
            await writer.drain()

        self.open_calls += 1
        subject = (writer.get_extra_info("peercert") or {}).get("subject", ())
        try:
            while not reader.at_eof():
                found = await _read(reader)
                self.peers += [value for part in subject for name, value in part if name == "commonName"]
                self.received.append(found)
                await self.behaviours[found.path.split("/")[1]](found, write)
                if b"x-close" in found.body or "x-close" in found.headers:
                    break
        except (ConnectionError, asyncio.IncompleteReadError):
            pass
        finally:
            self.open_calls -= 1
            writer.close()


async def _read(reader: asyncio.StreamReader) -> Received:
    head = (await reader.readuntil(b"\r\n\r\n")).decode("latin-1")
    lines = head.split("\r\n")
    method, path, _ = lines[0].split(" ")
    headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)}
    body = await reader.readexactly(int(headers.get("content-length", 0)))
    return Received(method, path, headers, body)


@asynccontextmanager
async def scripted(*, tls: ssl.SSLContext | None = None) -> AsyncIterator[Scripted]:
    made = Scripted()
    listener = await asyncio.start_server(made.serve, "127.0.0.1", 0, ssl=tls)
    port = listener.sockets[0].getsockname()[1]
    made.url = f"http://127.0.0.1:{port}" if tls is None else f"https://localhost:{port}"
    try:
        yield made
    finally:
        listener.close()


def reply(body: bytes, status: int = 200, kind: str = "application/json", **headers: str) -> bytes:
    lines = [f"HTTP/1.1 {status} X", f"content-type: {kind}", f"content-length: {len(body)}"]
    lines += [f"{name.replace('_', '-')}: {value}" for name, value in headers.items()]
    return "\r\n".join(lines).encode() + b"\r\n\r\n" + body


def result(received: Received, found: Any) -> bytes:
    return reply(json.dumps({"jsonrpc": "2.0", "id": received.rpc.get("id"), "result": found}).encode())


def fault(received: Received, code: int = -32601) -> bytes:
    error = {"code": code, "message": "no such method"}
    return reply(json.dumps({"jsonrpc": "2.0", "id": received.rpc.get("id"), "error": error}).encode())


TOOL = {"name": "look", "description": "Looks.", "inputSchema": {"type": "object", "properties": {}}}


def card_at(url: str, **changes: Any) -> dict[str, Any]:
    return {
        "name": "Scripted",
        "description": "Does what a test says.",
        "version": "1",
        "capabilities": {"streaming": True},
        "defaultInputModes": ["text/plain"],
        "defaultOutputModes": ["text/plain"],
        "supportedInterfaces": [{"url": f"{url}/rpc", "protocolBinding": "JSONRPC", "protocolVersion": "1.0"}],
        "skills": [{"id": "look", "name": "Look", "description": "Looks.", "tags": []}],
        **changes,
    }


def mcp_agent(on_call: Behave, tools: list[dict[str, Any]] | None = None) -> Behave:
    """An MCP server of the newer era that lists its tools, and does with calls what a test says."""

    async def behave(received: Received, write: Write) -> None:
        method = received.rpc.get("method")
        if method == "tools/list":
            await write(result(received, {"tools": [TOOL] if tools is None else tools, "resultType": "complete"}))
        elif method == "server/discover":
            await write(result(received, {"capabilities": {"tools": {}}, "instructions": ""}))
        elif method == "tools/call":
            await on_call(received, write)
        else:
            await write(fault(received))

    return behave


def a2a_agent(url: Callable[[], str], on_message: Behave, **card: Any) -> Behave:
    """An A2A agent with a card, which does with messages what a test says."""

    async def behave(received: Received, write: Write) -> None:
        if received.method == "GET":
            await write(reply(json.dumps(card_at(url(), **card)).encode()))
        else:
            await on_message(received, write)

    return behave
