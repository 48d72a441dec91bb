"""Arguments for every tool, made from its request model, so that a new tool joins the parity table by itself."""

from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from enum import Enum
from typing import Any, Literal, get_args, get_origin

from pydantic import JsonValue
from pydantic.fields import FieldInfo

from core.portable import Model, Refers, plain_type
from core.tool import Tool

SAMPLES: dict[str, Any] = {
    "sql": "SELECT region, count(*) AS n, sum(amount) AS total FROM shop.orders GROUP BY region ORDER BY region",
    "table": "shop.orders",
    "column": "region",
    "tag": "pii",
    "q": "orders",
    "query": "orders",
    "id": "lakehouse/shop.orders",
    "kind": "sqlite",
    "options": {"path": "{data}/side.sqlite"},
    "cron": "0 3 * * *",
    "name": "parity",
    "email": "parity@example.com",
    "catalog_type": "sql",
    "as_of": "main",
}
"""What a field of this name is given, where its type alone does not tell."""

BY_TOOL: dict[str, dict[str, Any]] = {
    "get_lineage": {"table": "shop.customers"},  # which nothing here reads: lineage is written a moment later
    "create_schedule": {"tool": "refresh_schema", "arguments": {"connection_id": "lakehouse"}},
    "build_query": {
        "select": ["region"],
        "measures": [{"aggregate": "sum", "column": "amount"}],
        "filters": [
            {
                "or": [
                    {"column": "id", "operator": "in", "value": [1, 2]},
                    {"not": {"column": "region", "operator": "is_null"}},
                ]
            }
        ],
    },
    "run_eval": {
        "cases": [
            {"question": "How many orders are there?", "gold": ["SELECT count(*) FROM shop.orders"]},
            {"question": "How many unicorns were born?"},
        ],
        "workflow": "planner",
    },
    "get_eval_suite": {"suite": "flights"},
    "create_query": {"query_text": "SELECT name FROM people WHERE id = $id", "parameters": {"id": "1"}},
    "run_query": {"query_text": "SELECT id FROM shop.orders", "connection_id": "lakehouse"},
    "create_asset": {"kind": "document"},
    "update_asset": {"kind": "document", "tags": ["orders"]},
    "list_assets": {"kind": "document"},
    "update_query": {"description": "People by id.", "version": 1},
    "chart_result": {"kind": "auto"},
    "search_audit": {"request_id": "no-such-id", "table": "shop.orders"},
    "get_tenant_usage": {"tenant_id": "default", "month": "2020-02"},  # when nothing was used
    "get_records": {
        "filters": [{"column": "region", "operator": "eq", "value": "eu"}, {"column": "id", "operator": "is_null"}],
        "limit": 2,
    },
    "insert_records": {"records": [{"id": 9, "region": "eu", "amount": "1.50", "ordered_on": "2026-02-01"}]},
    "update_records": {
        "filters": [{"column": "id", "operator": "eq", "value": 3}],
        "values": {"region": "eu", "ordered_on": "2026-01-03"},
    },
    "delete_records": {"filters": [{"column": "id", "operator": "ge", "value": 9}]},
    "get_record_by_id": {"table": "people", "key": ["2"], "as_of": ""},
    "accept_invitation": {"password": "correct horse battery"},
    "reset_password": {"password": "correct horse battery"},
    "change_password": {"new_password": "correct horse battery"},
    "invite_user": {"email": "invited@example.com"},
    "set_tenant_tier": {"tier": "enterprise"},  # else what follows would be limited
    "update_role": {"permissions": ["query.run"]},
    "update_user": {"attributes": {"region": "eu"}},
    "create_policy": {"kind": "column", "table": "", "tag": "parity", "privacy": "hidden", "enabled": False},
    "create_agent": {"system_prompt": "You answer.", "connections": ["lakehouse"], "capabilities": ["query"]},
    "update_agent": {"capabilities": {"query": True}, "expected_version": 1},
    "chat": {"prompt": "How many orders are there?"},
    "run_agent": {"message": "How many orders are there?"},
    "run_agent_stream": {"message": "How many orders are there?"},
    "set_agent_credential": {"kind": "bearer", "bearer_token": "sample"},
    "approve_agent_change": {"digest": "0" * 64},
    "reject_agent_change": {"digest": "0" * 64},
    "assign_agent_to_project": {"role": "helper"},
    "route_to_agent": {"message": {"text": "Hello"}},
    "route_to_project_agents": {"message": {"text": "Hello"}},
    "compact_table": {"options": {"min-input-files": 2}},
    "rollback_table": {"timestamp": "2099-01-01T00:00:00Z"},
    "create_table_ref": {"kind": "tag"},
    "delete_table_ref": {"ref": "parity"},
    "add_column": {"table": "shop.customers", "name": "note", "type": "string", "after": "id"},
    "alter_column": {"table": "shop.customers", "name": "id", "comment": "Who."},
    "rename_column": {"table": "shop.customers", "old_name": "name", "new_name": "full_name"},
    "drop_column": {"table": "shop.customers", "name": "note"},
    "evolve_partitioning": {"table": "shop.customers", "fields": [{"column": "id", "transform": "bucket", "width": 2}]},
    "set_sort_order": {"table": "shop.customers", "fields": [{"column": "id"}]},
    "set_maintenance_policy": {"expiry": {"enabled": True, "retain_last": 9}},
    "create_notice_destination": {"addresses": ["ops@example.com"]},
    "run_workflow": {"task": "total amount by region", "workflow": "fixed"},
    "submit_feedback": {"status": "success"},
    "review_feedback": {"decision": "reject"},
    "link_question": {"question": "total amount by region", "connection_id": "lakehouse"},
    "create_model": {"model": "openai/twin"},
    "update_model": {"strength": "strong"},
    "set_default_model": {"name": "none"},
    "set_approval_rules": {"rules": [{"name": "none"}]},
    "create_metric": {
        "name": "made",
        "kind": "simple",
        "type_params": {"measure": "people_count"},
        "connection_id": "side",
    },
    "update_metric": {"description": "How many.", "version": 1},
    "query_metric": {"metrics": ["people_count"], "dimensions": ["person__name"], "connection_id": "side"},
    "create_semantic_model": {
        "name": "made",
        "table": "shop.customers",
        "connection_id": "lakehouse",
        "entities": [{"name": "customer", "type": "primary", "expr": "id"}],
        "measures": [{"name": "customers", "agg": "count", "expr": "id"}],
    },
    "update_semantic_model": {"table": "people", "description": "People.", "version": 1},
    "restore_metric": {"version": 1},
    "restore_verified_query": {"version": 1},
    "restore_knowledge": {"version": 1},
    "restore_semantic_model": {"version": 1},
    "import_semantic_model": {"files": {"m.yml": "metrics: []"}, "dry_run": True},
    "propose_semantic_model": {"tables": ["people"], "connection_id": "side"},
    "create_verified_query": {
        "question": "Which people are there?",
        "sql": "SELECT name FROM people",
        "connection_id": "side",
        "query_id": "parity",
    },
    "update_verified_query": {"sql": "SELECT name FROM people", "version": 1},
    "create_knowledge": {"text": "What it means.", "knowledge_id": "parity"},
    "update_knowledge": {"text": "What it means now.", "version": 1},
    "call_tool": {"name": "list_tables", "arguments": {}},
    "call_write_tool": {"name": "describe_table", "arguments": {"table": "shop.orders", "description": "Orders."}},
}


