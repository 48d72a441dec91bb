"""From path, query and body to the one arguments dict of a call.

Reading is lazy: the gate asks for the arguments once it knows who is calling, so that a stranger's
malformed request is refused as a stranger's, and every refusal is audited in the usual order."""

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import datetime
from functools import cache
from typing import Any, NoReturn
from urllib.parse import unquote_to_bytes

from api.errors import UnsupportedMediaType
from core.arguments import check_json_types, check_shape
from core.errors import Conflict, InvalidArgument, PlatformError
from core.portable import Model, plain_type

MAX_QUERY_FIELDS = 1000
VERSIONS = frozenset({"expected_version", "version"})  # which come by If-Match too
_TIME = re.compile(r"[0-9]{4}-[0-9]{2}-[0-9]{2}([Tt ][0-9]{2}:|$)")


@dataclass(frozen=True, slots=True)
class Sent:
    """The parts of a request that arguments come from, as they came."""

    path: Mapping[str, str]
    query: bytes
    body: bytes
    content_type: str


class Arguments(Mapping[str, Any]):
    """The merged arguments, read at first use. Raises InvalidArgument then."""

    __slots__ = ("_merged", "_model", "_problem", "_sent", "_taken")

    def __init__(
        self,
        model: type[Model],
        sent: Sent,
        *,
        taken: frozenset[str] = frozenset(),
        problem: PlatformError | None = None,
    ):
        self._problem = problem  # something found wrong before, to be said in its turn
        self._model = model
        self._sent = sent
        self._taken = taken  # query parameters that the face itself uses
        self._merged: dict[str, Any] | None = None

    def _read(self) -> dict[str, Any]:
        if self._problem is not None:
            raise self._problem
        if self._merged is None:
            self._merged = merge(self._model, self._sent, self._taken)
        return self._merged

    def __getitem__(self, name: str) -> Any:
        return self._read()[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._read())

    def __len__(self) -> int:
        return len(self._read())


def merge(model: type[Model], sent: Sent, taken: frozenset[str]) -> dict[str, Any]:
    """One dict of path, query and body. Raises InvalidArgument when they disagree or cannot be read."""
    merged: dict[str, Any] = dict(sent.path)
    if sent.query:
        for name, values in read_query(sent.query).items():
            if name not in taken:
                _add(merged, name, values if name in list_fields(model) else _single(name, values))
    if sent.body:
        _check_type(sent.content_type)
        for name, value in read_body(model, sent.body).items():
            _add(merged, name, value)
    for name in time_fields(model) & merged.keys():
        _check_times(name, merged[name])
    return merged


def _add(merged: dict[str, Any], name: str, value: Any) -> None:
    if name in merged and merged[name] != value and str(merged[name]) != json.dumps(value):
        if name in VERSIONS:
            raise Conflict("The request names two versions.", hint="Send If-Match, or the version itself.")
        raise InvalidArgument(f"{name[:128]} is given twice with different values.", hint="Give it once.")
    merged.setdefault(name, value)


def _single(name: str, values: list[str]) -> str:
    if len(values) > 1:
        raise InvalidArgument(f"{name[:128]} is repeated, and takes one value.", hint="Give it once.")
    return values[0]


@cache
def list_fields(model: type[Model]) -> frozenset[str]:
    return frozenset(name for name, info in model.model_fields.items() if plain_type(info.annotation)[1])


@cache
def time_fields(model: type[Model]) -> frozenset[str]:
    return frozenset(name for name, info in model.model_fields.items() if plain_type(info.annotation)[0] is datetime)


def _check_times(name: str, value: Any) -> None:
    """Pydantic takes `0.5` for a time, as seconds of 1970; the schema says RFC 3339, and so do we."""
    for item in value if isinstance(value, list) else [value]:
        if isinstance(item, str) and not _TIME.match(item):
            raise InvalidArgument(f"{name}: {item[:40]!r} is not a time.", hint="Send 2026-01-31T12:00:00Z.")


def read_query(query: bytes) -> dict[str, list[str]]:
    """Names and values of a query string, strictly UTF-8."""
    fields: dict[str, list[str]] = {}
    pairs = query.split(b"&", MAX_QUERY_FIELDS)
    if len(pairs) > MAX_QUERY_FIELDS:
        raise InvalidArgument("The query string has too many parts.", hint="Send them in the body.")
    for pair in pairs:
        if pair:
            name, _, value = pair.partition(b"=")
            fields.setdefault(decode(name.replace(b"+", b" ")), []).append(decode(value.replace(b"+", b" ")))
    return fields


def decode(quoted: bytes) -> str:
    """A percent-encoded text, strictly UTF-8."""
    try:
        return unquote_to_bytes(quoted).decode()
    except UnicodeDecodeError:
        raise InvalidArgument("The URL is not UTF-8.", hint="Percent-encode text as UTF-8.") from None


def _check_type(content_type: str) -> None:
    media_type, _, parameters = content_type.partition(";")
    media_type, charset = media_type.strip().lower(), parameters.partition("charset=")[2].strip(' "').lower()
    is_json = not media_type or media_type == "application/json" or media_type.endswith("+json")
    if not is_json or charset not in ("", "utf-8", "utf8"):
        raise UnsupportedMediaType(
            f"The body is {content_type[:80]!r}, not JSON.", hint="Send UTF-8 JSON with Content-Type: application/json."
        )


def read_body(model: type[Model], body: bytes) -> dict[str, Any]:
    """The body's object, its fields of the very JSON types that the schema names."""
    try:
        parsed = json.loads(
            body.decode(), object_pairs_hook=_unique, parse_constant=_refuse_constant, parse_float=_finite
        )
    except (ValueError, RecursionError):
        raise InvalidArgument("The body is not JSON in UTF-8.", hint="Send one JSON object.") from None
    if not isinstance(parsed, dict):
        raise InvalidArgument("The body is not a JSON object.", hint="Send one JSON object.")
    check_shape(parsed)
    check_json_types(model, body)
    return parsed


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    found = dict(pairs)
    if len(found) != len(pairs):
        raise InvalidArgument("A name stands twice in one JSON object.", hint="Give each name once.")
    return found


def _refuse_constant(name: str) -> NoReturn:
    raise InvalidArgument(f"{name} is not JSON.", hint="Send null, or leave it out.")


def _finite(digits: str) -> float:
    number = float(digits)
    if number in (float("inf"), float("-inf")):
        raise InvalidArgument("A number is too large.", hint="Send it as text.")
    return number
