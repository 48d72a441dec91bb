"""What the registry becomes in proto3, and what it may not become."""

import time
from pathlib import Path
from typing import Any

import grpc_tools  # type: ignore[import-untyped]
import pytest
from google.protobuf import descriptor_pb2
from grpc_tools import protoc
from pydantic import Field

from api.descriptors import ACRONYMS, FILE, Schema, build_schema, camel, file_descriptor, renewed_lock
from api.proto_text import print_proto
from api.protolock import shipped_lock
from api.rpc import build_rpcs
from core.context import Context
from core.portable import Model, Rows
from core.registry import Registry
from core.tool import Tool, tool
from tests.api.grpc.conftest import Served


def test_protoc_makes_the_run_time_descriptor_from_the_printed_text(served: Served, tmp_path: Path) -> None:
    schema = build_schema(served.dispatcher.registry)
    lock = renewed_lock(schema, {})
    lock = renewed_lock(schema, lock | {"Ping": lock["PingRequest"]})
    for path, text in print_proto(schema, lock).items():
        (tmp_path / path).parent.mkdir(parents=True)
        (tmp_path / path).write_text(text)
    compiled = tmp_path / "out.binpb"
    known = Path(grpc_tools.__file__).parent / "_proto"
    assert protoc.main(["protoc", f"-I{tmp_path}", f"-I{known}", f"--descriptor_set_out={compiled}", FILE]) == 0
    files = descriptor_pb2.FileDescriptorSet.FromString(compiled.read_bytes())
    assert files.file[0] == file_descriptor(schema, lock)


def test_there_is_one_service_per_domain_and_tools_of_mcp_alone_are_left_out(served: Served) -> None:
    schema = build_schema(served.dispatcher.registry)
    assert list(schema.services) == ["TestsService"]
    names = {method.name for method in schema.services["TestsService"]}
    assert {"EchoThing", "StreamChunks"} <= names
    assert "SearchNothing" not in names


def test_names_are_spelt_as_in_the_published_document() -> None:
    assert camel("build_query_from_nl") == "BuildQueryFromNL"
    assert camel("get_record_by_id") == "GetRecordById"
    assert set(ACRONYMS) == {"nl"}


def test_what_may_be_left_out_of_a_request_is_optional_and_so_is_what_must_not(served: Served) -> None:
    fields = _fields(build_schema(served.dispatcher.registry), "EchoThingRequest")
    assert fields["thing_id"] and fields["count"] and fields["at"]  # a missing text must not read as ""
    assert not fields["tags"] and not fields["labels"]


def test_what_an_answer_always_holds_is_not_optional(served: Served) -> None:
    assert not any(_fields(build_schema(served.dispatcher.registry), "GetThingResponse").values())


def test_a_stream_has_the_fields_of_part_result_and_job(served: Served) -> None:
    fields = _fields(build_schema(served.dispatcher.registry), "RebuildThingsResponse")
    assert fields == {"message": True, "done": True, "total": True, "job": True}


def _fields(schema: Schema, name: str) -> dict[str, bool]:
    return {spec.wire: spec.is_optional for spec in schema.messages[name].fields}


class Named(Model):
    name: str = Field(description="A name.")


def _other_named() -> type[Model]:
    class Named(Model):
        other: int = Field(description="Another thing.")

    return Named


Other: Any = _other_named()


def _tool(request: type[Model], result: type[Model], name: str = "get_odd", **kwargs: Any) -> Tool:
    async def run(ctx: Context[None], request: Any) -> Any:
        """Do it."""

    run.__name__ = name
    run.__annotations__ |= {"request": request, "return": result}
    declared: Tool = tool("POST /" + name, needs="none", effect="read", **kwargs)(run).__dict__["tool"]
    return declared


class TwoNames(Model):
    one: Named = Field(description="One.")
    two: Other = Field(description="Another class of that name.")


class NullsInList(Model):
    items: list[str | None] = Field(description="Texts or nothing.")


class DeepModels(Model):
    items: list[dict[str, Named]] = Field(description="Models, deep down.")


class RowsIn(Model):
    rows: Rows = Field(description="Rows.")


class RowsDeep(Model):
    inner: RowsIn = Field(description="Rows inside.")


class PartOfText(Model):
    total: str = Field(description="A text here.")


class ResultOfNumber(Model):
    total: int = Field(description="A number there.")


class PingResponse(Model):
    ok: bool = Field(description="A name that is taken.")


class Holder(Model):
    inner: PingResponse = Field(description="It.")


@pytest.mark.parametrize(
    ("tools", "why"),
    [
        ([_tool(Named, TwoNames)], "Named and .*Named would share one proto name"),
        ([_tool(NullsInList, Named)], "NullsInList.items: proto3 lists and maps hold no None"),
        ([_tool(DeepModels, Named)], "DeepModels.items: proto3 has no type"),
        ([_tool(RowsIn, Named)], "get_odd.rows: Rows are an answer"),
        ([_tool(Named, RowsDeep)], "RowsIn.rows: Rows stand only in a result"),
        ([_tool(Named, ResultOfNumber, emits=PartOfText)], "total is string in one part and int64 in another"),
        ([_tool(Named, Named, "ping"), _tool(Named, Holder)], "PingResponse and the message PingResponse"),
    ],
)
def test_what_proto_cannot_carry_is_refused_by_name(tools: list[Tool], why: str) -> None:
    with pytest.raises(TypeError, match=why):
        build_schema(Registry(tools))


def test_a_query_has_both_published_names() -> None:
    rpcs = build_rpcs(Registry([_tool(Named, Named, "execute_query")]), Path("no-lock"))
    assert [rpc.name for rpc in rpcs.methods.values()] == ["ExecuteQuery", "Query"]
    assert rpcs.by_tool["execute_query"].name == "ExecuteQuery"


def test_sixty_tools_are_ready_within_thirty_milliseconds() -> None:
    registry = Registry([_tool(Named, ResultOfNumber, f"get_thing_{number}") for number in range(60)])
    spent = []
    for _ in range(3):
        started = time.process_time()
        build_rpcs(registry, shipped_lock())
        spent.append(time.process_time() - started)
    assert min(spent) < 0.030
