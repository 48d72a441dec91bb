"""Models to messages and back, by walkers made once per method; json_format costs four times as much."""

import math
from collections.abc import Callable, Iterable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any

from google.protobuf.message import DecodeError, Message
from google.protobuf.struct_pb2 import ListValue, Struct, Value
from google.protobuf.timestamp_pb2 import Timestamp
from google.protobuf.unknown_fields import UnknownFieldSet
from pydantic import BaseModel

from api.descriptors import MessageSpec
from api.proto_fields import FieldSpec, Form
from core.errors import InvalidArgument
from core.portable import Rows, plain_digits

Convert = Callable[[Any], Any]
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
NANOS = 1_000_000_000
LARGEST_EXACT = 2**53
BYTES_WIRE_TYPE = 2


class Decoder:
    """Turns the bytes of a request into the arguments of a tool.

    What the message leaves out stays out, so that the tool's own defaults hold."""

    def __init__(self, message: type[Message], spec: MessageSpec, messages: Mapping[str, MessageSpec]):
        self._message = message
        self._name = spec.name
        self._walk = _walker(spec, messages)

    def __call__(self, raw: bytes) -> dict[str, Any]:
        """Raises InvalidArgument."""
        try:
            message = self._message.FromString(raw)
        except DecodeError:
            raise InvalidArgument(
                f"The bytes are not a {self._name}.", hint="Texts must be UTF-8; the .proto shows the fields."
            ) from None
        arguments: dict[str, Any] = self._walk(message)
        return arguments


def _walker(spec: MessageSpec, messages: Mapping[str, MessageSpec]) -> Convert:
    converts = {field.wire: _reader(field, messages) for field in spec.fields}
    nulls = [field.wire for field in spec.fields if field.is_required and field.is_nullable]

    def walk(message: Message) -> dict[str, Any]:
        unknown = UnknownFieldSet(message)
        if len(unknown):
            raise InvalidArgument(
                f"{spec.name} has no field {unknown[0].field_number}.",
                hint="The server is older than your .proto, or the number is wrong.",
            )
        values: dict[str, Any] = dict.fromkeys(nulls)
        for descriptor, value in message.ListFields():
            name = descriptor.name
            convert = converts[name]
            values[name] = convert(value) if convert else value
        return values

    return walk


def _reader(field: FieldSpec, messages: Mapping[str, MessageSpec]) -> Convert | None:
    model = field.type.model
    one = _walker(messages[field.type.name], messages) if model else _READERS.get(field.type.form)
    return _shaped(field, one)


def _shaped(field: FieldSpec, one: Convert | None) -> Convert | None:
    """A conversion of one value, made to fit a list or map of them."""
    if field.shape == "many":
        return (lambda values: [one(value) for value in values]) if one else list
    if field.shape == "map":
        return (lambda values: {key: one(value) for key, value in values.items()}) if one else dict
    return one