@dataclass(frozen=True, slots=True)
class Case:
    """One set of arguments, and the faces that can send it at all."""

    name: str
    arguments: dict[str, Any]
    is_typed: bool = True  # False: a typed face (gRPC) cannot even encode it
    is_admin_only: bool = False  # tried as one principal: it is refused before rights matter


def cases(tool: Tool, ids: dict[str, str], data: str) -> Iterator[Case]:
    """The valid call and the wrong ones."""
    valid = sample(tool, ids, data)
    yield Case("valid", valid)
    if tool.references:
        yield Case("invisible", {**valid, **dict.fromkeys(tool.references, "no-such-id")})
        yield Case("foreign", {**valid, **{name: f"foreign-{kind}" for name, kind in tool.references.items()}})
    in_path = set(tool.routes[0].parameters) if tool.routes else set()
    required = [name for name, info in tool.request.model_fields.items() if info.is_required() and name not in in_path]
    if required:
        missing = {name: value for name, value in valid.items() if name != required[0]}
        yield Case("missing", missing, is_admin_only=True)
    yield Case("unknown", {**valid, "no_such_field": "x"}, is_typed=False, is_admin_only=True)
    for name, info in tool.request.model_fields.items():
        if plain_type(info.annotation) in ((int, False), (bool, False)) and name not in in_path:
            yield Case("wrong_type", {**valid, name: "not a number"}, is_typed=False, is_admin_only=True)
            break
    for name, info in tool.request.model_fields.items():
        if plain_type(info.annotation) == (str, False) and name not in in_path:
            yield Case("nul", {**valid, name: "a\0b"}, is_admin_only=True)
            break


def sample(tool: Tool, ids: dict[str, str], data: str) -> dict[str, Any]:
    """Arguments that a tool accepts."""
    given = BY_TOOL.get(tool.name, {})
    in_path = set(tool.routes[0].parameters) if tool.routes else set()
    made = {
        name: _value(name, info, ids)
        for name, info in tool.request.model_fields.items()
        if info.is_required() or name in in_path or (_is_sampled(name, info) and name not in ("name", "id"))
    }
    filled: dict[str, Any] = _filled({**made, **given}, data)
    return filled


def _filled(value: Any, data: str) -> Any:
    if isinstance(value, dict):
        return {key: _filled(item, data) for key, item in value.items()}
    return value.replace("{data}", data) if isinstance(value, str) else value


def _value(name: str, info: FieldInfo, ids: dict[str, str]) -> Any:
    for item in info.metadata:
        if isinstance(item, Refers):
            return ids.get(item.kind, "no-such-id")
    if _is_sampled(name, info):
        return SAMPLES[name]
    if info.examples:
        return info.examples[0]
    kind, is_list = plain_type(info.annotation)
    value = _by_type(kind)
    return [value] if is_list else value


def _is_sampled(name: str, info: FieldInfo) -> bool:
    """Whether there is a sample for a field of that name, which it may have."""
    kind, _ = plain_type(info.annotation)
    return name in SAMPLES and (get_origin(kind) is not Literal or SAMPLES[name] in get_args(kind))


def _by_type(kind: Any) -> Any:
    if get_origin(kind) is Literal:
        return get_args(kind)[0]
    if get_origin(kind) is dict or kind is JsonValue:
        return {}
    if isinstance(kind, type) and issubclass(kind, Enum):
        return next(iter(kind)).value
    if isinstance(kind, type) and issubclass(kind, Model):
        return {name: _value(name, info, {}) for name, info in kind.model_fields.items() if info.is_required()}
    simple = {str: "sample", int: 1, float: 1.0, bool: True, bytes: "", Decimal: "1", datetime: "2026-01-01T00:00:00Z"}
    return simple.get(kind, "sample")
