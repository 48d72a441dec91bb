"""The OpenAPI 3.1 document, derived from the registry: every operation, field, error and header."""

import json

from api.openapi_content import CONTENT_PATHS
from api.openapi_errors import (
    ERROR_SCHEMAS,
    HEADERS,
    RESPONSES,
    TOKEN_PATHS,
    error_responses,
)
from api.openapi_schemas import BY_SKIP, Schema, Schemas
from api.preconditions import TAG, expected_field, has_tag
from api.rest_calls import MAX_WAIT_S, OPERATE
from api.streams import ARROW, ARROW_FIELD, SSE
from core.dispatch import DEFAULT_WAIT_S
from core.jobs import Job
from core.pages import Paged
from core.portable import pictures
from core.registry import Registry
from core.tool import ANYONE, Route, Tool

_OTHER_STYLE = " Or send `skip` and `limit` instead of both paging parameters."
WITHOUT_BODY = ("GET", "DELETE")


def openapi_document(registry: Registry, *, version: str, public_url: str = "") -> Schema:
    """The document of every tool that has a route, at its `/v1` or root paths."""
    schemas = Schemas(registry, [Job])
    paths: dict[str, Schema] = {}
    named: set[str] = set()
    for tool in registry:
        for route in tool.routes:
            path = route.path if route.at_root else f"/v1{route.path}"
            operation = _operation(tool, route, schemas, _operation_id(tool, route, named))
            paths.setdefault(path, {})[route.method.lower()] = operation
    for path, operations in (TOKEN_PATHS | CONTENT_PATHS).items():
        paths.setdefault(path, {}).update(operations)
    schemas.prune([paths, RESPONSES])
    return {
        "openapi": "3.1.0",
        "info": {
            "title": "Headwater",
            "version": version,
            "description": "One governed door to data for people, services and agents. Every operation is one tool.",
            "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
        },
        "servers": [{"url": public_url.rstrip("/") or "/"}],
        "security": [{"bearer": []}],
        "tags": [{"name": name, "description": f"Tools of the domain {name}."} for name in _domains(registry)],
        "paths": dict(sorted(paths.items())),
        "components": {
            "schemas": dict(sorted({**schemas.components, **ERROR_SCHEMAS}.items())),
            "responses": RESPONSES,
            "headers": HEADERS,
            "securitySchemes": {
                "bearer": {
                    "type": "http",
                    "scheme": "bearer",
                    "description": "A token from `POST /auth/token`, `headwater token` or `create_token`.",
                },
                "internal": {
                    "type": "apiKey",
                    "in": "header",
                    "name": "X-Internal-Token",
                    "description": "The same token, as schedulers of the platform's operator send it.",
                },
            },
        },
    }


def _domains(registry: Registry) -> list[str]:
    served = {tool.domain for tool in registry if tool.routes}
    plain = {tag for path in CONTENT_PATHS.values() for operation in path.values() for tag in operation["tags"]}
    return sorted(served | plain | {"auth"})


def _operation_id(tool: Tool, route: Route, named: set[str]) -> str:
    """The tool's name for its first route; aliases say what they are."""
    name = tool.name
    if name in named:
        name = f"{tool.name}_{route.method.lower()}{'_root' if route.at_root else ''}"
    number = 2
    while name in named:
        name, number = f"{tool.name}_alias_{number}", number + 1
    named.add(name)
    return name


def _operation(tool: Tool, route: Route, schemas: Schemas, operation_id: str) -> Schema:
    operation: Schema = {
        "operationId": operation_id,
        "summary": tool.summary,
        "description": tool.description,
        "tags": [tool.domain],
        "x-headwater-tool": tool.name,
        "x-headwater-permission": tool.needs,
        "x-headwater-effect": tool.effect,
    }
    parameters = _parameters(tool, route, schemas)
    if parameters:
        operation["parameters"] = parameters
    has_body = route.method not in WITHOUT_BODY
    if has_body:
        operation["requestBody"] = _body(tool, route, schemas)
    operation["responses"] = {**_responses(tool, schemas), **error_responses(tool, has_body=has_body)}
    if tool.needs == ANYONE:
        operation["security"] = []
    if tool.needs == OPERATE:
        operation["security"] = [{"bearer": []}, {"internal": []}]
    return operation


