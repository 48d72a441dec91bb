"""Blocking clients that send anything, one per face, and the rules that every refusal keeps."""

import base64
import json
import re
import socket
import struct
import time
from dataclasses import dataclass, field
from functools import cache
from typing import Any, Protocol
from urllib.parse import quote

import grpc
import httpx
from click.testing import CliRunner
from google.protobuf import json_format
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from api.cli import EXIT_CODES, Answer, Options, call_command
from api.protolock import shipped_lock
from api.rpc import Rpc, build_rpcs
from core.registry import Registry
from core.tool import Tool
from headwater.build import TOOL_PACKAGES
from headwater.local import call_once
from tests.faces.served import Served

DEADLINE_S = 10.0
SECRET = "hush-Xk41-never-shown"
ROW_VALUE = "RowValueQ7"
LITERAL = "LiteralZ9"
MODERN, LEGACY = "2026-07-28", "2025-11-25"
REGISTRY = Registry.walk(TOOL_PACKAGES)
FACES = ("rest", "mcp", "grpc", "grpc_web", "cli")
_TRACES = ("Traceback", 'File "', ".py", "site-packages", "sqlalchemy", "pydantic", SECRET)


@dataclass(frozen=True, slots=True)
class Reply:
    """What came back: the platform's code (OK when it went well), and everything a caller could read."""

    code: str
    status: int | str
    request_id: str = ""
    text: str = ""
    value: Any = None
    headers: dict[str, str] = field(default_factory=dict)


class Wire(Protocol):
    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply: ...


def problems(reply: Reply, house: Served, *, allowed: tuple[str, ...], private: tuple[str, ...] = ()) -> list[str]:
    """What is wrong with a refusal: its code, its missing request id, or what it tells."""
    found = []
    if reply.code not in allowed:
        found.append(f"answered {reply.code or reply.status}: {reply.text[:300]!r}")
    if reply.code != "OK" and not reply.request_id:
        found.append("has no request id")
    if isinstance(reply.status, int) and reply.status >= 500 and reply.code not in ("UNAVAILABLE", "TIMEOUT"):
        found.append(f"status {reply.status}")
    shown = [word for word in (*_TRACES, *house.paths, *private) if word in reply.text]
    if shown and reply.code != "OK":
        found.append(f"shows {shown}: {reply.text[:300]!r}")
    return found


def faults(reply: Reply, house: Served) -> list[str]:
    """The same of a refusal in a protocol's own words: any code, but an id, and nothing told."""
    return problems(reply, house, allowed=(reply.code,), private=("https://errors",))


def still_answers(house: Served, doors: "Doors") -> None:
    """After whatever a test did, every face answers a good call, and at once."""
    for face in FACES:
        started = time.monotonic()
        assert doors[face].call("list_tables", {}, house.tokens["viewer"]).code == "OK", face
        assert time.monotonic() - started < 5, face


def from_error(body: dict[str, Any], status: int | str, text: str, headers: dict[str, str] | None = None) -> Reply:
    assert {"code", "message", "hint", "request_id"} <= set(body), text[:300]
    return Reply(body["code"], status, body["request_id"], text, None, headers or {})


def bearer(token: str | None) -> dict[str, str]:
    return {} if token is None else {"authorization": f"Bearer {token}"}


# One client per face


class RestWire:
    def __init__(self, house: Served):
        self._http = httpx.Client(base_url=house.url("rest"), timeout=DEADLINE_S)

    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply:
        declared, rest = REGISTRY.get(tool), dict(arguments)
        route = declared.routes[0]
        path = route.path if route.at_root else f"/v1{route.path}"
        for name in route.parameters:
            segment = quote(str(rest.pop(name, "lakehouse")), safe="")
            path = path.replace(f"{{{name}}}", segment if segment.strip(".") else segment.replace(".", "%2E"))
        if route.method in ("GET", "DELETE"):
            params = [(name, value if isinstance(value, str) else json.dumps(value)) for name, value in rest.items()]
            return self.send(route.method, path, b"", token, params=params)
        return self.send(route.method, path, json.dumps(rest).encode(), token)

    def close(self) -> None:
        self._http.close()

    def send(self, method: str, path: str, content: bytes, token: str | None, **more: Any) -> Reply:
        """One request as it is. `headers` and `params` as in httpx."""
        headers = {**bearer(token), **({"content-type": "application/json"} if content else {})}
        answer = self._http.request(
            method,
            path,
            content=content,
            headers=(headers | more.get("headers", {})),
            params=more.get("params") or None,
        )
        return read_http(answer)


def read_http(answer: httpx.Response) -> Reply:
    text = answer.text + str(dict(answer.headers))
    is_json = answer.headers.get("content-type", "").startswith("application/json") and bool(answer.content)
    body = answer.json() if is_json else None
    error = body.get("error") if isinstance(body, dict) else None
    if answer.status_code < 400:
        return Reply("OK", answer.status_code, answer.headers.get("x-request-id", ""), text, body)
    if isinstance(error, dict) and "request_id" in error:
        return from_error(error, answer.status_code, text, dict(answer.headers))
    return Reply("", answer.status_code, answer.headers.get("x-request-id", ""), text, body)


