"""Knowledge: what words mean here."""

from datetime import UTC, datetime
from typing import Annotated

from pydantic import Field

from core.pages import Listing
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.semantic.knowledge import Draft
from engine.semantic.store import Stored
from tools.semantic.fields import ID, PATH, SUBJECT, VERSION, ListWritten, Status, changed, listed

Text = Annotated[str, Field(min_length=1, max_length=500)]
Table = Annotated[str, Field(min_length=1, max_length=1024)]
TITLE = "The term, or what it is about."
TEXT = "What it means here."
TABLES = "Tables that it is about: only those who see all of them see it."
SYNONYMS = "Other words for the term."
STATUS = "`draft`: waits for a person; `active`."


class KnowledgeRef(Model):
    """Which text."""

    knowledge_id: Annotated[str, Refers("knowledge")] = Field(
        max_length=64, description="Its id; list_knowledge shows them."
    )


class ListKnowledge(ListWritten):
    """Which texts to list."""


class CreateKnowledge(Model):
    """A text to keep."""

    title: str = Field(min_length=1, max_length=255, description=TITLE)
    text: str = Field(min_length=1, max_length=20_000, description=TEXT)
    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Id of the connection that it is about, where it is about one."
    )
    tables: list[Table] = Field([], max_length=50, description=TABLES)
    synonyms: list[Text] = Field([], max_length=50, description=SYNONYMS)
    subject_path: str = Field("", max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=f"{STATUS} Default active; agents only write drafts.")
    knowledge_id: str | None = Field(None, pattern=ID, description="Id of your choice; left out, one is made.")


class UpdateKnowledge(KnowledgeRef):
    """What to change; fields left out, or null, stay as they are."""

    title: str | None = Field(None, min_length=1, max_length=255, description=TITLE)
    text: str | None = Field(None, min_length=1, max_length=20_000, description=TEXT)
    tables: list[Table] | None = Field(None, max_length=50, description=TABLES)
    synonyms: list[Text] | None = Field(None, max_length=50, description=SYNONYMS)
    subject_path: str | None = Field(None, max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=STATUS)
    version: int | None = Field(None, ge=1, description=VERSION)


class DeleteKnowledge(KnowledgeRef):
    """Which text to remove."""

    version: int | None = Field(None, ge=1, description=VERSION)


class KnowledgeText(Model):
    """What something means here."""

    id: str = Field(description="Its id.")
    title: str = Field(description=TITLE)
    text: str = Field(description=TEXT)
    connection_id: str = Field(description="Connection that it is about; empty: none.")
    tables: list[str] = Field(description=TABLES)
    synonyms: list[str] = Field(description=SYNONYMS)
    subject_path: str = Field(description=SUBJECT)
    status: str = Field(description=STATUS)
    version: int = Field(description="Raised by every change; update_knowledge takes it.")
    updated_by: str = Field(description="Who wrote this version.")
    updated_at: datetime = Field(description="When it was written (UTC).")


class KnowledgeList(Listing):
    """A page of texts."""

    knowledge: list[KnowledgeText] = Field(description="Those that you may see, by id.")


@tool("GET /knowledge", needs="semantic.read", effect="read")
async def list_knowledge(ctx: Ctx, request: ListKnowledge) -> KnowledgeList:
    """List what people have written about the meaning of words and tables here."""
    shown, page = await listed(ctx, "list_knowledge", request, ctx.engine.semantic.knowledge, show)
    return KnowledgeList(knowledge=shown, **page)


@tool("POST /knowledge", needs="semantic.edit", effect="write", status=201, location="/knowledge")
async def create_knowledge(ctx: Ctx, request: CreateKnowledge) -> KnowledgeText:
    """Keep what a term means here; questions are read with it. What an agent writes waits for a person."""
    given = request.model_dump(exclude={"knowledge_id", "connection_id"})
    draft = Draft(connection=request.connection_id or "", **given)
    made = await ctx.engine.semantic.knowledge.create(ctx.principal, draft, request.knowledge_id)
    ctx.note(f"knowledge:{made.name}")
    return show(made)


@tool("PATCH /knowledge/{knowledge_id}", "PUT /knowledge/{knowledge_id}", needs="semantic.edit", effect="write")
async def update_knowledge(ctx: Ctx, request: UpdateKnowledge) -> KnowledgeText:
    """Change a text, or make a draft active. Agents change drafts only."""
    knowledge = ctx.engine.semantic.knowledge
    stored = await knowledge.get(ctx.principal, request.knowledge_id)
    draft = Draft(connection=stored.connection_id, **changed(stored, request, "knowledge_id"))
    return show(await knowledge.update(ctx.principal, request.knowledge_id, draft, request.version))


@tool("DELETE /knowledge/{knowledge_id}", needs="semantic.edit", effect="destroy", status=204)
async def delete_knowledge(ctx: Ctx, request: DeleteKnowledge) -> Empty:
    """Remove a text."""
    await ctx.engine.semantic.knowledge.delete(ctx.principal, request.knowledge_id, request.version)
    return Empty()


def show(stored: Stored) -> KnowledgeText:
    definition = stored.definition
    return KnowledgeText(
        id=stored.name,
        title=definition["title"],
        text=definition["text"],
        connection_id=stored.connection_id,
        tables=list(definition["tables"]),
        synonyms=list(definition["synonyms"]),
        subject_path=stored.subject_path,
        status=stored.status,
        version=stored.version,
        updated_by=stored.author,
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
    )
