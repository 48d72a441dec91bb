"""What an agent says it is, pinned: kept in one canonical form, compared by parts, approved by a person."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

TOOL_FIELDS = ("name", "title", "description", "inputSchema", "outputSchema", "annotations")
PROMPT_FIELDS = ("name", "title", "description", "arguments")
MAX_DOCUMENT_CHARS = 1_000_000
SHOWN_CHARS = 4_000


@dataclass(frozen=True, slots=True)
class Change:
    """One part of an agent that is not as it was approved."""

    part: str  # card, skill, tool, prompt or instructions
    name: str
    change: str  # added, removed or changed
    before: str
    after: str


@dataclass(frozen=True, slots=True)
class Document:
    """Everything of an agent that a person approves. `parts` maps (part, name) to canonical JSON."""

    text: str
    digest: str
    parts: Mapping[tuple[str, str], str]
    data: Mapping[str, Any]

    @classmethod
    def of(cls, data: Mapping[str, Any]) -> "Document":
        parts: dict[tuple[str, str], str] = {}
        for (part, name), value in _parts(data):
            number = 2
            while (part, name) in parts:  # a second of one name is a part of its own, not hidden behind the first
                name, number = f"{name.rpartition('#')[0] or name}#{number}", number + 1
            parts[part, name] = value
        body = "\n".join(f"{part}\t{name}\t{value}" for (part, name), value in sorted(parts.items()))
        return cls(canonical(data), hashlib.sha256(body.encode()).hexdigest(), parts, data)

    @classmethod
    def parse(cls, text: str) -> "Document":
        return cls.of(json.loads(text))

    def names(self, part: str) -> frozenset[str]:
        return frozenset(name for kind, name in self.parts if kind == part)


def mcp_document(instructions: str, tools: list[dict[str, Any]], prompts: list[dict[str, Any]]) -> Document:
    """What an MCP server says."""
    return Document.of(
        {
            "protocol": "MCP",
            "instructions": instructions,
            "tools": [_only(tool, TOOL_FIELDS) for tool in tools],
            "prompts": [_only(prompt, PROMPT_FIELDS) for prompt in prompts],
        }
    )


def a2a_document(card: Mapping[str, Any]) -> Document:
    """What an A2A agent's card says. Its signatures are kept, and are no change by themselves."""
    return Document.of({"protocol": "A2A", "card": dict(card)})


def diff(before: Document, after: Document) -> list[Change]:
    """The parts that differ, in order."""
    changes = []
    for key in sorted({*before.parts, *after.parts}):
        old, new = before.parts.get(key), after.parts.get(key)
        if old == new:
            continue
        word = "added" if old is None else "removed" if new is None else "changed"
        changes.append(Change(*key, change=word, before=(old or "")[:SHOWN_CHARS], after=(new or "")[:SHOWN_CHARS]))
    return changes


def differs(pinned: Document, part: str, listed: list[Any]) -> bool:
    """Whether a list that an agent just answered with holds anything that was not approved as it is."""
    fields = TOOL_FIELDS if part == "tool" else PROMPT_FIELDS
    for item in listed:
        if not isinstance(item, dict) or not isinstance(item.get("name"), str):
            return True
        if pinned.parts.get((part, item["name"])) != canonical(_only(item, fields)):
            return True
    return False


def canonical(value: Any) -> str:
    """JSON in one form: sorted names, no blanks."""
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False)


def _parts(data: Mapping[str, Any]) -> Iterator[tuple[tuple[str, str], str]]:
    card = data.get("card")
    if isinstance(card, Mapping):
        skills = card.get("skills")
        listed = skills if isinstance(skills, list) else []
        rest = {name: value for name, value in card.items() if name not in ("skills", "signatures")}
        yield ("card", ""), canonical(rest if skills is listed else {**rest, "skills": skills})
        for number, skill in enumerate(listed):
            name = skill.get("id") if isinstance(skill, Mapping) else None
            yield ("skill", name if isinstance(name, str) and name else str(number)), canonical(skill)
    if data.get("instructions"):
        yield ("instructions", ""), canonical(data["instructions"])
    for tool in data.get("tools", ()):
        yield ("tool", tool["name"]), canonical(tool)
    for prompt in data.get("prompts", ()):
        yield ("prompt", prompt["name"]), canonical(prompt)


def _only(item: Mapping[str, Any], fields: tuple[str, ...]) -> dict[str, Any]:
    return {name: item[name] for name in fields if item.get(name) is not None}


NOTHING = Document.of({})
