"""Every example of the Datafi API overview and of its coordinator API, as printed."""

import base64
import struct
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import grpc
import httpx
import pyarrow as pa
import pytest
from google.protobuf import descriptor_pb2, message_factory
from google.protobuf.descriptor_pool import DescriptorPool
from google.protobuf.message import Message

from tests.faces.served import Served
from tests.reference.examples import curl, differences

QUERY_ANSWER: dict[str, Any] = {
    "data": [{"id": 1, "name": "Alice", "region": "us-west"}, {"id": 2, "name": "Bob", "region": "us-east"}],
    "metadata": {"row_count": 2, "execution_time_ms": 142, "query_id": "qry_abc123", "from_cache": False},
}
ERROR = {
    "error": {
        "code": "QUERY_UNAUTHORIZED",
        "message": "Access denied: you do not have permission to query one or more referenced resources.",
        "request_id": "req_7f8a9b2c",
    }
}
MESSAGES = """\
syntax = "proto3";
package documented;

message QueryResponse {
bytes arrow_record_batch = 1; // Serialized Arrow RecordBatch
QueryMetadata metadata = 2;
}

message QueryMetadata {
int64 row_count = 1;
int64 execution_time_ms = 2;
string query_id = 3;
bool from_cache = 4;
}

// Request
message GetSchemaRequest {
string connection_id = 1;
}

// Response
message SchemaResponse {
string connection_id = 1;
repeated TableSchema tables = 2;
}

message TableSchema {
string name = 1;
repeated ColumnSchema columns = 2;
int64 row_count = 3;
}

message ColumnSchema {
string name = 1;
string data_type = 2;
bool nullable = 3;
repeated string tags = 4;
}

message ExecuteQueryRequest {
string sql = 1;
map<string, string> parameters = 2;
int32 timeout_seconds = 3;
string connection_id = 4;
}

message ExecuteQueryResponse {
bytes arrow_record_batch = 1;
QueryMetadata metadata = 2;
}
"""
REVENUE = "SELECT name, region, SUM(revenue) as total_revenue FROM sales GROUP BY name, region"


def documented(folder: Path) -> dict[str, type[Message]]:
    """The documents' messages, compiled as printed."""
    (folder / "documented.proto").write_text(MESSAGES)
    command = [sys.executable, "-m", "grpc_tools.protoc", f"-I{folder}", "--descriptor_set_out", str(folder / "out.pb")]
    subprocess.run([*command, "documented.proto"], check=True, timeout=30)
    file = descriptor_pb2.FileDescriptorSet.FromString((folder / "out.pb").read_bytes()).file[0]
    pool = DescriptorPool()
    pool.Add(file)
    return {
        item.name: message_factory.GetMessageClass(pool.FindMessageTypeByName(f"documented.{item.name}"))
        for item in file.message_type
    }


def grpc_call(platform: Served, path: str, request: Message, response: type[Message]) -> Any:
    with grpc.insecure_channel(f"127.0.0.1:{platform.ports.grpc}") as channel:
        method = channel.unary_unary(
            path, request_serializer=lambda item: item.SerializeToString(), response_deserializer=response.FromString
        )
        return method(request, metadata=(("authorization", f"Bearer {platform.tokens['viewer']}"),), timeout=20)


# API overview


def test_the_overviews_query(platform: Served) -> None:
    answer = curl(
        platform,
        """curl -X POST https://api.datafi.io/v1/query \\
-H "Authorization: Bearer eyJhbGciOiJSUzI1NiIs..." \\
-H "Content-Type: application/json" \\
-d '{"sql": "SELECT * FROM customers LIMIT 10"}'""",
    )
    assert differences(QUERY_ANSWER, answer) == []
    assert answer["data"] == QUERY_ANSWER["data"]


