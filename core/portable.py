"""Portable models: the types that every face can carry, checked when a tool is declared."""

import enum
import types
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal, InvalidOperation
from functools import partial
from typing import Annotated, Any, ClassVar, Literal, Union, get_args, get_origin

import annotated_types
from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    GetCoreSchemaHandler,
    GetJsonSchemaHandler,
    JsonValue,
    PlainSerializer,
)
from pydantic.json_schema import JsonSchemaValue
from pydantic_core import CoreSchema, core_schema

EXACT_BELOW = 1e15  # numbers beyond have no digits after the point
INT64_MIN, INT64_MAX = -(2**63), 2**63 - 1
SCALARS: tuple[type, ...] = (str, int, float, bool, bytes, datetime, Decimal)


class Model(BaseModel):
    """The root of all request and result models: unknown fields are refused, integers fit 64 bits."""

    model_config = ConfigDict(
        extra="forbid",
        frozen=True,
        ser_json_bytes="base64",
        val_json_bytes="base64",
        allow_inf_nan=False,
        defer_build=True,  # until first used: hundreds of validators are a fifth of a start
    )
    sole_list: ClassVar[str] = ""  # the field that REST answers with in place of a result, as a document has it

    @classmethod
    def __pydantic_init_subclass__(cls, **kwargs: Any) -> None:
        for info in cls.model_fields.values():
            if int in _alternatives(info.annotation) and bool not in _alternatives(info.annotation):
                _bound_int(info.metadata)
            if info.annotation in (Decimal, Decimal | None):
                info.metadata.append(PlainSerializer(plain_digits, return_type=str, when_used="json-unless-none"))
                places = next((item.decimal_places for item in info.metadata if hasattr(item, "decimal_places")), None)
                if places is not None:
                    info.metadata.append(BeforeValidator(partial(_rounded, places)))


def _rounded(places: int, value: Any) -> Any:
    """A number in as many places as are kept, for floats are none of ours exactly; texts are exact, and checked."""
    if isinstance(value, float):
        return round(Decimal(repr(value)), places) if 0 <= value < EXACT_BELOW else Decimal(repr(value))
    if isinstance(value, bool) or not isinstance(value, (int, str)) or "_" in str(value):
        return value
    try:
        return Decimal(value)
    except InvalidOperation:
        return value


def plain_digits(value: Decimal) -> str:
    """An exact number as text without an exponent, which some readers do not know."""
    return f"{value:f}"


def _bound_int(metadata: list[Any]) -> None:
    lower = any(isinstance(item, (annotated_types.Ge, annotated_types.Gt)) for item in metadata)
    upper = any(isinstance(item, (annotated_types.Le, annotated_types.Lt)) for item in metadata)
    if not lower:
        metadata.append(annotated_types.Ge(INT64_MIN))
    if not upper:
        metadata.append(annotated_types.Le(INT64_MAX))


@dataclass(frozen=True, slots=True)
class RowsColumn:
    """A column of some rows: its name, SQL type and privacy."""

    name: str
    type: str
    privacy: str = "public"


@dataclass(frozen=True, slots=True)
class RowsPreview:
    """What a face needs that shows a part of some rows: `slice` gives rows from an offset on, as `records` does."""

    row_count: int
    columns: Sequence[RowsColumn]
    slice: Callable[[int, int], list[dict[str, Any]]]
    profile: Callable[[], list[dict[str, Any]]]  # per column what is known of its values
    result_id: str = ""  # under which the rows can be read again


class Rows:
    """A query's rows: JSON faces show a list of objects, gRPC faces carry `arrow_record_batch` bytes.

    All forms are made on demand, so a face pays only for the one it sends."""

    __slots__ = ("_arrow", "_records", "preview")

    def __init__(
        self,
        records: Callable[[], list[dict[str, Any]]],
        arrow: Callable[[str], bytes] | None = None,
        preview: RowsPreview | None = None,
    ):
        self._records = records
        self._arrow = arrow
        self.preview = preview

    def records(self) -> list[dict[str, Any]]:
        """One JSON-ready dict per row, in column order."""
        return self._records()

    def arrow(self, compression: str = "lz4") -> bytes:
        """One self-contained Arrow IPC stream; `compression` is `lz4`, `zstd` or `none`."""
        if self._arrow is None:
            raise ValueError("these rows were read back from JSON and have no Arrow form")
        return self._arrow(compression)

    @classmethod
    def __get_pydantic_core_schema__(cls, source: Any, handler: GetCoreSchemaHandler) -> CoreSchema:
        rows = handler.generate_schema(list[dict[str, JsonValue]])
        from_json = core_schema.no_info_after_validator_function(lambda value: cls(lambda: value), rows)
        return core_schema.json_or_python_schema(
            json_schema=from_json,
            python_schema=core_schema.union_schema([core_schema.is_instance_schema(cls), from_json]),
            serialization=core_schema.plain_serializer_function_ser_schema(
                lambda value: value.records(), return_schema=rows
            ),
        )

    @classmethod
    def __get_pydantic_json_schema__(cls, schema: CoreSchema, handler: GetJsonSchemaHandler) -> JsonSchemaValue:
        return {"type": "array", "items": {"type": "object", "additionalProperties": True}}


