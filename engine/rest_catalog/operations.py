"""The operations of Iceberg's REST protocol, declared like tools: limits, permissions and the audit are the gate's."""

import json
from collections.abc import Sequence
from typing import Any

from pydantic import Field, JsonValue

from core.context import Context
from core.errors import InvalidArgument
from core.portable import Model
from core.tool import tool
from engine.lake.names import join_name
from engine.rest_catalog.catalog import RestCatalog
from engine.rest_catalog.making import read_properties
from engine.rest_catalog.names import Parts, checked, read_namespace, sent_identifier, sent_namespace
from engine.rest_catalog.refusals import NoSuchView, NoSuchWarehouse, UnsupportedOperation
from engine.rest_catalog.sight import LAKEHOUSE

Ctx = Context[RestCatalog]
ROOT = "//iceberg/v1/{prefix}"
NAMESPACE = f"{ROOT}/namespaces/{{namespace}}"
TABLE = f"{NAMESPACE}/tables/{{table}}"


class Configure(Model):
    warehouse: str = Field("", description="The tenant, or empty.")


class In(Model):
    prefix: str = Field(description="The tenant.")


class Listing(In):
    parent: str = Field("", description="The namespace whose children are listed.")
    page_token: str = Field("", pattern="^[0-9]{0,9}$", description="Where the page begins.")
    page_size: str = Field("", pattern="^[0-9]{0,9}$", description="How many a page has.")


class Named(In):
    namespace: str = Field(description="Levels with U+001F between them.")


class NamedListing(Named):
    page_token: str = Field("", pattern="^[0-9]{0,9}$", description="Where the page begins.")
    page_size: str = Field("", pattern="^[0-9]{0,9}$", description="How many a page has.")


class TableRef(Named):
    table: str = Field(description="The table's name.")


class ViewRef(Named):
    view: str = Field(description="The view's name.")


class Sent(In):
    body: dict[str, JsonValue] = Field(default_factory=dict, description="The protocol's body.")


class NamedSent(Named):
    body: dict[str, JsonValue] = Field(default_factory=dict, description="The protocol's body.")


class TableSent(TableRef):
    body: dict[str, JsonValue] = Field(default_factory=dict, description="The protocol's body.")


class Answer(Model):
    """What a client gets."""

    body: str = Field("", description="JSON as the protocol has it; empty where it has none.")


@tool("GET //iceberg/v1/config", needs="catalog.read", effect="read")
async def get_iceberg_config(ctx: Ctx, request: Configure) -> Answer:
    """Tell a client its prefix and what this catalog does."""
    tenant = ctx.principal.tenant
    if request.warehouse not in ("", tenant, LAKEHOUSE):
        raise NoSuchWarehouse("There is no such warehouse.", hint="Name your tenant, or `lakehouse`.")
    return _json({"defaults": {}, "overrides": {"prefix": tenant}})


@tool(f"GET {ROOT}/namespaces", needs="catalog.read", effect="read")
async def list_iceberg_namespaces(ctx: Ctx, request: Listing) -> Answer:
    """List the namespaces below one, or the uppermost."""
    _check_prefix(ctx, request)
    above = await ctx.engine.sight.namespace(ctx.principal, read_namespace(request.parent)) if request.parent else ()
    found = [list(parts) for parts in await ctx.engine.sight.namespaces(ctx.principal) if parts[:-1] == above]
    return _page("namespaces", found, request.page_token, request.page_size)


@tool(f"POST {ROOT}/namespaces", needs="datasets.manage", effect="write")
async def create_iceberg_namespace(ctx: Ctx, request: Sent) -> Answer:
    """Make a namespace."""
    _check_prefix(ctx, request)
    parts, properties = sent_namespace(request.body.get("namespace")), read_properties(request.body.get("properties"))
    ctx.note(f"dataset:{join_name(parts)}")
    await ctx.engine.create_namespace(ctx.principal, parts, properties)
    return _json({"namespace": list(parts), "properties": properties})


@tool(f"GET {NAMESPACE}", needs="catalog.read", effect="read")
async def load_iceberg_namespace(ctx: Ctx, request: Named) -> Answer:
    """Load a namespace's properties."""
    parts, properties = await ctx.engine.namespace_properties(ctx.principal, _namespace(ctx, request))
    return _json({"namespace": list(parts), "properties": properties})


@tool(f"POST {NAMESPACE}/properties", needs="datasets.manage", effect="write")
async def change_iceberg_namespace(ctx: Ctx, request: NamedSent) -> Answer:
    """Set and remove a namespace's properties."""
    parts, removals = _namespace(ctx, request), request.body.get("removals") or []
    if not isinstance(removals, list) or not all(isinstance(name, str) for name in removals):
        raise InvalidArgument("`removals` is not a list of names.")
    names = [str(name) for name in removals]
    updates = read_properties(request.body.get("updates"))
    missing = await ctx.engine.change_namespace(ctx.principal, parts, names, updates)
    removed = [name for name in names if name not in missing]
    return _json({"updated": list(updates), "removed": removed, "missing": missing})


@tool(f"DELETE {NAMESPACE}", needs="datasets.manage", effect="destroy", status=204)
async def drop_iceberg_namespace(ctx: Ctx, request: Named) -> Answer:
    """Drop an empty namespace."""
    await ctx.engine.drop_namespace(ctx.principal, _namespace(ctx, request))
    return Answer()


