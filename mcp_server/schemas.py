"""JSON schemas of tools as models read them: no references, few words, made once per tool."""

from collections.abc import Mapping
from typing import Any

from core.portable import INT64_MAX, INT64_MIN
from core.tool import Tool

_NOISE = ("title", "additionalProperties", "$defs", "contentEncoding", "contentMediaType")


def request_schema(tool: Tool) -> dict[str, Any]:
    """Schema of the arguments. Unknown fields are left to the gate, which names the right ones."""
    schema = compact(tool.request.model_json_schema(mode="validation"))
    schema.pop("description", None)
    schema.setdefault("properties", {})
    return schema


def result_schema(tool: Tool) -> dict[str, Any] | None:
    """Schema of `structuredContent`; None where a call may be answered with its job instead.

    Lists may be cut to the budget and stay valid: no schema of ours bounds a result from below."""
    if tool.job:
        return None
    schema = compact(tool.result.model_json_schema(mode="serialization"), is_result=True)
    schema.setdefault("properties", {})
    return schema


def compact(schema: Mapping[str, Any], *, is_result: bool = False) -> dict[str, Any]:
    """A pydantic schema with its references written out and everything removed that helps no reader."""
    definitions: Mapping[str, Any] = schema.get("$defs", {})
    compacted = _compact(schema, definitions, is_result)
    return compacted if isinstance(compacted, dict) else {}


def _compact(node: Any, definitions: Mapping[str, Any], is_result: bool) -> Any:
    if isinstance(node, list):
        return [_compact(item, definitions, is_result) for item in node]
    if not isinstance(node, Mapping):
        return node
    if "$ref" in node:
        target = definitions[node["$ref"].rpartition("/")[2]]
        node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
    kept = {}
    for key, value in node.items():
        if key == "properties":
            kept[key] = {name: _compact(field, definitions, is_result) for name, field in value.items()}
        elif key not in _NOISE or (key == "additionalProperties" and isinstance(value, Mapping)):
            kept[key] = value if key in ("enum", "default", "required") else _compact(value, definitions, is_result)
    return _plain(_without_null(kept, is_result), is_result)


def _without_null(node: dict[str, Any], is_result: bool) -> dict[str, Any]:
    """`X or null` as one type: an argument that may be null may as well be left out."""
    options = node.get("anyOf")
    if not options or {"type": "null"} not in options:
        return node
    rest = [option for option in options if option != {"type": "null"}]
    if len(rest) != 1:
        return node
    node = {key: value for key, value in node.items() if key != "anyOf"}
    if not is_result:
        return {**rest[0], **node}
    if isinstance(rest[0].get("type"), str) and "enum" not in rest[0] and "const" not in rest[0]:
        return {**rest[0], "type": [rest[0]["type"], "null"], **node}
    return {"anyOf": options, **node}


def _plain(node: dict[str, Any], is_result: bool) -> dict[str, Any]:
    if node.get("minimum") == INT64_MIN:
        del node["minimum"]
    if node.get("maximum") == INT64_MAX:
        del node["maximum"]
    if node.get("default", ...) in (None, "", [], {}):
        node.pop("default", None)
    if is_result:
        node.pop("description", None)
        node.pop("default", None)
        node.pop("pattern", None)
    return node
