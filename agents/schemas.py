"""JSON schemas of tools as models are given them: references written out, nothing that helps no reader."""

from collections.abc import Mapping
from functools import lru_cache
from typing import Any

from core.portable import INT64_MAX, INT64_MIN
from core.tool import Tool

_NOISE = frozenset({"title", "additionalProperties", "$defs", "pattern", "contentEncoding"})
MAX_DESCRIPTION = 600


@lru_cache(maxsize=1024)
def arguments_schema(tool: Tool) -> dict[str, Any]:
    """Schema of a tool's arguments. Callers do not change it."""
    whole = tool.request.model_json_schema(mode="validation")
    schema: dict[str, Any] = _plain(whole, whole.get("$defs", {}))
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return schema


def function_of(tool: Tool) -> dict[str, Any]:
    """A tool in OpenAI's shape, which every provider is given through litellm."""
    described = {
        "name": tool.name,
        "description": tool.description[:MAX_DESCRIPTION],
        "parameters": arguments_schema(tool),
    }
    return {"type": "function", "function": described}


def _plain(node: Any, definitions: Mapping[str, Any]) -> Any:
    if isinstance(node, list):
        return [_plain(item, definitions) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    kept: dict[str, Any] = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _plain(field, definitions) for name, field in value.items()}
        elif key not in _NOISE:
            kept[key] = value if key in ("enum", "default", "required") else _plain(value, definitions)
    return _without_null(_without_bounds(kept))


def _without_null(node: dict[str, Any]) -> dict[str, Any]:
    """An argument that may be null may as well be left out."""
    options = [option for option in node.get("anyOf", ()) if option != {"type": "null"}]
    if len(options) != 1:
        return node
    return {**options[0], **{key: value for key, value in node.items() if key != "anyOf"}}


def _without_bounds(node: dict[str, Any]) -> dict[str, Any]:
    if node.get("minimum") == INT64_MIN:
        del node["minimum"]
    if node.get("maximum") == INT64_MAX:
        del node["maximum"]
    if node.get("default", ...) in (None, "", [], {}):
        node.pop("default", None)
    return node
