"""As many tools as a test wants."""

from typing import Any

from pydantic import Field

from core.context import Context
from core.portable import Model
from core.tool import Tool, tool


class Ask(Model):
    """A request of ordinary size."""

    name: str = Field(description="A name, for example `sales`.", max_length=64)
    count: int = Field(1, ge=0, description="How many of them, at most.")
    tags: list[str] = Field([], description="Texts that all must be there.")


class Answer(Model):
    """A result of ordinary size."""

    name: str = Field(description="The name.")
    rows: list[Ask] = Field([], description="Some rows.")


def generated_tools(count: int, *, default: int = 0) -> list[Tool]:
    """`count` tools, of which the first `default` belong to every session."""
    return [_generated(number, ("default",) if number < default else ()) for number in range(count)]


def _generated(number: int, toolsets: tuple[str, ...]) -> Tool:
    async def run(ctx: Context[Any], request: Ask) -> Answer:
        """Answer what was asked, with its rows.

        Use it in tests. It computes nothing."""
        return Answer(name=request.name, rows=[request])

    run.__name__ = f"get_generated_{number}"
    declared = tool(f"POST /generated/{number}", needs="catalog.read", effect="read", toolsets=toolsets)(run)
    found = declared.__dict__["tool"]
    assert isinstance(found, Tool)
    return found
