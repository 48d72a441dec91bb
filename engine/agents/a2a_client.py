"""Our own calls to A2A agents, over JSON-RPC or REST, in protocol 1.0 or 0.3; and what their cards say."""

import json
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any
from urllib.parse import urljoin, urlsplit

from core.context import Principal
from core.errors import Conflict, Unavailable
from engine.agents.frames import parse_object, read_answer
from engine.agents.live import Live
from engine.agents.mcp_client import AgentFault
from engine.agents.upstream import Outgoing, Upstream

JSONRPC, REST = "JSONRPC", "HTTP+JSON"
WELL_KNOWN = ("/.well-known/agent-card.json", "/.well-known/agent.json")
MAX_CARD_BYTES = 1_000_000
NEW, OLD = "1.0", "0.3"


@dataclass(frozen=True, slots=True)
class Interface:
    """One address of an agent, what is spoken there and in which version."""

    url: str
    binding: str
    version: str

    @property
    def is_old(self) -> bool:
        return self.version.startswith("0.")


def interfaces(card: Mapping[str, Any], endpoint_url: str) -> list[Interface]:
    """The addresses of a card that can be called: of a protocol we speak, and on the very host that was registered.

    A card that names another host would have credentials sent there."""
    found = [
        Interface(_text(item, "url"), _text(item, "protocolBinding"), _text(item, "protocolVersion") or NEW)
        for item in _dicts(card.get("supportedInterfaces"))
    ]
    if not found and isinstance(card.get("url"), str):
        version = _text(card, "protocolVersion") or OLD
        found = [Interface(_text(card, "url"), _text(card, "preferredTransport") or JSONRPC, version)]
        found += [
            Interface(_text(item, "url"), _text(item, "transport"), version)
            for item in _dicts(card.get("additionalInterfaces"))
        ]
    return [
        Interface(url, each.binding.upper(), each.version)
        for each in found
        if each.binding.upper() in (JSONRPC, REST) and (url := _beside(endpoint_url, each.url))
    ]


def _beside(endpoint_url: str, url: str) -> str:
    """A card's address as a whole, or nothing where it is on another host or none at all."""
    try:
        whole = urljoin(endpoint_url, url)
        return whole if url and origin(whole) == origin(endpoint_url) else ""
    except ValueError:
        return ""


def choose(card: Mapping[str, Any], endpoint_url: str) -> Interface:
    """The address to call: JSON-RPC before REST, the newer version first. Raises Unavailable."""
    found = interfaces(card, endpoint_url)
    if not found:
        hint = "Its interfaces must be JSONRPC or HTTP+JSON, on the host that was registered."
        raise Unavailable("The agent's card names no address that can be called.", hint=hint)
    return min(found, key=lambda each: (each.binding != JSONRPC, each.is_old))


def origin(url: str) -> tuple[str, str]:
    parts = urlsplit(url)
    default = {"http": ":80", "https": ":443"}.get(parts.scheme, "")
    return parts.scheme, parts.netloc.lower().removesuffix(default)


