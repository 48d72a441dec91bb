"""What a phrase about time means: half-open ranges, pairs of them, and the convention that was used."""

from dataclasses import dataclass, replace
from datetime import datetime

from engine.dates.calendar import Grain, Unit, shifted


@dataclass(frozen=True, slots=True)
class Range:
    """Local times from `start` up to, without, `end`; None is open. `convention` says in words how it was read."""

    start: datetime | None
    end: datetime | None
    unit: Unit
    convention: str = ""

    @property
    def grain(self) -> Grain:
        return self.unit.grain

    def moved(self, unit: Unit, count: int) -> "Range":
        """The range so many units later. A whole month stays a whole month."""
        start = self.start and shifted(self.start, unit, count)
        end = self.end and _moved_end(self.end, unit, count)
        return replace(self, start=start, end=end)

    def before(self) -> "Range":
        """The range of equal length that ends where this one begins. Raises ValueError on an open range."""
        if self.start is None or self.end is None:
            raise ValueError("an open range has no period before it")
        count = _whole_units(self.start, self.end, self.unit)
        if count:
            return replace(self, start=shifted(self.start, self.unit, -count), end=self.start)
        return replace(self, start=self.start - (self.end - self.start), end=self.start)


@dataclass(frozen=True, slots=True)
class Mention:
    """A phrase in a text, by character positions, and the range or the two ranges that it stands for."""

    start: int
    end: int
    range: Range
    versus: Range | None = None


@dataclass(frozen=True, slots=True)
class Found:
    """Everything that a text says about time.

    grain: what it groups by (`by month`), said at `grain_at`. compares: the unit of a comparison without ranges of its
    own (`YoY`), said at `compares_at`."""

    mentions: tuple[Mention, ...] = ()
    grain: Unit | None = None
    grain_at: tuple[int, int] = (0, 0)
    compares: Unit | None = None
    compares_at: tuple[int, int] = (0, 0)


def _moved_end(end: datetime, unit: Unit, count: int) -> datetime:
    """The end of a range moves with its last day, so that February 29 is not lost on the way."""
    if end.day == 1 or unit.grain in ("hour", "day", "week"):
        return shifted(end, unit, count)
    day = Unit("day")
    return shifted(shifted(shifted(end, day, -1), unit, count), day, 1)


def _whole_units(start: datetime, end: datetime, unit: Unit) -> int:
    """How many units lie between two moments; 0 when they are not whole."""
    count, at = 0, start
    while at < end and count < 1000:
        count += 1
        at = shifted(start, unit, count)
    return count if at == end else 0
