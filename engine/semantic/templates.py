"""Filters as MetricFlow writes them, read by a grammar of our own: nothing in them is ever executed."""

import re

from core.errors import Conflict
from engine.semantic.expressions import MAX_CHARS, read_condition
from engine.semantic.layer import FIGURE
from engine.sql.definitions import Condition

_NAME = r"""['"]([A-Za-z_][A-Za-z0-9_]{0,254})['"]"""
_REFERENCE = re.compile(
    rf"\s*(Dimension|TimeDimension|Entity)\(\s*{_NAME}\s*(?:,\s*{_NAME}\s*)?\)(?:\.grain\(\s*{_NAME}\s*\))?\s*"
)
_METRIC = re.compile(rf"\s*Metric\(\s*{_NAME}\s*,\s*(?:group_by\s*=\s*)?\[\s*{_NAME}\s*\]\s*\)\s*")
_PLACE = "__reference_"
_BRACES = re.compile(r"\{\{(.*?)\}\}", re.DOTALL)


def read_filter(text: str) -> Condition:
    """`{{ Dimension('policy__status') }} = 'open'` as a condition on `policy__status`. Raises Conflict."""
    if len(text) > MAX_CHARS or _PLACE in text:
        raise _refusal("it is too long, or uses a reserved name")
    references: dict[str, str] = {}

    def put_aside(found: re.Match[str]) -> str:
        place = f"{_PLACE}{len(references)}"
        references[place] = _reference(found.group(1))
        return f'"{place}"'

    sql = _BRACES.sub(put_aside, text)
    if "{" in sql or "}" in sql:
        raise _refusal("it holds other template code")
    used: set[str] = set()

    def name(column: str) -> str:
        if column not in references:
            raise _refusal("a column stands outside of {{ Dimension('entity__name') }}")
        used.add(column)
        return references[column]

    condition = read_condition(sql, name)
    if used != set(references):
        raise _refusal("a reference stands inside a text")
    return condition


def _reference(call: str) -> str:
    """What is written between the braces, as `entity__name`, `entity__name__grain`, or `metric@entity`."""
    metric = _METRIC.fullmatch(call)
    if metric is not None:
        return FIGURE.join(metric.groups())
    found = _REFERENCE.fullmatch(call)
    if found is None:
        raise _refusal("only Dimension, TimeDimension, Entity and Metric with names in quotes are read")
    kind, name, second, grain = found.groups()
    if second and (grain or kind != "TimeDimension"):
        raise _refusal("only TimeDimension takes a second name, its grain")
    return "__".join(part for part in (name, second or grain) if part)


def _refusal(why: str) -> Conflict:
    return Conflict(
        f"A filter cannot be used: {why}.",
        hint="Write conditions such as {{ Dimension('policy__status') }} = 'open', tied by AND, OR and NOT.",
    )