def test_the_coordinators_records_over_http(platform: Served) -> None:
    answer = curl(
        platform,
        """curl https://api.datafi.io/v1/catalog/records \\
-H "Authorization: Bearer $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{
"connection_id": "conn_abc123",
"table": "customers",
"columns": ["id", "name", "email"],
"limit": 100,
"offset": 0,
"filters": [
{"column": "region", "operator": "eq", "value": "us-west"}
]
}'""",
    )
    assert differences({**QUERY_ANSWER, "data": []}, answer) == []
    assert answer["data"] == [{"id": 1, "name": "Alice", "email": "alice@example.com"}]
    found = httpx.get(
        platform.url("rest") + "/v1/catalog/records/conn_abc123/customers?key=2",
        headers={"authorization": f"Bearer {platform.tokens['viewer']}"},
    )
    assert found.json()["record"] == {"id": 2, "name": "Bob", "region": "us-east", "email": "bob@example.com"}


def test_the_coordinators_records_are_inserted_updated_and_deleted(platform: Served) -> None:
    """The document names the operations; their requests are those of its example of reading."""

    def write(verb: str, body: str) -> Any:
        answer = curl(
            platform,
            f"""curl https://api.datafi.io/v1/catalog/records/{verb} \\
-H "Authorization: Bearer $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{{"connection_id": "conn_abc123", "table": "customers", {body}}}'""",
        )
        return answer["affected"]

    north = '"filters": [{"column": "region", "operator": "eq", "value": "us-north"}]'
    assert write("insert", '"records": [{"id": 3, "name": "Eve", "region": "us-north"}]') == 1
    assert write("update", north + ', "values": {"email": "eve@example.com"}') == 1
    assert write("delete", north + ', "dry_run": true') == 1
    assert write("delete", north) == 1
    assert write("delete", north) == 0


def test_the_coordinators_question_becomes_sql(platform: Served) -> None:
    answer = httpx.post(
        platform.url("rest") + "/v1/query/build",
        headers={"authorization": f"Bearer {platform.tokens['viewer']}"},
        json={
            "natural_language": "Show me total revenue by region for the last quarter",
            "connection_id": "conn_abc123",
        },
    )
    built = answer.json()
    assert (answer.status_code, built["tables_referenced"]) == (200, ["sales"])
    assert built["columns_referenced"] == ["region", "revenue", "sale_date"]
    assert (
        built["confidence"] > 0.8 and 'sum("t0"."revenue")' in built["sql"] and 'GROUP BY "t0"."region"' in built["sql"]
    )


def test_the_overviews_grpc_metadata_and_query_response(platform: Served, tmp_path: Path) -> None:
    messages = documented(tmp_path)
    request = messages["ExecuteQueryRequest"](sql=REVENUE, timeout_seconds=30, connection_id="conn_abc123")
    answer = grpc_call(platform, "/headwater.v1.QueryService/ExecuteQuery", request, messages["ExecuteQueryResponse"])
    rows = pa.ipc.open_stream(answer.arrow_record_batch).read_all().to_pylist()
    assert rows == [{"name": "Alice", "region": "us-west", "total_revenue": 15.0}]
    assert answer.metadata.row_count == 1 and answer.metadata.query_id


def test_the_overviews_query_method_answers_its_query_response(platform: Served, tmp_path: Path) -> None:
    messages = documented(tmp_path)
    request = messages["ExecuteQueryRequest"](sql="SELECT * FROM customers LIMIT 10", connection_id="conn_abc123")
    answer = grpc_call(platform, "/headwater.v1.QueryService/Query", request, messages["QueryResponse"])
    assert answer.metadata.row_count == 2


def test_the_overviews_grpc_web_metadata(platform: Served, tmp_path: Path) -> None:
    messages = documented(tmp_path)
    raw = messages["ExecuteQueryRequest"](sql="SELECT 1 AS one", connection_id="conn_abc123").SerializeToString()
    answer = httpx.post(
        platform.url("grpc_web") + "/headwater.v1.QueryService/Query",
        content=struct.pack(">BI", 0, len(raw)) + raw,
        headers={
            "authorization": f"Bearer {platform.tokens['viewer']}",
            "content-type": "application/grpc-web+proto",
            "x-grpc-web": "1",
        },
        timeout=20,
    )
    length = struct.unpack(">BI", answer.content[:5])[1]
    found: Any = messages["QueryResponse"].FromString(answer.content[5 : 5 + length])
    assert pa.ipc.open_stream(found.arrow_record_batch).read_all().to_pylist() == [{"one": 1}]


