"""Periods of a calendar: where they begin, how they move, which conventions a tenant has for them."""

import calendar as gregorian
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Literal

Grain = Literal["hour", "day", "week", "month", "quarter", "half", "year"]
Rolling = Literal["through_today", "including_today", "complete"]

MONTHS: dict[Grain, int] = {"month": 1, "quarter": 3, "half": 6, "year": 12}
FIRST_YEAR, LAST_YEAR = 1, 9998


@dataclass(frozen=True, slots=True)
class Unit:
    """A length of time. Fiscal quarters, halves and years follow the fiscal year."""

    grain: Grain
    is_fiscal: bool = False


@dataclass(frozen=True, slots=True)
class Calendar:
    """How somebody counts time.

    week_start: 0 is Monday, 6 Sunday. fiscal_month: month in which the fiscal year begins.
    fiscal_year_of: whether FY2024 is named after the calendar year it ends or starts in.
    rolling: `last 7 days` goes from the day 7 days ago through today (`through_today`), counts 7 days of which
    today is the last (`including_today`), or 7 days up to yesterday (`complete`).
    day_first: whether 03/05/2023 is the third of May."""

    week_start: int = 0
    fiscal_month: int = 1
    fiscal_year_of: Literal["end", "start"] = "end"
    rolling: Rolling = "through_today"
    day_first: bool = False

    def floor(self, moment: datetime, unit: Unit) -> datetime:
        """Beginning of the period that a moment is in."""
        if unit.grain == "hour":
            return moment.replace(minute=0, second=0, microsecond=0)
        day = moment.replace(hour=0, minute=0, second=0, microsecond=0)
        if unit.grain == "day":
            return day
        if unit.grain == "week":
            return day - timedelta(days=(day.weekday() - self.week_start) % 7)
        first = (self.fiscal_month - 1) if unit.is_fiscal else 0
        behind = (day.month - 1 - first) % MONTHS[unit.grain]
        return shifted(day.replace(day=1), Unit("month"), -behind)

    def year(self, number: int, unit: Unit) -> datetime:
        """Beginning of a calendar or fiscal year by its number."""
        if not unit.is_fiscal or self.fiscal_month == 1:
            return datetime(number, 1, 1)
        return datetime(number - (self.fiscal_year_of == "end"), self.fiscal_month, 1)


def shifted(moment: datetime, unit: Unit, count: int) -> datetime:
    """A moment so many units later; the 31st becomes the last day of a shorter month. Raises OverflowError."""
    match unit.grain:
        case "hour":
            return moment + timedelta(hours=count)
        case "day":
            return moment + timedelta(days=count)
        case "week":
            return moment + timedelta(weeks=count)
    years, month = divmod(moment.year * 12 + moment.month - 1 + count * MONTHS[unit.grain], 12)
    if not FIRST_YEAR <= years <= LAST_YEAR:
        raise OverflowError("outside the years that there are")
    last = gregorian.monthrange(years, month + 1)[1]
    return moment.replace(year=years, month=month + 1, day=min(moment.day, last))
