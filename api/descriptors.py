"""From the registry to proto3: messages, services and the descriptor, all built at run time."""

import inspect
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace

from google.protobuf import descriptor_pb2, descriptor_pool, struct_pb2, timestamp_pb2
from pydantic import BaseModel, Field

from api.proto_fields import FieldSpec, Form, fields_of
from api.protolock import NO_FIELDS, LockedMessage
from core.jobs import Job
from core.portable import Model
from core.registry import Registry
from core.tool import Tool

PACKAGE = "headwater.v1"
FILE = "headwater/v1/headwater.proto"
# The published overview calls the method for one query both `Query` and `ExecuteQuery`.
ALIASES = {"execute_query": ("Query",)}
ACRONYMS = {"nl": "NL"}

FieldProto = descriptor_pb2.FieldDescriptorProto
_PROTO_TYPES = {
    "string": FieldProto.TYPE_STRING,
    "int64": FieldProto.TYPE_INT64,
    "double": FieldProto.TYPE_DOUBLE,
    "bool": FieldProto.TYPE_BOOL,
    "bytes": FieldProto.TYPE_BYTES,
}


class UploadPart(Model):
    """One message of the stream that fills an upload."""

    upload_id: str | None = Field(None, description="Id, as create_upload answered; the first message has it.")
    offset: int | None = Field(None, description="Where the bytes begin; default where the last ones ended, first 0.")
    data: bytes = Field(b"", description="The next bytes of the file.")


# Streams of parts from the client, by the tool that answers when they end. HTTP has PUT with ranges for it.
STREAMED: dict[str, tuple[str, type[BaseModel]]] = {"get_upload": ("SendUpload", UploadPart)}


class Accepted(Model):
    """What every method of a job can answer beside its result."""

    job: Job | None = Field(None, description="The job, when it outlasted `wait_s`; the other fields are then absent.")


class Patience(Model):
    """What every method of a job can be asked beside its arguments."""

    wait_s: float | None = Field(None, description="Seconds to wait for the result before a job is answered instead.")


@dataclass(frozen=True, slots=True)
class MessageSpec:
    """One message of the package."""

    name: str
    fields: tuple[FieldSpec, ...]
    doc: str


@dataclass(frozen=True, slots=True)
class MethodSpec:
    """One method of a service: a tool under its proto name."""

    name: str
    tool: Tool
    request: str
    response: str
    is_streaming: bool
    part: type[BaseModel] | None = None  # what the client sends a stream of


@dataclass(frozen=True, slots=True)
class Schema:
    """Everything that the .proto says, before field numbers."""

    messages: Mapping[str, MessageSpec]
    services: Mapping[str, tuple[MethodSpec, ...]]


def camel(name: str) -> str:
    return "".join(ACRONYMS.get(part, part[:1].upper() + part[1:]) for part in name.split("_"))


def build_schema(registry: Registry) -> Schema:
    """The schema of all tools. Raises TypeError where two things would share a name."""
    services: dict[str, tuple[MethodSpec, ...]] = {}
    tops: dict[str, MessageSpec] = {}
    for domain, tools in sorted(registry.domains().items()):
        methods = [method for tool in tools if not tool.mcp_only for method in _methods(tool)]
        if methods:
            services[f"{camel(domain)}Service"] = tuple(sorted(methods, key=lambda method: method.name))
        for method in methods:
            for message in (_request(method), _response(method)):
                if message.name in tops:
                    raise TypeError(f"two tools would have the message {message.name}")
                tops[message.name] = message
    requests = [tops[method.request] for methods in services.values() for method in methods]
    return Schema(messages=_with_presence(_with_nested(tops), requests), services=services)


def _methods(tool: Tool) -> Iterator[MethodSpec]:
    for name in (camel(tool.name), *ALIASES.get(tool.name, ())):
        yield MethodSpec(name, tool, f"{name}Request", f"{name}Response", tool.emits is not None)
    if tool.name in STREAMED:
        name, part = STREAMED[tool.name]
        yield MethodSpec(name, tool, f"{name}Request", f"{name}Response", False, part)


