"""Assets: documents, datasets and files that a tenant registers beside its tables."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing, Paged
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.documents.assets import Asset as Found
from engine.documents.assets import Draft, Wanted

TEXT = r"^[^\x00]*$"
NAME = r"^[^\x00-\x1f\x7f]*[^\x00-\x20\x7f][^\x00-\x1f\x7f]*$"
Tag = Annotated[str, Field(pattern=r"^[^\x00-\x1f\x7f\"\\]{1,64}$")]
Detail = Annotated[str, Field(pattern=TEXT, max_length=2000)]
AssetKind = Literal["document", "dataset", "table", "file", "dashboard", "other"]
AssetId = Annotated[
    str, Refers("asset"), Field(min_length=1, max_length=64, description="Id of the asset; list_assets shows it.")
]


class CreateAsset(Model):
    """What to register."""

    name: str = Field(pattern=NAME, max_length=255, description="Name.")
    kind: AssetKind = Field("document", description="What it is.")
    description: str = Field("", pattern=TEXT, max_length=10_000, description="What it holds.")
    uri: str = Field("", pattern=r"^[!-~]*$", max_length=2000, description="Where it is; never opened by Headwater.")
    metadata: dict[str, Detail] = Field({}, max_length=50, description="What else to say of it, by name.")
    tags: list[Tag] = Field([], max_length=50, description="Tags.")
    visibility: Literal["tenant", "private"] = Field(
        "tenant", description="Seen by all of the tenant, or by its owner and those who manage the tenant."
    )
    project_id: Annotated[str | None, Refers("own_project")] = Field(
        None, max_length=64, description="Project that it belongs to."
    )
    asset_id: str | None = Field(None, pattern=r"^[A-Za-z0-9_-]{1,64}$", description="Id to give it; default new.")


class ListAssets(Paged):
    """Which assets."""

    kind: AssetKind | None = Field(None, description="Only those of this kind.")
    tag: str = Field("", max_length=64, pattern=r"^[^\x00-\x1f\x7f\"\\]*$", description="Only those with this tag.")
    project_id: Annotated[str | None, Refers("own_project")] = Field(
        None, max_length=64, description="Only those of this project."
    )


class AssetRef(Model):
    """Which asset."""

    asset_id: AssetId


class UpdateAsset(AssetRef):
    """What to change; what is left out stays."""

    name: str | None = Field(None, pattern=NAME, max_length=255, description="New name.")
    kind: AssetKind | None = Field(None, description="What it is.")
    description: str | None = Field(None, pattern=TEXT, max_length=10_000, description="What it holds.")
    uri: str | None = Field(None, pattern=r"^[!-~]*$", max_length=2000, description="Where it is.")
    metadata: dict[str, Detail] | None = Field(None, max_length=50, description="What else to say of it, in place.")
    tags: list[Tag] | None = Field(None, max_length=50, description="Tags, in place of those that it has.")
    visibility: Literal["tenant", "private"] | None = Field(None, description="Who sees it.")
    project_id: Annotated[str | None, Refers("own_project")] = Field(
        None, max_length=64, description="Project that it belongs to."
    )
    expected_version: int | None = Field(None, ge=1, description="Refused unless this is its version now.")


class TagAsset(AssetRef):
    """Which tags."""

    tags: list[Tag] = Field([], max_length=50, description="Tags to put on.")
    remove: list[Tag] = Field([], max_length=50, description="Tags to take off.")


class AssetContent(Model):
    """The file that was attached last."""

    name: str = Field(description="Name of the file.")
    format: str = Field(description="pdf, docx, html, markdown, text or csv.")
    size_bytes: int = Field(description="Size of the file.")
    page_count: int = Field(description="Pages, where the format has them.")
    passage_count: int = Field(description="Passages that search_documents looks through.")
    attached_at: datetime = Field(description="When it was attached.")


class Asset(Model):
    """One asset."""

    asset_id: str = Field(description="Id.")
    name: str = Field(description="Name.")
    kind: str = Field(description="What it is.")
    description: str = Field(description="What it holds.")
    uri: str = Field(description="Where it is.")
    metadata: dict[str, str] = Field(description="What else its owner says of it.")
    tags: list[str] = Field(description="Tags.")
    visibility: str = Field(description="`tenant` or `private`.")
    owner: str = Field(description="Who registered it.")
    project_id: str | None = Field(description="Project that it belongs to.")
    content: AssetContent | None = Field(description="What is attached; null where nothing is.")
    version: int = Field(description="Rises with every change; give it as `expected_version`.")
    created_at: datetime = Field(description="When it was registered.")
    updated_at: datetime = Field(description="When it was last changed.")


class AssetList(Listing):
    """A page of assets."""

    assets: list[Asset] = Field(description="The assets, the oldest first.")
    items: list[Asset] = Field(description="The same list.")


@tool("POST /assets", needs="assets.manage", effect="write", status=201, location="/assets/{asset_id}")
async def create_asset(ctx: Ctx, request: CreateAsset) -> Asset:
    """Register an asset: a document, dataset, file or dashboard that people should find.

    `attach_document` then gives it a file whose text can be searched. Tables of connections need no asset."""
    draft = Draft(
        name=request.name,
        kind=request.kind,
        description=request.description,
        uri=request.uri,
        details=request.metadata,
        tags=request.tags,
        visibility=request.visibility,
        project_id=request.project_id,
    )
    return show_asset(await ctx.engine.documents.assets.create(ctx.principal, draft, asset_id=request.asset_id))


@tool("GET /assets", needs="assets.read", effect="read")
async def list_assets(ctx: Ctx, request: ListAssets) -> AssetList:
    """List the assets that you can see; `search_documents` looks through their texts."""
    window = ctx.engine.pages.window("list_assets", request, ctx.principal)
    wanted = Wanted(request.kind or "", request.tag, request.project_id or "")
    found, total = await ctx.engine.documents.assets.page(ctx.principal, window, wanted)
    shown = [show_asset(item) for item in found]
    token = ctx.engine.pages.next_token("list_assets", request, ctx.principal, window, total)
    return AssetList(assets=shown, items=shown, total_count=total, next_page_token=token)


@tool("GET /assets/{asset_id}", needs="assets.read", effect="read")
async def get_asset(ctx: Ctx, request: AssetRef) -> Asset:
    """Fetch one asset."""
    return show_asset(await ctx.engine.documents.assets.get(ctx.principal, request.asset_id))


@tool("PATCH /assets/{asset_id}", "PUT /assets/{asset_id}", needs="assets.manage", effect="write")
async def update_asset(ctx: Ctx, request: UpdateAsset) -> Asset:
    """Change what is said of an asset, or who sees it. Its file stays."""
    draft = Draft(
        name=request.name,
        kind=request.kind,
        description=request.description,
        uri=request.uri,
        details=request.metadata,
        tags=request.tags,
        visibility=request.visibility,
        project_id=request.project_id,
    )
    changed = await ctx.engine.documents.assets.update(
        ctx.principal, request.asset_id, draft, version=request.expected_version
    )
    return show_asset(changed)


@tool("DELETE /assets/{asset_id}", needs="assets.manage", effect="destroy", status=204)
async def delete_asset(ctx: Ctx, request: AssetRef) -> Empty:
    """Delete an asset with everything that was read from its file; it cannot be brought back."""
    await ctx.engine.documents.assets.delete(ctx.principal, request.asset_id)
    return Empty()


@tool("POST /assets/{asset_id}/tags", needs="assets.manage", effect="write")
async def tag_asset(ctx: Ctx, request: TagAsset) -> Asset:
    """Put tags on an asset, and take others off. Doing it twice is doing it once."""
    return show_asset(
        await ctx.engine.documents.assets.tag(ctx.principal, request.asset_id, request.tags, request.remove)
    )


def show_asset(found: Found) -> Asset:
    content = found.content
    shown = AssetContent(
        name=content.name,
        format=content.format,
        size_bytes=content.size_bytes,
        page_count=content.page_count,
        passage_count=content.passage_count,
        attached_at=datetime.fromtimestamp(content.attached_at, UTC),
    )
    return Asset(
        asset_id=found.asset_id,
        name=found.name,
        kind=found.kind,
        description=found.description,
        uri=found.uri,
        metadata=dict(found.details),
        tags=list(found.tags),
        visibility=found.visibility,
        owner=found.owner,
        project_id=found.project_id,
        content=shown if found.content_version else None,
        version=found.version,
        created_at=datetime.fromtimestamp(found.created_at, UTC),
        updated_at=datetime.fromtimestamp(found.updated_at, UTC),
    )
