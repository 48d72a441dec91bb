"""Arguments as a face hands them in: their shape, their JSON types, and what is wrong in words."""

from collections.abc import Mapping
from typing import Any, Literal

from pydantic import ValidationError
from pydantic_core import PydanticSerializationError, to_json

from core.errors import InvalidArgument
from core.portable import Model
from core.tool import Tool

MAX_DEPTH = 64
MAX_REPORTED = 5
SCALARS = frozenset({int, float, bool, type(None)})


Form = Literal["typed", "json", "text"]
"""How values come: as Python's own types; as JSON, whose types are held to the letter, so that `"7"` is
no integer; or as JSON in which path and query have put text."""


def read_arguments(tool: Tool, arguments: Mapping[str, Any], form: Form) -> Model:
    """The request that the arguments make. Raises InvalidArgument naming the fields that are wrong."""
    try:
        values = dict(arguments)  # once: a face's mapping reads the request while it is walked
        check_shape(values)
        if form == "typed":
            return tool.request.model_validate(values)
        body = _as_json(values)
        if form == "json":
            check_json_types(tool.request, body)
        return tool.request.model_validate_json(body)
    except ValidationError as error:
        raise InvalidArgument(explain(error.errors(include_url=False)), hint=fields_hint(tool)) from None
    except InvalidArgument as error:
        if error.hint:
            raise
        raise InvalidArgument(error.message, hint=fields_hint(tool)) from None


def _as_json(values: dict[str, Any]) -> bytes:
    try:
        return to_json(values)
    except PydanticSerializationError:  # half of a surrogate pair, which JSON can escape and UTF-8 cannot hold
        raise InvalidArgument("A text is not Unicode.", hint="Send whole characters, as UTF-8.") from None


def check_shape(arguments: Mapping[str, Any]) -> None:
    """Refuse arguments that nest too deep or hold NUL characters. Raises InvalidArgument."""
    level: list[Any] = [arguments]
    for _ in range(MAX_DEPTH):
        below: list[Any] = []
        for value in level:
            kind = type(value)  # exact types first: `isinstance` of Mapping is slow, and most values are these
            if kind in SCALARS or (kind is str and "\0" not in value):
                continue
            if kind is dict:
                below += value
                below += value.values()
            else:
                below += _children(value)
        if not below:
            return
        level = below
    raise InvalidArgument(f"The arguments nest deeper than {MAX_DEPTH} levels.", hint="Send a flatter request.")


def _children(value: Any) -> list[Any]:
    if isinstance(value, str):
        if "\0" in value:
            raise InvalidArgument("A text holds a NUL character.", hint="Send text without NUL characters.")
        return []
    if isinstance(value, Mapping):
        return [*value.keys(), *value.values()]
    return list(value) if isinstance(value, (list, tuple)) else []


def check_json_types(model: type[Model], body: bytes) -> None:
    """Refuse values that are not of the JSON type that the schema names. What is missing is said later.

    Raises InvalidArgument without a hint."""
    try:
        model.__pydantic_validator__.validate_json(body, strict=True)
    except ValidationError as error:
        wrong = [item for item in error.errors(include_url=False) if _is_mistyped(item)]
        if wrong:
            raise InvalidArgument(explain(wrong)) from None


def _is_mistyped(item: Mapping[str, Any]) -> bool:
    if item["type"] == "missing":
        return False
    # JSON has one kind of number: 15.0 is an integer too, though strict pydantic says no.
    is_whole = item["type"] == "int_type" and isinstance(item["input"], float) and item["input"].is_integer()
    return not is_whole


def explain(errors: list[Any]) -> str:
    """Validation errors in words, without the values that were sent."""
    parts = []
    for item in errors[:MAX_REPORTED]:
        where = ".".join(map(str, item["loc"]))[:128] or "request"
        parts.append(f"{where}: {item['msg'].partition(', unable to')[0]}")
    return "; ".join(parts)


def fields_hint(tool: Tool) -> str:
    names = ", ".join(list(tool.request.model_fields)[:20])
    return f"{tool.name} takes: {names}." if names else f"{tool.name} takes no arguments."