@pytest.mark.parametrize("compression", ["lz4", "zstd"])
def test_arrow_answers_are_compressed_as_asked(platform: Served, tmp_path: Path, compression: str) -> None:
    messages = documented(tmp_path)
    request = messages["ExecuteQueryRequest"](sql="SELECT * FROM customers", connection_id="conn_abc123")
    with grpc.insecure_channel(f"127.0.0.1:{platform.ports.grpc}") as channel:
        method = channel.unary_unary(
            "/headwater.v1.QueryService/ExecuteQuery",
            request_serializer=lambda item: item.SerializeToString(),
            response_deserializer=messages["ExecuteQueryResponse"].FromString,
        )
        metadata = (
            ("authorization", f"Bearer {platform.tokens['viewer']}"),
            ("x-arrow-compression", compression),
        )
        answer = method(request, metadata=metadata, timeout=20)
    assert pa.ipc.open_stream(answer.arrow_record_batch).read_all().num_rows == 2


def test_the_overviews_error_format(platform: Served) -> None:
    answer = httpx.post(
        platform.url("rest") + "/v1/query",
        json={"sql": "SELECT * FROM salaries"},
        headers={"authorization": f"Bearer {platform.tokens['viewer']}"},
    )
    assert answer.status_code == 403
    assert differences(ERROR, answer.json()) == []
    assert answer.json()["error"]["code"] == "QUERY_UNAUTHORIZED"
    assert answer.json()["error"]["message"] == ERROR["error"]["message"]


@pytest.mark.parametrize(
    ("code", "status", "method", "path", "token"),
    [
        ("UNAUTHENTICATED", 401, "GET", "/v1/connections", ""),
        ("UNAUTHENTICATED", 401, "GET", "/v1/connections", "eyJhbGciOiJSUzI1NiIs..."),
        ("UNAUTHORIZED", 403, "POST", "/v1/query", "auditor"),
        ("NOT_FOUND", 404, "GET", "/v1/catalog/schemas/nowhere", "viewer"),
    ],
)
def test_the_overviews_error_codes(
    platform: Served, code: str, status: int, method: str, path: str, token: str
) -> None:
    bearer = platform.tokens.get(token, token)
    answer = httpx.request(
        method,
        platform.url("rest") + path,
        json={"sql": "SELECT 1"} if method == "POST" else None,
        headers={"authorization": f"Bearer {bearer}"} if bearer else {},
    )
    assert (answer.status_code, answer.json()["error"]["code"]) == (status, code)
    assert differences(ERROR, answer.json()) == []


def test_the_free_tier_answers_429_with_retry_after_past_60_requests_a_minute(platform: Served) -> None:
    answers: list[httpx.Response] = []
    started = time.monotonic()
    with httpx.Client(base_url=platform.url("rest"), timeout=20) as http:
        headers = {"authorization": f"Bearer {platform.tokens['small']}"}
        while len(answers) < 70 and time.monotonic() - started < 20:
            answers.append(http.get("/v1/users/me", headers=headers))
    passed = [answer for answer in answers if answer.status_code == 200]
    refused = [answer for answer in answers if answer.status_code == 429]
    assert len(passed) == 60 and len(refused) == 10
    assert refused[0].json()["error"]["code"] == "RATE_LIMITED"
    assert 1 <= int(refused[0].headers["retry-after"]) <= 61


# Coordinator API


def test_the_coordinators_get_schema(platform: Served) -> None:
    answer = curl(
        platform,
        """curl https://api.datafi.io/v1/catalog/schemas/conn_abc123 \\
-H "Authorization: Bearer $TOKEN\"""",
    )
    column = {"name": "id", "data_type": "integer", "nullable": False, "tags": []}
    example = {"connection_id": "conn_abc123", "tables": [{"name": "customers", "columns": [column], "row_count": 1}]}
    assert differences(example, answer) == []
    assert [table["name"] for table in answer["tables"]] == ["customers", "sales"]