class Picture:
    """Marks a result field of bytes as a picture of this media type; faces that can show pictures do."""

    __slots__ = ("media_type",)

    def __init__(self, media_type: str):
        self.media_type = media_type


def pictures(model: type[BaseModel]) -> dict[str, str]:
    """Field name to media type, for every field marked with `Picture`."""
    return {
        name: item.media_type
        for name, info in model.model_fields.items()
        for item in info.metadata
        if isinstance(item, Picture)
    }


class FileLink:
    """Marks a result field as a link that downloads a file; faces with a disk can fetch it."""

    __slots__ = ()


def file_link(model: type[BaseModel]) -> str | None:
    """The field marked with `FileLink`, if one is."""
    found = (name for name, info in model.model_fields.items() if any(isinstance(x, FileLink) for x in info.metadata))
    return next(found, None)


class Bars:
    """Marks a result field, a list of models, as a picture: a bar for each, named and measured by two of its fields.

    Faces for people draw it; the values are there all the same."""

    __slots__ = ("label", "value")

    def __init__(self, label: str, value: str):
        self.label = label
        self.value = value


def bars(model: type[BaseModel]) -> dict[str, Bars]:
    """Field name to its marker, for every field marked with `Bars`."""
    return {name: item for name, info in model.model_fields.items() for item in info.metadata if isinstance(item, Bars)}


class Refers:
    """Marks a request field as the id of an object; the gate checks that the caller can see it."""

    __slots__ = ("kind",)

    def __init__(self, kind: str):
        self.kind = kind


def references(model: type[BaseModel]) -> dict[str, str]:
    """Field name to kind of object, for every field marked with `Refers`."""
    found = {}
    for name, info in model.model_fields.items():
        for item in info.metadata:
            if isinstance(item, Refers):
                found[name] = item.kind
    return found


def check_portable(model: type[BaseModel], *, path: str = "") -> None:
    """Refuse a model that some face could not carry. Raises TypeError naming the field."""
    where = path or model.__name__
    if not (isinstance(model, type) and issubclass(model, Model)):
        raise TypeError(f"{where}: models derive from core.portable.Model")
    for name, info in model.model_fields.items():
        if not info.description:
            raise TypeError(f"{where}.{name}: every field has a description")
        if info.alias is not None or info.serialization_alias is not None:
            raise TypeError(f"{where}.{name}: aliases would give a field two names")
        _check_type(info.annotation, f"{where}.{name}")


def _check_type(annotation: Any, where: str) -> None:
    options = _alternatives(annotation)
    if annotation in (JsonValue, Rows) or options == [JsonValue]:
        return
    if len(options) != 1:
        raise TypeError(f"{where}: a union other than `X | None` is not portable")
    kind, (origin, args) = options[0], (get_origin(options[0]), get_args(options[0]))
    if origin is list:
        _check_type(args[0], f"{where}[]")
    elif origin is dict and args[0] is str:
        _check_type(args[1], f"{where}{{}}")
    elif origin is Literal and all(isinstance(value, str) for value in args):
        return
    elif isinstance(kind, type) and issubclass(kind, BaseModel):
        check_portable(kind, path=where)
    elif isinstance(kind, type) and issubclass(kind, enum.Enum) and issubclass(kind, str):
        return
    elif kind not in SCALARS and kind is not Rows:
        raise TypeError(f"{where}: {kind!r} is not portable")


def _alternatives(annotation: Any) -> list[Any]:
    """The types of an annotation without `Annotated` and `None`; JsonValue stays whole."""
    if annotation is JsonValue:
        return [annotation]
    if get_origin(annotation) is Annotated:
        return _alternatives(get_args(annotation)[0])
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not type(None)]
        return [kind for member in members for kind in _alternatives(member)]
    return [annotation]


def plain_type(annotation: Any) -> tuple[Any, bool]:
    """A field's type without `None` and `Annotated`, and whether it is a list of that type."""
    kind = _alternatives(annotation)[0]
    if get_origin(kind) is list:
        return _alternatives(get_args(kind)[0])[0], True
    return kind, False
