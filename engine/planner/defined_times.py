"""Ranges of time that texts spell out: `last week = CURRENT_DATE - INTERVAL '7 days' to CURRENT_DATE`."""

import re
from collections.abc import Mapping
from datetime import datetime, timedelta

from engine.dates.calendar import Calendar, Unit, shifted
from engine.dates.find import find_dates
from engine.dates.ranges import Found, Range

MAX_COUNT = 10_000
_TODAY = re.compile(
    r"^(?:current_date|current_timestamp|now\s*\(\s*\)|today(?:\(\))?|the current date|current date|getdate\(\))$", re.I
)
_STEP = re.compile(
    r"^(?P<base>.+?)\s*(?P<sign>[-+\u2212]|\bminus\b|\bplus\b)\s*(?:interval\s*)?'?\s*(?P<count>\d{1,5})\s*'?\s*"
    r"(?P<unit>millisecond|second|minute|hour|day|week|month|quarter|year)s?\s*'?$",
    re.I,
)
_AGO = re.compile(r"^(?P<count>\d{1,5}) (?P<unit>day|week|month|quarter|year)s? (?:ago|before today)$", re.I)
_TRUNCATED = re.compile(r"^date_trunc\s*\(\s*'(?P<unit>hour|day|week|month|quarter|year)'\s*,\s*(?P<inner>.+)\)$", re.I)
_CUT = re.compile(r"^date_trunc\s*\([^()]*\)$", re.I)  # the begin of a period is no day of it
_BETWEEN = re.compile(r"^(?:from|between)\s+(?P<from>.+?)\s+(?:to|and|until|through|up to)\s+(?P<to>.+)$", re.I)
_FROM_TO = re.compile(r"^(?P<from>.+?)\s+(?:to|until|through|up to)\s+(?P<to>.+)$", re.I)
_SINCE = re.compile(r"^(?:[\w.]+\s*)?(?:>=|from|since|starting (?:at|from|on))\s*(?P<from>.+)$", re.I)
_EXCLUDED = re.compile(r",?\s*\(?(?:exclusive|excluding (?:today|the (?:end|last day)))\)?$", re.I)
_INCLUDED = re.compile(r",?\s*\(?(?:both )?(?:inclusive|included|including (?:both|today|the end))\b.*$", re.I)


def read_span(text: str, now: datetime) -> Range | None:
    """The half-open range of a text; a last day that is no moment belongs to it."""
    plain = " ".join(text.strip(" .;").split())
    is_open_end = bool(_EXCLUDED.search(plain))
    plain = _INCLUDED.sub("", _EXCLUDED.sub("", plain))
    for pattern in (_BETWEEN, _FROM_TO, _SINCE):
        match = pattern.match(plain)
        if match is None:
            continue
        start = read_moment(match["from"], now)
        end = read_moment(match["to"], now) if "to" in match.groupdict() else None
        if start is None or ("to" in match.groupdict() and end is None):
            continue
        is_cut = end is not None and _CUT.match(match["to"].strip()) is not None
        return _half_open(start, end, is_open_end or is_cut)
    return None


def _half_open(start: datetime, end: datetime | None, is_open_end: bool) -> Range | None:
    if end is not None:
        if end.microsecond or end.second == 59:  # the last moment of something
            end = (end + timedelta(seconds=1)).replace(microsecond=0)
        elif end == _midnight(end) and not is_open_end:
            end += timedelta(days=1)
        if end <= start:
            return None
    return Range(start, end, Unit("day"), "as it is defined")


def read_moment(text: str, now: datetime) -> datetime | None:
    """`DATE_TRUNC('month', CURRENT_DATE) - INTERVAL '1 month'`; None where a text is no such moment."""
    plain = text.strip(" '\"")
    if len(plain) > 200:
        return None
    if text.count("'") % 2:
        plain = text.strip()
    if _TODAY.match(plain):
        return _midnight(now)
    ago = _AGO.match(plain)
    if ago is not None:
        return _moved(_midnight(now), ago["unit"], -int(ago["count"]))
    cut = _TRUNCATED.match(plain)
    if cut is not None and _is_balanced(cut["inner"]):
        inner = read_moment(cut["inner"], now)
        return None if inner is None else _cut(inner, cut["unit"].lower())
    step = _STEP.match(text.strip())
    if step is not None:
        base = read_moment(step["base"], now)
        sign = 1 if step["sign"] in ("+", "plus") else -1
        return None if base is None else _moved(base, step["unit"], sign * int(step["count"]))
    try:
        return datetime.fromisoformat(plain).replace(tzinfo=None)
    except ValueError:
        return None


def defined_dates(question: str, dates: Found, spans: Mapping[str, Range]) -> Found:
    """What a question says about time, with the ranges that its phrases have been defined as."""
    mentions = []
    for item in dates.mentions:
        said = " ".join(question[item.start : item.end].lower().split()).removeprefix("the ")
        meant = next((range_ for name, range_ in spans.items() if said.startswith(name)), None)
        mentions.append(item if meant is None else type(item)(item.start, item.end, meant))
    return Found(tuple(mentions), dates.grain, dates.grain_at, dates.compares, dates.compares_at)


def is_time(name: str, now: datetime) -> bool:
    """Whether a name is a phrase about time as a whole."""
    found = find_dates(name, now, Calendar())
    return any(item.start == 0 and item.end >= len(name.rstrip()) for item in found.mentions)


def _moved(moment: datetime, unit: str, count: int) -> datetime | None:
    if abs(count) > MAX_COUNT:
        return None
    try:
        if unit.lower() in ("millisecond", "second", "minute"):
            return moment + timedelta(**{f"{unit.lower()}s": count})
        return shifted(moment, Unit(unit.lower()), count)  # type: ignore[arg-type]
    except (OverflowError, ValueError):
        return None


def _midnight(moment: datetime) -> datetime:
    return moment.replace(hour=0, minute=0, second=0, microsecond=0)


def _cut(moment: datetime, unit: str) -> datetime:
    day = _midnight(moment)
    if unit == "week":
        return day - timedelta(days=day.weekday())
    if unit == "month":
        return day.replace(day=1)
    if unit == "quarter":
        return day.replace(month=day.month - (day.month - 1) % 3, day=1)
    if unit == "year":
        return day.replace(month=1, day=1)
    return day if unit == "day" else moment.replace(minute=0, second=0, microsecond=0)


def _is_balanced(text: str) -> bool:
    depth = 0
    for letter in text:
        depth += (letter == "(") - (letter == ")")
        if depth < 0:
            return False
    return depth == 0
