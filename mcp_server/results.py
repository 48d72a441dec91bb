"""What a call is answered with: text within a token budget, structured content, handles, errors."""

from base64 import b64encode
from collections.abc import Sequence
from typing import Any, Protocol

from fastmcp.tools.base import ToolResult
from mcp_types import CallToolResult, ContentBlock, ImageContent, TextContent
from pydantic import BaseModel, PrivateAttr
from pydantic_core import from_json

from core.context import Principal
from core.errors import PlatformError
from core.portable import Rows, RowsPreview, bars, pictures
from mcp_server.preview import Shown, show, structured
from mcp_server.text import Page, compose, drawn, fit, has_text, json_text, marked

DEFAULT_TOKENS = 2_000
MAX_TOKENS = 20_000
CHARS_PER_TOKEN = 4
STRUCTURED_CHARS = 24_000
MARKS_CHARS = 400  # for the tags around data and the note about what was cut

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


class ResultsPort(Protocol):
    """Keeps whole results for a while, so that a cut one can be read on, with the tool `get_result`."""

    async def save(self, principal: Principal, tool: str, result_json: bytes) -> str:
        """Keep a result and return its id, which nobody can guess."""
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
    found = _rows_of(result)
    if found is not None:
        return _rows_result(result, *found, request_id=request_id, tokens=tokens)
    images = {field: (kind, getattr(result, field)) for field, kind in pictures(type(result)).items()}
    if images:  # shown as pictures; as text they would fill the budget with nothing to read
        result = result.model_copy(update=dict.fromkeys(images, b""))
    whole = result.model_dump_json().encode()
    data: dict[str, Any] = from_json(whole)
    size = len(whole)
    page = compose(drawn(data, bars(type(result))), tokens * CHARS_PER_TOKEN)
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
    return wire_result(text, data, meta, images=list(images.values()))


def _rows_of(result: BaseModel) -> tuple[str, RowsPreview] | None:
    """The field of a result that holds rows which can be shown in part."""
    for name in type(result).model_fields:
        value = getattr(result, name)
        if isinstance(value, Rows) and value.preview is not None:
            return name, value.preview
    return None


def _rows_result(result: BaseModel, name: str, preview: RowsPreview, *, request_id: str, tokens: int) -> ToolResult:
    """Rows come typed and in a table, with a handle to read on, chart or profile them."""
    rest: dict[str, Any] = from_json(result.model_dump_json(exclude={name}))
    budget = tokens * CHARS_PER_TOKEN
    shown = show(name, rest, preview, max(budget - MARKS_CHARS, budget // 2))
    room = max(STRUCTURED_CHARS, budget)
    fitted = fit(rest, room // 3) if len(json_text(rest)) > room // 3 else rest
    rows, is_whole = structured(preview, room - len(json_text(fitted)))
    meta: dict[str, Any] = {"headwater/request_id": request_id}
    where = handle(preview.result_id) if preview.result_id else ""
    if where:
        meta["headwater/result"] = where
    text = marked(shown.page.text)
    if not shown.is_whole or not is_whole:
        meta["headwater/truncated"] = not is_whole
        meta["headwater/rows"] = {name: [shown.rows, shown.row_count]}
    if not shown.is_whole:
        text += "\n" + rows_note(shown, where)
    data = {field: rows if field == name else fitted[field] for field in type(result).model_fields}
    return wire_result(text, data if is_whole and fitted is rest else with_truncated_set(data), meta)


def rows_note(shown: Shown, where: str, *, offset: int = 0, total: int | None = None) -> str:
    """One honest line: what is shown of what, and how to get the rest."""
    parts, total = [], shown.row_count if total is None else total
    if shown.rows < total:
        span = f"rows {offset + 1}-{offset + shown.rows}" if offset else f"{shown.rows}"
        parts.append(f"{span} of {total} rows shown")
    if shown.columns < shown.column_count:
        parts.append(f"{shown.columns} of {shown.column_count} columns shown: select fewer")
    if shown.page.cut_values:
        parts.append(f"{shown.page.cut_values} long values cut")
    note = f"CUT TO FIT: {'; '.join(parts)}."
    if where and shown.rows and offset + shown.rows < total:
        return f"{note} Read on at {where}?offset={offset + shown.rows}, or aggregate in SQL."
    return f"{note} Ask for fewer rows or columns, or aggregate."


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


def wire_result(
    text: str,
    data: dict[str, Any],
    meta: dict[str, Any],
    *,
    is_error: bool = False,
    images: Sequence[tuple[str, bytes]] = (),
) -> ToolResult:
    content: list[ContentBlock] = [TextContent(type="text", text=text)]
    for media_type, picture in images:
        encoded = b64encode(picture).decode()
        content.append(ImageContent(type="image", data=encoded, mime_type=media_type))
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