class McpWire:
    def __init__(self, house: Served):
        self._http = httpx.Client(base_url=house.url("mcp"), timeout=DEADLINE_S)

    def close(self) -> None:
        self._http.close()

    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply:
        return self.ask("tools/call", {"name": tool, "arguments": arguments}, token)

    def ask(self, method: str, params: dict[str, Any], token: str | None, *, path: str = "/mcp", **more: Any) -> Reply:
        """One modern request; `headers` and `meta` are laid over its own."""
        name = params.get("name") or params.get("uri")
        headers = {
            "mcp-protocol-version": MODERN,
            "mcp-method": method,
            **({"mcp-name": re.sub(r"[^!-~]", "?", str(name))} if name else {}),
            **more.get("headers", {}),
        }
        meta = {
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": {"name": "hostile", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            **more.get("meta", {}),
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        return self.send(json.dumps(body).encode(), token, headers=headers, path=path)

    def legacy(self, method: str, params: dict[str, Any], token: str | None) -> Reply:
        """One request of the era of handshakes."""
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": params}
        return self.send(json.dumps(body).encode(), token, headers={"mcp-protocol-version": LEGACY})

    def send(
        self, content: bytes, token: str | None, *, headers: dict[str, str] | None = None, path: str = "/mcp"
    ) -> Reply:
        """A body as it is."""
        always = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        answer = self._http.post(path, content=content, headers=always | bearer(token) | (headers or {}))
        return read_mcp(answer)


def read_mcp(answer: httpx.Response) -> Reply:
    """A refusal at the door, a tool's error, or a JSON-RPC error, which holds our body in its data."""
    plain = read_http(answer)
    if plain.request_id and plain.code not in ("", "OK"):
        return plain
    message = rpc_message(answer)
    result, error = message.get("result"), message.get("error")
    if isinstance(result, dict):
        if result.get("isError"):
            return from_error(result["structuredContent"]["error"], answer.status_code, plain.text)
        return Reply("OK", answer.status_code, "", plain.text, result)
    data = error.get("data") if isinstance(error, dict) else None
    body = data.get("error") if isinstance(data, dict) else None
    if isinstance(body, dict):
        return from_error(body, answer.status_code, plain.text)
    code = f"rpc {error['code']}" if isinstance(error, dict) and "code" in error else ""
    return Reply(code, answer.status_code, answer.headers.get("x-request-id", ""), plain.text)


def rpc_message(answer: httpx.Response) -> dict[str, Any]:
    kind = answer.headers.get("content-type", "")
    if kind.startswith("text/event-stream"):
        lines = [json.loads(line[5:]) for line in answer.text.splitlines() if line.startswith("data:")]
        return next((item for item in lines if "result" in item or "error" in item), {})
    found = answer.json() if kind.startswith("application/json") and answer.content else {}
    return found if isinstance(found, dict) else {}


@cache
def methods() -> dict[str, Rpc]:
    return build_rpcs(REGISTRY, shipped_lock()).by_tool


class GrpcWire:
    def __init__(self, house: Served):
        self._channel = grpc.insecure_channel(
            f"127.0.0.1:{house.ports.grpc}", options=[("grpc.max_send_message_length", -1)]
        )

    def close(self) -> None:
        self._channel.close()

    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply:
        method = methods()[tool]
        raw = json_format.ParseDict(arguments, method.request()).SerializeToString()
        return self.send(method.path, raw, token, is_streaming=method.is_streaming)

    def send(
        self,
        path: str,
        raw: bytes,
        token: str | None,
        *,
        is_streaming: bool = False,
        metadata: tuple[tuple[str, str], ...] = (),
        timeout_s: float = DEADLINE_S,
    ) -> Reply:
        """The bytes of a message, whatever they are."""
        sent = (*bearer(token).items(), *metadata)
        try:
            if is_streaming:
                parts = list(self._channel.unary_stream(path, None, None)(raw, metadata=sent, timeout=timeout_s))
                return Reply("OK", "OK", "", "", parts)
            return Reply(
                "OK", "OK", "", "", self._channel.unary_unary(path, None, None)(raw, metadata=sent, timeout=timeout_s)
            )
        except grpc.RpcError as error:
            call: Any = error
            trailers = dict(call.trailing_metadata() or ())
            return from_status(trailers.get("grpc-status-details-bin"), call.code().name, call.details() or "")


def from_status(raw: Any, status: str, text: str) -> Reply:
    """An error from rich details; gRPC's own errors have none."""
    if raw is None:
        return Reply(f"grpc {status}", status, "", text)
    found = status_pb2.Status.FromString(raw)
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in found.details)
    shown = f"{text} {found.message} {info.metadata['hint']}"
    return Reply(info.reason, status, info.metadata["request_id"], shown)


