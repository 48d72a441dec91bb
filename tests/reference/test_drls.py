"""Every example of the DRLS REST API that concerns the catalog and its configuration, as printed."""

import contextlib
import os
from collections.abc import Iterator
from typing import Any

import httpx
import pytest

from tests.faces.served import Served
from tests.reference.conftest import WAREHOUSE
from tests.reference.examples import differences

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
