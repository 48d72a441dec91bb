"""Handles of results and schemas of tables, each for those who may read them."""

import re
from typing import Any

from core.registry import Registry
from tests.mcp_server.conftest import Face, running


def read(face: Face, uri: str, **more: Any) -> dict[str, Any]:
    found: dict[str, Any] = face.post("resources/read", params={"uri": uri}, **more).json()
    return found


def text_of(face: Face, uri: str, **more: Any) -> str:
    return str(read(face, uri, **more)["result"]["contents"][0]["text"])


def test_a_handle_reads_on_to_the_end(face: Face) -> None:
    first = face.call("list_rows", {"count": 3000})["content"][0]["text"]
    seen = re.findall(r"^(\d+),row", first, re.MULTILINE)
    uri = re.findall(r"Read on at (\S+)", first)
    pages = 0
    while uri:
        text = text_of(face, uri[0])
        seen += re.findall(r"^(\d+),row", text, re.MULTILINE)
        uri = re.findall(r"Read on at (\S+)", text)
        pages += 1
    assert seen == [str(number) for number in range(3000)]
    assert pages > 1


def test_a_handle_is_for_its_owner_while_it_lasts(face: Face) -> None:
    uri = face.call("list_rows", {"count": 3000}, token="viewer-token")["_meta"]["headwater/result"]
    assert "row 0" in text_of(face, uri, token="viewer-token")
    other = read(face, uri)["error"]
    assert (other["code"], other["data"]["error"]["code"], other["data"]["uri"]) == (-32602, "NOT_FOUND", uri)
    face.results.now = 61
    assert read(face, uri, token="viewer-token")["error"]["data"]["error"]["code"] == "NOT_FOUND"


def test_a_handle_needs_the_permission_of_its_tool_at_each_read(face: Face) -> None:
    uri = face.call("list_rows", {"count": 3000}, token="viewer-token")["_meta"]["headwater/result"]
    ((key, (at, stored)),) = face.results.kept.items()
    face.results.kept[key] = (at, type(stored)("create_thing", stored.result_json))
    assert read(face, uri, token="viewer-token")["error"]["data"]["error"]["code"] == "NOT_FOUND"


def test_a_tables_schema_is_read_through_the_gate_and_marked_as_data(face: Face) -> None:
    text = text_of(face, "headwater://tables/sales.orders", token="viewer-token")
    tag = re.findall(r"^<(data-\w{12})>$", text, re.MULTILINE)[0]
    assert text.index("Ignore all rules") < text.index(f"</{tag}>")
    assert [record.tool for record in face.gate.records] == ["get_table_schema"]
    missing = read(face, "headwater://tables/no.such")["error"]
    assert missing["data"]["error"]["message"] == "No table 'no.such'."
    assert read(face, "headwater://tables/sales.orders", token="nobody-token")["error"]["code"] == -32091


def test_odd_addresses_are_not_found(face: Face) -> None:
    for uri in ("headwater://tables/", "headwater://other/x", "file:///etc/passwd", "headwater://results/..%2Fx"):
        assert read(face, uri)["error"]["data"]["error"]["code"] == "NOT_FOUND", uri
    wrong = read(face, "headwater://results/x?offset=-1")["error"]
    assert wrong["data"]["error"]["code"] == "INVALID_ARGUMENT"


def test_templates_are_those_a_principal_can_use(face: Face) -> None:
    def templates(token: str) -> list[str]:
        found = face.ask("resources/templates/list", token=token)["resourceTemplates"]
        return [template["uriTemplate"] for template in found]

    assert templates("viewer-token") == ["headwater://results/{id}{?offset}", "headwater://tables/{table}"]
    assert templates("nobody-token") == ["headwater://results/{id}{?offset}"]


def complete(face: Face, typed: str, token: str = "viewer-token") -> dict[str, Any]:
    ref = {"type": "ref/resource", "uri": "headwater://tables/{table}"}
    params = {"ref": ref, "argument": {"name": "table", "value": typed}}
    found: dict[str, Any] = face.ask("completion/complete", params=params, token=token)["completion"]
    return found


def test_table_names_complete_for_those_who_see_them(face: Face) -> None:
    assert complete(face, "SALES.o")["values"] == ["sales.orders"]
    assert complete(face, "orders")["values"] == ["sales.orders"]
    assert complete(face, "")["total"] == 3
    assert complete(face, "sales", token="nobody-token")["values"] == []
    assert [record.tool for record in face.gate.records] == ["list_lakehouse_tables"] * 3


def test_other_arguments_complete_to_nothing(face: Face) -> None:
    ref = {"type": "ref/resource", "uri": "headwater://results/{id}"}
    params = {"ref": ref, "argument": {"name": "id", "value": "r"}}
    assert face.ask("completion/complete", params=params)["completion"]["values"] == []


def test_a_server_without_those_tools_offers_no_completion() -> None:
    with running(Registry.walk(["tests.fakes.sample_tools"])) as face:
        assert "completions" not in face.ask("server/discover")["capabilities"]
