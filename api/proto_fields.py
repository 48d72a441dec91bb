"""How the fields of a portable model look in proto3, and which of them proto3 cannot carry."""

import enum
import types
from dataclasses import dataclass, replace
from datetime import datetime
from decimal import Decimal
from typing import Annotated, Any, Literal, Union, get_args, get_origin

from pydantic import BaseModel, JsonValue
from pydantic.fields import FieldInfo

from core.portable import Rows


class Form(enum.Enum):
    """How a value is translated between a model and a message."""

    PLAIN = enum.auto()
    ENUM = enum.auto()
    DECIMAL = enum.auto()
    TIMESTAMP = enum.auto()
    VALUE = enum.auto()
    STRUCT = enum.auto()
    LIST = enum.auto()
    ROWS = enum.auto()
    MESSAGE = enum.auto()


Shape = Literal["one", "many", "map"]


@dataclass(frozen=True, slots=True)
class ElementType:
    """The proto type of one value: a field's own, or that of an element of a list or map."""

    name: str
    form: Form
    model: type[BaseModel] | None = None


@dataclass(frozen=True, slots=True)
class FieldSpec:
    """One field of a message. `name` is the model's, `wire` the message's."""

    name: str
    wire: str
    type: ElementType
    shape: Shape
    is_required: bool
    is_nullable: bool
    doc: str
    choices: tuple[str, ...] = ()
    is_optional: bool = False  # carries the keyword `optional`

    @property
    def type_text(self) -> str:
        """The type as a .proto shows it, without `optional`, which does not change the wire."""
        if self.shape == "map":
            return f"map<string, {self.type.name}>"
        return f"repeated {self.type.name}" if self.shape == "many" else self.type.name

    def with_presence(self, *, in_request: bool) -> "FieldSpec":
        """Mark the field `optional` where its absence has a meaning of its own.

        In requests that is everywhere: a missing required number must be refused, not read as 0."""
        is_message = "." in self.type.name or self.type.form is Form.MESSAGE
        is_optional = self.shape == "one" and (
            not self.is_required or self.is_nullable or (in_request and not is_message)
        )
        return replace(self, is_optional=is_optional)


ROWS_FIELD = "arrow_record_batch"
_SCALARS: dict[Any, ElementType] = {
    str: ElementType("string", Form.PLAIN),
    int: ElementType("int64", Form.PLAIN),
    float: ElementType("double", Form.PLAIN),
    bool: ElementType("bool", Form.PLAIN),
    bytes: ElementType("bytes", Form.PLAIN),
    datetime: ElementType("google.protobuf.Timestamp", Form.TIMESTAMP),
    Decimal: ElementType("string", Form.DECIMAL),
    JsonValue: ElementType("google.protobuf.Value", Form.VALUE),
    Rows: ElementType("bytes", Form.ROWS),
}
_JSON_LEAVES = (str, int, float, bool, JsonValue)


def fields_of(model: type[BaseModel]) -> list[FieldSpec]:
    """The fields of a model as proto3 shows them. Raises TypeError naming what proto3 cannot carry."""
    return [_field(name, info, f"{model.__name__}.{name}") for name, info in model.model_fields.items()]


def _field(name: str, info: FieldInfo, where: str) -> FieldSpec:
    kind, is_nullable = unwrap(info.annotation, where)
    shape: Shape = "one"
    if get_origin(kind) in (list, dict):
        shape = "many" if get_origin(kind) is list else "map"
        kind, holds_none = unwrap(get_args(kind)[-1], where)
        if holds_none:
            raise TypeError(f"{where}: proto3 lists and maps hold no None; use JsonValue for the elements")
    element = _element(kind, where)
    if element.form is Form.ROWS and shape != "one":
        raise TypeError(f"{where}: Rows stand alone, not in a list or map")
    return FieldSpec(
        name=name,
        wire=ROWS_FIELD if element.form is Form.ROWS else name,
        type=element,
        shape=shape,
        is_required=info.is_required(),
        is_nullable=is_nullable,
        doc=info.description or "",
        choices=_choices(kind),
    )


def _choices(kind: Any) -> tuple[str, ...]:
    if get_origin(kind) is Literal:
        return get_args(kind)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return tuple(str(member.value) for member in kind)
    return ()


def unwrap(annotation: Any, where: str) -> tuple[Any, bool]:
    """A type without `Annotated` and `None`, and whether it allows None."""
    if annotation is JsonValue:
        return annotation, False
    if get_origin(annotation) is Annotated:
        return unwrap(get_args(annotation)[0], where)
    if get_origin(annotation) in (Union, types.UnionType):
        members = [member for member in get_args(annotation) if member is not types.NoneType]
        if len(members) != 1:
            raise TypeError(f"{where}: a union other than `X | None` has no proto3 type")
        return unwrap(members[0], where)[0], True
    return annotation, False


def _element(kind: Any, where: str) -> ElementType:
    if kind in _SCALARS:
        return _SCALARS[kind]
    if get_origin(kind) is Literal:
        return ElementType("string", Form.PLAIN)
    if get_origin(kind) in (list, dict) and _is_json(kind, where):
        is_list = get_origin(kind) is list
        name = "ListValue" if is_list else "Struct"
        return ElementType(f"google.protobuf.{name}", Form.LIST if is_list else Form.STRUCT)
    if isinstance(kind, type) and issubclass(kind, enum.Enum):
        return ElementType("string", Form.ENUM)
    if isinstance(kind, type) and issubclass(kind, BaseModel):
        return ElementType(kind.__name__, Form.MESSAGE, kind)
    raise TypeError(f"{where}: proto3 has no type for {kind!r}; inside lists and maps use models or JsonValue")


def _is_json(annotation: Any, where: str) -> bool:
    """Whether an inner list or dict holds nothing but what JSON holds, so that Struct or ListValue fits."""
    kind, _ = unwrap(annotation, where)
    if get_origin(kind) in (list, dict):
        return _is_json(get_args(kind)[-1], where)
    return kind in _JSON_LEAVES or get_origin(kind) is Literal
