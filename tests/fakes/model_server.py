"""A model server on a real socket, with OpenAI's shape, that says what a test tells it to, or misbehaves.

    with ModelServer(["SELECT 1", calling("list_tables"), Reply(status=429)]) as server:
        ... server.url, server.requests

A script is a list, used up one reply a call, or a function of the request."""

import hashlib
import json
import math
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from types import TracebackType
from typing import Any, Self

JUNK = b"\x00\xff}{not json at all <html> SELECT"
STREAM_WORDS = 4  # characters of a streamed text in one delta
EMBEDDING_SIZE = 64


@dataclass(frozen=True, slots=True)
class ToolCall:
    """A native call of a tool that the model asks for; `arguments` as text may be no JSON at all."""

    name: str
    arguments: Mapping[str, Any] | str = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Reply:
    """One answer. `body` replaces the whole shape; `size_bytes` makes it that long."""

    text: str = ""
    tool_calls: tuple[ToolCall, ...] = ()
    prompt_tokens: int = 10
    completion_tokens: int = 5
    has_usage: bool = True
    finish_reason: str = ""
    status: int = 200
    body: bytes | None = None
    size_bytes: int = 0
    headers: Mapping[str, str] = field(default_factory=dict)
    delay_s: float = 0.0  # before the first byte
    drip_s: float = 0.0  # between pieces of a stream, or bytes of a body


@dataclass(frozen=True, slots=True)
class Asked:
    """A request as it came."""

    path: str
    headers: Mapping[str, str]
    body: dict[str, Any]

    @property
    def prompt(self) -> str:
        """All messages as one text."""
        return "\n".join(_text(message) for message in self.body.get("messages", []))

    @property
    def question(self) -> str:
        """What the last message says."""
        return _text(self.body["messages"][-1]) if self.body.get("messages") else ""

    @property
    def tools(self) -> list[str]:
        return [tool["function"]["name"] for tool in self.body.get("tools") or []]


Scripted = Reply | str | Mapping[str, Any]
Script = Sequence[Scripted] | Callable[[Asked], Scripted]


def calling(name: str, /, **arguments: Any) -> Reply:
    """A reply that calls one tool."""
    return Reply(tool_calls=(ToolCall(name, arguments),))


def endless_tool_calls(name: str = "list_tables", /, **arguments: Any) -> Callable[[Asked], Scripted]:
    """A model that never stops calling a tool."""
    return lambda asked: calling(name, **arguments)


GARBAGE = Reply(body=JUNK)
WRONG_JSON = Reply(text='{"surprise": [1, 2, {"sql": 7}], "action": null}')
CUT_JSON = Reply(text='{"measures": [{"aggregate": "sum", "col')
HUGE = Reply(size_bytes=100 * 2**20)
HUGE_USAGE = Reply(text="{}", prompt_tokens=10**12, completion_tokens=-5)


class ModelServer:
    """Serves `/v1/chat/completions` (whole and streamed), `/v1/embeddings` and `/v1/models` on 127.0.0.1."""

    def __init__(self, script: Script = (), *, models: Sequence[str] = ("twin",)):
        self.script: Script = script
        self.models = list(models)
        self.requests: list[Asked] = []
        self._used = 0
        self._lock = threading.Lock()
        self._http = ThreadingHTTPServer(("127.0.0.1", 0), type("Requests", (_Requests,), {"twin": self}))
        self._http.daemon_threads = True
        self._thread = threading.Thread(target=self._http.serve_forever, args=(0.05,), daemon=True)

    @property
    def port(self) -> int:
        return int(self._http.server_address[1])

    @property
    def url(self) -> str:
        """The base URL, as `api_base` takes it."""
        return f"http://127.0.0.1:{self.port}/v1"

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._http.shutdown()
        self._http.server_close()
        self._thread.join()

    def play(self, script: Script) -> None:
        """Start over with another script, and with no requests seen."""
        with self._lock:
            self.script, self._used, self.requests = script, 0, []

    def next(self, asked: Asked) -> Reply:
        with self._lock:
            self.requests.append(asked)
            if callable(self.script):
                said: Scripted = self.script(asked)
            elif self._used < len(self.script):
                said = self.script[self._used]
                self._used += 1
            else:
                said = Reply(status=500, body=b'{"error": {"message": "the script is over"}}')
        if isinstance(said, str):
            return Reply(text=said)
        return said if isinstance(said, Reply) else Reply(text=json.dumps(said))

    def vectors(self, asked: Asked) -> Reply:
        """Vectors, unless the script is a function, which may misbehave here too."""
        if callable(self.script):
            return self.next(asked)
        with self._lock:
            self.requests.append(asked)
        return Reply(body=_embeddings(asked))


def embed(text: str) -> list[float]:
    """A vector of hashed words, of length one."""
    vector = [0.0] * EMBEDDING_SIZE
    for word in text.lower().split():
        vector[int.from_bytes(hashlib.sha256(word.encode()).digest()[:4], "big") % EMBEDDING_SIZE] += 1.0
    length = math.sqrt(sum(item * item for item in vector)) or 1.0
    return [item / length for item in vector]


