"""What somebody may try at the Iceberg REST catalog: other tenants, paths that lead out, forged files, lost races."""

import asyncio
import json
import zlib
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from core.dispatch import Call
from tests.faces.served import Served
from tests.hostile.wire import SECRET, bearer

V1 = "/iceberg/v1"
SCHEMA: dict[str, Any] = {"type": "struct", "fields": [{"id": 1, "name": "id", "required": False, "type": "long"}]}
PASSWD = "file:///etc/passwd"


class Client:
    """Raw requests to the catalog, by role."""

    def __init__(self, house: Served):
        self.house = house
        self._http = httpx.Client(base_url=house.url("rest"), timeout=20)

    def ask(self, method: str, path: str, body: Any = None, *, role: str = "admin", **more: Any) -> httpx.Response:
        token = self.house.tokens.get(role, role or None)
        content = body if isinstance(body, bytes) else (None if body is None else json.dumps(body).encode())
        answer = self._http.request(method, f"{V1}{path}", content=content, headers=bearer(token), **more)
        self.check(answer)
        return answer

    def check(self, answer: httpx.Response) -> None:
        """Every refusal has the protocol's shape and our id, and tells nothing of this machine."""
        assert answer.status_code < 500, answer.text[:500]
        if answer.status_code >= 400 and answer.content:
            error = answer.json()["error"]
            own = error["headwater"]
            assert error["code"] == answer.status_code
            assert error["type"].endswith("Exception")
            assert own["code"] and own["request_id"]
            assert not [word for word in ("Traceback", '.py", line', "site-packages", SECRET) if word in answer.text]

    def table(self, name: str) -> dict[str, Any]:
        """A new table without rows, as the catalog shows it."""
        answer = self.ask("POST", "/default/namespaces/ice/tables", {"name": name, "schema": SCHEMA})
        assert answer.status_code == 200, answer.text
        found: dict[str, Any] = answer.json()
        return found

    def commit(self, name: str, *updates: dict[str, Any], role: str = "admin", **more: Any) -> httpx.Response:
        body = {"requirements": [], "updates": list(updates), **more}
        return self.ask("POST", f"/default/namespaces/ice/tables/{name}", body, role=role)


@pytest.fixture(scope="module")
def client(house: Served) -> Iterator[Client]:
    made = Client(house)
    made.ask("POST", "/default/namespaces", {"namespace": ["ice"]})
    yield made
    made._http.close()


def snapshot(manifest_list: str, number: int = 77, **more: Any) -> dict[str, Any]:
    found = {"snapshot-id": number, "sequence-number": 1, "timestamp-ms": 1_700_000_000_000, "schema-id": 0}
    return {"action": "add-snapshot", "snapshot": {**found, "summary": {"operation": "append"}, **more,
                                                   "manifest-list": manifest_list}}  # fmt: skip


def folder(table: dict[str, Any]) -> Path:
    return Path(table["metadata"]["location"].removeprefix("file://"))


@pytest.mark.parametrize("role", ["", "forged.token.here", "roleless"])
@pytest.mark.parametrize("path", ["/config", "/default/namespaces", "/default/namespaces/shop/tables/orders"])
def test_strangers_get_nothing(client: Client, role: str, path: str) -> None:
    assert client.ask("GET", path, role=role).status_code in (401, 403)


@pytest.mark.parametrize("path", ["namespaces", "namespaces/shop", "namespaces/shop/tables/orders"])
def test_another_tenants_prefix_is_no_warehouse(client: Client, path: str) -> None:
    theirs = client.ask("GET", f"/default/{path}", role="other")
    nobodys = client.ask("GET", f"/no-such/{path}", role="other")
    assert theirs.status_code == nobodys.status_code == 404
    assert theirs.json()["error"]["message"] == nobodys.json()["error"]["message"]
    assert client.ask("GET", "/config?warehouse=default", role="other").status_code == 404


@pytest.mark.parametrize("name", ["..", ".", "a/b", "a\\b", "", "x" * 200, "a\x00b", "a.b", " ", "\x1f", "ü\n"])
def test_names_that_could_lead_out_are_refused(client: Client, name: str) -> None:
    for path, body in (
        ("/default/namespaces", {"namespace": [name]}),
        ("/default/namespaces/ice/tables", {"name": name, "schema": SCHEMA}),
        ("/default/tables/rename", {"source": {"namespace": ["shop"], "name": "orders"},
                                    "destination": {"namespace": ["shop"], "name": name}}),
    ):  # fmt: skip
        assert client.ask("POST", path, body).status_code == 400, path


