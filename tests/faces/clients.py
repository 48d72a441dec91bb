"""One small client per face, over the real wire, all answering in the same form."""

import asyncio
import base64
import json
import struct
import sys
from dataclasses import dataclass
from typing import Any, Protocol
from urllib.parse import quote

import grpc
import httpx
import pyarrow as pa
from google.protobuf import json_format
from google.protobuf.message import Message
from google.rpc import error_details_pb2, status_pb2  # type: ignore[import-untyped]

from core.tool import Tool

sys.modules.setdefault("sniffio", None)  # type: ignore[arg-type]  # httpcore looks for it four times per request
FACES = ("mcp", "rest", "grpc", "grpc_web", "cli")


@dataclass(frozen=True, slots=True)
class Answer:
    """What a face said: `OK` with a value, or an error's code with its message and hint."""

    code: str
    value: Any = None
    message: str = ""
    hint: str = ""
    request_id: str = ""


class FaceClient(Protocol):
    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer: ...

    async def close(self) -> None: ...


def _failed(body: dict[str, Any]) -> Answer:
    return Answer(body["code"], None, body["message"], body.get("hint", ""), body["request_id"])


def _bearer(token: str | None) -> dict[str, str]:
    return {} if not token else {"authorization": f"Bearer {token}"}


class RestClient:
    def __init__(self, port: int):
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        route, rest = tool.routes[0], dict(arguments)
        path = route.path if route.at_root else f"/v1{route.path}"
        for name in route.parameters:
            path = path.replace(f"{{{name}}}", quote(str(rest.pop(name)), safe=""))
        is_query = route.method in ("GET", "DELETE")
        answer = await self._http.request(
            route.method,
            path,
            params=_query(rest) if is_query else None,
            json=None if is_query else rest,
            headers=_bearer(token),
        )
        if answer.status_code >= 400:
            return _failed(answer.json()["error"])
        if answer.headers.get("content-type", "").startswith("application/vnd.apache.arrow"):
            return Answer("OK", {"data": pa.ipc.open_stream(answer.content).read_all().to_pylist()})
        if sole := tool.result.sole_list:  # REST answers its bare list
            return Answer("OK", {sole: answer.json()})
        return Answer("OK", answer.json() if answer.content else {})

    async def close(self) -> None:
        await self._http.aclose()


def _query(arguments: dict[str, Any]) -> list[tuple[str, str | int | float | bool | None]]:
    pairs: list[tuple[str, str | int | float | bool | None]] = []
    for name, value in arguments.items():
        for item in value if isinstance(value, list) else [value]:
            if item is not None:
                pairs.append((name, json.dumps(item) if isinstance(item, bool) else str(item)))
    return pairs


