"""The append-only lock of field numbers: a number, once given, means one field for ever."""

import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Protocol


class LockedField(Protocol):
    """What the lock needs to know of a field."""

    @property
    def wire(self) -> str: ...

    @property
    def type_text(self) -> str: ...


@dataclass(frozen=True, slots=True)
class LockedMessage:
    """The numbers of one message. A field without a type was seeded from a published document."""

    fields: Mapping[str, int] = field(default_factory=dict)
    types: Mapping[str, str] = field(default_factory=dict)
    reserved: tuple[int, ...] = ()
    reserved_names: tuple[str, ...] = ()

    def renewed(self, fields: Iterable[LockedField]) -> "LockedMessage":
        """The same with new fields numbered after all others, and vanished ones reserved."""
        now = {spec.wire: spec.type_text for spec in fields}
        numbers = {name: number for name, number in self.fields.items() if name in now}
        gone = {name: number for name, number in self.fields.items() if name not in now}
        free = max([0, *self.fields.values(), *self.reserved]) + 1
        for name in now:
            if name not in numbers:
                numbers[name] = free
                free += 1
        return LockedMessage(
            fields=numbers,
            types=now,
            reserved=tuple(sorted({*self.reserved, *gone.values()})),
            # A name that came back under a new number must not be reserved: protoc would refuse it.
            reserved_names=tuple(sorted({*self.reserved_names, *gone} - now.keys())),
        )

    def type_changes(self, fields: Iterable[LockedField]) -> list[str]:
        """Fields that kept their number but not their type."""
        return [
            f"{spec.wire}: {self.types[spec.wire]} became {spec.type_text}"
            for spec in fields
            if self.types.get(spec.wire, spec.type_text) != spec.type_text
        ]


LOCK_FILE = "api/fieldnumbers.lock.json"
NO_FIELDS = LockedMessage()


def shipped_lock() -> Path:
    """Where the lock lies, in the repository and in an installed wheel alike: in this package."""
    return Path(__file__).resolve().parent.parent / LOCK_FILE


def read_lock(path: Path) -> dict[str, LockedMessage]:
    """The locked messages by name; none when there is no file yet."""
    if not path.exists():
        return {}
    entries: dict[str, dict[str, Any]] = json.loads(path.read_text())
    return {name: _message(entry) for name, entry in entries.items()}


def _message(entry: dict[str, Any]) -> LockedMessage:
    return LockedMessage(
        fields=entry["fields"],
        types=entry.get("types", {}),
        reserved=tuple(entry.get("reserved", ())),
        reserved_names=tuple(entry.get("reserved_names", ())),
    )


def lock_text(lock: Mapping[str, LockedMessage]) -> str:
    """The lock as its file holds it: sorted by message, fields by number."""
    entries = {name: _entry(lock[name]) for name in sorted(lock)}
    return json.dumps(entries, indent=1) + "\n"


def _entry(message: LockedMessage) -> dict[str, Any]:
    names = sorted(message.fields, key=lambda name: message.fields[name])
    return {
        "fields": {name: message.fields[name] for name in names},
        "types": {name: message.types[name] for name in names if name in message.types},
        "reserved": list(message.reserved),
        "reserved_names": list(message.reserved_names),
    }