@pytest.mark.parametrize("name", ["headwater_trash", "HEADWATER_TRASH", "information_schema", "main", "headwater"])
def test_the_platforms_own_namespaces_are_out_of_reach(client: Client, name: str) -> None:
    assert client.ask("POST", "/default/namespaces", {"namespace": [name]}).status_code == 400
    assert client.ask("GET", f"/default/namespaces/{name}/tables").status_code == 404


@pytest.mark.parametrize(
    "path",
    [
        PASSWD,
        "/etc/passwd",
        "{location}/../../../catalog.db",
        "{location}/metadata/%2e%2e/%2e%2e/x",
        "{location}-other/metadata/x.avro",
        "{location}",
        "{location}//x",
        "{location}/x?y",
        "{location}/*.avro",
        "s3://bucket/x.avro",
        "http://127.0.0.1/x.avro",
        "file://localhost/etc/passwd",
        "",
        "x.avro",
    ],
)
def test_a_snapshot_reads_no_file_outside_of_its_table(client: Client, path: str) -> None:
    table = client.table(f"paths{abs(zlib.crc32(path.encode()))}")
    name = folder(table).name.partition("-")[0]
    place = path.replace("{location}", table["metadata"]["location"])
    answer = client.commit(name, snapshot(place))
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "BadRequestException")
    assert "root:" not in answer.text


def test_links_out_of_a_table_are_not_followed(client: Client) -> None:
    table = client.table("linked")
    (folder(table) / "metadata" / "list.avro").symlink_to("/etc/passwd")
    (folder(table) / "away").symlink_to("/etc")
    for path in ("metadata/list.avro", "away/passwd"):
        assert client.commit("linked", snapshot(f"{table['metadata']['location']}/{path}")).status_code == 400


def write_manifests(table: dict[str, Any], data_file: str, *, manifest: str = "", status: int = 1) -> str:
    """A manifest list with one manifest with one entry, all of a client's own making."""
    from pyiceberg.io.pyarrow import PyArrowFileIO
    from pyiceberg.manifest import (
        DataFile,
        DataFileContent,
        FileFormat,
        ManifestEntry,
        ManifestEntryStatus,
        write_manifest,
        write_manifest_list,
    )
    from pyiceberg.partitioning import UNPARTITIONED_PARTITION_SPEC
    from pyiceberg.schema import Schema
    from pyiceberg.typedef import Record

    io, place = PyArrowFileIO(), f"{table['metadata']['location']}/metadata"
    file = DataFile.from_args(
        content=DataFileContent.DATA, file_path=data_file, file_format=FileFormat.PARQUET, partition=Record(),
        record_count=1, file_size_in_bytes=100, spec_id=0,
    )  # fmt: skip
    entry = ManifestEntry.from_args(
        status=ManifestEntryStatus(status), snapshot_id=77, sequence_number=1, data_file=file
    )
    with write_manifest(
        2, UNPARTITIONED_PARTITION_SPEC, Schema.model_validate(SCHEMA), io.new_output(f"{place}/m.avro"), 77, "deflate"
    ) as writer:
        writer.add_entry(entry)
    made = writer.to_manifest_file()
    if manifest:
        made[0] = manifest
    with write_manifest_list(2, io.new_output(f"{place}/list.avro"), 77, None, 1, "deflate") as lists:
        lists.add_manifests([made])
    return f"{place}/list.avro"


@pytest.mark.parametrize("status", [1, 2])
def test_manifests_name_no_file_outside_of_their_table(client: Client, status: int) -> None:
    name = f"entries{status}"
    table = client.table(name)
    other = client.ask("GET", "/default/namespaces/shop/tables/orders").json()["metadata"]["location"]
    for number, path in enumerate((PASSWD, f"{other}/data/x.parquet", "s3://b/x.parquet")):
        (folder(table) / "metadata" / "m.avro").unlink(missing_ok=True)
        (folder(table) / "metadata" / "list.avro").unlink(missing_ok=True)
        found = client.commit(name, snapshot(write_manifests(table, path, status=status), 77 + number))
        assert found.status_code == 400, path
        assert "data file" in found.json()["error"]["message"]


