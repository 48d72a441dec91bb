"""One mapping of a document: its keys are taken one by one, and what nobody took is reported."""

import json
import re
from dataclasses import dataclass, field
from typing import Any

from pydantic import JsonValue, TypeAdapter, ValidationError

from core.errors import Conflict
from engine.semantic.documents import Lined
from engine.semantic.expressions import read_expression
from engine.semantic.models import MAX_NAME
from engine.semantic.notes import Note
from engine.semantic.templates import read_filter
from engine.sql.definitions import Condition, Expression

MAX_TEXT, MAX_LIST = 20_000, 1000
_NAME = re.compile(r"(?!.*__)[A-Za-z_][A-Za-z0-9_]*")
_JSON = TypeAdapter[dict[str, JsonValue]](dict[str, JsonValue])


@dataclass(slots=True)
class Item:
    """Raises Conflict where a key holds something else than is asked for."""

    file: str
    place: str
    given: Any
    warnings: list[Note]
    _taken: set[str] = field(default_factory=set)

    def __post_init__(self) -> None:
        if not isinstance(self.given, dict):
            raise Conflict("Here stands no mapping of keys.")
        if isinstance(name := self.given.get("name"), str):
            self.place = f"{self.place} {name[:MAX_NAME]!r}".strip()

    @property
    def line(self) -> int:
        return self.given.line if isinstance(self.given, Lined) else 0

    def note(self, message: str) -> Note:
        return Note(self.file, self.place, message, self.line)

    def has(self, key: str) -> bool:
        return self.given.get(key) is not None

    def take(self, key: str) -> None:
        """Note a key as read."""
        self._taken.add(key)

    def text(self, key: str, default: str | None = "") -> str:
        value = self._take(key, default)
        if isinstance(value, (int, float)) and not isinstance(value, bool):
            value = str(value)
        if not isinstance(value, str) or len(value) > MAX_TEXT:
            raise Conflict(f"{key!r} must be a text.")
        return value.strip()

    def name(self, key: str = "name", default: str | None = None) -> str:
        """A name. Two underscores in a row are kept for paths of names."""
        text = self.text(key, default)
        if text != default and (len(text) > MAX_NAME or not _NAME.fullmatch(text)):
            raise Conflict(f"{key!r} must be a name of letters, digits and single underscores.")
        return text

    def choice(self, key: str, options: tuple[str, ...], default: str | None = None) -> str:
        text = self.text(key, default).lower()
        if text not in options:
            raise Conflict(f"{key!r} must be one of {', '.join(options)}.")
        return text

    def flag(self, key: str) -> bool:
        value = self._take(key, False)
        if not isinstance(value, bool):
            raise Conflict(f"{key!r} must be true or false.")
        return value

    def number(self, key: str) -> int | float | None:
        value = self._take(key, None)
        if value is not None and (isinstance(value, bool) or not isinstance(value, (int, float))):
            raise Conflict(f"{key!r} must be a number.")
        return value

    def texts(self, key: str) -> tuple[str, ...]:
        value = self._take(key, [])
        if isinstance(value, str):
            value = [value]
        if not isinstance(value, list) or not all(isinstance(text, str) for text in value) or len(value) > MAX_LIST:
            raise Conflict(f"{key!r} must be a list of texts.")
        return tuple(value)

    def item(self, key: str) -> "Item":
        """The mapping under a key; an empty one where there is none."""
        return Item(self.file, f"{self.place} {key}".strip(), self._take(key, {}), self.warnings)

    def items(self, key: str) -> list["Item"]:
        value = self._take(key, [])
        if not isinstance(value, list) or len(value) > MAX_LIST:
            raise Conflict(f"{key!r} must be a list of at most {MAX_LIST}.")
        return [
            Item(self.file, f"{self.place} {key}[{n}]".strip(), each, self.warnings) for n, each in enumerate(value)
        ]

    def expression(self, key: str, default: str) -> Expression:
        """The SQL text under a key; else the column that is called `default`."""
        return read_expression(self.text(key)) if self.has(key) else Expression(column=default)

    def filters(self, key: str) -> tuple[Condition, ...]:
        return tuple(read_filter(text) for text in self.texts(key))

    def rest(self) -> dict[str, JsonValue]:
        """Everything, as it was written."""
        try:
            json.dumps(self.given, allow_nan=False)
            return _JSON.validate_python(self.given)
        except (ValidationError, ValueError, TypeError):
            raise Conflict("Here stands something else than texts, numbers, lists and mappings.") from None

    def close(self, *ignored: str) -> None:
        """Report the keys that nobody took, and those that are known but mean nothing here."""
        for key in self.given:
            if key not in self._taken:
                why = "is not used here" if key in ignored else "is not known"
                self.warnings.append(self.note(f"The key {key[:MAX_NAME]!r} {why}."))

    def _take(self, key: str, default: Any) -> Any:
        self._taken.add(key)
        value = self.given.get(key)
        if value is None and default is None and key in ("name", "type", "agg", "model", "expr"):
            raise Conflict(f"The key {key!r} is missing.")
        return default if value is None else value
