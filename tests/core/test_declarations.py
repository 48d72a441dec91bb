"""A declaration that some face could not serve is refused when the module is imported."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any

import pytest
from pydantic import Field, JsonValue

from core.arguments import check_shape, read_arguments
from core.context import Context
from core.errors import InvalidArgument, NotFound
from core.portable import INT64_MAX, Model, Refers, Rows
from core.registry import Registry
from core.tool import Empty, Tool, tool
from tests.fakes import sample_tools
from tests.fakes.sample_tools import EchoThing, Part

Ctx = Context[Any]
REGISTRY = Registry.walk(["tests.fakes.sample_tools"])


class Good(Model):
    name: str = Field(description="A name.")


def declare(request: Any = Good, result: Any = Empty, *routes: str, **more: Any) -> Tool:
    async def do_thing(ctx: Ctx, request: Any) -> Any:
        """Do something useful."""

    do_thing.__annotations__ |= {"request": request, "return": result}
    more.setdefault("needs", "catalog.read")
    more.setdefault("effect", "read")
    tool(*(routes or ("POST /things",)), **more)(do_thing)
    found: Tool = do_thing.__dict__["tool"]
    return found


def field_of(annotation: Any) -> type[Model]:
    return type("Odd", (Model,), {"__annotations__": {"odd": annotation}, "odd": Field(description="Odd.")})


@pytest.mark.parametrize("annotation", [Any, tuple[int, int], set[str], dict[int, str], str | int, object, complex])
def test_a_type_that_some_face_cannot_carry_is_refused(annotation: Any) -> None:
    with pytest.raises(TypeError, match="odd"):
        declare(field_of(annotation))


PORTABLE = [str, int, float, bool, bytes, datetime, Decimal, list[Part], dict[str, str], Part | None, JsonValue, Rows]


@pytest.mark.parametrize("annotation", PORTABLE)
def test_a_portable_type_is_taken(annotation: Any) -> None:
    assert declare(field_of(annotation)).request


def test_a_field_without_a_description_is_refused() -> None:
    odd = type("Odd", (Model,), {"__annotations__": {"odd": str}, "odd": ""})
    with pytest.raises(TypeError, match="description"):
        declare(odd)


@pytest.mark.parametrize(
    "make",
    [
        lambda: declare(Good, Empty, "GET things"),
        lambda: declare(Good, Empty, "FETCH /things"),
        lambda: declare(Good, Empty, "GET /things/{other}"),
        lambda: declare(EchoThing, Empty, "GET /things"),
        lambda: declare(Good, Empty, mcp_only=True),
    ],
)
def test_a_route_that_does_not_fit_is_refused(make: Callable[[], Tool]) -> None:
    with pytest.raises(TypeError):
        make()


def test_a_function_of_another_form_is_refused() -> None:
    def get_thing(request: Good) -> Empty:
        """Get a thing."""
        return Empty()

    with pytest.raises(TypeError, match="async def"):
        tool("POST /things", needs="x", effect="read")(get_thing)  # type: ignore[type-var]


def test_two_tools_may_not_share_a_route() -> None:
    first = declare(Good, Empty, "GET /things/{name}")
    second = replace(first, name="other_thing")
    with pytest.raises(TypeError, match="share"):
        Registry([first, second])


def test_two_tools_may_not_share_a_name() -> None:
    with pytest.raises(TypeError, match="two tools"):
        Registry([declare(), declare()])


def test_the_registry_finds_what_a_module_declares_and_nothing_that_it_imports() -> None:
    assert {tool.run.__module__ for tool in REGISTRY} == {sample_tools.__name__}
    with pytest.raises(NotFound):
        REGISTRY.get("no_such_tool")


def test_the_most_specific_route_comes_first() -> None:
    paths = [route.path for route, _ in REGISTRY.routes()]
    assert paths.index("/things/rows") < paths.index("/things/{thing_id}")


def test_marked_fields_are_references() -> None:
    class Marked(Model):
        connection_id: Annotated[str | None, Refers("connection")] = Field(None, description="A connection.")

    assert declare(Marked).references == {"connection_id": "connection"}


@pytest.mark.parametrize("number", [INT64_MAX + 1, -(2**63) - 1])
def test_an_integer_beyond_64_bits_is_refused(number: int) -> None:
    with pytest.raises(InvalidArgument):
        read_arguments(REGISTRY.get("list_rows"), {"count": number}, "json")


@pytest.mark.parametrize("value", ["7", True, None, [7], 7.5])
def test_json_is_held_to_its_types(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="count"):
        read_arguments(REGISTRY.get("list_rows"), {"count": value}, "json")


def test_a_whole_number_is_an_integer_however_it_is_written() -> None:
    assert read_arguments(REGISTRY.get("list_rows"), {"count": 7.0}, "json").model_dump() == {"count": 7}


def test_text_from_a_query_is_converted() -> None:
    assert read_arguments(REGISTRY.get("list_rows"), {"count": "7"}, "text").model_dump() == {"count": 7}


def test_bytes_travel_in_json_as_base64() -> None:
    read = read_arguments(REGISTRY.get("echo_thing"), {"thing_id": "x", "raw": "aGk="}, "json")
    assert isinstance(read, EchoThing)
    assert read.raw == b"hi"


def test_what_nests_too_deep_is_refused() -> None:
    value: Any = "x"
    for _ in range(100):
        value = [value]
    with pytest.raises(InvalidArgument, match="deeper"):
        check_shape({"cell": value})


@pytest.mark.parametrize("value", ["a\0b", ["a\0"], {"a\0": 1}, {"a": {"b": ["\0"]}}])
def test_a_nul_is_refused_wherever_it_hides(value: Any) -> None:
    with pytest.raises(InvalidArgument, match="NUL"):
        check_shape({"cell": value})


def test_rows_read_back_from_json_have_no_arrow_form() -> None:
    class Answer(Model):
        data: Rows = Field(description="Rows.")

    again = Answer.model_validate_json(Answer(data=Rows(lambda: [{"a": 1}])).model_dump_json())
    assert again.data.records() == [{"a": 1}]
    with pytest.raises(ValueError, match="no Arrow form"):
        again.data.arrow()
