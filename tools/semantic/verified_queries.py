"""Verified queries: questions whose SQL a person has checked."""

from datetime import UTC, datetime
from typing import Annotated, Literal

from pydantic import Field

from core.pages import Listing
from core.portable import Model, Refers
from core.tool import Empty, tool
from engine.context import Ctx
from engine.semantic.store import Stored
from engine.semantic.verified import Draft
from tools.semantic.fields import ID, PATH, SUBJECT, VERSION, ListWritten, Status, changed, listed

Question = Annotated[str, Field(min_length=1, max_length=2000)]
QUESTION = "The question in words, as people ask it."
SQL = "One SELECT that answers it; $name stands for a parameter, $name_start and $name_end for a range of time."
OTHERS = "The same question in other words."
PARAMETERS = "Parts of the question that may be others. A question that differs elsewhere is another one."
ABOUT = "What it answers; models read it."
STATUS = "`draft`: waits for a person; `active`: verified."


class QuestionParameter(Model):
    """A part of a question that may be another."""

    name: str = Field(max_length=64, pattern=r"^[A-Za-z][A-Za-z0-9_]*$", description="Its name in the SQL.")
    kind: Literal["value", "number", "date", "date_range"] = Field(description="What it may be.")
    example: str = Field(min_length=1, max_length=200, description="The very text that stands in the question.")
    column: str = Field("", max_length=512, description="table.column that holds the values, so that others are none.")


class VerifiedQueryRef(Model):
    """Which verified query."""

    query_id: Annotated[str, Refers("verified_query")] = Field(
        max_length=64, description="Its id; list_verified_queries shows them."
    )


class ListVerifiedQueries(ListWritten):
    """Which verified queries to list."""


class CreateVerifiedQuery(Model):
    """A question and its SQL."""

    question: Question = Field(description=QUESTION)
    sql: str = Field(min_length=1, max_length=30_000, description=SQL)
    connection_id: Annotated[str, Refers("connection")] = Field(
        "lakehouse", max_length=64, description="Id of the connection that it reads; default the lakehouse."
    )
    parameters: list[QuestionParameter] = Field([], max_length=6, description=PARAMETERS)
    other_questions: list[Question] = Field([], max_length=20, description=OTHERS)
    description: str = Field("", max_length=2000, description=ABOUT)
    subject_path: str = Field("", max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=f"{STATUS} Default active; agents only write drafts.")
    query_id: str | None = Field(None, pattern=ID, description="Id of your choice; left out, one is made.")


class UpdateVerifiedQuery(VerifiedQueryRef):
    """What to change; fields left out, or null, stay as they are."""

    question: Question | None = Field(None, description=QUESTION)
    sql: str | None = Field(None, min_length=1, max_length=30_000, description=SQL)
    parameters: list[QuestionParameter] | None = Field(None, max_length=6, description=PARAMETERS)
    other_questions: list[Question] | None = Field(None, max_length=20, description=OTHERS)
    description: str | None = Field(None, max_length=2000, description=ABOUT)
    subject_path: str | None = Field(None, max_length=200, pattern=PATH, description=SUBJECT)
    status: Status | None = Field(None, description=STATUS)
    version: int | None = Field(None, ge=1, description=VERSION)


class DeleteVerifiedQuery(VerifiedQueryRef):
    """Which verified query to remove."""

    version: int | None = Field(None, ge=1, description=VERSION)


class VerifiedQuery(Model):
    """A question, and SQL that a person has checked."""

    id: str = Field(description="Its id.")
    question: str = Field(description=QUESTION)
    sql: str = Field(description=SQL)
    connection_id: str = Field(description="Id of the connection that it reads.")
    parameters: list[QuestionParameter] = Field(description=PARAMETERS)
    other_questions: list[str] = Field(description=OTHERS)
    description: str = Field(description=ABOUT)
    subject_path: str = Field(description=SUBJECT)
    status: str = Field(description=STATUS)
    version: int = Field(description="Raised by every change; update_verified_query takes it.")
    verified_by: str = Field(description="Who wrote or verified this version.")
    updated_at: datetime = Field(description="When it was written (UTC).")


class VerifiedQueryList(Listing):
    """A page of verified queries."""

    verified_queries: list[VerifiedQuery] = Field(description="Those that you may see, by id.")


@tool("GET /verified-queries", needs="semantic.read", effect="read")
async def list_verified_queries(ctx: Ctx, request: ListVerifiedQueries) -> VerifiedQueryList:
    """List the verified queries over tables and columns that you may see.

    Drafts are shown to those who may verify them."""
    shown, page = await listed(ctx, "list_verified_queries", request, ctx.engine.semantic.verified, show)
    return VerifiedQueryList(verified_queries=shown, **page)


@tool("POST /verified-queries", needs="semantic.edit", effect="write", status=201, location="/verified-queries")
async def create_verified_query(ctx: Ctx, request: CreateVerifiedQuery) -> VerifiedQuery:
    """Keep a question with its SQL, so that whoever asks it again gets exactly this answer.

    Check the SQL first: a wrong one is answered again and again. What an agent keeps waits for a person, who verifies
    it with update_verified_query."""
    draft = Draft(**request.model_dump(exclude={"query_id"}))
    made = await ctx.engine.semantic.verified.create(ctx.principal, draft, request.query_id)
    ctx.note(f"verified_query:{made.name}")
    return show(made)


@tool("PATCH /verified-queries/{query_id}", "PUT /verified-queries/{query_id}", needs="semantic.edit", effect="write")
async def update_verified_query(ctx: Ctx, request: UpdateVerifiedQuery) -> VerifiedQuery:
    """Change a verified query, or verify a draft by making it active. Agents change drafts only."""
    verified = ctx.engine.semantic.verified
    stored = await verified.get(ctx.principal, request.query_id)
    draft = Draft(connection_id=stored.connection_id, **changed(stored, request, "query_id"))
    return show(await verified.update(ctx.principal, request.query_id, draft, request.version))


@tool("DELETE /verified-queries/{query_id}", needs="semantic.edit", effect="destroy", status=204)
async def delete_verified_query(ctx: Ctx, request: DeleteVerifiedQuery) -> Empty:
    """Remove a verified query: its question is planned anew from then on."""
    await ctx.engine.semantic.verified.delete(ctx.principal, request.query_id, request.version)
    return Empty()


def show(stored: Stored) -> VerifiedQuery:
    definition = stored.definition
    return VerifiedQuery(
        id=stored.name,
        question=definition["question"],
        sql=definition["sql"],
        connection_id=stored.connection_id,
        parameters=[QuestionParameter.model_validate(each) for each in definition["parameters"]],
        other_questions=list(definition["other_questions"]),
        description=definition["description"],
        subject_path=stored.subject_path,
        status=stored.status,
        version=stored.version,
        verified_by=stored.author,
        updated_at=datetime.fromtimestamp(stored.updated_at, UTC),
    )
