"""Every example of the DRLS REST API that concerns the catalog and its configuration, as printed."""

import contextlib
import json
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faces.served import Served
from tests.reference.conftest import WAREHOUSE
from tests.reference.examples import curl, differences

CONFIG: dict[str, Any] = {
    "catalog_type": "hadoop",
    "warehouse": "/tmp/warehouse",
    "catalog_name": "drls",
    "uri": None,
    "extra_props": {},
}


def ask(platform: Served, method: str, path: str, *, role: str = "viewer", body: Any = None) -> httpx.Response:
    headers = {"authorization": f"Bearer {platform.tokens[role]}"}
    return httpx.request(method, f"{platform.url('rest')}/api{path}", json=body, headers=headers, timeout=20)


@pytest.fixture
def warehouse() -> Iterator[None]:
    """The document's own folder, taken away again if it was not there."""
    was_there = WAREHOUSE.exists()
    if was_there and not os.access(WAREHOUSE, os.W_OK):
        pytest.skip("the document's warehouse folder belongs to somebody else here")
    yield
    if not was_there:
        with contextlib.suppress(OSError):
            WAREHOUSE.rmdir()


@pytest.fixture
def drls(platform: Served) -> Iterator[None]:
    """The catalog is called as in the document."""
    ask(platform, "PUT", "/config", role="admin", body={"catalog_name": "drls"})
    yield
    ask(platform, "PUT", "/config", role="admin", body={})


def test_health_answers_200_to_anyone(platform: Served) -> None:
    assert httpx.get(platform.url("rest") + "/api/health").status_code == 200


def test_tables(platform: Served) -> None:
    answer = ask(platform, "GET", "/tables").json()
    example = {"namespaces": ["db", "analytics"], "tables": ["db.events", "db.users", "analytics.metrics"]}
    assert differences(example, answer) == []
    assert set(example["tables"]) <= set(answer["tables"])
    assert set(example["namespaces"]) <= set(answer["namespaces"])


@pytest.mark.parametrize("name", ["db.events", "headwater.db.events"])
def test_the_schema_of_a_table(platform: Served, name: str) -> None:
    answer = ask(platform, "GET", f"/table/{name}/schema").json()
    columns = [
        {"name": "id", "type": "bigint", "nullable": False, "comment": None},
        {"name": "ts", "type": "timestamp", "nullable": True, "comment": None},
    ]
    assert differences({"success": True, "table": "db.events", "columns": columns}, answer) == []
    assert (answer["success"], answer["table"]) == (True, "db.events")
    assert [(column["name"], column["nullable"]) for column in answer["columns"]] == [("id", False), ("ts", True)]


def test_the_health_of_a_table(platform: Served) -> None:
    example = {
        "success": True,
        "table": "db.events",
        "snapshot_count": 15,
        "data_file_count": 42,
        "total_size_bytes": 1048576,
        "avg_file_size_bytes": 24966,
        "small_file_count": 30,
        "recommendation": "Consider compaction",
    }
    answer = ask(platform, "GET", "/table/db.events/health").json()
    assert differences(example, answer) == []
    assert (answer["success"], answer["table"], answer["data_file_count"]) == (True, "db.events", 1)


def maintain(platform: Served, path: str, body: str) -> Any:
    """The answer to a literal curl command; the document shows no token, so it gets ours."""
    header = '-H "Authorization: Bearer your_jwt_token" -H "Content-Type: application/json"'
    return curl(platform, f"curl -X POST http://localhost:3000/api{path} {header} -d '{body}'", role="data_engineer")


def test_the_operations_on_a_table(platform: Served, drls: None) -> None:
    compacted = maintain(platform, "/compact", '{"table": "drls.db.events", "strategy": "binpack", "options": {}}')
    details = r'{"rewritten_files": 10, "new_files": 2}'
    example = {"success": True, "operation": "compact", "table": "drls.db.events", "details_json": details}
    assert differences(example, compacted) == []
    assert (compacted["operation"], compacted["table"]) == ("compact", "drls.db.events")
    assert differences(json.loads(details), json.loads(compacted["details_json"])) == []
    expired = maintain(platform, "/expire", '{"table": "drls.db.events", "retain_last": 5, "older_than": null}')
    assert (expired["success"], expired["operation"]) == (True, "expire")


def test_the_evolution_of_a_table(platform: Served, drls: None) -> None:
    added = maintain(
        platform,
        "/evolve/add-column",
        '{"table": "drls.db.users", "name": "source", "type": "STRING", "after": "name", "comment": "Event source"}',
    )
    assert [column["name"] for column in added["columns"]] == ["id", "name", "source", "region"]
    maintain(platform, "/evolve/rename-column", '{"table": "drls.db.users", "old_name": "region", "new_name": "data"}')
    dropped = maintain(platform, "/evolve/drop-column", '{"table": "drls.db.users", "name": "source"}')
    assert [column["name"] for column in dropped["columns"]] == ["id", "name", "data"]


def test_the_configuration_before_and_after_it_is_set(platform: Served, warehouse: None) -> None:
    before = ask(platform, "GET", "/config", role="config").json()
    assert differences({"configured": True, **CONFIG}, before) == [] and before["configured"] is False
    done = ask(platform, "PUT", "/config", role="config", body=CONFIG)
    assert done.status_code == 200, done.text
    after = ask(platform, "GET", "/config", role="config").json()
    assert after == {"configured": True, **CONFIG}
    ask(platform, "PUT", "/config", role="config", body={})


def test_the_documents_catalog_name_prefixes_tables_once_it_is_set(platform: Served) -> None:
    done = ask(platform, "PUT", "/config", role="admin", body={"catalog_name": "drls"})
    assert done.status_code == 200, done.text
    answer = ask(platform, "GET", "/table/drls.db.events/schema").json()
    assert answer["table"] == "db.events"
    ask(platform, "PUT", "/config", role="admin", body={})


def test_the_configuration_needs_the_right_role(platform: Served) -> None:
    assert ask(platform, "PUT", "/config", role="viewer", body=CONFIG).status_code == 403