class GrpcWebWire:
    def __init__(self, house: Served):
        self._http = httpx.Client(base_url=house.url("grpc_web"), timeout=DEADLINE_S)

    def close(self) -> None:
        self._http.close()

    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply:
        method = methods()[tool]
        return self.send(
            method.path, framed(json_format.ParseDict(arguments, method.request()).SerializeToString()), token
        )

    def send(self, path: str, content: bytes, token: str | None, **headers: str) -> Reply:
        """A body as it is; `headers` with underscores for dashes."""
        always = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1"}
        given = {name.replace("_", "-"): value for name, value in headers.items()}
        return read_grpc_web(self._http.post(path, content=content, headers=always | bearer(token) | given))


def framed(raw: bytes, flag: int = 0) -> bytes:
    return struct.pack(">BI", flag, len(raw)) + raw


def read_grpc_web(answer: httpx.Response) -> Reply:
    if answer.headers.get("content-type", "").startswith("application/json"):
        return read_http(answer)
    trailers, data = dict(answer.headers), answer.content
    if "-text" in answer.headers.get("content-type", ""):
        data = b"".join(base64.b64decode(part + "==") for part in answer.text.split("=") if part)
    while len(data) >= 5:
        flag, length = struct.unpack(">BI", data[:5])
        frame, data = data[5 : 5 + length], data[5 + length :]
        if flag & 0x80:
            pairs = (line.split(":", 1) for line in frame.decode().splitlines() if ":" in line)
            trailers |= {name.strip().lower(): value.strip() for name, value in pairs}
    status = trailers.get("grpc-status", "")
    if status == "0":
        return Reply("OK", answer.status_code, trailers.get("x-request-id", ""), "", answer.content)
    details = trailers.get("grpc-status-details-bin")
    raw = base64.b64decode(details + "=" * (-len(details) % 4)) if details else None
    name = next((item.name for item in grpc.StatusCode if str(item.value[0]) == status), f"http {answer.status_code}")
    found = from_status(raw, name, trailers.get("grpc-message", ""))
    return found if found.request_id else Reply(found.code, found.status, trailers.get("x-request-id", ""), found.text)


class CliWire:
    """The command line's own parsing, printing and exit codes, on the running platform."""

    def __init__(self, house: Served):
        self._house = house

    def call(self, tool: str, arguments: dict[str, Any], token: str | None) -> Reply:
        return self.send([tool, "-"], token, stdin=json.dumps(arguments))

    def send(self, arguments: list[str], token: str | None, stdin: str | bytes = "") -> Reply:
        """`headwater call` with a command line as it is."""

        def execute(name: str, given: dict[str, Any], options: Options) -> Answer:
            work = call_once(self._house.platform, token or "", name, given, options)
            return self._house.run(work, timeout_s=DEADLINE_S)

        done = CliRunner().invoke(call_command(execute), [*arguments, "--json"], input=stdin)
        assert done.exception is None or isinstance(done.exception, SystemExit), repr(done.exception)
        if done.exit_code == 0:
            return Reply("OK", 0, "", done.stdout, json.loads(done.stdout))
        if not done.stderr.startswith("{"):
            assert done.exit_code == EXIT_CODES["INVALID_ARGUMENT"]
            return Reply("INVALID_ARGUMENT", 2, "usage", done.stderr)
        body = json.loads(done.stderr)["error"]
        assert done.exit_code == EXIT_CODES[body["code"]]
        return from_error(body, done.exit_code, done.stderr)


@dataclass(frozen=True)
class Doors:
    """Every face of one server."""

    rest: RestWire
    mcp: McpWire
    grpc: GrpcWire
    grpc_web: GrpcWebWire
    cli: CliWire

    @classmethod
    def of(cls, house: Served) -> "Doors":
        return cls(RestWire(house), McpWire(house), GrpcWire(house), GrpcWebWire(house), CliWire(house))

    def __getitem__(self, face: str) -> Wire:
        found: Wire = getattr(self, face)
        return found

    def close(self) -> None:
        for wire in (self.rest, self.mcp, self.grpc, self.grpc_web):
            wire.close()


def tool_of(name: str) -> Tool:
    return REGISTRY.get(name)


# Below HTTP


def closed_port() -> int:
    """A port that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def talk(port: int, *parts: bytes, pause_s: float = 0.0, then_close: bool = False) -> bytes:
    """Send bytes as they are and read until the server stops, at most for the deadline."""
    received = b""
    with socket.create_connection(("127.0.0.1", port), timeout=DEADLINE_S) as peer:
        try:
            for part in parts:
                peer.sendall(part)
                time.sleep(pause_s)
            if then_close:
                peer.shutdown(socket.SHUT_WR)
            while chunk := peer.recv(65536):
                received += chunk
        except (ConnectionError, OSError) as error:
            if isinstance(error, TimeoutError):
                raise
    return received
