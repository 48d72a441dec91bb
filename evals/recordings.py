"""Answers of models, kept by what was asked: the same question gets the same answer again, without the model."""

import hashlib
import json
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

from core.errors import Conflict

ASKED = ("messages", "response_format", "tools", "tool_choice", "temperature", "max_tokens")


class Recordings:
    """A JSONL file of answers. What is recorded while it is open can be asked for at once.

    A request is found by every word of it. With `is_near` the purpose and the question are enough, where the schema and
    the notes between them have changed since: for tests of all that stands around a model, not of the model."""

    def __init__(self, path: Path, *, is_near: bool = False):
        self._path = path
        self._answers: dict[str, dict[str, Any]] = {}
        self._near: dict[str, dict[str, Any]] | None = {} if is_near else None
        for row in _read(path) if path.exists() else ():
            self._keep(row["asked"], row.get("about", ""), row["answer"])

    def __len__(self) -> int:
        return len(self._answers)

    def find(self, asked: Mapping[str, Any]) -> dict[str, Any] | None:
        """The recorded answer to a request in OpenAI's shape, whichever model it names."""
        found = self._answers.get(_digest(asked))
        return found if found is not None or self._near is None else self._near.get(_about(asked))

    def add(self, asked: Mapping[str, Any], answer: Mapping[str, Any]) -> dict[str, Any]:
        """Keep an answer and return what is kept: without ids and times, so that a file says only what was said."""
        kept = {name: answer[name] for name in ("choices", "usage") if name in answer}
        digest, about = _digest(asked), _about(asked)
        self._keep(digest, about, kept)
        with self._path.open("a", encoding="utf-8") as file:
            file.write(json.dumps({"asked": digest, "about": about, "answer": kept}, sort_keys=True) + "\n")
        return kept

    def _keep(self, digest: str, about: str, answer: dict[str, Any]) -> None:
        self._answers[digest] = answer
        if self._near is not None and about:
            self._near.setdefault(about, answer)


def question_of(asked: Mapping[str, Any]) -> str:
    """The last line of what is asked, where Headwater's prompts have the question."""
    return _lines(asked, -1)[-1]


def stream_of(answer: Mapping[str, Any]) -> Iterator[bytes]:
    """A recorded answer as a stream of server-sent events."""
    for choice in answer.get("choices", ()):
        message = choice.get("message", {})
        calls = [{**call, "index": at} for at, call in enumerate(message.get("tool_calls") or ())]
        delta = {"role": "assistant", "content": message.get("content"), **({"tool_calls": calls} if calls else {})}
        yield _event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]})
        yield _event({"choices": [{"index": 0, "delta": {}, "finish_reason": choice.get("finish_reason")}]})
    yield _event({"choices": [], "usage": answer.get("usage")})
    yield b"data: [DONE]\n\n"


def _event(part: Mapping[str, Any]) -> bytes:
    whole = {"id": "recorded", "object": "chat.completion.chunk", "created": 0, "model": "recorded", **part}
    return f"data: {json.dumps(whole)}\n\n".encode()


def _digest(asked: Mapping[str, Any]) -> str:
    said = {name: asked[name] for name in ASKED if asked.get(name) is not None}
    return hashlib.sha256(json.dumps(said, sort_keys=True).encode()).hexdigest()


def _about(asked: Mapping[str, Any]) -> str:
    """What a request is for and what it asks: the first line of all and the last."""
    said = [_lines(asked, 0)[0], question_of(asked)]
    return hashlib.sha256(json.dumps(said).encode()).hexdigest()


def _lines(asked: Mapping[str, Any], at: int) -> list[str]:
    messages = asked.get("messages") or [{}]
    text = messages[at].get("content")
    return (text.strip().splitlines() if isinstance(text, str) else []) or [""]


def _read(path: Path) -> Iterator[dict[str, Any]]:
    for at, line in enumerate(path.read_text(encoding="utf-8").splitlines(), 1):
        try:
            row = json.loads(line)
            if not (isinstance(row["asked"], str) and isinstance(row["answer"], dict)):
                raise TypeError
            yield row
        except (ValueError, KeyError, TypeError):
            raise Conflict(f"Line {at} of {path} is no recording.", hint="Remove it, and record again.") from None
