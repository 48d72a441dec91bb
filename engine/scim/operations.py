"""The operations of SCIM 2.0, declared like tools: limits, permissions and the audit are the gate's."""

import json

from pydantic import Field, JsonValue

from core.context import Context
from core.portable import Model
from core.tool import SIGNED_IN, tool
from engine.scim.discovery import about_service, resource_types, schemas
from engine.scim.provisioning import Provisioning, Question
from engine.scim.shapes import Shown

Ctx = Context[Provisioning]
ROOT = "//scim/v2"
NUMBER = r"^-?[0-9]{0,9}$"


class Asked(Model):
    base: str = Field(description="Where this service is.")
    attributes: str = Field("", max_length=4000, description="What to show.")
    excluded_attributes: str = Field("", max_length=4000, description="What to leave out.")

    def shown(self) -> Shown:
        return Shown(self.base, self.attributes, self.excluded_attributes)


class Item(Asked):
    item_id: str = Field(max_length=255, description="Id of the resource.")


class Listed(Asked):
    filter: str = Field("", max_length=4000, description="Which ones.")
    sort_by: str = Field("", max_length=255, description="In which order.")
    sort_order: str = Field("", max_length=16, description="Which way.")
    start_index: str = Field("", pattern=NUMBER, description="The first one, from 1.")
    count: str = Field("", pattern=NUMBER, description="How many at most.")

    def question(self) -> Question:
        start, count = (int(text) if text.strip("-") else None for text in (self.start_index, self.count))
        return Question(self.filter, self.sort_by, self.sort_order, start, count, self.shown())


class Sent(Asked):
    body: dict[str, JsonValue] = Field(description="The protocol's body.")


class ItemSent(Item):
    body: dict[str, JsonValue] = Field(description="The protocol's body.")


class Answer(Model):
    """What a client gets."""

    body: str = Field("", description="JSON as the protocol has it; empty where it has none.")


@tool(f"GET {ROOT}/Users", needs="users.manage", effect="read")
async def scim_list_users(ctx: Ctx, request: Listed) -> Answer:
    """List users by a filter."""
    return Answer(body=await ctx.engine.users(ctx.principal, request.question()))


@tool(f"POST {ROOT}/Users/.search", needs="users.manage", effect="read")
async def scim_search_users(ctx: Ctx, request: Sent) -> Answer:
    """List users by a filter that is sent."""
    return Answer(body=await ctx.engine.users(ctx.principal, _searched(request)))


@tool(f"POST {ROOT}/.search", needs="users.manage", effect="read")
async def scim_search(ctx: Ctx, request: Sent) -> Answer:
    """List users and roles by a filter that is sent."""
    return Answer(body=await ctx.engine.everything(ctx.principal, _searched(request)))


@tool(f"POST {ROOT}/Users", needs="users.manage", effect="write", status=201)
async def scim_create_user(ctx: Ctx, request: Sent) -> Answer:
    """Make a user."""
    body = await ctx.engine.create_user(ctx.principal, request.body, request.shown())
    ctx.note(f"user:{json.loads(body).get('id', '')}")
    return Answer(body=body)


@tool(f"GET {ROOT}/Users/{{item_id}}", needs="users.manage", effect="read")
async def scim_get_user(ctx: Ctx, request: Item) -> Answer:
    """Show a user."""
    return Answer(body=await ctx.engine.user(ctx.principal, request.item_id, request.shown()))


@tool(f"PUT {ROOT}/Users/{{item_id}}", needs="users.manage", effect="write")
async def scim_replace_user(ctx: Ctx, request: ItemSent) -> Answer:
    """Replace what is known of a user."""
    ctx.note(f"user:{request.item_id}")
    return Answer(body=await ctx.engine.replace_user(ctx.principal, request.item_id, request.body, request.shown()))


@tool(f"PATCH {ROOT}/Users/{{item_id}}", needs="users.manage", effect="write")
async def scim_patch_user(ctx: Ctx, request: ItemSent) -> Answer:
    """Change parts of what is known of a user."""
    ctx.note(f"user:{request.item_id}")
    return Answer(body=await ctx.engine.patch_user(ctx.principal, request.item_id, request.body, request.shown()))


@tool(f"DELETE {ROOT}/Users/{{item_id}}", needs="users.manage", effect="destroy", status=204)
async def scim_delete_user(ctx: Ctx, request: Item) -> Answer:
    """Delete a user; an administrator can bring it back."""
    ctx.note(f"user:{request.item_id}")
    await ctx.engine.delete_user(ctx.principal, request.item_id)
    return Answer()


