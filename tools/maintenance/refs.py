"""Branches and tags: names that keep a table's versions."""

from typing import Literal

from pydantic import Field

from core.portable import Model
from core.tool import Empty, tool
from engine.context import Ctx
from engine.lake.history import Ref
from engine.lake.names import TABLE_NAME
from engine.maintenance.found import Found

NAME = r"^[A-Za-z0-9][A-Za-z0-9_.-]{0,127}$"


class ListTableRefs(Model):
    """Which table."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")


class TableRef(Model):
    """A branch or a tag."""

    table: str = Field(description="Name of the table.")
    name: str = Field(description="Its name.")
    kind: str = Field(description="`branch` or `tag`.")
    snapshot_id: str = Field(description="The version that it names.")
    max_age_days: float | None = Field(description="Days after which expiry may drop it; null: never.")


class TableRefs(Model):
    """All of a table's branches and tags."""

    table: str = Field(description="Name of the table.")
    refs: list[TableRef] = Field(description="By name.")


class CreateTableRef(Model):
    """The name, and what it names."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    name: str = Field(pattern=NAME, max_length=128, description="Letters, digits, dot, dash and underscore.")
    kind: Literal["tag", "branch"] = Field("tag", description="A tag stays where it is; a branch can be written to.")
    snapshot_id: str = Field("", max_length=20, pattern=r"^(-?\d+)?$", description="The version; empty: the current.")
    max_age_days: int = Field(0, ge=0, le=36_500, description="Days after which expiry may drop it; 0: never.")


class DeleteTableRef(Model):
    """Which name."""

    table: str = Field(pattern=TABLE_NAME, max_length=512, description="Namespace and table, as `sales.orders`.")
    ref: str = Field(min_length=1, max_length=128, pattern=NAME, description="Name of the branch or tag.")


@tool("GET /table/{table}/refs", needs="catalog.read", effect="read")
async def list_table_refs(ctx: Ctx, request: ListTableRefs) -> TableRefs:
    """List a lakehouse table's branches and tags.

    The versions that they name never expire while they are there."""
    found, refs = await ctx.engine.care.refs(ctx.principal, request.table)
    return TableRefs(table=str(found.name), refs=[_show(found, ref) for ref in refs])


@tool("POST /table/{table}/refs", needs="tables.maintain", effect="write", status=201, location="/table/{table}/refs")
async def create_table_ref(ctx: Ctx, request: CreateTableRef) -> TableRef:
    """Give a version of a table a name that keeps it from expiring.

    Tag what a report or a model was made from; time travel takes the name."""
    ctx.note(f"table:lakehouse/{request.table}")
    found, ref = await ctx.engine.care.create_ref(
        ctx.principal,
        request.table,
        request.name,
        request.kind,
        snapshot_id=int(request.snapshot_id) if request.snapshot_id else None,
        max_age_days=request.max_age_days or None,
    )
    return _show(found, ref)


@tool("DELETE /table/{table}/refs/{ref}", needs="tables.maintain", effect="destroy", status=204)
async def delete_table_ref(ctx: Ctx, request: DeleteTableRef) -> Empty:
    """Take a branch's or tag's name away.

    What it named stays readable until expire_snapshots runs."""
    ctx.note(f"table:lakehouse/{request.table}")
    await ctx.engine.care.delete_ref(ctx.principal, request.table, request.ref)
    return Empty()


def _show(found: Found, ref: Ref) -> TableRef:
    age = ref.max_age_ms / 86_400_000 if ref.max_age_ms else None
    return TableRef(
        table=str(found.name), name=ref.name, kind=ref.kind, snapshot_id=str(ref.snapshot_id), max_age_days=age
    )
