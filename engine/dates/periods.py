"""Phrases that name one closed period: dates, months, quarters, years, `last week`, `first half of 2023`."""

import re
from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime, timedelta

from engine.dates.calendar import Calendar, Grain, Unit, shifted
from engine.dates.ranges import Range
from engine.dates.words import Language, Token

DAY, WEEK, MONTH, YEAR = Unit("day"), Unit("week"), Unit("month"), Unit("year")
FIRST_YEAR, LAST_YEAR = 1900, 2100
DIRECTIONS = {"last": -1, "this": 0, "next": 1}
NAMING = ("in", "since", "before", "after", "until", "between", "and", "to", "of", "versus", "unit")
"""After these a doubtful word or a bare number is a time."""


@dataclass(frozen=True, slots=True)
class Read:
    """A range, the token after it, and whether its year was said."""

    range: Range
    next: int
    has_year: bool = True


class Periods:
    """Reads a period at a token. `today` is the local time of the one who asks."""

    def __init__(self, tokens: list[Token], now: datetime, calendar: Calendar, spoken: Language):
        self.tokens = tokens
        self.now = now
        self.calendar = calendar
        self._spoken = spoken
        self._readers: tuple[Callable[[int, int | None], Read | None], ...] = (
            self.edge,
            self._containing,
            self._date,
            self._century,
            self._fiscal_year,
            self._numbered,
            self._day_of_month,
            self._month,
            self._relative,
            self._weekday,
            self._ago,
            self._year,
            self._offset,
        )

    def has(self, at: int, role: str) -> bool:
        return 0 <= at < len(self.tokens) and role in self.tokens[at]

    def skip(self, at: int, *roles: str) -> int:
        """The first token from `at` on that has none of the roles."""
        while any(self.has(at, role) for role in roles):
            at += 1
        return at

    def unit(self, at: int) -> tuple[Unit, int] | None:
        """`fiscal quarter`, `months`, `complete weeks`."""
        at = self.skip(at, "complete")
        is_fiscal = self.has(at, "fiscal")
        at = self.skip(at, "fiscal")
        return (Unit(self.tokens[at]["unit"], is_fiscal), at + 1) if self.has(at, "unit") else None

    def whole(self, moment: datetime, unit: Unit, convention: str = "") -> Range:
        """The period of a unit that a moment is in."""
        start = self.calendar.floor(moment, unit)
        return Range(start, shifted(start, unit, 1), unit, convention)

    def period(self, at: int, year: int | None = None) -> Read | None:
        """The closed period that begins at a token; `year` is whose it is when none is said."""
        if not 0 <= at < len(self.tokens):
            return None
        for read in self._readers:
            try:
                found = read(at, year)
            except (OverflowError, ValueError):  # a 31st of June, a year beyond all calendars
                continue
            if found is not None:
                return found
        return None

    def edge(self, at: int, year: int | None) -> Read | None:
        """`first week of March`, `last 10 days of 2023`, `second half of 2022`, `start of the year`."""
        if self.has(at, "edge_start") or self.has(at, "edge_end"):
            of = self._of(at + 1, year)
            if of is None or of.range.start is None or of.range.end is None:
                return None
            day = of.range.start if self.has(at, "edge_start") else of.range.end - timedelta(days=1)
            return Read(self.whole(day, DAY), of.next, of.has_year)
        if not (self.has(at, "ordinal") or self.has(at, "last") or self.has(at, "nth")):
            return None
        number = self.skip(at + 1, "complete")
        count = self.tokens[number]["number"] if self.has(number, "number") else 1
        unit = self.unit(number + 1 if self.has(number, "number") else number)
        if unit is None or not self.has(unit[1], "of"):
            return None
        of = self._of(unit[1], year)
        return None if of is None else self._part(self._ordinal(at), count, unit[0], of)

    def _ordinal(self, at: int) -> int:
        token = self.tokens[at]
        if "nth" in token:
            return int(re.sub(r"\D", "", token.text))
        return int(token["ordinal"]) if "ordinal" in token else -1

    def _of(self, at: int, year: int | None) -> Read | None:
        at = self.skip(at, "of", "the")
        unit = self.unit(at)
        return Read(self.whole(self.now, unit[0]), unit[1]) if unit else self.period(at, year)

    def _part(self, ordinal: int, count: int, unit: Unit, of: Read) -> Read | None:
        start, end = of.range.start, of.range.end
        if start is None or end is None:
            return None
        if unit.grain == "half" and of.range.grain == "month":
            middle = start + timedelta(days=15)
            return Read(Range(*((start, middle) if ordinal == 1 else (middle, end)), DAY), of.next, of.has_year)
        if unit.grain in ("quarter", "half") and of.range.unit.is_fiscal:
            unit = Unit(unit.grain, True)
        if ordinal < 0:
            part = Range(shifted(end, unit, -count), end, unit)
        else:
            first = shifted(start, unit, (ordinal - 1) * (1 if count == 1 else 0))
            part = Range(first, shifted(first, unit, count), unit)
        inside = part.start is not None and part.start >= start and part.end is not None and part.end <= end
        return Read(part, of.next, of.has_year) if inside else None

    def _containing(self, at: int, year: int | None) -> Read | None:
        """`the week of March 6`, `month of May 2023`, `year 2021`."""
        if not self.has(at, "unit") or self.has(at + 1, "unit"):
            return None
        unit = Unit(self.tokens[at]["unit"])
        is_of = self.has(at + 1, "of")
        of = self.period(self.skip(at + 1, "of", "the"), year) if is_of else self._year(at + 1, year)
        if of is None or of.range.start is None:
            return None
        if of.range.grain == unit.grain:
            return of
        return Read(self.whole(of.range.start, unit), of.next, of.has_year) if of.range.grain == "day" else None

    def _date(self, at: int, year: int | None) -> Read | None:
        token = self.tokens[at]
        numbers = [int(number) for number in re.findall(r"\d+", token.text)]
        if "date" in token:
            return self._day(numbers[0], numbers[1], numbers[2], at + 1)
        if "year_month" in token:
            return Read(self.whole(datetime(numbers[0], numbers[1], 1), MONTH), at + 1)
        if "slashed" in token:
            first, second, said = numbers
            month, day = (second, first) if self.calendar.day_first else (first, second)
            order = "day/month" if self.calendar.day_first else "month/day"
            if month > 12:
                month, day, order = day, month, "the only order that is a date"
            return self._day(_full_year(said), month, day, at + 1, f"{token.text} read as {order}")
        return None

    def _day(self, year: int, month: int, day: int, after: int, convention: str = "") -> Read:
        return Read(self.whole(datetime(year, month, day), DAY, convention), after)

    def _fiscal_year(self, at: int, year: int | None) -> Read | None:
        token, unit = self.tokens[at], Unit("year", True)
        if "fiscal_year" in token:
            number, after = _full_year(int(re.sub(r"\D", "", token.text))), at + 1
        elif "fiscal" in token and self._said_year(self.skip(at + 1, "unit")) is not None:
            after = self.skip(at + 1, "unit") + 1
            number = self.tokens[after - 1]["number"]
        else:
            return None
        start = self.calendar.year(number, unit)
        whole = Range(start, shifted(start, unit, 1), unit, self._fiscal_words(number, start))
        inner = self._numbered_in(after, whole)
        return inner or Read(whole, after)

    def _fiscal_words(self, number: int, start: datetime) -> str:
        return f"fiscal year {number} begins on {start:%Y-%m-%d}"

    def _numbered_in(self, at: int, whole: Range) -> Read | None:
        """`FY24 Q2`."""
        found = self._number_of(at)
        if found is None or whole.start is None:
            return None
        grain, number, after = found
        unit = Unit(grain, whole.unit.is_fiscal)
        start = shifted(whole.start, unit, number - 1)
        return Read(Range(start, shifted(start, unit, 1), unit, whole.convention), after)

    def _number_of(self, at: int) -> tuple[Grain, int, int] | None:
        """`Q3`, `H1`, `W12`, `quarter 3`, `third quarter`, `week 12`."""
        if not 0 <= at < len(self.tokens):
            return None
        token = self.tokens[at]
        numbered: tuple[Grain, ...] = ("quarter", "half", "week")
        for grain in numbered:
            if grain in token:
                return grain, int(re.sub(r"\D", "", token.text)), at + 1
        after = self.skip(at + 1, "fiscal")
        if ("ordinal" in token or "nth" in token) and self.has(after, "unit"):
            number, grain = self._ordinal(at), self.tokens[after]["unit"]
            return (grain, number, after + 1) if grain in ("quarter", "half") and number > 0 else None
        if "unit" in token and self.has(at + 1, "number") and token["unit"] in ("quarter", "half", "week"):
            return token["unit"], self.tokens[at + 1]["number"], at + 2
        return None

    def _numbered(self, at: int, year: int | None) -> Read | None:
        """`Q3 2023`, `2023 Q3`, `third quarter of last year`, `fiscal Q2`, `week 12 of 2023`."""
        is_fiscal = self.has(at, "fiscal")
        said = self._said_year(at)
        found = self._number_of(at + 1 if is_fiscal or said is not None else at)
        if found is None:
            return None
        grain, number, after = found
        if not 1 <= number <= {"quarter": 4, "half": 2}.get(grain, 53):
            return None
        has_year = said is not None
        if said is None:
            behind = self.skip(after, "of", "the", "point")
            said, behind = self._year_at(behind)
            has_year, after = said is not None, behind if said is not None else after
        unit = Unit(grain, is_fiscal or self._is_fiscal_before(after))
        return Read(self._in_year(unit, number, said or year), after, has_year)

    def _is_fiscal_before(self, after: int) -> bool:
        return self.has(after - 1, "fiscal_year") or self.has(after - 2, "fiscal")

    def _in_year(self, unit: Unit, number: int, year: int | None) -> Range:
        """The nth week, quarter or half of a year; without a year the latest that has begun."""
        for guess in (year,) if year is not None else (self.now.year + 1, self.now.year, self.now.year - 1):
            if unit.grain == "week":  # ISO 8601: week 1 has the year's first Thursday
                start = self.calendar.floor(datetime(guess, 1, 4), unit)
            else:
                start = self.calendar.year(guess, Unit("year", unit.is_fiscal))
            start = shifted(start, unit, number - 1)
            if year is not None or start <= self.now:
                break
        words = self._fiscal_words(guess, self.calendar.year(guess, Unit("year", True))) if unit.is_fiscal else ""
        return Range(start, shifted(start, unit, 1), unit, words or ("" if year else f"of {guess}"))

    def _said_year(self, at: int) -> int | None:
        if self.has(at, "digits") and self.has(at, "number"):
            number = int(self.tokens[at]["number"])
            return number if FIRST_YEAR <= number <= LAST_YEAR else None
        return None

    def _year_at(self, at: int) -> tuple[int | None, int]:
        """A year by number, or `last year`; and the token after it."""
        said = self._said_year(at)
        if said is not None:
            return said, at + 1
        if self.has(at, "fiscal_year"):
            return _full_year(int(re.sub(r"\D", "", self.tokens[at].text))), at + 1
        if self.has(at, "fiscal") and self._said_year(at + 1) is not None:
            return self._said_year(at + 1), at + 2
        for role, count in DIRECTIONS.items():
            if self.has(at, role) and self.has(at + 1, "unit") and self.tokens[at + 1]["unit"] == "year":
                return self.now.year + count, at + 2
        return None, at

    def _day_of_month(self, at: int, year: int | None) -> Read | None:
        """`March 5`, `March 5th, 2023`, `5 March 2023`, `the 3rd of April`."""
        if self.has(at, "month") and (day := self._day_number(at + 1)) is not None:
            month, after = self.tokens[at]["month"], at + 2
        elif (day := self._day_number(at)) is not None and self.has(self.skip(at + 1, "of"), "month"):
            after = self.skip(at + 1, "of") + 1
            month = self.tokens[after - 1]["month"]
        else:
            return None
        said, behind = self._year_at(self.skip(after, "point", "of"))
        if said is not None:
            return self._day(said, month, day, behind)
        found = self._latest(month, day, year)
        return Read(self.whole(found, DAY, "" if year else f"of {found.year}"), after, has_year=False)

    def _day_number(self, at: int) -> int | None:
        if self.has(at, "nth") or self.has(at, "ordinal"):
            number = self._ordinal(at)
        elif self.has(at, "digits") and self.has(at, "number"):
            number = self.tokens[at]["number"]
        else:
            return None
        return number if 1 <= number <= 31 else None

    def _latest(self, month: int, day: int, year: int | None) -> datetime:
        found = datetime(year or self.now.year, month, day)
        return found if year or found <= self.now else found.replace(year=found.year - 1)

    def _month(self, at: int, year: int | None) -> Read | None:
        """`March 2023`, `March of last year`, `last March`, `March`."""
        direction = next((count for role, count in DIRECTIONS.items() if self.has(at, role)), None)
        if direction is not None and self.has(at + 1, "month"):
            month = datetime(self.now.year, self.tokens[at + 1]["month"], 1)
            while (direction < 0 and month >= self.calendar.floor(self.now, MONTH)) or (
                direction > 0 and month <= self.now
            ):
                month = month.replace(year=month.year + direction)
            return Read(self.whole(month, MONTH, f"{month:%Y-%m}"), at + 2)
        if not self.has(at, "month"):
            return None
        number = self.tokens[at]["month"]
        said, after = self._year_at(self.skip(at + 1, "of", "point", "the"))
        if said is not None:
            return Read(self.whole(datetime(said, number, 1), MONTH), after)
        if self.has(at + 1, "digits") and re.fullmatch(r"\d\d", self.tokens[at + 1].text) and self._follows_quote(at):
            return Read(self.whole(datetime(_full_year(int(self.tokens[at + 1].text)), number, 1), MONTH), at + 2)
        if self._is_doubtful(at) and year is None:
            return None
        found = self._latest(number, 1, year)
        return Read(self.whole(found, MONTH, "" if year else f"of {found.year}"), at + 1, has_year=False)

    def _follows_quote(self, at: int) -> bool:
        return self.tokens[at + 1].start - self.tokens[at].end <= 2

    def _is_doubtful(self, at: int) -> bool:
        """`may` and its like are dates after `in`, `since`, `last`; and `May` is one within a sentence."""
        token = self.tokens[at]
        if token.text not in self._spoken.doubtful or any(self.has(at - 1, role) for role in NAMING):
            return False
        is_within = at > 0 and token.is_capital
        return not is_within and not (self.has(at + 1, "to") and self.has(at + 2, "month"))

    def _relative(self, at: int, year: int | None) -> Read | None:
        """`this week`, `last complete fiscal quarter`, `next year`."""
        for role, count in DIRECTIONS.items():
            unit = self.unit(at + 1) if self.has(at, role) else None
            if unit is not None:
                start = shifted(self.calendar.floor(self.now, unit[0]), unit[0], count)
                return Read(Range(start, shifted(start, unit[0], 1), unit[0]), unit[1])
            if self.has(at, role) and self.has(at + 1, "weekend"):
                monday = self.now - timedelta(days=self.now.weekday())
                start = self.calendar.floor(monday, DAY) + timedelta(days=5 + 7 * count)
                return Read(Range(start, start + timedelta(days=2), DAY), at + 2)
        return None

    def _weekday(self, at: int, year: int | None) -> Read | None:
        """`last Monday` (before today), `Friday` (the latest), `next Tuesday`."""
        direction = next((count for role, count in DIRECTIONS.items() if self.has(at, role)), None)
        place = at if direction is None else at + 1
        if not self.has(place, "weekday") or (direction is None and self._is_doubtful(place)):
            return None
        today, wanted = self.calendar.floor(self.now, DAY), self.tokens[place]["weekday"]
        back = (today.weekday() - wanted) % 7
        if direction == -1:
            day = today - timedelta(days=back or 7)
        elif direction == 1:
            day = today + timedelta(days=7 - back)
        elif direction == 0:
            day = today - timedelta(days=today.weekday() - wanted)
        else:
            day = today - timedelta(days=back)
        return Read(self.whole(day, DAY, f"{day:%Y-%m-%d}"), place + 1)

    def _ago(self, at: int, year: int | None) -> Read | None:
        """`3 days ago`, `two months ago`: the whole period that lies so far back."""
        if not self.has(at, "number"):
            return None
        unit = self.unit(at + 1)
        if unit is None or not self.has(unit[1], "ago"):
            return None
        then = shifted(self.now, unit[0], -int(self.tokens[at]["number"]))
        return Read(self.whole(then, unit[0]), unit[1] + 1)

    def _century(self, at: int, year: int | None) -> Read | None:
        """`the 19th century` begins in 1801."""
        is_numbered = self.has(at, "nth") or self.has(at, "ordinal")
        number = self._ordinal(at) if is_numbered and self.has(at + 1, "century") else 0
        if number < 1:
            return None
        start = datetime(100 * number - 99, 1, 1)
        return Read(Range(start, shifted(start, YEAR, 100), YEAR, f"from {start.year} on"), at + 2)

    def _year(self, at: int, year: int | None) -> Read | None:
        if self.has(at, "decade"):
            start = datetime(int(self.tokens[at].text[:4]), 1, 1)
            return Read(Range(start, shifted(start, YEAR, 10), YEAR), at + 1)
        said = self._said_year(at)
        if said is None or (at and self.tokens[at - 1].text in self._spoken.number_before):
            return None
        is_named = any(self.has(at - 1, role) for role in NAMING)
        if not is_named and not 1950 <= said <= self.now.year + 1:
            return None
        return Read(self.whole(datetime(said, 1, 1), YEAR), at + 1)

    def _offset(self, at: int, year: int | None) -> Read | None:
        if not self.has(at, "offset"):
            return None
        return Read(self.whole(shifted(self.now, DAY, self.tokens[at]["offset"]), DAY), at + 1)


def _full_year(number: int) -> int:
    """Two digits up to 69 are of this century, as POSIX has it."""
    return number if number > 99 else number + (2000 if number < 69 else 1900)
