"""JSON Schemas of request and result models, as OpenAPI 3.1 wants them: exact enough to test against."""

import re
from collections.abc import Iterable, Mapping
from typing import Any, cast

from pydantic import BaseModel
from pydantic.json_schema import GenerateJsonSchema, JsonSchemaMode, JsonSchemaValue, models_json_schema
from pydantic_core import CoreSchema, core_schema

from core.pages import Paged
from core.tool import Route, Tool

REF = "#/components/schemas/"
NO_NUL = r"^[^\u0000]*$"
BOUNDS = (("ge", "minimum"), ("le", "maximum"), ("gt", "exclusiveMinimum"), ("lt", "exclusiveMaximum"))
Schema = dict[str, Any]

BY_SKIP, BY_TOKEN = ("skip", "limit"), ("page_size", "page_token")
JSON_VALUE: Schema = {
    "description": "Any JSON value.",
    "anyOf": [
        {"type": "null"},
        {"type": "boolean"},
        {"type": "number"},
        {"type": "string", "pattern": NO_NUL},
        {"type": "array", "items": {"$ref": f"{REF}JsonValue"}},
        {
            "type": "object",
            "propertyNames": {"pattern": NO_NUL},
            "additionalProperties": {"$ref": f"{REF}JsonValue"},
        },
    ],
}


class PortableSchemas(GenerateJsonSchema):
    """Says what the gate enforces beyond pydantic's own schema: no NUL in texts, base64 bytes, exact decimals."""

    def field_title_should_be_set(self, schema: Any) -> bool:
        return False

    def str_schema(self, schema: core_schema.StringSchema) -> JsonSchemaValue:
        made = super().str_schema(schema)
        if self.mode == "validation":
            made.setdefault("pattern", NO_NUL)
        return made

    def bytes_schema(self, schema: core_schema.BytesSchema) -> JsonSchemaValue:
        return {"type": "string", "format": "byte", "contentEncoding": "base64"}

    def decimal_schema(self, schema: core_schema.DecimalSchema) -> JsonSchemaValue:
        if self.mode != "validation":
            return {"type": "string"}
        number: Schema = {"type": "number"}
        number |= {said: float(schema[name]) for name, said in BOUNDS if name in schema}  # type: ignore[literal-required]
        return {"anyOf": [number, {"type": "string", "pattern": _digits(schema)}]}

    def dict_schema(self, schema: core_schema.DictSchema) -> JsonSchemaValue:
        made = super().dict_schema(schema)
        if self.mode == "validation":
            made["propertyNames"] = {"pattern": NO_NUL}
        return made

    def generate(self, schema: CoreSchema, mode: JsonSchemaMode = "validation") -> JsonSchemaValue:
        return cast(JsonSchemaValue, _without_titles(super().generate(schema, mode)))


def _digits(schema: core_schema.DecimalSchema) -> str:
    """A pattern of the texts that are taken: as many digits as there may be, and no more than the most."""
    most, least = schema.get("le"), schema.get("ge", schema.get("gt"))
    places = rf"(\.[0-9]{{1,{schema.get('decimal_places') or 40}}})?"
    sign = "" if least is not None and least >= 0 else "-?"
    whole = f"[0-9]{{1,{len(str(int(most))) - 1 if most is not None and most >= 10 else 40}}}"
    also = f"|{int(most)}" if most is not None and most >= 10 else ""
    return f"^({sign}{whole}{places}{also})$"


class Schemas:
    """All models of a registry as components, with references to them."""

    def __init__(self, tools: Iterable[Tool], others: Iterable[type[BaseModel]]):
        wanted: dict[tuple[type[BaseModel], JsonSchemaMode], None] = {}
        for tool in tools:
            wanted[(tool.request, "validation")] = None
            wanted[(tool.result, "serialization")] = None
            if tool.emits is not None:
                wanted[(tool.emits, "serialization")] = None
        wanted.update({(model, "serialization"): None for model in others})
        self._references, definitions = models_json_schema(
            list(wanted), ref_template=REF + "{model}", schema_generator=PortableSchemas
        )
        self.components: dict[str, Schema] = _without_titles(definitions.get("$defs", {}))
        for model in {model for model, mode in wanted if issubclass(model, Paged) and mode == "validation"}:
            self.request(model)["not"] = {"allOf": [_any_given(BY_SKIP), _any_given(BY_TOKEN)]}
        if "JsonValue" in self.components:
            self.components["JsonValue"] = JSON_VALUE

    def result(self, model: type[BaseModel]) -> Schema:
        reference = self._references[(model, "serialization")]
        if sole := getattr(model, "sole_list", ""):
            return dict(self.components[reference["$ref"].removeprefix(REF)]["properties"][sole])
        return dict(reference)

    def request(self, model: type[BaseModel]) -> Schema:
        """The request's object schema, itself rather than a reference."""
        reference = self._references[(model, "validation")]["$ref"]
        return self.components[reference.removeprefix(REF)]

    def body(self, tool: Tool, route: Route) -> Schema:
        """Reference to what the body holds: the request without what the path says."""
        if not route.parameters:
            return dict(self._references[(tool.request, "validation")])
        name = re.sub(r"(?:^|_)(\w)", lambda found: found[1].upper(), tool.name) + "Body"
        whole = self.request(tool.request)
        rest = {key: value for key, value in whole["properties"].items() if key not in route.parameters}
        required = [key for key in whole.get("required", ()) if key not in route.parameters]
        body = {key: value for key, value in whole.items() if key not in ("properties", "required")}
        self.components[name] = {**body, "properties": rest, **({"required": required} if required else {})}
        return {"$ref": REF + name}

    def parameter(self, field: Mapping[str, Any]) -> Schema:
        """A field's schema for path or query, where there is no null."""
        schema = {key: value for key, value in field.items() if key != "description"}
        if schema.get("default", 0) is None:
            del schema["default"]
        options = [option for option in schema.pop("anyOf", ()) if option.get("type") != "null"]
        if len(options) == 1:
            return {**schema, **options[0]}
        return {**schema, "anyOf": options} if options else schema

    def prune(self, document: Any) -> None:
        """Drop the components that nothing refers to."""
        used: set[str] = set()
        waiting = _references_in(document)
        while waiting:
            name = waiting.pop()
            if name not in used and name in self.components:
                used.add(name)
                waiting |= _references_in(self.components[name])
        for name in set(self.components) - used:
            del self.components[name]


def _any_given(names: Iterable[str]) -> Schema:
    given = {"type": ["integer", "string"]}
    return {"anyOf": [{"required": [name], "properties": {name: given}} for name in names]}


def _references_in(value: Any) -> set[str]:
    if isinstance(value, dict):
        own = {value["$ref"].removeprefix(REF)} if isinstance(value.get("$ref"), str) else set()
        return own.union(*(_references_in(item) for item in value.values()))
    if isinstance(value, list):
        return set().union(*(_references_in(item) for item in value))
    return set()


def _without_titles(value: Any) -> Any:
    """Titles only repeat names; a property that is itself called title is a dict and stays."""
    if isinstance(value, dict):
        return {
            key: _without_titles(item) for key, item in value.items() if key != "title" or not isinstance(item, str)
        }
    return [_without_titles(item) for item in value] if isinstance(value, list) else value