def _request(method: MethodSpec) -> MessageSpec:
    tool = method.tool
    if method.part is not None:
        return MessageSpec(method.request, tuple(fields_of(method.part)), inspect.cleandoc(method.part.__doc__ or ""))
    fields = fields_of(tool.request) + (fields_of(Patience) if tool.job else [])
    for spec in fields:
        if spec.type.form is Form.ROWS:
            raise TypeError(f"{tool.name}.{spec.name}: Rows are an answer, not an argument")
    return MessageSpec(method.request, tuple(fields), f"What {method.name} takes.")


def _response(method: MethodSpec) -> MessageSpec:
    tool = method.tool
    parts = fields_of(tool.emits) if tool.emits else []
    groups = [parts, fields_of(tool.result), fields_of(Accepted) if tool.job else []]
    doc = f"What {method.name} answers."
    if parts:
        doc = f"What {method.name} sends: parts while it runs, its result last."
    return MessageSpec(method.response, tuple(_united(groups, method.response)), doc)


def _united(groups: list[list[FieldSpec]], where: str) -> list[FieldSpec]:
    """One message for all groups; only where there is but one can its fields be required."""
    fields: dict[str, FieldSpec] = {}
    is_union = sum(1 for group in groups if group) > 1
    for spec in (spec for group in groups for spec in group):
        earlier = fields.setdefault(spec.wire, replace(spec, is_required=spec.is_required and not is_union))
        if (earlier.type, earlier.shape) != (spec.type, spec.shape):
            raise TypeError(f"{where}.{spec.wire} is {earlier.type_text} in one part and {spec.type_text} in another")
    return list(fields.values())


def _with_nested(tops: Mapping[str, MessageSpec]) -> dict[str, MessageSpec]:
    """The messages and all that they hold, each class once under its own name."""
    models: dict[str, type[BaseModel]] = {}
    messages = dict(tops)
    waiting = list(tops.values())
    while waiting:
        for spec in waiting.pop().fields:
            model = spec.type.model
            if model is None or models.get(spec.type.name) is model:
                continue
            message = _nested(model)
            if message.name in messages:
                other = models.get(message.name)
                rival = f"{other.__module__}.{other.__qualname__}" if other else f"the message {message.name}"
                raise TypeError(f"{model.__module__}.{model.__qualname__} and {rival} would share one proto name")
            models[message.name] = model
            messages[message.name] = message
            waiting.append(message)
    return {name: messages[name] for name in sorted(messages)}


def _nested(model: type[BaseModel]) -> MessageSpec:
    fields = tuple(fields_of(model))
    for spec in fields:
        if spec.type.form is Form.ROWS:
            raise TypeError(f"{model.__name__}.{spec.name}: Rows stand only in a result or part itself")
    return MessageSpec(model.__name__, fields, inspect.cleandoc(model.__doc__ or ""))


def _with_presence(messages: Mapping[str, MessageSpec], requests: Iterable[MessageSpec]) -> dict[str, MessageSpec]:
    sent: set[str] = set()
    waiting = [message.name for message in requests]
    while waiting:
        name = waiting.pop()
        if name not in sent:
            sent.add(name)
            waiting.extend(spec.type.name for spec in messages[name].fields if spec.type.model)
    return {
        name: replace(message, fields=tuple(spec.with_presence(in_request=name in sent) for spec in message.fields))
        for name, message in messages.items()
    }


def renewed_lock(schema: Schema, lock: Mapping[str, LockedMessage]) -> dict[str, LockedMessage]:
    """The lock with every message of the schema; messages without a tool keep their numbers."""
    now = {name: lock.get(name, NO_FIELDS).renewed(message.fields) for name, message in schema.messages.items()}
    return {**lock, **now}