class A2aClient:
    """Reads cards and sends messages."""

    def __init__(self, upstream: Upstream):
        self._upstream = upstream

    async def card(self, by: Principal, live: Live) -> dict[str, Any]:
        """The agent's card, from where it was registered or a well-known place beside it. Raises Unavailable."""
        status = 0
        for url in _card_urls(live.agent.endpoint_url):
            headers = {"accept": "application/json", "a2a-version": NEW}
            out = Outgoing(
                "GET", url, headers=headers, is_safe=True, is_look=True, subject="", max_bytes=MAX_CARD_BYTES
            )
            async with self._upstream.open(by, live, out) as incoming:
                if incoming.status == 200:
                    card = parse_object(await incoming.read())
                    if isinstance(card.get("name"), str):
                        return card
                    raise Unavailable("The agent's card has no name.")
                status = incoming.status
        raise Unavailable(f"The agent shows no card: HTTP status {status}.", hint="Check endpoint_url.")

    async def send(self, by: Principal, live: Live, params: Mapping[str, Any]) -> dict[str, Any]:
        """Send a message (`SendMessage`'s params), and give the agent's result: a task or a message."""
        card = live.pinned.data.get("card")
        where = choose(card if isinstance(card, dict) else {}, live.agent.endpoint_url)
        version = OLD if where.is_old else NEW
        sent = {**params, "message": as_message(params.get("message"), is_old=where.is_old)}
        kinds = {"content-type": "application/json", "accept": "application/json", "a2a-version": version}
        if where.binding == REST:
            url = where.url.rstrip("/") + ("/v1/message:send" if where.is_old else "/message:send")
            return await self._rest(by, live, url, sent, kinds)
        request_id = uuid.uuid4().hex
        method = "message/send" if where.is_old else "SendMessage"
        body = {"jsonrpc": "2.0", "id": request_id, "method": method, "params": sent}
        out = Outgoing("POST", where.url, _json(body), kinds)
        async with self._upstream.open(by, live, out) as incoming:
            if incoming.status >= 300 and incoming.media_type != "application/json":
                raise Unavailable(f"The agent answers with HTTP status {incoming.status}.")
            answer = await read_answer(incoming, request_id)
        if "error" in answer:
            raise AgentFault(answer["error"] if isinstance(answer["error"], dict) else {"message": "unreadable"})
        return _object(answer["result"])

    async def _rest(
        self, by: Principal, live: Live, url: str, sent: Mapping[str, Any], kinds: Mapping[str, str]
    ) -> dict[str, Any]:
        async with self._upstream.open(by, live, Outgoing("POST", url, _json(sent), kinds)) as incoming:
            answer = parse_object(await incoming.read())
            if incoming.status >= 300:
                error = answer.get("error")
                raise AgentFault(error if isinstance(error, dict) else {"code": incoming.status})
            return answer


def as_message(given: Any, *, is_old: bool) -> dict[str, Any]:
    """A message in the form of a protocol version, from either form, or from `{"text": ...}`. Raises Conflict."""
    if not isinstance(given, Mapping):
        raise Conflict("The message is not an object.", hint='Send {"text": "..."} or an A2A message with parts.')
    parts = given.get("parts")
    if parts is None and isinstance(given.get("text"), str):
        parts = [{"text": given["text"]}]
    if not isinstance(parts, list) or not parts or not all(isinstance(part, Mapping) for part in parts):
        raise Conflict("The message has no parts.", hint='Send {"text": "..."} or an A2A message with parts.')
    kept = {name: value for name, value in given.items() if name not in ("text", "parts", "role", "kind")}
    message = {"messageId": uuid.uuid4().hex, **kept, "parts": [_part(part, is_old=is_old) for part in parts]}
    message["role"] = "user" if is_old else "ROLE_USER"
    if is_old:
        message["kind"] = "message"
    return message


def _part(part: Mapping[str, Any], *, is_old: bool) -> dict[str, Any]:
    """A part in the other version's form. Files by URL or bytes, data and text have both."""
    is_new_form = "kind" not in part
    if is_old != is_new_form:
        return dict(part)
    meta = {"metadata": part["metadata"]} if "metadata" in part else {}
    if is_old:
        if "text" in part:
            return {"kind": "text", "text": part["text"], **meta}
        if "data" in part:
            return {"kind": "data", "data": part["data"], **meta}
        where = {"uri": part["url"]} if "url" in part else {"bytes": part.get("raw", "")}
        names = {"name": part.get("filename"), "mimeType": part.get("mediaType")}
        return {"kind": "file", "file": {**where, **{key: value for key, value in names.items() if value}}, **meta}
    file = part.get("file")
    if part["kind"] != "file" or not isinstance(file, Mapping):
        return {name: value for name, value in part.items() if name != "kind"}
    content = {"url": file["uri"]} if "uri" in file else {"raw": file.get("bytes", "")}
    names = {"filename": file.get("name"), "mediaType": file.get("mimeType")}
    return {**content, **{key: value for key, value in names.items() if value}, **meta}


def _card_urls(endpoint_url: str) -> list[str]:
    parts = urlsplit(endpoint_url)
    root = f"{parts.scheme}://{parts.netloc}"
    if parts.path.endswith(".json"):
        return [endpoint_url]
    bases = dict.fromkeys([root + parts.path.rstrip("/"), root])
    return [base + path for path in WELL_KNOWN for base in bases]


def _json(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "replace")


def _object(value: Any) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise Unavailable("The agent's result is none.")
    return value


def _text(item: Mapping[str, Any], name: str) -> str:
    value = item.get(name)
    return value if isinstance(value, str) else ""


def _dicts(value: Any) -> list[dict[str, Any]]:
    return [item for item in value if isinstance(item, dict)] if isinstance(value, list) else []
