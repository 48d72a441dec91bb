"""The schema as .proto text, for clients in other languages; `make generate` writes it."""

import textwrap
from collections.abc import Iterator, Mapping
from pathlib import Path

from api.descriptors import (
    FILE,
    PACKAGE,
    MessageSpec,
    MethodSpec,
    Schema,
    build_schema,
    imports,
    numbered,
    renewed_lock,
)
from api.proto_fields import FieldSpec, Form
from api.protolock import LOCK_FILE, NO_FIELDS, LockedMessage, lock_text, read_lock
from core.registry import Registry

WIDTH = 100
HEADER = "// Made by `make generate` from the declarations of the tools. Do not edit."


class FieldTypeChanged(Exception):
    """A field kept its number and changed its type, which clients in use would misread."""


def generate(registry: Registry, root: Path) -> list[Path]:
    """Write the .proto and the lock below `root`; says which files changed. Raises FieldTypeChanged."""
    changed = []
    for path, text in render(registry, root / LOCK_FILE).items():
        target = root / path
        if not target.exists() or target.read_text(encoding="utf-8") != text:
            target.parent.mkdir(parents=True, exist_ok=True)
            target.write_text(text, encoding="utf-8")
            changed.append(target)
    return changed


def render(registry: Registry, lock_path: Path) -> dict[str, str]:
    """Path and text of every file that `generate` writes. Raises FieldTypeChanged."""
    schema, old = build_schema(registry), read_lock(lock_path)
    changes = [
        f"{name}.{change}"
        for name, message in schema.messages.items()
        for change in old.get(name, NO_FIELDS).type_changes(message.fields)
    ]
    if changes:
        raise FieldTypeChanged(
            f"Types changed under kept field numbers: {'; '.join(changes)}. Give the field a new name, or, "
            f"if no release had it, take its lines out of {lock_path}."
        )
    lock = renewed_lock(schema, old)
    return {**print_proto(schema, lock), LOCK_FILE: lock_text(lock)}


def print_proto(schema: Schema, lock: Mapping[str, LockedMessage]) -> dict[str, str]:
    """Path and text of the .proto; `lock` is a renewed one."""
    lines = [HEADER, "", 'syntax = "proto3";', "", f"package {PACKAGE};"]
    if files := imports(schema):
        lines += ["", *(f'import "{name}";' for name in files)]
    for name, methods in schema.services.items():
        lines += ["", *_service(name, methods)]
    for message in schema.messages.values():
        lines += ["", *_message(message, lock)]
    return {FILE: "\n".join(lines) + "\n"}


def _service(name: str, methods: tuple[MethodSpec, ...]) -> Iterator[str]:
    yield f"// The tools of {name.removesuffix('Service').lower()}."
    yield f"service {name} {{"
    for index, method in enumerate(methods):
        if index:
            yield ""
        about = f"Takes a stream and answers as {method.tool.name} does." if method.part else method.tool.description
        yield from _comment(about, "  ")
        sent = "stream " if method.part else ""
        stream = "stream " if method.is_streaming else ""
        yield f"  rpc {method.name}({sent}{method.request}) returns ({stream}{method.response});"
    yield "}"


def _message(message: MessageSpec, lock: Mapping[str, LockedMessage]) -> Iterator[str]:
    yield from _comment(message.doc, "")
    locked = lock[message.name]
    body: list[str] = []
    if locked.reserved:
        body.append(f"  reserved {', '.join(map(str, locked.reserved))};")
    if locked.reserved_names:
        body.append("  reserved {};".format(", ".join(f'"{name}"' for name in locked.reserved_names)))
    for number, spec in numbered(message, lock):
        body += [*_comment(_field_doc(spec), "  "), f"  {_declaration(spec)} = {number};"]
    if not body:
        yield f"message {message.name} {{}}"
        return
    yield f"message {message.name} {{"
    yield from body
    yield "}"


def _declaration(spec: FieldSpec) -> str:
    return f"{'optional ' if spec.is_optional else ''}{spec.type_text} {spec.wire}"


def _field_doc(spec: FieldSpec) -> str:
    notes = []
    if spec.choices:
        notes.append("One of {}.".format(", ".join(f"`{choice}`" for choice in spec.choices)))
    if spec.is_required and spec.is_optional:
        notes.append("Required.")
    if spec.type.form is Form.ROWS:
        notes.append("A self-contained Arrow IPC stream.")
    if spec.type.form is Form.DECIMAL:
        notes.append("A decimal number in digits.")
    return " ".join([spec.doc, *notes])


def _comment(text: str, indent: str) -> Iterator[str]:
    """Paragraphs of `text` as comment lines, wrapped anew."""
    for number, paragraph in enumerate(text.split("\n\n")):
        if number:
            yield f"{indent}//"
        flowing = " ".join(paragraph.split())
        for part in textwrap.wrap(flowing, WIDTH - len(indent), break_long_words=False, break_on_hyphens=False):
            yield f"{indent}// {part}"