def numbered(message: MessageSpec, lock: Mapping[str, LockedMessage]) -> list[tuple[int, FieldSpec]]:
    numbers = lock[message.name].fields
    return sorted(((numbers[spec.wire], spec) for spec in message.fields), key=lambda pair: pair[0])


def file_descriptor(schema: Schema, lock: Mapping[str, LockedMessage]) -> descriptor_pb2.FileDescriptorProto:
    """The descriptor that protoc would make of the printed text. `lock` is a renewed one."""
    file = descriptor_pb2.FileDescriptorProto(name=FILE, package=PACKAGE, syntax="proto3")
    file.dependency.extend(imports(schema))
    for message in schema.messages.values():
        _add_message(file.message_type.add(name=message.name), message, lock)
    for name, methods in schema.services.items():
        service = file.service.add(name=name)
        for method in methods:
            service.method.add(
                name=method.name,
                input_type=f".{PACKAGE}.{method.request}",
                output_type=f".{PACKAGE}.{method.response}",
                server_streaming=method.is_streaming or None,
                client_streaming=method.part is not None or None,
            )
    return file


def imports(schema: Schema) -> list[str]:
    names = {spec.type.name for message in schema.messages.values() for spec in message.fields}
    files = []
    if names & {"google.protobuf.Value", "google.protobuf.Struct", "google.protobuf.ListValue"}:
        files.append("google/protobuf/struct.proto")
    if "google.protobuf.Timestamp" in names:
        files.append("google/protobuf/timestamp.proto")
    return files


def _add_message(
    proto: descriptor_pb2.DescriptorProto, message: MessageSpec, lock: Mapping[str, LockedMessage]
) -> None:
    for number, spec in numbered(message, lock):
        field = proto.field.add(name=spec.wire, number=number, json_name=_json_name(spec.wire))
        field.label = FieldProto.LABEL_OPTIONAL if spec.shape == "one" else FieldProto.LABEL_REPEATED
        if spec.shape == "map":
            field.type = FieldProto.TYPE_MESSAGE
            field.type_name = f".{PACKAGE}.{message.name}.{_add_entry(proto, spec)}"
        else:
            _set_type(field, spec)
        if spec.is_optional:
            field.proto3_optional = True
            field.oneof_index = len(proto.oneof_decl)
            proto.oneof_decl.add(name=f"_{spec.wire}")
    for number in lock[message.name].reserved:
        proto.reserved_range.add(start=number, end=number + 1)
    proto.reserved_name.extend(lock[message.name].reserved_names)


def _set_type(field: descriptor_pb2.FieldDescriptorProto, spec: FieldSpec) -> None:
    if spec.type.name in _PROTO_TYPES:
        field.type = _PROTO_TYPES[spec.type.name]
        return
    field.type = FieldProto.TYPE_MESSAGE
    field.type_name = f".{PACKAGE}.{spec.type.name}" if spec.type.model else f".{spec.type.name}"


def _add_entry(proto: descriptor_pb2.DescriptorProto, spec: FieldSpec) -> str:
    json_name = _json_name(spec.wire)
    entry = proto.nested_type.add(name=f"{json_name[0].upper()}{json_name[1:]}Entry")
    entry.options.map_entry = True
    label = FieldProto.LABEL_OPTIONAL
    entry.field.add(name="key", number=1, label=label, type=FieldProto.TYPE_STRING, json_name="key")
    _set_type(entry.field.add(name="value", number=2, label=label, json_name="value"), spec)
    return entry.name


def _json_name(name: str) -> str:
    first, *rest = name.split("_")
    return first + "".join(part[:1].upper() + part[1:] for part in rest)


def message_pool(file: descriptor_pb2.FileDescriptorProto) -> descriptor_pool.DescriptorPool:
    """A pool of our own: two registries in one process must not meet in protobuf's global pool."""
    pool = descriptor_pool.DescriptorPool()
    for known in (struct_pb2, timestamp_pb2):
        pool.AddSerializedFile(known.DESCRIPTOR.serialized_pb)
    pool.AddSerializedFile(file.SerializeToString())
    return pool