@tool(f"GET {NAMESPACE}/tables", needs="catalog.read", effect="read")
async def list_iceberg_tables(ctx: Ctx, request: NamedListing) -> Answer:
    """List the tables of a namespace that the caller could load."""
    parts = await ctx.engine.sight.namespace(ctx.principal, _namespace(ctx, request))
    names = await ctx.engine.sight.tables(ctx.principal, parts)
    found = [{"namespace": list(parts), "name": name} for name in names]
    return _page("identifiers", found, request.page_token, request.page_size)


@tool(f"POST {NAMESPACE}/tables", needs="datasets.manage", effect="write")
async def create_iceberg_table(ctx: Ctx, request: NamedSent) -> Answer:
    """Make a table, or stage it for a commit that makes it."""
    parts = _namespace(ctx, request)
    ctx.note(f"dataset:{join_name(parts)}")
    return Answer(body=await ctx.engine.create_table(ctx.principal, parts, request.body))


@tool(f"GET {TABLE}", needs="query.run", effect="read")
async def load_iceberg_table(ctx: Ctx, request: TableRef) -> Answer:
    """Load a table: where its files are, so that its rows can be read."""
    return Answer(body=await ctx.engine.load(ctx.principal, _table(ctx, request)))


@tool(f"POST {TABLE}", needs="catalog.read", effect="write")
async def commit_iceberg_table(ctx: Ctx, request: TableSent) -> Answer:
    """Commit to a table; each kind of update has a permission of its own."""
    return Answer(body=await ctx.engine.commit(ctx.principal, _table(ctx, request), request.body))


@tool(f"DELETE {TABLE}", needs="datasets.manage", effect="destroy", status=204)
async def drop_iceberg_table(ctx: Ctx, request: TableRef) -> Answer:
    """Delete a table; it can be restored for some days."""
    await ctx.engine.drop(ctx.principal, _table(ctx, request))
    return Answer()


@tool(f"POST {ROOT}/tables/rename", needs="datasets.manage", effect="write", status=204)
async def rename_iceberg_table(ctx: Ctx, request: Sent) -> Answer:
    """Give a table another name or namespace."""
    _check_prefix(ctx, request)
    source, target = sent_identifier(request.body.get("source")), sent_identifier(request.body.get("destination"))
    ctx.note(f"table:{join_name(source)}")
    await ctx.engine.rename(ctx.principal, source, target)
    return Answer()


@tool(f"POST {ROOT}/transactions/commit", needs="catalog.read", effect="write", status=204)
async def commit_iceberg_transaction(ctx: Ctx, request: Sent) -> Answer:
    """Commit to one table; several are refused."""
    _check_prefix(ctx, request)
    await ctx.engine.commit_all(ctx.principal, request.body)
    return Answer()


@tool(f"POST {TABLE}/metrics", needs="catalog.read", effect="read", status=204)
async def report_iceberg_metrics(ctx: Ctx, request: TableSent) -> Answer:
    """Take a client's report of what it read, and do nothing with it."""
    _table(ctx, request)
    return Answer()


@tool(f"POST {NAMESPACE}/register", needs="datasets.manage", effect="write")
async def register_iceberg_table(ctx: Ctx, request: NamedSent) -> Answer:
    """Refuse to take in a table by its metadata file, which may name anybody's files."""
    _namespace(ctx, request)
    raise UnsupportedOperation("Tables are not registered here.", hint="Create the table and write its rows.")


@tool(f"GET {NAMESPACE}/views", needs="catalog.read", effect="read")
async def list_iceberg_views(ctx: Ctx, request: NamedListing) -> Answer:
    """List the views of a namespace: there are none."""
    await ctx.engine.sight.namespace(ctx.principal, _namespace(ctx, request))
    return _json({"identifiers": []})


@tool(f"GET {NAMESPACE}/views/{{view}}", needs="catalog.read", effect="read")
async def load_iceberg_view(ctx: Ctx, request: ViewRef) -> Answer:
    """Say that there is no such view."""
    _namespace(ctx, request)
    raise NoSuchView("There are no views here.", hint="Load a table.")


def _check_prefix(ctx: Ctx, request: In) -> None:
    if request.prefix != ctx.principal.tenant:
        raise NoSuchWarehouse("There is no such warehouse.", hint="GET /iceberg/v1/config names your prefix.")


def _namespace(ctx: Ctx, request: Named) -> Parts:
    _check_prefix(ctx, request)
    parts = read_namespace(request.namespace)
    ctx.note(f"dataset:{join_name(parts)}")
    return parts


def _table(ctx: Ctx, request: TableRef) -> Parts:
    _check_prefix(ctx, request)
    parts = (*read_namespace(request.namespace), *checked((request.table,)))
    ctx.note(f"table:{join_name(parts)}")
    return parts


def _json(value: dict[str, Any]) -> Answer:
    return Answer(body=json.dumps(value))


def _page(name: str, found: Sequence[Any], token: str, size: str) -> Answer:
    if not size or size == "0":
        return _json({name: list(found)})
    start, count = int(token or 0), int(size)
    page: dict[str, Any] = {name: found[start : start + count]}
    if start + count < len(found):
        page["next-page-token"] = str(start + count)
    return _json(page)
