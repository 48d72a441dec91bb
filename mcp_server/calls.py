"""A tools/call on its way to the gate and back."""

import math
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from fastmcp.server.dependencies import FastMCPRequestContext, get_context
from fastmcp.tools.base import InputRequiredToolResult, ToolResult
from mcp.server.session import ServerSession
from pydantic import BaseModel

from core.context import Emit, discard
from core.dispatch import Call, Dispatcher
from core.errors import InvalidArgument, PlatformError, Unauthenticated
from core.jobs import Progress
from mcp_server.auth import SCOPE_KEY, Credentials, new_request_id, request_id_of
from mcp_server.confirm import CALLING, GOES_ON, Confirmation, MustAsk, onward, resume
from mcp_server.results import DEFAULT_TOKENS, MAX_TOKENS, ResultsPort, error_result, tool_result
from mcp_server.text import json_text

MAX_MESSAGE_CHARS = 500
MAX_KEY_CHARS = 256
MAX_QUESTIONS = 5  # of one call that is asked about there and then


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the caller set in `_meta` beside the arguments."""

    tokens: int = DEFAULT_TOKENS
    wait_s: float | None = None
    idempotency_key: str = ""

    @classmethod
    def read(cls, meta: Mapping[str, Any] | None) -> "Wishes":
        """Raises InvalidArgument."""
        if not meta:
            return cls()
        wait_s = meta.get("headwater/wait_s")
        return cls(
            tokens=int(_number(meta, "headwater/token_budget", DEFAULT_TOKENS, low=100, high=MAX_TOKENS)),
            wait_s=None if wait_s is None else _number(meta, "headwater/wait_s", 0, low=0, high=600),
            idempotency_key=_key(meta.get("headwater/idempotency_key", "")),
        )


def _number(meta: Mapping[str, Any], name: str, default: float, *, low: float, high: float) -> float:
    """A number of `_meta`; beyond its bounds the nearest one."""
    value = meta.get(name, default)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not math.isfinite(value):
        raise InvalidArgument(f"_meta {name} is a number.")
    return min(max(value, low), high)


def _key(value: Any) -> str:
    if not isinstance(value, str) or len(value) > MAX_KEY_CHARS:
        raise InvalidArgument(f"_meta headwater/idempotency_key is a text of at most {MAX_KEY_CHARS} characters.")
    return value


class ProgressNotes:
    """Turns emitted parts into progress notifications, whose number may only grow."""

    def __init__(self, session: ServerSession):
        self._session = session
        self._last = 0.0

    async def emit(self, part: BaseModel) -> None:
        total: float | None = None
        if isinstance(part, Progress):
            message, total = part.message, part.total
            self._last = max(self._last + 1e-6 if self._last else 0.0, float(part.done))
        else:
            message = json_text(part.model_dump(mode="json"))
            self._last += 1.0
        await self._session.report_progress(self._last, total, message[:MAX_MESSAGE_CHARS])


@dataclass(frozen=True, slots=True)
class Calls:
    """Runs tools for MCP requests: translates there and back, decides nothing."""

    dispatcher: Dispatcher[Any]
    results: ResultsPort | None = None
    local: Credentials | None = None

    def credentials(self, incoming: FastMCPRequestContext) -> Credentials:
        """Who sent a request: verified at the door, or the local principal of stdio."""
        if self.local is not None:
            return self.local
        found = incoming.request.scope.get(SCOPE_KEY) if incoming.request is not None else None
        if not isinstance(found, Credentials):
            raise Unauthenticated("This request did not pass the door.")
        return found

    async def run(self, name: str, arguments: Mapping[str, Any], incoming: FastMCPRequestContext) -> ToolResult:
        request_id = request_id_of(incoming.request.scope) if incoming.request else new_request_id()
        try:
            credentials = self.credentials(incoming)
            wishes = Wishes.read(incoming.meta)
            confirmation = self._confirmation(name, incoming, wishes)
            call = Call(
                tool=name,
                arguments=arguments,
                form="json",
                face="mcp",
                request_id=request_id,
                token=credentials.token,
                at=credentials.at,
                principal=credentials.principal if credentials.is_local else None,
                emit=self._emit(incoming),
                wait_s=wishes.wait_s,
                confirm=confirmation,
                traceparent=incoming.request.headers.get("traceparent", "") if incoming.request else "",
            )
            result = await self._asked(call, confirmation)
        except MustAsk as asking:
            return InputRequiredToolResult(asking.question)
        except PlatformError as error:
            return error_result(error, request_id)
        question = confirmation.question_back(name, result)
        if question is not None:
            return InputRequiredToolResult(question)
        return await tool_result(
            result,
            tool=name,
            by=credentials.principal,
            results=self.results,
            request_id=request_id,
            tokens=wishes.tokens,
        )

    async def _asked(self, call: Call, confirmation: Confirmation) -> BaseModel:
        """What the call gives in the end, where the person is asked on the way."""
        for number in range(MAX_QUESTIONS):
            arguments = onward(call.tool, call.arguments, confirmation.carried)
            key = confirmation.idempotency_key
            result = await self.dispatcher.call(replace(call, arguments=arguments, idempotency_key=key))
            if number + 1 == MAX_QUESTIONS or not await confirmation.answer_now(call.tool, result):
                break
        return result

    def _confirmation(self, name: str, incoming: FastMCPRequestContext, wishes: Wishes) -> Confirmation:
        registry = self.dispatcher.registry
        if name not in registry or (registry.get(name).effect == "read" and name not in CALLING | GOES_ON.keys()):
            return Confirmation(incoming.session, wishes.idempotency_key)
        ctx = get_context()
        return resume(
            incoming.session,
            state=ctx.request_state,
            answers=ctx.input_responses or {},
            idempotency_key=wishes.idempotency_key,
        )

    def _emit(self, incoming: FastMCPRequestContext) -> Emit:
        if not incoming.meta or incoming.meta.get("progressToken") is None:
            return discard
        return ProgressNotes(incoming.session).emit
