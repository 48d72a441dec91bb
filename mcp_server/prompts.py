"""Prompts that people choose, for those who may call what a prompt makes a model call."""

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from fastmcp.prompts.base import Message, Prompt, PromptArgument
from mcp.shared.exceptions import MCPError
from mcp_types import INVALID_PARAMS
from pydantic import PrivateAttr

MAX_VALUE_CHARS = 2000


@dataclass(frozen=True, slots=True)
class PeoplePrompt:
    """A prompt as the wiring hands it over. `tools` are what it makes a model call."""

    name: str
    description: str
    slots: Mapping[str, str]
    optional: frozenset[str]
    tools: frozenset[str]
    fill: Callable[[Mapping[str, str]], str]


class ShownPrompt(Prompt):
    """One of them on the wire."""

    _said: PeoplePrompt = PrivateAttr()

    @classmethod
    def of(cls, said: PeoplePrompt) -> "ShownPrompt":
        arguments = [
            PromptArgument(name=name, description=about, required=name not in said.optional)
            for name, about in said.slots.items()
        ]
        title = said.name.replace("_", " ").capitalize()
        made = cls(name=said.name, title=title, description=said.description, arguments=arguments)
        made._said = said
        return made

    def is_for(self, permitted: Iterable[str]) -> bool:
        """Whether somebody with these tools can do what it says."""
        return self._said.tools <= set(permitted)

    async def render(self, arguments: Mapping[str, str] | None = None) -> list[Message | str]:
        given = {name: str(value) for name, value in (arguments or {}).items()}
        said = self._said
        wrong = sorted((set(said.slots) - said.optional - set(given)) | (set(given) - set(said.slots)))
        if wrong or any(len(value) > MAX_VALUE_CHARS for value in given.values()):
            problem = f"Wrong or missing arguments: {', '.join(name[:64] for name in wrong) or 'one is too long'}."
            raise MCPError(code=INVALID_PARAMS, message=problem)
        return [Message(said.fill(given))]
