"""Days and months of UTC: how spending is counted, and when a quota renews."""

from dataclasses import dataclass
from datetime import UTC, datetime, timedelta


@dataclass(frozen=True, slots=True)
class Periods:
    """The day and the month that a moment lies in; the names are keys in the store."""

    day: str
    month: str
    day_ends: datetime
    month_ends: datetime
    seconds: float = 0.0  # the moment itself

    @property
    def names(self) -> tuple[str, str]:
        return self.month, self.day

    def of(self, span: str) -> tuple[str, datetime]:
        """Name and end of the day or the month."""
        return (self.day, self.day_ends) if span == "day" else (self.month, self.month_ends)


def periods_at(seconds: float) -> Periods:
    """The periods of a time in seconds since the epoch."""
    now = datetime.fromtimestamp(seconds, UTC)
    midnight = now.replace(hour=0, minute=0, second=0, microsecond=0)
    first = midnight.replace(day=1)
    return Periods(
        day=f"{now:%Y-%m-%d}",
        month=f"{now:%Y-%m}",
        day_ends=midnight + timedelta(days=1),
        month_ends=(first + timedelta(days=32)).replace(day=1),
        seconds=seconds,
    )
