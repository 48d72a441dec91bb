"""Prompts: Markdown files with front matter (name, version, description, slots, audience) and sections by role.

Slots are written `{{slot}}` and declared; a text with an undeclared one is refused when it is loaded, and filling
takes exactly the declared ones. What fills a slot is never read for slots again."""

import functools
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import yaml

FOLDER = Path(__file__).parent
_SLOT = re.compile(r"{{(\w+)}}")
_SECTION = re.compile(r"^<!-- (system|user) -->$", re.MULTILINE)
Role = Literal["system", "user"]


class BadPrompt(ValueError):
    """A prompt's file, or what it was filled with, is not as declared."""


@dataclass(frozen=True, slots=True)
class Prompt:
    """One prompt. `slots` name what fills it, and say what that is; `optional` ones may be left out."""

    name: str
    version: int
    description: str
    slots: Mapping[str, str]
    sections: tuple[tuple[Role, str], ...]
    audience: Literal["models", "people"] = "models"
    optional: frozenset[str] = field(default_factory=frozenset)
    tools: frozenset[str] = field(default_factory=frozenset)  # what a prompt for people makes a model call

    def fill(self, **values: str) -> str:
        """The whole text. Raises BadPrompt on a missing or undeclared slot."""
        return "\n\n".join(text for _, text in self._filled(values))

    def messages(self, **values: str) -> list[dict[str, str]]:
        """The sections as messages. Raises BadPrompt on a missing or undeclared slot."""
        return [{"role": role, "content": text} for role, text in self._filled(values)]

    def _filled(self, values: Mapping[str, str]) -> list[tuple[Role, str]]:
        missing = set(self.slots) - self.optional - set(values)
        unknown = set(values) - set(self.slots)
        if missing or unknown:
            raise BadPrompt(f"{self.name}: missing {sorted(missing)}, undeclared {sorted(unknown)}")
        return [(role, _SLOT.sub(lambda found: values.get(found[1], ""), text)) for role, text in self.sections]


@functools.cache
def load(name: str) -> Prompt:
    """The prompt of that name. Raises BadPrompt."""
    path = FOLDER / f"{name}.md"
    if not re.fullmatch(r"[a-z][a-z0-9_]*", name) or not path.is_file():
        raise BadPrompt(f"there is no prompt {name[:64]!r}")
    return parse(path.read_text("utf-8"), name)


def for_people() -> list[Prompt]:
    """The prompts that people choose, by name."""
    return [prompt for name in names() if (prompt := load(name)).audience == "people"]


def names() -> list[str]:
    return sorted(path.stem for path in FOLDER.glob("*.md"))


def parse(text: str, name: str) -> Prompt:
    """A prompt from its file's text. Raises BadPrompt."""
    _, mark, rest = text.partition("---\n")
    head, end, body = rest.partition("\n---\n")
    said = yaml.safe_load(head) if mark and end else None
    if not isinstance(said, dict) or said.get("name") != name:
        raise BadPrompt(f"{name}: the front matter names another prompt, or none")
    pieces = _SECTION.split(body)
    pieces = pieces if len(pieces) > 1 else ["", "system", body]
    sections = tuple((role, piece.strip()) for role, piece in zip(pieces[1::2], pieces[2::2], strict=True))
    slots = said.get("slots") or {}
    declared = {
        str(slot): str(about)
        for slot, about in (slots if isinstance(slots, dict) else dict.fromkeys(slots, "")).items()
    }
    used = set(_SLOT.findall(body))
    if used != set(declared) or not sections or pieces[0].strip():
        raise BadPrompt(f"{name}: its slots are {sorted(declared)}, its text has {sorted(used)}")
    return Prompt(
        name=name,
        version=int(said["version"]),
        description=str(said.get("description", "")),
        slots=declared,
        sections=sections,  # type: ignore[arg-type]
        audience=said.get("audience", "models"),
        optional=frozenset(said.get("optional") or ()),
        tools=frozenset(said.get("tools") or ()),
    )
