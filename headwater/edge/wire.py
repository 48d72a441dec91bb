"""What travels between a serving process and a data plane: three RPCs, JSON questions, Arrow answers.

`headwater.Edge` has GetSchema, Query and Ping. Requests are JSON objects. Query answers with a stream: first the
Arrow schema, then chunks, each a self-contained Arrow IPC stream. What is known at the end is trailing metadata."""

import json
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from typing import Any

from core.errors import InvalidArgument, PlatformError, error_from
from engine.connectors.connector import ColumnInfo, ConnectionSpec, QueryLimits, RelationInfo, RunStats
from engine.connectors.kinds import WRITING_SECRETS

SERVICE = "headwater.Edge"
GET_SCHEMA, QUERY, PING = "GetSchema", "Query", "Ping"
END, ERROR = "headwater-end-bin", "headwater-error-bin"
UNLIMITED = [("grpc.max_receive_message_length", -1), ("grpc.max_send_message_length", -1)]
MAX_ERROR_CHARS = 1500  # trailing metadata is bounded

Metadata = Sequence[tuple[str, str | bytes]]


def pack(value: Mapping[str, Any]) -> bytes:
    return json.dumps(value).encode()


def unpack(data: bytes) -> dict[str, Any]:
    """Raises InvalidArgument."""
    try:
        value = json.loads(data)
    except ValueError:
        value = None
    if not isinstance(value, dict):
        raise InvalidArgument("The request is not a JSON object.")
    return value


def pack_spec(spec: ConnectionSpec, place: str) -> dict[str, Any]:
    """The connection with the secret that reads, and not the one that writes; `place` is the folder of a lakehouse."""
    return {
        "tenant": spec.tenant,
        "connection_id": spec.connection_id,
        "name": spec.name,
        "kind": spec.kind,
        "options": dict(spec.options),
        "secret": {name: value for name, value in spec.secret.items() if name not in WRITING_SECRETS},
        "version": spec.version,
        "place": place,
    }


def unpack_spec(value: Any) -> tuple[ConnectionSpec, str]:
    """Raises InvalidArgument."""
    if not isinstance(value, dict):
        raise _wrong("connection")
    texts = {name: _text(value, name) for name in ("tenant", "connection_id", "name", "kind")}
    version = value.get("version")
    if not isinstance(version, int):
        raise _wrong("version")
    options, secret = _texts(value, "options"), _texts(value, "secret")
    return ConnectionSpec(**texts, options=options, secret=secret, version=version), _text(value, "place")


def unpack_query(value: dict[str, Any]) -> tuple[str, dict[str, str], QueryLimits]:
    """Statement, parameters and limits. Raises InvalidArgument."""
    limits = value.get("limits")
    if not isinstance(limits, dict) or any(type(item) not in (int, float) or item < 0 for item in limits.values()):
        raise _wrong("limits")
    try:
        return _text(value, "sql"), _texts(value, "parameters"), QueryLimits(**limits)
    except TypeError:
        raise _wrong("limits") from None


def pack_relations(relations: Sequence[RelationInfo]) -> bytes:
    return pack({"relations": [asdict(relation) for relation in relations]})


def unpack_relations(data: bytes) -> list[RelationInfo]:
    return [_relation(item) for item in unpack(data)["relations"]]


def _relation(item: dict[str, Any]) -> RelationInfo:
    columns = tuple(ColumnInfo(**column) for column in item.pop("columns"))
    # JSON has no tuples, and relations are compared.
    plain: dict[str, Any] = {name: tuple(value) if isinstance(value, list) else value for name, value in item.items()}
    plain["foreign_keys"] = tuple(tuple(key) for key in plain.get("foreign_keys", ()))
    return RelationInfo(columns=columns, **plain)


def pack_end(stats: RunStats, *, is_truncated: bool) -> Metadata:
    return ((END, pack({"stats": asdict(stats), "is_truncated": is_truncated})),)


def unpack_end(metadata: Any) -> tuple[RunStats, bool]:
    end = unpack(dict(metadata)[END])
    return RunStats(**end["stats"]), end["is_truncated"]


def pack_error(error: PlatformError) -> Metadata:
    body = {"code": error.code, "message": error.message[:MAX_ERROR_CHARS], "hint": error.hint[:MAX_ERROR_CHARS]}
    return ((ERROR, pack(body)),)


def unpack_error(metadata: Any) -> PlatformError | None:
    """The error that the data plane raised; None when it said none."""
    told = dict(metadata or ()).get(ERROR)
    if told is None:
        return None
    body = unpack(told)
    return error_from(body["code"], body["message"], hint=body["hint"])


def _text(value: dict[str, Any], name: str) -> str:
    text = value.get(name)
    if not isinstance(text, str):
        raise _wrong(name)
    return text


def _texts(value: dict[str, Any], name: str) -> dict[str, str]:
    texts = value.get(name)
    if not isinstance(texts, dict) or not all(isinstance(item, str) for item in texts.values()):
        raise _wrong(name)
    return texts


def _wrong(name: str) -> InvalidArgument:
    return InvalidArgument(f"The field {name!r} is missing or of another form.")