def _parameters(tool: Tool, route: Route, schemas: Schemas) -> list[Schema]:
    request = schemas.request(tool.request)
    fields, required = request.get("properties", {}), request.get("required", ())
    is_paged, found = bool(_untold(tool)), []
    for name, field in fields.items():
        in_path = name in route.parameters
        if not in_path and (route.method not in WITHOUT_BODY or name in _untold(tool)):
            continue
        found.append(
            {
                "name": name,
                "in": "path" if in_path else "query",
                "required": in_path or name in required,
                "description": field.get("description", "")
                + (_OTHER_STYLE if is_paged and name == "page_size" else ""),
                "schema": _path_schema(schemas.parameter(field)) if in_path else schemas.parameter(field),
            }
        )
    return found + _extra_parameters(tool)


def _untold(tool: Tool) -> tuple[str, ...]:
    """OpenAPI cannot say that query parameters exclude each other, so listings show one of their paging styles.

    The other is taken all the same; in bodies, where a schema can say it, both are shown."""
    return BY_SKIP if issubclass(tool.request, Paged) else ()


def _path_schema(schema: Schema) -> Schema:
    """A path segment is never empty."""
    return {**schema, "minLength": max(1, schema.get("minLength", 1))} if schema.get("type") == "string" else schema


def _extra_parameters(tool: Tool) -> list[Schema]:
    found: list[Schema] = []
    if tool.job:
        found.append(
            {
                "name": "wait_s",
                "in": "query",
                "description": f"Seconds to wait for the result ({DEFAULT_WAIT_S:g}); after that 202 with the job.",
                "schema": {"type": "number", "minimum": 0, "maximum": MAX_WAIT_S},
            }
        )
        found.append(
            {
                "name": "Prefer",
                "in": "header",
                "description": "`respond-async` answers 202 at once; `wait=10` waits 10 s (RFC 7240).",
                "schema": {"type": "string"},
            }
        )
    if expected_field(tool):
        found.append(
            {
                "name": "If-Match",
                "in": "header",
                "description": "The `ETag` that you read: if it has changed since, nothing is done but 409 answered.",
                "schema": {"type": "string", "pattern": TAG},
            }
        )
    if tool.takes_key:
        found.append(
            {
                "name": "Idempotency-Key",
                "in": "header",
                "description": "Repeating a call with the same key and arguments answers the first result again.",
                "schema": {"type": "string", "pattern": "^[!-~]{1,255}$"},
            }
        )
    return found


def _body(tool: Tool, route: Route, schemas: Schemas) -> Schema:
    reference = schemas.body(tool, route)
    whole = schemas.components[reference["$ref"].rpartition("/")[2]]
    content: Schema = {"schema": reference}
    example = {
        name: field["examples"][0] for name, field in whole.get("properties", {}).items() if field.get("examples")
    }
    if example and set(whole.get("required", ())) <= set(example):
        content["example"] = example
    return {"required": bool(whole.get("required")), "content": {"application/json": content}}


def _responses(tool: Tool, schemas: Schemas) -> Schema:
    headers: Schema = {"X-Request-Id": {"$ref": "#/components/headers/RequestId"}}
    if tool.location:
        headers["Location"] = {"$ref": "#/components/headers/Location"}
    if has_tag(tool):
        headers["ETag"] = {"$ref": "#/components/headers/ETag"}
    done: Schema = {"description": _first_line(tool.result.__doc__) or "Done.", "headers": headers}
    if tool.status != 204:
        bare: Schema = {
            kind: {"schema": {"description": "The bare picture."}} for kind in pictures(tool.result).values()
        }
        done["content"] = {
            "application/json": {"schema": schemas.result(tool.result)},
            **_streams(tool, schemas),
            **bare,
        }
    responses: Schema = {str(tool.status): done}
    if tool.job:
        job = {
            "description": "Accepted: the job runs on; follow it at `Location`.",
            "headers": {**headers, "Location": {"$ref": "#/components/headers/Location"}},
            "content": {"application/json": {"schema": schemas.result(Job)}},
        }
        responses.setdefault("202", job)
    return responses


def _streams(tool: Tool, schemas: Schemas) -> Schema:
    if tool.emits is None:
        return {}
    part = json.dumps(schemas.result(tool.emits)["$ref"].rpartition("/")[2])
    note = f"Events: parts ({part} as `data`), then `result`, or `error`; comments keep the connection alive."
    found: Schema = {SSE: {"schema": {"type": "string", "description": note}}}
    if ARROW_FIELD in tool.emits.model_fields:
        found[ARROW] = {"schema": {"description": "One Arrow IPC stream."}}
    return found


def _first_line(text: str | None) -> str:
    return (text or "").strip().partition("\n")[0]
