"""Resources: whole results under their handles, and the schemas of tables, with completion."""

from collections.abc import Iterator
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

from fastmcp.resources.base import ResourceContent, ResourceResult
from fastmcp.resources.template import ResourceTemplate
from mcp_types import Completion

from core.context import Principal
from core.dispatch import Call, is_permitted
from core.errors import InvalidArgument, NotFound, PlatformError
from core.portable import Rows
from core.tool import Tool
from mcp_server.auth import Credentials, new_request_id
from mcp_server.calls import Calls
from mcp_server.preview import show
from mcp_server.results import CHARS_PER_TOKEN, MAX_TOKENS, cut_note, handle, rows_note
from mcp_server.text import compose, marked

RESULT_TOOL = "get_result"
SCHEMA_TOOL = "get_table_schema"
LISTING_TOOLS = ("list_lakehouse_tables", "list_tables")
RESULTS_URI = "headwater://results/{id}{?offset}"
TABLES_URI = "headwater://tables/{table}"
PAGE_TOKENS = 6_000
MAX_COMPLETIONS = 100

RESULTS = ResourceTemplate(
    name="result",
    title="Whole result",
    uri_template=RESULTS_URI,
    description="A result that was cut to fit, from the row `offset` on. Its owner can read it until it expires.",
    parameters={"type": "object", "properties": {"id": {"type": "string"}, "offset": {"type": "integer"}}},
)
TABLES = ResourceTemplate(
    name="table",
    title="Table schema",
    uri_template=TABLES_URI,
    description="Columns and properties of one table, for example `headwater://tables/sales.orders`.",
    parameters={"type": "object", "properties": {"table": {"type": "string"}}},
)


def templates(calls: Calls, by: Principal) -> list[ResourceTemplate]:
    """The templates that a principal can use."""
    found = [RESULTS] if RESULT_TOOL in calls.dispatcher.registry else []
    registry = calls.dispatcher.registry
    if SCHEMA_TOOL in registry and is_permitted(registry.get(SCHEMA_TOOL), by):
        found.append(TABLES)
    return found


async def read(calls: Calls, uri: str, by: Credentials) -> ResourceResult:
    """The text of a resource. Raises PlatformError."""
    try:
        parts = urlsplit(uri)
    except ValueError:
        raise NotFound(f"No resource {uri[:200]!r}.") from None
    name = unquote(parts.path.removeprefix("/"))
    if parts.scheme == "headwater" and name and parts.netloc == "results":
        return await _read_result(calls, name, _offset(parts.query), by)
    if parts.scheme == "headwater" and name and parts.netloc == "tables":
        return await _read_table(calls, name, by)
    raise NotFound(f"No resource {uri[:200]!r}.")


def _offset(query: str) -> int:
    text = parse_qs(query).get("offset", ["0"])[0]
    if not text.isdecimal() or len(text) > 12:
        raise InvalidArgument("offset is a number of rows.")
    return int(text)


async def _read_result(calls: Calls, result_id: str, offset: int, by: Credentials) -> ResourceResult:
    """A page of a result, read through the gate: authorised again, limited and audited like any call."""
    if RESULT_TOOL not in calls.dispatcher.registry:
        raise NotFound(f"No result {result_id[:64]!r}.")
    page = await calls.dispatcher.call(_call(RESULT_TOOL, {"query_id": result_id, "offset": offset}, by))
    told = page.model_dump(mode="json", exclude={"data", "profile"})
    rows = getattr(page, "data", None)
    if told["value"] is not None or not isinstance(rows, Rows) or rows.preview is None:
        return _as_text(told["value"] or {}, where=handle(result_id), offset=offset)
    shown = show("data", {}, rows.preview, PAGE_TOKENS * CHARS_PER_TOKEN, profiled=False)
    text, total = marked(shown.page.text), told["metadata"]["row_count"]
    if not shown.is_whole or offset + shown.rows < total:
        text += "\n" + rows_note(shown, handle(result_id), offset=offset, total=total)
    return ResourceResult([ResourceContent(text, mime_type="text/plain")])


async def _read_table(calls: Calls, table: str, by: Credentials) -> ResourceResult:
    schema = await calls.dispatcher.call(_call(SCHEMA_TOOL, {"table": table}, by))
    return _as_text(schema.model_dump(mode="json"))


def _call(tool: str, arguments: dict[str, Any], by: Credentials) -> Call:
    principal = by.principal if by.is_local else None
    return Call(tool, arguments, "mcp", new_request_id(), token=by.token, at=by.at, principal=principal)


def _as_text(data: dict[str, Any], *, where: str = "", offset: int = 0) -> ResourceResult:
    page = compose(data, min(PAGE_TOKENS, MAX_TOKENS) * CHARS_PER_TOKEN, offset=offset)
    text = marked(page.text)
    is_at_end = not page.cut_values and all(offset + shown >= total for shown, total in page.cut_lists.values())
    if not is_at_end:
        text += "\n" + cut_note(page, where, data, offset=offset)
    return ResourceResult([ResourceContent(text, mime_type="text/plain")])


def completion_source(calls: Calls) -> Tool | None:
    """The tool that names tables, where this server has one."""
    registry = calls.dispatcher.registry
    return next((registry.get(name) for name in LISTING_TOOLS if name in registry), None)


async def complete_table(calls: Calls, typed: str, by: Credentials) -> Completion:
    """Names of tables that the principal can see and that hold what was typed, best first."""
    source = completion_source(calls)
    if source is None or not is_permitted(source, by.principal):
        return Completion(values=[])
    try:
        listing = await calls.dispatcher.call(_call(source.name, {}, by))
    except PlatformError:  # a completion that fails completes nothing
        return Completion(values=[])
    wanted = typed.casefold()
    found = [name for name in dict.fromkeys(_names(listing.model_dump(mode="json"))) if wanted in name.casefold()]
    found.sort(key=lambda name: (not name.casefold().startswith(wanted), name))
    return Completion(values=found[:MAX_COMPLETIONS], total=len(found), has_more=len(found) > MAX_COMPLETIONS)


def _names(listing: dict[str, Any]) -> Iterator[str]:
    for item in listing.get("tables") or listing.get("items") or []:
        name = item if isinstance(item, str) else item.get("table") or item.get("table_name") or item.get("name")
        if isinstance(name, str):
            yield name
