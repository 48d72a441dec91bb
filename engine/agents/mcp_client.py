"""Our own calls to MCP servers, in both eras of the protocol: stateless, or with a session that is kept."""

import base64
import json
import re
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from typing import Any

from core.context import Principal
from core.errors import Conflict, Unavailable
from engine.agents.frames import parse_object, read_answer
from engine.agents.live import Live
from engine.agents.upstream import Outgoing, Upstream
from engine.egress.client import Incoming

MODERN, LEGACY = "2026-07-28", "2025-11-25"
NAMED = {"tools/call": "name", "prompts/get": "name", "resources/read": "uri"}
READS = frozenset({"tools/list", "prompts/list", "prompts/get", "resources/list", "resources/templates/list"}) | {
    "resources/read",
    "server/discover",
    "completion/complete",
    "ping",
}
MAX_PAGES, MAX_LISTED = 50, 2_000
MAX_SESSIONS = 5_000
CLIENT = {"name": "headwater", "version": "1"}
_PLAIN = re.compile(r"[\x20-\x7e]*")
# What servers answer that speak the other era only, or refuse a session that they have forgotten.
_OTHER_ERA = (400, 404, 405, 406, 415)
Key = tuple[str, str, str, str]


class AgentFault(Conflict):
    """The agent answered with an error of its own."""

    def __init__(self, error: Mapping[str, Any]):
        self.error = dict(error)
        super().__init__("The agent answered with an error.", hint="Its own words are in `error`.")


class McpClient:
    """Sends single requests to MCP agents. Which era an agent speaks is found out once."""

    def __init__(self, upstream: Upstream):
        self._upstream = upstream
        self._sessions: dict[Key, tuple[str, str] | None] = {}
        self._greetings: dict[Key, dict[str, Any]] = {}

    async def request(
        self, by: Principal, live: Live, method: str, params: Mapping[str, Any], *, is_look: bool = False
    ) -> dict[str, Any]:
        """The result of a request. Raises AgentFault with the agent's error, and what the upstream raises."""
        key = _key(by, live, is_look=is_look)
        if key not in self._sessions:
            answer = await self._modern(by, live, method, params, is_look=is_look)
            if answer is not None:
                self._keep(key, None)
                return _result(answer)
            await self._begin(by, live, key, is_look=is_look)
        session = self._sessions[key]
        if session is None:
            answer = await self._modern(by, live, method, params, is_look=is_look)
        else:
            answer = await self._in_session(by, live, session, method, params, is_look=is_look)
            if answer is None:  # it has forgotten us
                session = await self._begin(by, live, key, is_look=is_look)
                answer = await self._in_session(by, live, session, method, params, is_look=is_look)
        if answer is None:
            self._sessions.pop(key, None)
            raise Unavailable("The agent refuses the request as a whole.", hint="test_agent_connection says more.")
        return _result(answer)

    async def list(self, by: Principal, live: Live, what: str, *, is_look: bool) -> list[dict[str, Any]]:
        """Every item of `tools/list` and its like; nothing where the agent has no such thing."""
        found: list[dict[str, Any]] = []
        cursor: Any = None
        for _ in range(MAX_PAGES):
            params = {} if cursor is None else {"cursor": cursor}
            try:
                page = await self.request(by, live, f"{what}/list", params, is_look=is_look)
            except AgentFault:
                if what == "tools":
                    raise
                return []
            items = page.get(what)
            if not isinstance(items, list) or not all(_is_named(item) for item in items):
                raise Unavailable(f"The agent's list of {what} is none.")
            found += items
            cursor = page.get("nextCursor")
            if not isinstance(cursor, str) or not cursor:
                return found
            if len(found) > MAX_LISTED:
                break
        raise Unavailable(f"The agent lists more than {MAX_LISTED:,} {what}.")

    async def instructions(self, by: Principal, live: Live) -> str:
        """What the server says to models, in either era."""
        if self._sessions.get(_key(by, live, is_look=True)) is None:
            found = await self.request(by, live, "server/discover", {}, is_look=True)
        else:
            found = self._greetings.get(_key(by, live, is_look=True), {})
        text = found.get("instructions")
        return text if isinstance(text, str) else ""

    async def _modern(
        self, by: Principal, live: Live, method: str, params: Mapping[str, Any], *, is_look: bool
    ) -> dict[str, Any] | None:
        meta = {
            "io.modelcontextprotocol/clientCapabilities": {},
            **(params.get("_meta") or {}),
            "io.modelcontextprotocol/protocolVersion": MODERN,
            "io.modelcontextprotocol/clientInfo": CLIENT,
        }
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": {**params, "_meta": meta}}
        headers = {"mcp-protocol-version": MODERN, "mcp-method": method}
        if method in NAMED:
            headers["mcp-name"] = header_value(str(params.get(NAMED[method], "")))
        async with self._post(by, live, body, headers, is_look=is_look) as incoming:
            return await self._read_modern(incoming)

    async def _read_modern(self, incoming: Incoming) -> dict[str, Any] | None:
        if incoming.status in _OTHER_ERA:
            return _spoken(await incoming.read())
        _check_status(incoming.status)
        answer = await read_answer(incoming, 1)
        return None if _is_other_era(answer) else answer

    async def _begin(self, by: Principal, live: Live, key: Key, *, is_look: bool) -> tuple[str, str]:
        """A session of the older era. Raises Unavailable when the agent opens none."""
        params = {"protocolVersion": LEGACY, "capabilities": {}, "clientInfo": CLIENT}
        body = {"jsonrpc": "2.0", "id": 0, "method": "initialize", "params": params}
        async with self._post(by, live, body, {}, is_look=is_look) as incoming:
            _check_status(incoming.status)
            result = _result(await read_answer(incoming, 0))
            session_id = incoming.headers.get("mcp-session-id", "")
        version = result.get("protocolVersion")
        if not isinstance(version, str) or not _PLAIN.fullmatch(version + session_id) or len(session_id) > 1024:
            raise Unavailable("The agent does not speak MCP.")
        session = (session_id, version)
        note = {"jsonrpc": "2.0", "method": "notifications/initialized"}
        async with self._post(by, live, note, _session_headers(session), is_look=is_look) as incoming:
            await incoming.read()
        self._keep(key, session)
        if is_look:
            self._greetings[key] = result
        return session

    async def _in_session(
        self,
        by: Principal,
        live: Live,
        session: tuple[str, str],
        method: str,
        params: Mapping[str, Any],
        *,
        is_look: bool,
    ) -> dict[str, Any] | None:
        body = {"jsonrpc": "2.0", "id": 1, "method": method, "params": dict(params)}
        async with self._post(by, live, body, _session_headers(session), is_look=is_look) as incoming:
            if incoming.status in (400, 404):
                return None
            _check_status(incoming.status)
            return await read_answer(incoming, 1)

    @asynccontextmanager
    async def _post(
        self, by: Principal, live: Live, body: Mapping[str, Any], headers: Mapping[str, str], *, is_look: bool
    ) -> AsyncIterator[Incoming]:
        kinds = {"content-type": "application/json", "accept": "application/json, text/event-stream"}
        out = Outgoing(
            "POST",
            live.agent.endpoint_url,
            json.dumps(body, ensure_ascii=False).encode("utf-8", "replace"),
            {**kinds, **headers},
            is_safe=body["method"] in READS,
            is_look=is_look,
            subject="" if is_look else None,
        )
        async with self._upstream.open(by, live, out) as incoming:
            yield incoming

    def _keep(self, key: Key, session: tuple[str, str] | None) -> None:
        if len(self._sessions) >= MAX_SESSIONS:
            self._sessions.clear()
            self._greetings.clear()
        self._sessions[key] = session