def test_a_manifest_list_names_no_manifest_outside_of_its_table(client: Client) -> None:
    table = client.table("listed")
    inside = f"{table['metadata']['location']}/data/x.parquet"
    answer = client.commit("listed", snapshot(write_manifests(table, inside, manifest=PASSWD)))
    assert answer.status_code == 400
    assert "manifest" in answer.json()["error"]["message"]


def test_manifests_that_are_no_avro_or_a_bomb_are_refused(client: Client) -> None:
    table = client.table("bomb")
    place = folder(table) / "metadata" / "list.avro"
    packing = zlib.compressobj(9, zlib.DEFLATED, -15)
    packed = b"".join(packing.compress(bytes(2**20)) for _ in range(80)) + packing.flush()
    header = b"Obj\x01\x02\x14avro.codec\x0edeflate\x00" + b"s" * 16
    size = bytearray()
    left = len(packed) * 2
    while left > 127:
        size.append(left & 127 | 128)
        left >>= 7
    bomb = header + b"\x02" + bytes(size) + bytes([left]) + packed + b"s" * 16
    for content in (b"", b"Obj\x01", b"not avro at all" * 100, bomb, header + b"\xff" * 40):
        place.write_bytes(content)
        assert client.commit("bomb", snapshot(f"file://{place}")).status_code == 400


