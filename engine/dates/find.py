"""Finds what a text says about time: ranges, pairs of ranges to compare, and what to group by."""

from datetime import datetime

from engine.dates.calendar import Calendar, Grain, Unit
from engine.dates.periods import Periods, Read
from engine.dates.ranges import Found, Mention, Range
from engine.dates.spans import Spans
from engine.dates.words import Token, language, tokens_of

MAX_CHARS = 4000
MONTH, YEAR = Unit("month"), Unit("year")
ORDER: tuple[Grain, ...] = ("hour", "day", "week", "month", "quarter", "half", "year")


def find_dates(text: str, now: datetime, calendar: Calendar | None = None, spoken: str = "english") -> Found:
    """Everything that a text says about time, as seen at the local time `now`.

    Only the first 4,000 characters are read. Ranges are half-open and carry the convention that they were read by."""
    table = language(spoken)
    tokens = tokens_of(text[:MAX_CHARS], table)
    periods = Periods(tokens, now, calendar or Calendar(), table)
    return _Finder(tokens, periods, Spans(periods)).find()


class _Finder:
    def __init__(self, tokens: list[Token], periods: Periods, spans: Spans):
        self._tokens = tokens
        self._periods = periods
        self._spans = spans
        self._mentions: list[Mention] = []
        self._grain: Unit | None = None
        self._grain_at = (0, 0)
        self._compares: Unit | None = None
        self._compares_at = (0, 0)

    def find(self) -> Found:
        at = 0
        while at < len(self._tokens):
            compared = self._comparison(at)
            if compared is not None:
                self._compares_at = (self._tokens[at].start, self._tokens[compared - 1].end)
            at = compared or self._grouping(at) or self._mention(at) or at + 1
        return Found(tuple(self._mentions), self._grain, self._grain_at, self._compares, self._compares_at)

    def _comparison(self, at: int) -> int | None:
        """`YoY`; and `vs last year`, `compared to the same period last year` after a range."""
        if "over" in self._tokens[at]:
            grain = self._tokens[at]["over"]
            self._compare(None if grain == "period" else Unit(grain))
            return at + 1
        if "versus" not in self._tokens[at]:
            return None
        place = self._periods.skip(at + 1, "the")
        if self._periods.has(place, "same"):
            return self._same_of(self._periods.skip(place + 1, "of", "the", "in"))
        if self._periods.has(place, "period_before"):
            self._compare(None)
            return place + 1
        unit = self._periods.unit(place)
        if unit is not None and self._periods.has(unit[1], "before"):
            self._compare(unit[0])
            return unit[1] + 1
        return self._same_of(place) if self._is_relative(place) else self._other(place)

    def _is_relative(self, at: int) -> bool:
        """`March vs last year` means the March of last year; `this week vs last month` does not."""
        unit = self._periods.unit(at + 1) if self._periods.has(at, "last") else None
        if unit is None:
            return self._periods.has(at, "year_before")
        return not self._mentions or ORDER.index(unit[0].grain) >= ORDER.index(self._mentions[-1].range.grain)

    def _same_of(self, at: int) -> int:
        unit = self._periods.unit(at + 1) if self._periods.has(at, "last") else None
        self._compare(unit[0] if unit else YEAR)
        return unit[1] if unit else at + self._periods.has(at, "year_before")

    def _other(self, place: int) -> int | None:
        """`2023 vs 2022`: the second range belongs to the first."""
        if not self._mentions or self._mentions[-1].versus is not None:
            return None
        found = self._spans.span(place)
        if found is None:
            return None
        last = self._mentions.pop()
        self._mentions.append(Mention(last.start, self._tokens[found.next - 1].end, last.range, found.range))
        return found.next

    def _compare(self, unit: Unit | None) -> None:
        """The last range is compared with itself a unit earlier, or with the period before it. Without a range, each
        group is compared with an earlier one."""
        self._compares = unit or (self._mentions[-1].range.unit if self._mentions else self._grain or MONTH)
        if self._mentions and self._mentions[-1].versus is None:
            last = self._mentions.pop()
            self._mentions.append(Mention(last.start, last.end, last.range, _earlier(last.range, unit)))

    def _grouping(self, at: int) -> int | None:
        """`by month`, `weekly`, `each fiscal quarter`."""
        if "adverb" in self._tokens[at]:
            self._group(Unit(self._tokens[at]["adverb"]), at, at)
            return at + 1
        if "each" not in self._tokens[at]:
            return None
        place = self._periods.skip(at + 1, "the", "of")
        if self._periods.has(place, "group"):
            self._group(Unit(self._tokens[place]["group"]), at, place)
            return place + 1
        unit = self._periods.unit(place)
        if unit is not None and self._periods.has(unit[1], "to_date_tail"):  # `each month so far`
            self._group(unit[0], at, unit[1] - 1)
            self._mentions.append(self._named(unit[1], Read(self._spans.until_today(), unit[1] + 1)))
            return unit[1] + 1
        if unit is not None and not self._spans_at(place):
            self._group(unit[0], at, unit[1] - 1)
            return unit[1]
        last = self._spans.span(place)
        if last is not None:  # `each of the last 8 weeks`
            self._group(last.range.unit, at, at)
        return None

    def _group(self, unit: Unit, first: int, last: int) -> None:
        if self._grain is None:
            self._grain, self._grain_at = unit, (self._tokens[first].start, self._tokens[last].end)

    def _spans_at(self, at: int) -> bool:
        found = self._spans.span(at)
        return found is not None and found.next > at + 1

    def _mention(self, at: int) -> int | None:
        found = self._spans.span(at)
        if found is None:
            return None
        self._mentions.append(self._named(at, found))
        if self._compares is not None and len(self._mentions) == 1:
            self._compare(self._compares)
        return found.next

    def _named(self, at: int, found: Read) -> Mention:
        return Mention(self._tokens[at].start, self._tokens[found.next - 1].end, found.range)


def _earlier(found: Range, unit: Unit | None) -> Range | None:
    try:
        return found.before() if unit is None else found.moved(unit, -1)
    except (OverflowError, ValueError):
        return None
