"""Cron expressions: five fields, names, lists, ranges, steps and `@daily`, in a time zone, through clock changes."""

import re
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import NoReturn
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

from core.errors import InvalidArgument

NICKNAMES = {
    "@hourly": "0 * * * *",
    "@daily": "0 0 * * *",
    "@midnight": "0 0 * * *",
    "@weekly": "0 0 * * 0",
    "@monthly": "0 0 1 * *",
    "@yearly": "0 0 1 1 *",
    "@annually": "0 0 1 1 *",
}
MONTHS = ("jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec")
WEEKDAYS = ("sun", "mon", "tue", "wed", "thu", "fri", "sat")
# Long enough for 29 February across a century that is no leap year.
HORIZON_DAYS = 8 * 366 + 1
_HINT = "Write five fields, minute hour day month weekday, for example `30 6 * * mon-fri`, or @daily."


@dataclass(frozen=True, slots=True)
class _Field:
    name: str
    first: int
    last: int
    names: tuple[str, ...] = ()
    name_offset: int = 0


_FIELDS = (
    _Field("minute", 0, 59),
    _Field("hour", 0, 23),
    _Field("day", 1, 31),
    _Field("month", 1, 12, MONTHS, 1),
    _Field("weekday", 0, 7, WEEKDAYS),
)


@dataclass(frozen=True, slots=True)
class Cron:
    """A parsed expression. When both day and weekday are restricted, either is enough, as cron has it."""

    minutes: frozenset[int]
    hours: frozenset[int]
    days: frozenset[int]
    months: frozenset[int]
    weekdays: frozenset[int]  # 0 is Sunday
    is_every_hour: bool
    is_any_day: bool
    is_any_weekday: bool

    @classmethod
    def parse(cls, text: str) -> "Cron":
        """Raises InvalidArgument saying which field is wrong."""
        parts = NICKNAMES.get(text.strip().lower(), text).lower().split()
        if len(parts) != len(_FIELDS):
            _refuse(text, f"it has {len(parts)} fields")
        minutes, hours, days, months, weekdays = (
            _values(part, field, text) for part, field in zip(parts, _FIELDS, strict=True)
        )
        found = cls(
            minutes=minutes,
            hours=hours,
            days=days,
            months=months,
            weekdays=frozenset(day % 7 for day in weekdays),
            is_every_hour=parts[1].startswith("*"),
            is_any_day=parts[2].startswith("*"),
            is_any_weekday=parts[4].startswith("*"),
        )
        if not any(found._has_day(date(2024, 1, 1) + timedelta(days=day)) for day in range(HORIZON_DAYS)):
            _refuse(text, "no date matches it")
        return found

    def next_after(self, moment: datetime, zone: ZoneInfo) -> datetime:
        """The first matching moment (UTC) after `moment`.

        A time that a clock change skips happens right after the change. A time that comes twice
        happens once, except where the hour is `*`: then it keeps its rhythm."""
        day = moment.astimezone(zone).date() - timedelta(days=1)
        for _ in range(HORIZON_DAYS + 1):
            if self._has_day(day):
                later = [found for found in self._moments(day, zone) if found > moment]
                if later:
                    return min(later)
            day += timedelta(days=1)
        raise AssertionError("unreachable: parse refuses expressions that match no date")

    def _has_day(self, day: date) -> bool:
        if day.month not in self.months:
            return False
        is_day, is_weekday = day.day in self.days, day.isoweekday() % 7 in self.weekdays
        if self.is_any_day or self.is_any_weekday:
            return is_day and is_weekday
        return is_day or is_weekday

    def _moments(self, day: date, zone: ZoneInfo) -> Iterator[datetime]:
        for hour in sorted(self.hours):
            for minute in sorted(self.minutes):
                local = datetime(day.year, day.month, day.day, hour, minute, tzinfo=zone)
                early, late = local.astimezone(UTC), local.replace(fold=1).astimezone(UTC)
                if early.astimezone(zone).replace(tzinfo=None) != local.replace(tzinfo=None):
                    yield _end_of_gap(late, early, zone)
                    continue
                yield early
                if late != early and self.is_every_hour:
                    yield late


def parse_zone(name: str) -> ZoneInfo:
    """Raises InvalidArgument when there is no such time zone."""
    try:
        return ZoneInfo(name)
    except (ZoneInfoNotFoundError, ValueError, OSError):
        raise InvalidArgument(
            f"No time zone {name[:64]!r}.", hint="Use a name of the IANA list, for example Europe/Berlin or UTC."
        ) from None


def _end_of_gap(before: datetime, after: datetime, zone: ZoneInfo) -> datetime:
    """The moment at which the clocks jumped, which lies between the two readings of a skipped time."""
    while after - before > timedelta(seconds=1):
        middle = before + (after - before) / 2
        if middle.astimezone(zone).utcoffset() == before.astimezone(zone).utcoffset():
            before = middle
        else:
            after = middle
    return after.replace(second=0, microsecond=0)


def _values(part: str, field: _Field, text: str) -> frozenset[int]:
    return frozenset(value for item in part.split(",") for value in _range(item, field, text))


def _range(item: str, field: _Field, text: str) -> range:
    match = re.fullmatch(r"(\*|(?P<low>[0-9a-z]+)(?:-(?P<high>[0-9a-z]+))?)(?:/(?P<step>[0-9]{1,4}))?", item)
    if match is None:
        _refuse(text, f"{item[:32]!r} is no {field.name}")
    step = int(match["step"] or 1)
    if match["low"] is None:
        low, high = field.first, min(field.last, 6) if field.names is WEEKDAYS else field.last
    else:
        low = _value(match["low"], field, text)
        high = _value(match["high"], field, text) if match["high"] else field.last if match["step"] else low
    if field.names is WEEKDAYS and match["high"] == "sun":
        high = 7
    if step == 0 or low > high:
        _refuse(text, f"{item[:32]!r} is no {field.name}")
    return range(low, high + 1, step)


def _value(word: str, field: _Field, text: str) -> int:
    if word in field.names:
        return field.names.index(word) + field.name_offset
    if not word.isascii() or not word.isdigit() or len(word) > 2 or not field.first <= int(word) <= field.last:
        _refuse(text, f"{word[:32]!r} is no {field.name}")
    return int(word)


def _refuse(text: str, why: str) -> NoReturn:
    raise InvalidArgument(f"{text[:64]!r} is not a cron expression: {why}.", hint=_HINT)
