"""What must be equal in two answers: all but what is new each time, in one form for every face."""

import json
import re
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from tests.faces.clients import Answer

VOLATILE_KEYS = re.compile(
    r"(^|_)(at|ms|id|token|since|time|version|plan|uptime_s|now|url|text|hash|secret|seq|checked_count|head|usd|manifest_size_bytes|data_plane|today|storage|day)$"
)


def normal(answer: Answer) -> Any:
    """Code, message and hint of a refusal; the value of a success without what is new each time."""
    if answer.code != "OK":
        return answer.code, answer.message, answer.hint
    return "OK", steady(answer.value)


def steady(value: Any) -> Any:
    """A value without what is new each time, in the one form that every face can give it."""
    if isinstance(value, dict):
        items = {key: steady(_parsed(key, item)) for key, item in value.items() if not VOLATILE_KEYS.search(key)}
        return {key: item for key, item in items.items() if item not in (None, [], {}, "")}
    if isinstance(value, list):
        return [steady(item) for item in value]
    if isinstance(value, Decimal):
        value = float(value)
    if isinstance(value, float) and value.is_integer():
        return int(value)  # a protobuf Struct knows no integers
    if isinstance(value, (date, datetime)):
        return value.isoformat()
    if isinstance(value, str) and re.fullmatch(r"-?\d+", value):
        return int(value)  # protobuf's JSON writes 64-bit integers as text
    return value


def _parsed(key: str, item: Any) -> Any:
    """JSON inside a text may hold ids too."""
    return json.loads(item) if key.endswith("_json") and isinstance(item, str) and item else item
