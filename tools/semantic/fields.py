"""Fields that everything of the semantic layer has, and a page of what people write."""

from collections.abc import Callable
from typing import Annotated, Any, Literal, TypeVar

from pydantic import Field

from core.pages import Paged
from core.portable import Refers
from engine.context import Ctx
from engine.semantic.store import Stored
from engine.semantic.written import Writings

ID = r"^[A-Za-z0-9_-]{1,64}$"
PATH = r"^([^/\x00-\x1f\x7f]{1,64}(/[^/\x00-\x1f\x7f]{1,64}){0,2})?$"
Status = Literal["draft", "active"]
SUBJECT = "Where it belongs: domain/layer1/layer2."
VERSION = "The version that you read: if it has changed since, nothing is done and CONFLICT is answered."
T = TypeVar("T")


class ListWritten(Paged):
    """Which of what people have written to list."""

    connection_id: Annotated[str | None, Refers("connection")] = Field(
        None, max_length=64, description="Only those of this connection, and those of none."
    )
    subject_path: str = Field("", max_length=200, description="Only those at this path of subjects, or below it.")


async def listed(
    ctx: Ctx, tool: str, request: ListWritten, kept: Writings[Any], show: Callable[[Stored], T]
) -> tuple[list[T], dict[str, Any]]:
    """A page of items, and how many there are with the token of the next page."""
    pages = ctx.engine.pages
    window = pages.window(tool, request, ctx.principal)
    found = await kept.all(ctx.principal, request.connection_id or "", request.subject_path)
    token = pages.next_token(tool, request, ctx.principal, window, len(found))
    shown = [show(each) for each in found[window.offset : window.offset + window.size]]
    return shown, {"total_count": len(found), "next_page_token": token}


def changed(stored: Stored, request: Any, name: str) -> dict[str, Any]:
    """What an item is with a request's changes. name: the field that says which item it is."""
    given = request.model_dump(exclude_none=True, exclude={name, "version"})
    return {**stored.definition, "subject_path": stored.subject_path, **given}
