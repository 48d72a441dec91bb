"""What a call is answered with: text within a token budget, structured content, handles, errors."""

from typing import Any, Protocol

from fastmcp.tools.base import ToolResult
from mcp_types import CallToolResult, TextContent
from pydantic import BaseModel, PrivateAttr
from pydantic_core import from_json

from core.context import Principal
from core.errors import PlatformError
from mcp_server.text import Page, compose, fit, has_text, marked

DEFAULT_TOKENS = 2_000
MAX_TOKENS = 20_000
CHARS_PER_TOKEN = 4
STRUCTURED_CHARS = 24_000

RPC_CODES = {
    "UNAUTHENTICATED": -32090,
    "UNAUTHORIZED": -32091,
    "QUERY_UNAUTHORIZED": -32091,
    "NOT_FOUND": -32602,
    "INVALID_ARGUMENT": -32602,
    "CONFLICT": -32092,
    "RATE_LIMITED": -32093,
    "QUOTA_EXCEEDED": -32093,
    "TIMEOUT": -32094,
    "CANCELLED": -32095,
    "UNAVAILABLE": -32096,
    "INTERNAL": -32603,
}
"""JSON-RPC codes, for methods whose errors have no result to stand in; the body is in `data`."""


class StoredResult(Protocol):
    """A result kept under a handle, with the tool whose permission a reader still needs."""

    @property
    def tool(self) -> str: ...

    @property
    def result_json(self) -> bytes: ...


class ResultsPort(Protocol):
    """Keeps whole results for a while, so that a cut one can be read on."""

    async def save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        """Keep a result and return its id, which nobody can guess."""
        ...

    async def load(self, principal: Principal, result_id: str) -> StoredResult:
        """The result, for its owner while it lasts. Raises NotFound otherwise."""
        ...


def handle(result_id: str) -> str:
    return f"headwater://results/{result_id}"


async def tool_result(
    result: BaseModel, *, tool: str, by: Principal | None, results: ResultsPort | None, request_id: str, tokens: int
) -> ToolResult:
    """Answer a call that went well.

    `structuredContent` is complete up to 24,000 characters (more with a larger budget); beyond that
    lists and texts are cut, which every schema of ours allows, `truncated` is set where the result has
    such a field, and `_meta` says so. The text has its own, smaller budget."""
    whole = result.model_dump_json().encode()
    data: dict[str, Any] = from_json(whole)
    size = len(whole)
    page = compose(data, tokens * CHARS_PER_TOKEN)
    structured_room = max(STRUCTURED_CHARS, tokens * CHARS_PER_TOKEN)
    meta: dict[str, Any] = {"headwater/request_id": request_id}
    where = ""
    if not page.is_whole or size > structured_room:
        meta["headwater/truncated"] = size > structured_room
        meta["headwater/rows"] = {name: list(counts) for name, counts in page.cut_lists.items()}
        where = await _keep(whole, tool, by, results)
        if where:
            meta["headwater/result"] = where
    text = marked(page.text) if has_text(data) else page.text
    if not page.is_whole:
        text += "\n" + cut_note(page, where, data)
    if size > structured_room:
        data = with_truncated_set(fit(data, structured_room))
    return wire_result(text, data, meta)


async def _keep(result_json: bytes, tool: str, by: Principal | None, results: ResultsPort | None) -> str:
    if results is None or by is None:
        return ""
    try:
        return handle(await results.save(by, tool, result_json))
    except PlatformError:  # the answer itself is there; without a handle the note names other ways
        return ""


def cut_note(page: Page, where: str, data: dict[str, Any], *, offset: int = 0) -> str:
    """One honest line: what is shown of what, and how to get the rest."""
    parts = [
        f"{name}: {shown} of {total} rows shown"
        if not offset
        else f"{name}: rows {offset + 1}-{offset + shown} of {total}"
        for name, (shown, total) in page.cut_lists.items()
    ]
    if page.cut_values:
        parts.append(f"{page.cut_values} long values cut")
    note = f"CUT TO FIT: {'; '.join(parts)}."
    if where:
        shown = min((shown for shown, _ in page.cut_lists.values()), default=0)
        return f"{note} Read on at {where}?offset={offset + shown}"
    if data.get("next_page_token"):
        return f"{note} Ask for smaller pages (page_size), then follow next_page_token."
    return f"{note} Ask for fewer rows or columns, or aggregate."


def with_truncated_set(data: dict[str, Any]) -> dict[str, Any]:
    """The result with its own `truncated` flags raised, where it has them."""
    if data.get("truncated") is False:
        data = {**data, "truncated": True}
    metadata = data.get("metadata")
    if isinstance(metadata, dict) and metadata.get("truncated") is False:
        data = {**data, "metadata": {**metadata, "truncated": True}}
    return data


def error_result(error: PlatformError, request_id: str) -> ToolResult:
    """A refusal or failure that the model can read and act on."""
    lines = [f"{error.code}: {error.message}"]
    if error.hint:
        lines.append(f"Hint: {error.hint}")
    meta: dict[str, Any] = {"headwater/request_id": request_id}
    if error.retry_after_s is not None:
        lines.append(f"Retry after {error.retry_after_s:g} s.")
        meta["headwater/retry_after_s"] = error.retry_after_s
    lines.append(f"Request id: {request_id}")
    return wire_result("\n".join(lines), {"error": error.body(request_id)}, meta, is_error=True)


def wire_result(text: str, data: dict[str, Any], meta: dict[str, Any], *, is_error: bool = False) -> ToolResult:
    content = [TextContent(type="text", text=text)]
    wire = CallToolResult(content=content, structured_content=data, is_error=is_error, _meta=meta)
    return Answer.of(wire)


class Answer(ToolResult):
    """A finished wire result: FastMCP hands it on without serialising the data again."""

    _wire: CallToolResult = PrivateAttr()

    @classmethod
    def of(cls, wire: CallToolResult) -> "Answer":
        answer = cls.model_construct(content=wire.content, structured_content=wire.structured_content)
        answer._wire = wire
        return answer

    def to_mcp_result(self) -> CallToolResult:
        return self._wire