@pytest.mark.parametrize(
    "update",
    [
        {"action": "set-location", "location": PASSWD},
        {"action": "set-location", "location": "s3://elsewhere"},
        {"action": "assign-uuid", "uuid": "00000000-0000-0000-0000-000000000001"},
        {"action": "upgrade-format-version", "format-version": 3},
        {"action": "upgrade-format-version", "format-version": 10**30},
        {"action": "set-properties", "updates": {"py-io-impl": "os.system"}},
        {"action": "set-properties", "updates": {"write.py-location-provider.impl": "os.system"}},
        {"action": "set-properties", "updates": {"write.data.path": "/etc"}},
        {"action": "set-properties", "updates": {"write.metadata.path": "file:///tmp"}},
        {"action": "set-properties", "updates": {"write.metadata.compression-codec": "gzip"}},
        {"action": "set-properties", "updates": {"s3.endpoint": "http://127.0.0.1"}},
        {"action": "set-properties", "updates": {"headwater.table-id": "x"}},
        {"action": "set-properties", "updates": {"commit.retry.num-retries": "9" * 30}},
        {"action": "set-statistics", "statistics": {"snapshot-id": 1, "statistics-path": PASSWD,
         "file-size-in-bytes": 1, "file-footer-size-in-bytes": 1, "blob-metadata": []}, "snapshot-id": 1},
        {"action": "set-current-schema", "schema-id": 99},
        {"action": "set-default-spec", "spec-id": 99},
        {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch", "snapshot-id": 5},
        {"action": "remove-snapshots", "snapshot-ids": [5]},
        {"action": "add-schema", "schema": {"type": "struct", "fields": [{"id": 2, "name": "a\x00", "required": False,
         "type": "long"}]}},
        {"action": "add-schema", "schema": {"type": "no such"}},
        {"action": "no-such-action"},
        {"action": None},
        {},
    ],
)  # fmt: skip
def test_updates_that_lead_out_or_are_unknown_change_nothing(client: Client, update: dict[str, Any]) -> None:
    path = "/default/namespaces/ice/tables/fixed"
    if client.ask("HEAD", path).status_code == 404:
        client.table("fixed")
    before = client.ask("GET", path).text
    assert client.commit("fixed", update).status_code in (400, 409), update
    assert client.ask("GET", path).text == before


@pytest.mark.parametrize("requirement", [{"type": "no-such"}, {}, {"type": "assert-table-uuid", "uuid": "x"}, None, 5])
def test_unknown_requirements_are_refused(client: Client, requirement: Any) -> None:
    assert client.commit("fixed", requirements=[requirement]).status_code in (400, 404)


@pytest.mark.parametrize(
    "body", [b"", b"{", b"[]", b"null", b'"x"', b"[" * 100_000, b'{"updates": 5}', b"\xff\xfe", b'{"name": {"a": 1}}']
)
@pytest.mark.parametrize("path", ["namespaces", "namespaces/ice/tables", "transactions/commit", "tables/rename"])
def test_bodies_that_are_not_the_protocols_are_refused(client: Client, path: str, body: bytes) -> None:
    assert client.ask("POST", f"/default/{path}", body).status_code == 400


def test_huge_bodies_are_refused(client: Client, house: Served) -> None:
    body = b'{"name": "' + b"x" * (17 * 2**20) + b'"}'
    answer = httpx.post(
        f"{house.url('rest')}{V1}/default/namespaces", content=body, headers=bearer(house.tokens["admin"])
    )
    assert answer.status_code == 413


@pytest.mark.parametrize("location", [PASSWD, "s3://bucket/x", "/tmp/x", "../x"])
def test_clients_do_not_choose_where_tables_lie(client: Client, location: str) -> None:
    body = {"name": "placed", "schema": SCHEMA, "location": location}
    assert client.ask("POST", "/default/namespaces/ice/tables", body).status_code == 400
    body = {"namespace": ["placed"], "properties": {"location": location}}
    assert client.ask("POST", "/default/namespaces", body).status_code == 400
    staged = {"type": "assert-create"}
    schema, place = {"action": "add-schema", "schema": SCHEMA}, {"action": "set-location", "location": location}
    assert client.commit("placed", schema, place, requirements=[staged]).status_code == 400


def test_tables_are_not_registered_by_their_metadata(client: Client) -> None:
    body = {"name": "stolen", "metadata-location": PASSWD}
    assert client.ask("POST", "/default/namespaces/ice/register", body).status_code == 400


def test_a_transaction_over_two_tables_is_refused_before_anything_happens(client: Client) -> None:
    names = ("both_a", "both_b")
    for name in names:
        client.table(name)
    changes = [
        {"identifier": {"namespace": ["ice"], "name": name}, "requirements": [],
         "updates": [{"action": "set-properties", "updates": {"seen": "1"}}]}
        for name in names
    ]  # fmt: skip
    assert client.ask("POST", "/default/transactions/commit", {"table-changes": changes}).status_code == 400
    for name in names:
        assert "seen" not in client.ask("GET", f"/default/namespaces/ice/tables/{name}").text


def test_of_racing_commits_to_one_state_one_wins(client: Client) -> None:
    table = client.table("raced")["metadata"]
    require = [
        {"type": "assert-table-uuid", "uuid": table["table-uuid"]},
        {"type": "assert-current-schema-id", "current-schema-id": 0},
        {"type": "assert-last-assigned-field-id", "last-assigned-field-id": 1},
    ]

    def one(number: int) -> int:
        field = {"id": 2, "name": f"c{number}", "required": False, "type": "long"}
        schema = {"type": "struct", "fields": [*SCHEMA["fields"], field]}
        add, choose = {"action": "add-schema", "schema": schema}, {"action": "set-current-schema", "schema-id": -1}
        return client.commit("raced", add, choose, requirements=require).status_code

    with ThreadPoolExecutor(6) as pool:
        codes = list(pool.map(one, range(6)))
    assert sorted(codes) == [200, 409, 409, 409, 409, 409]


def test_a_snapshot_that_forgets_another_is_a_lost_commit(client: Client) -> None:
    table = client.table("forgetful")
    path = f"{table['metadata']['location']}/data/x.parquet"
    first = snapshot(write_manifests(table, path))
    ref = {"action": "set-snapshot-ref", "ref-name": "main", "type": "branch"}
    assert client.commit("forgetful", first, {**ref, "snapshot-id": 77}).status_code == 200
    again = snapshot(first["snapshot"]["manifest-list"], 78, **{"sequence-number": 2})
    answer = client.commit("forgetful", again, {**ref, "snapshot-id": 78})
    assert (answer.status_code, answer.json()["error"]["type"]) == (409, "CommitFailedException")


def test_a_table_that_a_policy_hides_does_not_exist(client: Client, house: Served) -> None:
    client.table("hidden")
    policy = {"name": "h", "kind": "column", "table": "ice.hidden", "columns": ["*"], "privacy": "hidden",
              "applies_to": {"roles": ["editor"]}}  # fmt: skip
    call = Call("create_policy", policy, "test", "r1", token=house.tokens["admin"], form="json")
    house.run(house.platform.dispatcher.call(call))
    path = "/default/namespaces/ice/tables"
    for method in ("GET", "HEAD", "DELETE"):
        assert client.ask(method, f"{path}/hidden", role="editor").status_code == 404
    assert "hidden" not in client.ask("GET", path, role="editor").text
    nothing = {"action": "remove-properties", "removals": []}
    assert client.commit("hidden", nothing, role="data_engineer").status_code == 200
    rename = {
        "source": {"namespace": ["ice"], "name": "hidden"},
        "destination": {"namespace": ["ice"], "name": "shown"},
    }
    assert client.ask("POST", "/default/tables/rename", rename, role="editor").status_code == 404


@pytest.mark.parametrize("role", ["viewer", "auditor"])
def test_readers_change_nothing(client: Client, role: str) -> None:
    change = {"action": "set-properties", "updates": {"a": "b"}}
    table = "/default/namespaces/shop/tables/orders"
    for method, path, body in (
        ("POST", "/default/namespaces", {"namespace": ["theirs"]}),
        ("POST", "/default/namespaces/shop/tables", {"name": "t", "schema": SCHEMA}),
        ("POST", table, {"requirements": [], "updates": [change]}),
        ("DELETE", table, None),
        ("DELETE", "/default/namespaces/ice", None),
    ):
        assert client.ask(method, path, body, role=role).status_code == 403, (method, path)


def test_unknown_paths_and_refusals_have_the_protocols_shape(client: Client) -> None:
    for method, path in (
        ("GET", "/nothing"),
        ("PUT", "/config"),
        ("PATCH", "/default/namespaces"),
        ("GET", "/default"),
    ):
        assert client.ask(method, path).json()["error"]["headwater"]["code"] in ("NOT_FOUND", "INVALID_ARGUMENT")


def test_every_call_stands_in_the_audit(client: Client, house: Served) -> None:
    client.ask("GET", "/default/namespaces/shop/tables/nowhere", role="viewer", params={"x": "1"})
    client.ask("GET", "/default/namespaces/shop/tables/nowhere", role="forged.token.here")

    async def read() -> list[tuple[str, str, str]]:
        audit = house.platform.engine.audit
        while audit.backlog:
            await asyncio.sleep(0.01)
        entries = [entry.record for tenant in ("default", "") for entry in await audit.read(tenant, limit=100_000)]
        found = [record for record in entries if record is not None and record.face == "iceberg"]
        assert ("table:shop.nowhere",) in [record.resources for record in found]
        return [(record.subject, record.tool, record.code) for record in found]

    records = house.run(read())
    assert ("viewer", "load_iceberg_table", "NOT_FOUND") in records
    assert ("", "load_iceberg_table", "UNAUTHENTICATED") in records
    assert any(tool == "commit_iceberg_table" and code == "OK" for _, tool, code in records)


def test_a_table_of_version_3_is_loaded_as_it_is_and_not_written(client: Client) -> None:
    table = client.table("third")
    file = Path(table["metadata-location"].removeprefix("file://"))
    file.write_text(json.dumps({**json.loads(file.read_text()), "format-version": 3, "next-row-id": 0}))
    found = client.ask("GET", "/default/namespaces/ice/tables/third").json()["metadata"]
    assert (found["format-version"], found["next-row-id"]) == (3, 0)
    change = {"action": "set-properties", "updates": {"a": "b"}}
    answer = client.commit("third", change)
    assert (answer.status_code, answer.json()["error"]["type"]) == (400, "UnsupportedOperationException")


def test_of_many_who_make_one_table_one_does(client: Client) -> None:
    def one(number: int) -> int:
        body = {"name": "contested", "schema": SCHEMA}
        return client.ask("POST", "/default/namespaces/ice/tables", body).status_code

    with ThreadPoolExecutor(4) as pool:
        assert sorted(pool.map(one, range(4))) == [200, 409, 409, 409]


def test_a_staged_table_takes_nobody_elses_folder(client: Client) -> None:
    other = client.table("owner")["metadata"]
    body = {"name": "owner", "schema": SCHEMA, "stage-create": True}
    assert client.ask("POST", "/default/namespaces/ice/tables", body).status_code == 409
    rename = {"source": {"namespace": ["ice"], "name": "owner"}, "destination": {"namespace": ["ice"], "name": "gone"}}
    assert client.ask("POST", "/default/tables/rename", rename).status_code == 204
    folder_uuid = other["location"].rpartition("-")[2]
    schema = {"action": "add-schema", "schema": SCHEMA}
    for uuid in (other["table-uuid"], folder_uuid):
        assign = {"action": "assign-uuid", "uuid": uuid}
        staged = client.commit("owner", assign, schema, requirements=[{"type": "assert-create"}])
        assert staged.status_code == 400
        assert "nother table" in staged.json()["error"]["message"]