@tool(f"GET {ROOT}/Groups", needs="users.manage", effect="read")
async def scim_list_groups(ctx: Ctx, request: Listed) -> Answer:
    """List roles and who has them, by a filter."""
    return Answer(body=await ctx.engine.groups(ctx.principal, request.question()))


@tool(f"POST {ROOT}/Groups/.search", needs="users.manage", effect="read")
async def scim_search_groups(ctx: Ctx, request: Sent) -> Answer:
    """List roles by a filter that is sent."""
    return Answer(body=await ctx.engine.groups(ctx.principal, _searched(request)))


@tool(f"POST {ROOT}/Groups", needs="users.manage", effect="write", status=201)
async def scim_create_group(ctx: Ctx, request: Sent) -> Answer:
    """Make a role without permissions, and give it to its members."""
    body = await ctx.engine.create_group(ctx.principal, request.body, request.shown())
    ctx.note(f"role:{json.loads(body).get('id', '')}")
    return Answer(body=body)


@tool(f"GET {ROOT}/Groups/{{item_id}}", needs="users.manage", effect="read")
async def scim_get_group(ctx: Ctx, request: Item) -> Answer:
    """Show a role and who has it."""
    return Answer(body=await ctx.engine.group(ctx.principal, request.item_id, request.shown()))


@tool(f"PUT {ROOT}/Groups/{{item_id}}", needs="users.manage", effect="write")
async def scim_replace_group(ctx: Ctx, request: ItemSent) -> Answer:
    """Say anew who has a role."""
    ctx.note(f"role:{request.item_id}")
    return Answer(body=await ctx.engine.replace_group(ctx.principal, request.item_id, request.body, request.shown()))


@tool(f"PATCH {ROOT}/Groups/{{item_id}}", needs="users.manage", effect="write")
async def scim_patch_group(ctx: Ctx, request: ItemSent) -> Answer:
    """Give a role to some, or take it."""
    ctx.note(f"role:{request.item_id}")
    return Answer(body=await ctx.engine.patch_group(ctx.principal, request.item_id, request.body, request.shown()))


@tool(f"DELETE {ROOT}/Groups/{{item_id}}", needs="users.manage", effect="destroy", status=204)
async def scim_delete_group(ctx: Ctx, request: Item) -> Answer:
    """Take a role from everybody, and delete it."""
    ctx.note(f"role:{request.item_id}")
    await ctx.engine.delete_group(ctx.principal, request.item_id)
    return Answer()


@tool(f"GET {ROOT}/ServiceProviderConfig", needs=SIGNED_IN, effect="read")
async def scim_get_config(ctx: Ctx, request: Asked) -> Answer:
    """Say what of SCIM this service does."""
    return Answer(body=about_service(request.base))


@tool(f"GET {ROOT}/ResourceTypes", needs=SIGNED_IN, effect="read")
async def scim_list_resource_types(ctx: Ctx, request: Listed) -> Answer:
    """List the kinds of resources."""
    return Answer(body=resource_types(request.base))


@tool(f"GET {ROOT}/ResourceTypes/{{item_id}}", needs=SIGNED_IN, effect="read")
async def scim_get_resource_type(ctx: Ctx, request: Item) -> Answer:
    """Show one kind of resources."""
    return Answer(body=resource_types(request.base, request.item_id))


@tool(f"GET {ROOT}/Schemas", needs=SIGNED_IN, effect="read")
async def scim_list_schemas(ctx: Ctx, request: Listed) -> Answer:
    """List the schemas of resources."""
    return Answer(body=schemas(request.base))


@tool(f"GET {ROOT}/Schemas/{{item_id}}", needs=SIGNED_IN, effect="read")
async def scim_get_schema(ctx: Ctx, request: Item) -> Answer:
    """Show one schema."""
    return Answer(body=schemas(request.base, request.item_id))


def _searched(request: Sent) -> Question:
    """The question in a body of SCIM's search. What is of no use there is left out, as everywhere."""

    def text(name: str) -> str:
        found = request.body.get(name)
        return ",".join(map(str, found)) if isinstance(found, list) else str(found or "")

    def number(name: str) -> int | None:
        found = request.body.get(name)
        return found if isinstance(found, int) and not isinstance(found, bool) else None

    shown = Shown(request.base, text("attributes"), text("excludedAttributes"))
    return Question(text("filter"), text("sortBy"), text("sortOrder"), number("startIndex"), number("count"), shown)
