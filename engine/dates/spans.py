"""Phrases that bound a time by its relation to now or to other periods: rolling, to date, between, since, until."""

from collections.abc import Callable
from dataclasses import replace
from datetime import datetime, timedelta

from engine.dates.calendar import Unit, shifted
from engine.dates.periods import DAY, Periods, Read
from engine.dates.ranges import Range

MAX_COUNT = 10_000


class Spans:
    """Reads the longest phrase about time that begins at a token."""

    def __init__(self, periods: Periods):
        self._periods = periods
        self._calendar = periods.calendar
        self._now = periods.now
        self._tokens = periods.tokens

    def span(self, at: int) -> Read | None:
        """The range of the phrase at a token, with what qualifies it afterwards."""
        at = self._periods.skip(at, "the")
        for read in (self._between, self._from_to, self._bound, self._to_date, self._edged, self._rolling):
            found = self._safely(read, at)
            if found is not None:
                return found
        found = self._periods.period(at)
        if found is None:
            return None
        return self._listed(found) or self._dashed(found) or self._open_after(found) or self._excluded(found)

    def _safely(self, read: Callable[[int], Read | None], at: int) -> Read | None:
        try:
            return read(at)
        except (OverflowError, ValueError):
            return None

    def _edged(self, at: int) -> Read | None:
        return self._periods.edge(at, None)

    def _today(self) -> datetime:
        return self._calendar.floor(self._now, DAY)

    def _between(self, at: int) -> Read | None:
        """`between January and March 2023`, `from 2021 to 2023`."""
        if self._periods.has(at, "between"):
            return self._pair(at + 1, "and")
        return None

    def _from_to(self, at: int) -> Read | None:
        return self._pair(at + 1, "to") if self._periods.has(at, "since") else None

    def _dashed(self, first: Read) -> Read | None:
        """`Q1-Q3 2023`, `2021 to 2023`, `March through May`."""
        return self._joined(first, first.next, "to")

    def _listed(self, first: Read) -> Read | None:
        """`2021, 2022 and 2023`, when they touch."""
        reads = [first]
        while self._periods.has(reads[-1].next, "and") or self._periods.has(reads[-1].next, "point"):
            found = self._periods.period(self._periods.skip(reads[-1].next, "and", "point", "the"))
            if found is None:
                break
            reads.append(found)
        for place in range(len(reads) - 1, 0, -1):
            reads[place - 1], reads[place] = self._aligned(reads[place - 1], reads[place])
        last = first = reads[0]
        for following in reads[1:]:
            if last.range.end is None or following.range.start != last.range.end:
                break
            last = following
        if last is first:
            return None
        return Read(replace(last.range, start=first.range.start), last.next, last.has_year)

    def _pair(self, at: int, joint: str) -> Read | None:
        first = self._periods.period(self._periods.skip(at, "the"))
        if first is None:
            return None
        after = first.next + 1 if self._edge(first.next) is not None else first.next
        return self._joined(first, after, joint, bare=at)

    def _joined(self, first: Read, at: int, joint: str, bare: int | None = None) -> Read | None:
        if not self._periods.has(at, joint):
            return None
        second_at = self._periods.skip(at + 1, "the")
        second = self._periods.period(second_at) or self._same_month(first, second_at)
        if second is None:
            return None
        first, second = self._aligned(first, second)
        if first.range.start is None or second.range.end is None or first.range.start >= second.range.end:
            return None
        end, after = self._closed(second)
        words = f"{first.range.start:%Y-%m-%d} up to and including {end - timedelta(days=1):%Y-%m-%d}"
        return Read(Range(first.range.start, end, second.range.unit, words), after)

    def _same_month(self, first: Read, at: int) -> Read | None:
        """`March 3 to 7, 2023`."""
        if first.range.grain != "day" or first.range.start is None or not self._periods.has(at, "number"):
            return None
        day = first.range.start.replace(day=self._tokens[at]["number"])
        after, has_year = at + 1, first.has_year
        comma = self._periods.skip(after, "point")
        if self._periods.has(comma, "number") and 1900 <= self._tokens[comma]["number"] <= 2100:
            day, after, has_year = day.replace(year=self._tokens[comma]["number"]), comma + 1, True
        return Read(self._periods.whole(day, DAY), after, has_year)

    def _aligned(self, first: Read, second: Read) -> tuple[Read, Read]:
        """`January to March 2023`: a year that is said once holds for both."""
        if second.has_year and not first.has_year and first.range.start and second.range.start:
            moved = first.range.moved(Unit("year"), second.range.start.year - first.range.start.year)
            if moved.start is not None and moved.start > second.range.start:
                moved = moved.moved(Unit("year"), -1)
            return replace(first, range=moved, has_year=True), second
        if not second.has_year and first.range.start and second.range.start:
            moved = second.range.moved(Unit("year"), first.range.start.year - second.range.start.year)
            if moved.start is not None and moved.start < first.range.start:
                moved = moved.moved(Unit("year"), 1)
            return first, replace(second, range=moved)
        return first, second

    def _edge(self, at: int) -> str | None:
        place = self._periods.skip(at, "point") if self._periods.has(at, "point") else at
        for role in ("inclusive", "exclusive"):
            if self._periods.has(place, role):
                return role
        return None

    def _closed(self, second: Read) -> tuple[datetime, int]:
        """The end of a pair; `exclusive` takes its last period away."""
        if second.range.end is None or second.range.start is None:
            raise ValueError("a pair of closed periods")
        place = self._periods.skip(second.next, "point")
        if self._periods.has(place, "exclusive"):
            return second.range.start, place + 1
        if self._periods.has(place, "inclusive"):
            return second.range.end, self._periods.skip(place + 1, "point")
        return second.range.end, second.next

    def _bound(self, at: int) -> Read | None:
        """`since 2020`, `after March 3`, `before last Monday`, `until June`."""
        for role in ("after", "before", "until", "since"):
            if not self._periods.has(at, role):
                continue
            found = self._periods.period(self._periods.skip(at + 1, "the", "in")) or self._moment(at + 1)
            if found is None:
                return None
            start, end = found.range.start, found.range.end
            open_range = {
                "since": Range(start, None, found.range.unit, f"from {start:%Y-%m-%d} on" if start else ""),
                "after": Range(end, None, found.range.unit, f"from {end:%Y-%m-%d} on" if end else ""),
                "before": Range(None, start, found.range.unit, f"before {start:%Y-%m-%d}" if start else ""),
                "until": Range(None, end, found.range.unit, f"before {end:%Y-%m-%d}" if end else ""),
            }[role]
            return Read(open_range, self._periods.skip(found.next, "onwards"), found.has_year)
        return None

    def _moment(self, at: int) -> Read | None:
        """`since the last 3 months` means what `in the last 3 months` does."""
        return self._rolling(self._periods.skip(at, "the"))

    def _open_after(self, found: Read) -> Read | None:
        """`2020 onwards`, `2019 or earlier`."""
        if self._periods.has(found.next, "onwards"):
            return Read(replace(found.range, end=None), found.next + 1)
        if self._periods.has(found.next, "earlier"):
            return Read(replace(found.range, start=None), found.next + 1)
        return None

    def _to_date(self, at: int) -> Read | None:
        """`YTD`, `fiscal year to date`, `this month so far`, `so far this year`."""
        if self._periods.has(at, "to_date_tail") and self._periods.has(at + 1, "this"):
            unit = self._periods.unit(at + 2)
            return Read(self._up_to_today(unit[0]), unit[1]) if unit else None
        place = self._periods.skip(at, "this")
        is_fiscal = self._periods.has(place, "fiscal")
        said = place + is_fiscal
        if self._periods.has(said, "to_date"):
            return Read(self._up_to_today(Unit(self._tokens[said]["to_date"], is_fiscal)), said + 1)
        unit = self._periods.unit(place)
        if unit is not None and self._periods.has(unit[1], "to_date_tail"):
            return Read(self._up_to_today(unit[0]), unit[1] + 1)
        return None

    def until_today(self) -> Range:
        """All time through today."""
        return Range(None, self._today() + timedelta(days=1), Unit("day"), "through today")

    def _up_to_today(self, unit: Unit) -> Range:
        start, end = self._calendar.floor(self._now, unit), self._today() + timedelta(days=1)
        return Range(start, end, unit, f"from {start:%Y-%m-%d} through today")

    def _rolling(self, at: int) -> Read | None:
        """`last 30 days`, `past year`, `next 2 weeks`, `last 6 complete months`, `last 24 hours`."""
        role = next((role for role in ("past", "last", "next") if self._periods.has(at, role)), None)
        if role is None:
            return None
        place = self._periods.skip(at + 1, "complete")
        is_complete = place > at + 1
        if self._periods.has(place, "number"):
            count, place = int(self._tokens[place]["number"]), place + 1
        elif role == "past":
            count = 1
        else:
            return None
        is_complete = is_complete or self._periods.has(place, "complete")
        unit = self._periods.unit(place)
        if unit is None or not 1 <= count <= MAX_COUNT:
            return None
        if role == "next":
            return Read(self._ahead(unit[0], count), unit[1])
        return self._qualified(unit[0], count, unit[1], is_complete)

    def _ahead(self, unit: Unit, count: int) -> Range:
        if unit.grain == "hour":
            return Range(self._now, shifted(self._now, unit, count), unit, "from now on")
        start = self._today() + timedelta(days=1)
        return Range(start, shifted(start, unit, count), unit, "from tomorrow on")

    def _qualified(self, unit: Unit, count: int, after: int, is_complete: bool) -> Read:
        """What follows may say whether today, the current period or the first day counts."""
        place = self._periods.skip(after, "point")
        if self._periods.has(place, "excluding") or self._periods.has(place, "exclusive"):
            behind = self._current(self._periods.skip(place + 1, "of", "the"))
            if behind is not None:
                return Read(self._complete(unit, count), self._periods.skip(behind, "close"))
        if self._periods.has(place, "including") or self._periods.has(place, "inclusive"):
            start = self._periods.skip(place + 1, "of", "the")
            if self._periods.has(start, "offset"):
                return Read(self._ending_today(unit, count), self._periods.skip(start + 1, "close"))
            behind = self._current(start)
            if behind is not None:
                return Read(self._with_current(unit, count), behind)
            ago = self._periods.period(start)
            if ago is not None and ago.range.start is not None:
                return Read(self._through_today(unit, count), self._periods.skip(ago.next, "close"))
        if is_complete or (self._calendar.rolling == "complete" and unit.grain != "hour"):
            return Read(self._complete(unit, count), after)
        if self._calendar.rolling == "including_today":
            return Read(self._ending_today(unit, count), after)
        return Read(self._through_today(unit, count), after)

    def _current(self, at: int) -> int | None:
        """The token after `the current week` or `today`."""
        if self._periods.has(at, "offset") and self._tokens[at]["offset"] == 0:
            return at + 1
        if self._periods.has(at, "this"):
            unit = self._periods.unit(at + 1)
            return unit[1] if unit else None
        return None

    def _complete(self, unit: Unit, count: int) -> Range:
        end = self._calendar.floor(self._now, unit)
        words = f"{count} whole {unit.grain}s before the present one"
        return Range(shifted(end, unit, -count), end, unit, words)

    def _with_current(self, unit: Unit, count: int) -> Range:
        end = shifted(self._calendar.floor(self._now, unit), unit, 1)
        return Range(shifted(end, unit, -count), end, unit, f"{count} {unit.grain}s with the present one")

    def _ending_today(self, unit: Unit, count: int) -> Range:
        if unit.grain not in ("day", "week"):
            return self._through_today(unit, count)
        end = self._today() + timedelta(days=1)
        return Range(shifted(end, unit, -count), end, unit, f"{count} {unit.grain}s of which today is the last day")

    def _through_today(self, unit: Unit, count: int) -> Range:
        if unit.grain == "hour":
            return Range(shifted(self._now, unit, -count), self._now, unit, f"{count} hours up to now")
        start = shifted(self._today(), unit, -count)
        words = f"from {start:%Y-%m-%d}, {count} {unit.grain}{'s' if count > 1 else ''} ago, through today"
        return Range(start, self._today() + timedelta(days=1), unit, words)

    def _excluded(self, found: Read) -> Read:
        """`last week (exclusive of the current week)` says nothing new."""
        place = self._periods.skip(found.next, "point")
        if self._periods.has(place, "excluding") or self._periods.has(place, "exclusive"):
            behind = self._current(self._periods.skip(place + 1, "of", "the"))
            if behind is not None:
                return replace(found, next=self._periods.skip(behind, "close"))
        return found