def header_value(text: str) -> str:
    """A name as it stands in a header: as it is, or in base64 between marks."""
    if _PLAIN.fullmatch(text) and text == text.strip() and not text.startswith("=?base64?"):
        return text
    return f"=?base64?{base64.b64encode(text.encode('utf-8', 'replace')).decode()}?="


def _key(by: Principal, live: Live, *, is_look: bool) -> Key:
    agent = live.agent  # sessions are one caller's: servers keep state in them
    return agent.tenant, agent.agent_id, agent.endpoint_url, "" if is_look else by.subject


def _session_headers(session: tuple[str, str]) -> dict[str, str]:
    session_id, version = session
    return {"mcp-protocol-version": version, **({"mcp-session-id": session_id} if session_id else {})}


def _check_status(status: int) -> None:
    if status in (401, 403):
        raise Unavailable("The agent does not accept our credential.", hint="set_agent_credential sets another.")
    if status >= 300:
        raise Unavailable(f"The agent answers with HTTP status {status}.")


def _spoken(body: bytes) -> dict[str, Any] | None:
    """An error of the modern era in a refused request, or None where the agent is of the other era."""
    try:
        answer = parse_object(body)
    except Unavailable:
        return None
    error = answer.get("error")
    code = error.get("code") if isinstance(error, dict) else None
    return answer if code in (-32602, -32601, -32020, -32021, -32603) and not _is_other_era(answer) else None


def _is_other_era(answer: Mapping[str, Any]) -> bool:
    error = answer.get("error")
    if not isinstance(error, dict):
        return False
    text = str(error.get("message", "")).lower()
    return error.get("code") == -32022 or "session" in text or "initializ" in text


def _is_named(item: Any) -> bool:
    return isinstance(item, dict) and isinstance(item.get("name", item.get("uri", item.get("uriTemplate"))), str)


def _result(answer: Mapping[str, Any]) -> dict[str, Any]:
    if "error" in answer:
        error = answer["error"]
        raise AgentFault(error if isinstance(error, dict) else {"message": str(error)})
    result = answer["result"]
    if not isinstance(result, dict):
        raise Unavailable("The agent's result is none.")
    return result