class McpClient:
    """Raw posts of revision 2026-07-28: what a client library would send, without its own checks.

    Its person says yes to every question."""

    def __init__(self, port: int):
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        params: dict[str, Any] = {"name": tool.name, "arguments": arguments}
        answer = await self._post(params, token)
        if answer.status_code == 200 and _rpc_result(answer).get("resultType") == "input_required":
            yes = {"confirm": {"action": "accept", "content": {"confirm": True}}}
            state = _rpc_result(answer)["requestState"]
            answer = await self._post({**params, "requestState": state, "inputResponses": yes}, token)
        return _mcp_answer(answer)

    async def resource(self, uri: str, token: str | None) -> str:
        """The body that answers a reading of a resource."""
        return (await self._post({"uri": uri}, token, method="resources/read")).text

    async def _post(self, params: dict[str, Any], token: str | None, *, method: str = "tools/call") -> httpx.Response:
        headers = {
            "accept": "application/json, text/event-stream",
            "mcp-protocol-version": "2026-07-28",
            "mcp-method": method,
            "mcp-name": params.get("name") or params["uri"],
            **_bearer(token),
        }
        meta = {
            "io.modelcontextprotocol/protocolVersion": "2026-07-28",
            "io.modelcontextprotocol/clientInfo": {"name": "parity", "version": "1"},
            "io.modelcontextprotocol/clientCapabilities": {"elicitation": {"form": {}}},
            "headwater/token_budget": 20_000,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        return await self._http.post("/mcp", json=body, headers=headers)

    async def close(self) -> None:
        await self._http.aclose()


def _mcp_answer(answer: httpx.Response) -> Answer:
    if answer.status_code >= 400:
        return _failed(answer.json()["error"])
    result = _rpc_result(answer)
    content = result.get("structuredContent") or {}
    return _failed(content["error"]) if result.get("isError") else Answer("OK", content)


def _rpc_result(answer: httpx.Response) -> dict[str, Any]:
    if answer.headers["content-type"].startswith("text/event-stream"):
        lines = [line[5:] for line in answer.text.splitlines() if line.startswith("data:")]
        messages = [json.loads(line) for line in lines]
        message = next(item for item in messages if "result" in item or "error" in item)
    else:
        message = answer.json()
    assert "result" in message, message
    result: dict[str, Any] = message["result"]
    return result


class Method(Protocol):
    """What the gRPC face knows of one tool."""

    path: str
    request: type[Message]
    response: type[Message]
    is_streaming: bool


def message_to_value(message: Message) -> dict[str, Any]:
    """A response in the JSON form of the other faces: Arrow bytes become rows."""
    value: dict[str, Any] = json_format.MessageToDict(
        message, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    raw = value.pop("arrow_record_batch", None)
    if raw is not None:
        table = pa.ipc.open_stream(base64.b64decode(raw)).read_all() if raw else None
        value["data"] = table.to_pylist() if table is not None else []
    return value


class GrpcClient:
    def __init__(self, port: int, methods: dict[str, Method]):
        self._channel = grpc.aio.insecure_channel(f"127.0.0.1:{port}")
        self._methods = methods

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        method = self._methods[tool.name]
        request = json_format.ParseDict(arguments, method.request())
        metadata = tuple(_bearer(token).items())
        wire: dict[str, Any] = {
            "request_serializer": method.request.SerializeToString,
            "response_deserializer": method.response.FromString,
        }
        sent: dict[str, Any] = {"metadata": metadata, "timeout": 30}
        try:
            if not method.is_streaming:
                unary: Any = self._channel.unary_unary(method.path, **wire)
                return Answer("OK", message_to_value(await unary(request, **sent)))
            stream: Any = self._channel.unary_stream(method.path, **wire)
            return Answer("OK", merge_parts([part async for part in stream(request, **sent)]))
        except grpc.aio.AioRpcError as error:
            trailers: Any = error.trailing_metadata() or ()
            return details_to_answer(dict(trailers))

    async def close(self) -> None:
        await self._channel.close(None)


def merge_parts(parts: list[Message]) -> dict[str, Any]:
    """A stream's parts as one value: rows are joined, the last message gives the rest."""
    rows = [row for part in parts for row in message_to_value(part).get("data", [])]
    return {**message_to_value(parts[-1]), "data": rows}


def details_to_answer(trailers: dict[str, Any]) -> Answer:
    """An error from `grpc-status-details-bin`."""
    status = status_pb2.Status.FromString(trailers["grpc-status-details-bin"])
    info = error_details_pb2.ErrorInfo()
    assert any(detail.Unpack(info) for detail in status.details)
    return Answer(info.reason, None, status.message, info.metadata["hint"], info.metadata["request_id"])


class GrpcWebClient:
    def __init__(self, port: int, methods: dict[str, Method]):
        self._http = httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}", timeout=30)
        self._methods = methods

    async def call(self, tool: Tool, arguments: dict[str, Any], token: str | None) -> Answer:
        method = self._methods[tool.name]
        body = json_format.ParseDict(arguments, method.request()).SerializeToString()
        headers = {"content-type": "application/grpc-web+proto", "x-grpc-web": "1", **_bearer(token)}
        framed = struct.pack(">BI", 0, len(body)) + body
        answer = await self._http.post(method.path, content=framed, headers=headers)
        messages, trailers = _read_frames(answer)
        if trailers.get("grpc-status", "0") != "0":
            details = trailers["grpc-status-details-bin"]
            return details_to_answer({"grpc-status-details-bin": base64.b64decode(details + "=" * (-len(details) % 4))})
        parts = [method.response.FromString(message) for message in messages]
        return Answer("OK", merge_parts(parts) if method.is_streaming else message_to_value(parts[0]))

    async def close(self) -> None:
        await self._http.aclose()


def _read_frames(answer: httpx.Response) -> tuple[list[bytes], dict[str, str]]:
    messages, trailers, data = [], dict(answer.headers), answer.content
    while data:
        flag, length = struct.unpack(">BI", data[:5])
        frame, data = data[5 : 5 + length], data[5 + length :]
        if flag & 0x80:
            pairs = (line.split(":", 1) for line in frame.decode().splitlines() if ":" in line)
            trailers |= {name.strip().lower(): value.strip() for name, value in pairs}
        else:
            messages.append(frame)
    return messages, trailers


async def in_thread(work: Any, *arguments: Any) -> Any:
    return await asyncio.get_running_loop().run_in_executor(None, work, *arguments)
