"""Through which times a figure is looked at: a range, or the periods of a group, each with rows of its own."""

from collections.abc import Callable
from dataclasses import dataclass, replace
from datetime import datetime, timedelta
from typing import cast

from core.errors import Conflict
from engine.dates.calendar import Calendar, Unit, shifted
from engine.dates.calendar import Grain as DateGrain
from engine.dates.ranges import Range
from engine.semantic.models import Grain, Metric, Window

MAX_PERIODS = 2000
FIRST = datetime(1, 1, 1)
ORDER: tuple[Grain, ...] = ("second", "minute", "hour", "day", "week", "month", "quarter", "year")
_CLOCK: dict[Grain, timedelta] = {
    "second": timedelta(seconds=1),
    "minute": timedelta(minutes=1),
    "hour": timedelta(hours=1),
}
DAY = timedelta(days=1)


@dataclass(frozen=True, slots=True)
class Period:
    """A group by its beginning, and the half-open range of the rows that are counted for it."""

    key: datetime
    start: datetime
    end: datetime


@dataclass(frozen=True, slots=True)
class Frame:
    """Half-open range of the rows, None for an open end; with `periods` each group has a range of its own.

    is_averaged: several periods have the same key, and the group's figure is the average of theirs."""

    start: datetime | None = None
    end: datetime | None = None
    periods: tuple[Period, ...] = ()
    is_averaged: bool = False


def periods_of(start: datetime, end: datetime, unit: Unit, calendar: Calendar) -> tuple[Period, ...]:
    """The periods that a range touches, cut to it. Raises Conflict when they are too many."""
    found = []
    at = calendar.floor(start, unit)
    while at < end:
        following = _shifted(at, Window(1, cast(Grain, unit.grain)))
        found.append(Period(at, max(at, start), min(following, end)))
        at = following
        if len(found) > MAX_PERIODS:
            raise Conflict(
                f"That is more than {MAX_PERIODS:,} periods.", hint="Ask for a shorter range or longer periods."
            )
    return tuple(found)


def moved(frame: Frame, by: Window) -> Frame:
    """The rows of an earlier time, under the same keys."""
    return _each(frame, lambda start, end: _moved(start, end, by))


def at_start(frame: Frame, grain: Grain, calendar: Calendar) -> Frame:
    """The rows of the first day of the longer period that each range begins in."""

    def first(start: datetime | None, end: datetime | None) -> tuple[datetime | None, datetime | None]:
        if start is None:
            raise needs_range()
        day = calendar.floor(start, _unit(grain))
        return day, day + DAY

    return _each(frame, first)


def paired(frame: Frame, start: datetime, end: datetime, unit: Unit | None, calendar: Calendar) -> Frame:
    """The rows of another range: its first period under the key of the first one, and so on."""
    if not frame.periods or unit is None:
        return replace(frame, start=start, end=end)
    others = periods_of(start, end, unit, calendar)
    pairs = zip(frame.periods, others, strict=False)
    return Frame(start, end, tuple(replace(other, key=own.key) for own, other in pairs))


def accumulated(frame: Frame, metric: Metric, base: Grain, calendar: Calendar) -> Frame:
    """The rows that a cumulative figure reaches back to."""

    def back(end: datetime) -> datetime | None:
        last = end - DAY if base not in _CLOCK else end - _CLOCK[base]
        if metric.window is not None:
            return _shifted(last, replace(metric.window, count=-metric.window.count)) + (end - last)
        return None if metric.to_date is None else calendar.floor(last, _unit(metric.to_date))

    if not frame.periods:
        if frame.end is None and (metric.window or metric.to_date):
            raise needs_range()
        return Frame(None if frame.end is None else back(frame.end), frame.end)
    if metric.period_part == "average":
        days = [
            replace(part, key=period.key)
            for period in frame.periods
            for part in periods_of(period.start, period.end, _unit(base), calendar)
        ]
        if len(days) > MAX_PERIODS:
            raise Conflict(f"That is more than {MAX_PERIODS:,} periods.", hint="Ask for a shorter range.")
        ends = [(day.key, day.end) for day in days]
    elif metric.period_part == "first":
        step = Window(1, base)
        ends = [(p.key, min(p.end, _shifted(calendar.floor(p.start, _unit(base)), step))) for p in frame.periods]
    else:
        ends = [(period.key, period.end) for period in frame.periods]
    made = tuple(Period(key, back(end) or FIRST, end) for key, end in ends)
    return Frame(None, None, made, is_averaged=metric.period_part == "average")


def needs_range() -> Conflict:
    return Conflict("This needs a range of time.", hint="Give time_range, or start and end.")


def _each(
    frame: Frame, change: Callable[[datetime | None, datetime | None], tuple[datetime | None, datetime | None]]
) -> Frame:
    if not frame.periods:
        start, end = change(frame.start, frame.end)
        return replace(frame, start=start, end=end)
    periods = []
    for period in frame.periods:
        start, end = change(period.start, period.end)
        assert start is not None and end is not None, "both ends were given"
        periods.append(Period(period.key, start, end))
    return replace(frame, start=None, end=None, periods=tuple(periods))


def _moved(start: datetime | None, end: datetime | None, by: Window) -> tuple[datetime | None, datetime | None]:
    if by.grain in ("second", "minute"):
        back = _CLOCK[by.grain] * by.count
        return start and start - back, end and end - back
    try:
        earlier = Range(start, end, _unit(by.grain)).moved(_unit(by.grain), -by.count)
    except OverflowError:
        raise _too_far() from None
    return earlier.start, earlier.end


def _shifted(moment: datetime, by: Window) -> datetime:
    try:
        if by.grain in ("second", "minute"):
            return moment + _CLOCK[by.grain] * by.count
        return shifted(moment, _unit(by.grain), by.count)
    except OverflowError:
        raise _too_far() from None


def _unit(grain: Grain) -> Unit:
    return Unit("hour" if grain in ("second", "minute") else cast(DateGrain, grain))


def _too_far() -> Conflict:
    return Conflict("That reaches beyond the years that there are.", hint="Ask for a range nearer to today.")
