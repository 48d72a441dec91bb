"""Messages to arguments and results to messages."""

from datetime import UTC, datetime, timedelta, timezone
from decimal import Decimal
from typing import Any

import pytest
from google.protobuf import json_format
from google.protobuf.message import Message
from hypothesis import given
from hypothesis import strategies as st

from api.wire import LARGEST_EXACT, Decoder, Encoder, varint
from core.errors import InvalidArgument
from tests.api.grpc.conftest import NOW, Served, _served
from tests.api.grpc.more_tools import Dated, Hard
from tests.fakes.sample_tools import Colour, EchoThing, Part

EVERYTHING = EchoThing(
    thing_id="t",
    text="ü",
    count=2**63 - 1,
    ratio=0.5,
    is_big=False,
    raw=b"\0\xff",
    at=datetime(2026, 1, 2, 3, 4, 5, 678901, tzinfo=UTC),
    price=Decimal("12.30"),
    colour=Colour.BLUE,
    mode="async",
    tags=["a", ""],
    parts=[Part(name="p", weight=0.0), Part(name="q")],
    labels={"k": ""},
    cell={"a": [1, 2.5, None, True, "x", {}], "b": {"c": []}},
)


def _codec(served: Served, name: str) -> tuple[Decoder, Encoder]:
    method = served.method(name)
    return method.decode, method.encode_result


def _reencoded(served: Served, name: str, raw: bytes) -> bytes:
    """A response's bytes as a request's: the two have the same fields here."""
    method = served.method(name)
    request: Message = method.request.FromString(raw)
    return request.SerializeToString()


def test_every_type_survives_both_ways(served: Served) -> None:
    decode, encode = _codec(served, "EchoThing")
    arguments = decode(_reencoded(served, "EchoThing", encode(EVERYTHING)))
    assert EchoThing.model_validate(arguments) == EVERYTHING


def test_what_was_left_out_stays_out(served: Served) -> None:
    decode, _ = _codec(served, "EchoThing")
    assert decode(b"") == {}
    assert decode(served.method("EchoThing").request(thing_id="", count=0).SerializeToString()) == {
        "thing_id": "",
        "count": 0,
    }


def test_none_is_passed_where_a_field_must_be_there_and_may_be_none(served: Served) -> None:
    assert _codec(served, "EchoHard")[0](b"") == {"nullable": None}


def test_objects_and_lists_in_lists_and_maps_survive(served: Served) -> None:
    decode, encode = _codec(served, "EchoHard")
    hard = Hard(
        nullable=3,
        records=[{"a": 1, "b": None}, {}],
        grid=[[1.5, 2], []],
        cells={"x": [True], "y": None},
        counts={"n": 2**60},
        dated={"d": Dated(at=NOW, rows=[{"a": {"b": [None]}}], cell={"c": 1})},
        dates={"n": NOW},
        groups={"g": ["a", "b"], "h": []},
        bags={"x": {"fields": [1, {"y": None}]}, "z": {}},
    )
    assert Hard.model_validate(decode(_reencoded(served, "EchoHard", encode(hard)))) == hard


def test_times_are_utc_whatever_their_zone(served: Served) -> None:
    decode, encode = _codec(served, "EchoThing")
    for at in (datetime(2026, 1, 2, 12), datetime(2026, 1, 2, 14, tzinfo=timezone(timedelta(hours=2)))):
        arguments = decode(_reencoded(served, "EchoThing", encode(EVERYTHING.model_copy(update={"at": at}))))
        assert arguments["at"] == datetime(2026, 1, 2, 12, tzinfo=UTC)


@pytest.mark.parametrize(
    "fields",
    [
        {"at": {"seconds": 10**15}},
        {"at": {"nanos": -1}},
        {"cell": {"number_value": float("nan")}},
        {"cell": {"list_value": [float("inf")]}},
        {"cell": {}},
    ],
)
def test_values_that_have_no_meaning_are_refused(served: Served, fields: dict[str, Any]) -> None:
    method = served.method("EchoThing")
    with pytest.raises(InvalidArgument):
        method.decode(method.request(**fields).SerializeToString())


@pytest.mark.parametrize("raw", [b"\xff", b"\x0a\x01\xff", b"\x0a\xff\xff\xff\xff\x0f"])
def test_bytes_that_are_no_message_are_refused(served: Served, raw: bytes) -> None:
    with pytest.raises(InvalidArgument, match="not a EchoThingRequest"):
        served.method("EchoThing").decode(raw)


def test_unknown_fields_are_refused_at_every_depth(served: Served) -> None:
    unknown = varint(99 << 3) + b"\1"
    nested = varint(12 << 3 | 2) + varint(len(unknown)) + unknown
    for raw, name in ((unknown, "EchoThingRequest"), (nested, "Part")):
        with pytest.raises(InvalidArgument, match=f"{name} has no field 99"):
            served.method("EchoThing").decode(raw)


def test_whole_numbers_that_a_double_cannot_hold_go_as_text(served: Served) -> None:
    method = served.method("EchoThing")
    sent = method.encode_result(EVERYTHING.model_copy(update={"cell": [LARGEST_EXACT, LARGEST_EXACT + 1]}))
    shown = json_format.MessageToDict(method.response.FromString(sent))
    assert shown["cell"] == [LARGEST_EXACT, str(LARGEST_EXACT + 1)]


_SERVED = _served()
_numbers = st.integers(-LARGEST_EXACT, LARGEST_EXACT) | st.floats(allow_nan=False, allow_infinity=False)
_text = st.text(st.characters(exclude_categories=["Cs"]))
_json = st.recursive(
    st.none() | st.booleans() | _numbers | _text,
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(_text, inner, max_size=3),
    max_leaves=10,
)


@given(_json)
def test_any_json_survives(value: Any) -> None:
    decode, encode = _codec(_SERVED, "EchoThing")
    arguments = decode(_reencoded(_SERVED, "EchoThing", encode(EVERYTHING.model_copy(update={"cell": value}))))
    assert arguments.get("cell") == value