class _Requests(BaseHTTPRequestHandler):
    twin: ModelServer
    protocol_version = "HTTP/1.1"

    def do_GET(self) -> None:
        data = [{"id": name, "object": "model", "owned_by": "twin"} for name in self.twin.models]
        self._whole(Reply(body=json.dumps({"object": "list", "data": data}).encode()))

    def do_POST(self) -> None:
        raw = self.rfile.read(int(self.headers.get("content-length", 0)))
        asked = Asked(self.path, {name.lower(): value for name, value in self.headers.items()}, json.loads(raw))
        reply = self.twin.vectors(asked) if self.path.endswith("/embeddings") else self.twin.next(asked)
        time.sleep(reply.delay_s)
        try:
            is_stream = asked.body.get("stream") and reply.status == 200
            if is_stream and reply.body is None and not reply.size_bytes:
                self._streamed(asked, reply)
            else:
                self._whole(reply if reply.body is not None else _shaped(asked, reply))
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True

    def _whole(self, reply: Reply) -> None:
        body = reply.body or b""
        length = max(len(body), reply.size_bytes)
        self.send_response(reply.status)
        kept = {"content-type": "application/json", **reply.headers, "content-length": str(length)}
        for name, value in kept.items():
            self.send_header(name, value)
        self.end_headers()
        pieces = [body[at : at + 1] for at in range(len(body))] if reply.drip_s else [body]
        for piece in pieces:
            self.wfile.write(piece)
            time.sleep(reply.drip_s)
        left, block = length - len(body), b"x" * 65536
        while left > 0:
            left -= self.wfile.write(block[:left])

    def _streamed(self, asked: Asked, reply: Reply) -> None:
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in _events(asked, reply):
            data = f"data: {event}\n\n".encode()
            self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
            self.wfile.flush()
            time.sleep(reply.drip_s)
        self.wfile.write(b"0\r\n\r\n")

    def log_request(self, code: int | str = "-", size: int | str = "-") -> None:
        """Nothing: the tests look at what was asked."""


def _shaped(asked: Asked, reply: Reply) -> Reply:
    message: dict[str, Any] = {"role": "assistant", "content": reply.text or None}
    if reply.tool_calls:
        message["tool_calls"] = _calls(reply)
    whole = _envelope(asked, "chat.completion")
    whole["choices"] = [{"index": 0, "message": message, "finish_reason": _finish(reply)}]
    if reply.has_usage:
        whole["usage"] = _usage(reply)
    body = json.dumps(whole).encode()
    return Reply(
        body=body,
        status=reply.status,
        size_bytes=reply.size_bytes,
        headers=reply.headers,
        drip_s=reply.drip_s,
    )


def _events(asked: Asked, reply: Reply) -> Iterator[str]:
    def event(delta: dict[str, Any], finish: str | None = None) -> str:
        choice = {"index": 0, "delta": delta, "finish_reason": finish}
        return json.dumps({**_envelope(asked, "chat.completion.chunk"), "choices": [choice]})

    yield event({"role": "assistant", "content": ""})
    for at in range(0, len(reply.text), STREAM_WORDS):
        yield event({"content": reply.text[at : at + STREAM_WORDS]})
    for index, call in enumerate(_calls(reply)):
        yield event({"tool_calls": [{"index": index, **call}]})
    yield event({}, _finish(reply))
    if reply.has_usage and (asked.body.get("stream_options") or {}).get("include_usage"):
        yield json.dumps({**_envelope(asked, "chat.completion.chunk"), "choices": [], "usage": _usage(reply)})
    yield "[DONE]"


def _calls(reply: Reply) -> list[dict[str, Any]]:
    return [
        {
            "id": f"call_{at}",
            "type": "function",
            "function": {
                "name": call.name,
                "arguments": call.arguments if isinstance(call.arguments, str) else json.dumps(dict(call.arguments)),
            },
        }
        for at, call in enumerate(reply.tool_calls)
    ]


def _finish(reply: Reply) -> str:
    return reply.finish_reason or ("tool_calls" if reply.tool_calls else "stop")


def _usage(reply: Reply) -> dict[str, int]:
    total = reply.prompt_tokens + reply.completion_tokens
    return {
        "prompt_tokens": reply.prompt_tokens,
        "completion_tokens": reply.completion_tokens,
        "total_tokens": total,
    }


def _envelope(asked: Asked, kind: str) -> dict[str, Any]:
    return {"id": "chatcmpl-twin", "object": kind, "created": 1, "model": asked.body.get("model", "twin")}


def _embeddings(asked: Asked) -> bytes:
    texts = asked.body.get("input", [])
    texts = [texts] if isinstance(texts, str) else texts
    data = [{"object": "embedding", "index": at, "embedding": embed(text)} for at, text in enumerate(texts)]
    usage = {"prompt_tokens": len(texts), "total_tokens": len(texts)}
    whole = {"object": "list", "data": data, "model": asked.body.get("model", "twin"), "usage": usage}
    return json.dumps(whole).encode()


def _text(message: Mapping[str, Any]) -> str:
    content = message.get("content") or ""
    if isinstance(content, str):
        return content
    return "".join(str(part.get("text", "")) for part in content)