def read_timestamp(value: Timestamp) -> datetime:
    if not 0 <= value.nanos < NANOS:
        raise InvalidArgument("A timestamp's nanos lie outside 0 to 999,999,999.")
    try:
        return EPOCH + timedelta(seconds=value.seconds, microseconds=value.nanos // 1000)
    except OverflowError:
        raise InvalidArgument("A timestamp lies outside the years 1 to 9999.") from None


def read_value(value: Value) -> Any:
    """A JSON value; whole numbers are ints again, as in JSON text."""
    kind = value.WhichOneof("kind")
    if kind == "number_value":
        return _number(value.number_value)
    if kind == "struct_value":
        return read_struct(value.struct_value)
    if kind == "list_value":
        return read_list(value.list_value)
    if kind is None:
        raise InvalidArgument("A google.protobuf.Value is empty.", hint="Send null_value for null.")
    return None if kind == "null_value" else getattr(value, kind)


def _number(number: float) -> int | float:
    if not math.isfinite(number):
        raise InvalidArgument("A google.protobuf.Value is not a finite number.", hint="Send null or a text.")
    return int(number) if number.is_integer() and abs(number) <= LARGEST_EXACT else number


def read_struct(value: Struct) -> dict[str, Any]:
    return {key: read_value(item) for key, item in value.fields.items()}


def read_list(value: ListValue) -> list[Any]:
    return [read_value(item) for item in value.values]


class Encoder:
    """Turns a result or part into the bytes of a message.

    Large byte fields are put on the wire by hand: protobuf would copy them twice more."""

    def __init__(self, message: type[Message], fields: Iterable[FieldSpec], messages: Mapping[str, MessageSpec]):
        self._message = message
        self._fields: list[tuple[str, str, Convert | None]] = []
        self._blobs: list[tuple[str, bytes]] = []
        for field in fields:
            if field.type.name == "bytes" and field.shape == "one":
                number = message.DESCRIPTOR.fields_by_name[field.wire].number
                self._blobs.append((field.name, varint(number << 3 | BYTES_WIRE_TYPE)))
            else:
                self._fields.append((field.name, field.wire, _writer(field, messages)))
        self.has_rows = any(field.type.form is Form.ROWS for field in fields)

    def __call__(self, model: BaseModel, compression: str = "lz4") -> bytes:
        """Raises TypeError or ValueError when the model holds what its own types forbid."""
        data = model.__dict__
        values = {
            wire: convert(value) if convert else value
            for name, wire, convert in self._fields
            if (value := data[name]) is not None
        }
        head = self._message(**values).SerializeToString()
        if not self._blobs:
            return head
        pieces = [head]
        for name, tag in self._blobs:
            blob = data[name]
            if blob is not None:
                content = blob.arrow(compression) if isinstance(blob, Rows) else blob
                pieces += [tag, varint(len(content)), content]
        return b"".join(pieces)


def _writer(field: FieldSpec, messages: Mapping[str, MessageSpec]) -> Convert | None:
    model = field.type.model
    writers = _MAP_WRITERS if field.shape == "map" else _WRITERS
    one = _model_writer(messages[field.type.name], messages) if model else writers.get(field.type.form)
    if field.shape == "one" or one:
        return _shaped(field, one)
    return None  # protobuf takes lists and dicts of plain values as they are


def _model_writer(spec: MessageSpec, messages: Mapping[str, MessageSpec]) -> Convert:
    fields = [(field.name, field.wire, _writer(field, messages)) for field in spec.fields]

    def write(model: BaseModel) -> dict[str, Any]:
        data = model.__dict__
        return {
            wire: convert(value) if convert else value
            for name, wire, convert in fields
            if (value := data[name]) is not None
        }

    return write


def write_timestamp(value: datetime) -> dict[str, int]:
    since = (value if value.tzinfo else value.replace(tzinfo=UTC)) - EPOCH
    return {"seconds": since.days * 86_400 + since.seconds, "nanos": since.microseconds * 1000}


def write_value(value: Any) -> dict[str, Any]:
    plain = write_json(value)
    if plain is None:
        return {"null_value": 0}
    if isinstance(plain, bool):
        return {"bool_value": plain}
    if isinstance(plain, (int, float)):
        return {"number_value": plain}
    if isinstance(plain, str):
        return {"string_value": plain}
    return {"struct_value": plain} if isinstance(plain, dict) else {"list_value": plain}


def write_json(value: Any) -> Any:
    """JSON for Struct and ListValue, whose numbers are doubles: what they cannot hold exactly goes as text."""
    if isinstance(value, dict):
        return {key: write_json(item) for key, item in value.items()}
    if isinstance(value, list):
        return [write_json(item) for item in value]
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, int) and abs(value) > LARGEST_EXACT:
        return str(value)
    return value


def varint(number: int) -> bytes:
    encoded = bytearray()
    while number > 0x7F:
        encoded.append(number & 0x7F | 0x80)
        number >>= 7
    encoded.append(number)
    return bytes(encoded)


_READERS: dict[Form, Convert] = {
    Form.TIMESTAMP: read_timestamp,
    Form.VALUE: read_value,
    Form.STRUCT: read_struct,
    Form.LIST: read_list,
}
_WRITERS: dict[Form, Convert] = {
    Form.ENUM: lambda value: str(getattr(value, "value", value)),
    Form.DECIMAL: plain_digits,
    Form.VALUE: write_value,
    Form.STRUCT: write_json,
    Form.LIST: write_json,
}
# The constructor takes datetimes, dicts and lists for the well-known types, but not as values of a map.
_MAP_WRITERS: dict[Form, Convert] = {
    **_WRITERS,
    Form.TIMESTAMP: write_timestamp,
    Form.STRUCT: lambda value: {"fields": {key: write_value(item) for key, item in value.items()}},
    Form.LIST: lambda value: {"values": [write_value(item) for item in value]},
}