def test_the_coordinators_schema_messages(platform: Served, tmp_path: Path) -> None:
    messages = documented(tmp_path)
    request = messages["GetSchemaRequest"](connection_id="conn_abc123")
    answer = grpc_call(platform, "/headwater.v1.CatalogService/GetSchema", request, messages["SchemaResponse"])
    assert answer.connection_id == "conn_abc123"
    assert [table.name for table in answer.tables] == ["customers", "sales"]
    assert [column.name for column in answer.tables[0].columns] == ["id", "name", "region", "email"]
    assert answer.tables[0].columns[0].data_type == "integer"


def test_the_coordinators_execute_query(platform: Served) -> None:
    answer = curl(
        platform,
        """curl -X POST https://api.datafi.io/v1/query/execute \\
-H "Authorization: Bearer $TOKEN" \\
-H "Content-Type: application/json" \\
-d '{
"sql": "SELECT name, region, SUM(revenue) as total_revenue FROM sales GROUP BY name, region",
"connection_id": "conn_abc123",
"timeout_seconds": 30
}'""",
    )
    assert answer["data"] == [{"name": "Alice", "region": "us-west", "total_revenue": 15.0}]
    assert differences({"metadata": QUERY_ANSWER["metadata"]}, answer) == []


def test_the_coordinators_validate_before_execute(platform: Served) -> None:
    headers = {"authorization": f"Bearer {platform.tokens['viewer']}"}
    body = {"sql": "SELECT secret FROM vault", "connection_id": "conn_abc123"}
    checked = httpx.post(platform.url("rest") + "/v1/query/validate", json=body, headers=headers).json()
    ran = httpx.post(platform.url("rest") + "/v1/query/execute", json=body, headers=headers).json()
    assert checked["valid"] is False
    assert checked["code"] == ran["error"]["code"] == "QUERY_UNAUTHORIZED"


def test_the_coordinators_pagination(platform: Served) -> None:
    headers = {"authorization": f"Bearer {platform.tokens['viewer']}"}
    url = platform.url("rest") + "/v1/catalog/schemas/lakehouse/tables"
    first = httpx.get(url, params={"page_size": 3}, headers=headers).json()
    example: dict[str, Any] = {"items": [{}], "next_page_token": "eyJsYXN0X2lkIjogMTUwfQ==", "total_count": 342}
    assert differences(example, first) == []
    second = httpx.get(url, params={"page_size": 3, "page_token": first["next_page_token"]}, headers=headers).json()
    names = [item["name"] for item in [*first["items"], *second["items"]]]
    assert names == ["analytics.metrics", "db.events", "db.users", "sales.customers"]
    assert first["total_count"] == 4 and second["next_page_token"] is None


def test_the_coordinators_example_page_token_is_none_of_ours(platform: Served) -> None:
    headers = {"authorization": f"Bearer {platform.tokens['viewer']}"}
    answer = httpx.get(
        platform.url("rest") + "/v1/connections",
        params={"page_size": 50, "page_token": "eyJsYXN0X2lkIjogMTAwfQ=="},
        headers=headers,
    )
    assert answer.status_code == 400


def test_the_coordinators_admin_operations_are_forbidden_below_admin(platform: Served) -> None:
    for role, status in (("editor", 403), ("lead_data_engineer", 403), ("admin", 200), ("super_admin", 200)):
        answer = httpx.get(
            platform.url("rest") + "/v1/audit/verify", headers={"authorization": f"Bearer {platform.tokens[role]}"}
        )
        assert answer.status_code == status, role


def test_list_tables_over_grpc_with_an_empty_message_lists_the_lakehouse(platform: Served) -> None:
    with grpc.insecure_channel(f"127.0.0.1:{platform.ports.grpc}") as channel:
        method = channel.unary_unary("/headwater.v1.CatalogService/ListTables", None, None)
        raw = method(b"", metadata=(("authorization", f"Bearer {platform.tokens['viewer']}"),), timeout=20)
    assert b"db.events" in raw


def test_a_client_token_opens_with_basic_too(platform: Served) -> None:
    basic = base64.b64encode(b"your_client_id:your_client_secret").decode()
    answer = httpx.post(
        platform.url("rest") + "/auth/token",
        data={"grant_type": "client_credentials"},
        headers={"authorization": f"Basic {basic}"},
    )
    assert answer.status_code == 200 and answer.json()["token_type"] == "Bearer"
