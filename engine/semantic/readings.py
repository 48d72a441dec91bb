"""What was read of a question, before it is compiled."""

from dataclasses import dataclass

from core.errors import Conflict
from engine.dates.ranges import Found, Range
from engine.semantic.compile import MetricQuery, compile_metrics, lacks_bounds
from engine.semantic.layer import Layer
from engine.semantic.models import Metric


@dataclass(frozen=True, slots=True)
class MetricReading:
    """A query for metrics, or none and why. uncovered: words that nothing stands for; nearest: metrics like them.

    formed: metrics of the query that the question itself defines."""

    query: MetricQuery | None
    confidence: float
    uncovered: tuple[str, ...] = ()
    nearest: tuple[str, ...] = ()
    assumed: tuple[str, ...] = ()
    conventions: tuple[str, ...] = ()
    range: Range | None = None
    versus: Range | None = None
    formed: tuple[Metric, ...] = ()


def as_read(question: str, start: int, end: int, meant: Range) -> str:
    """How words about time were read."""
    ends = [
        moment.isoformat(sep=" ").removesuffix(" 00:00:00") if moment else "" for moment in (meant.start, meant.end)
    ]
    convention = f" ({meant.convention})" if meant.convention else ""
    return f"{question[start:end]}: [{ends[0]}, {ends[1]}){convention}"


def checked(reading: MetricReading, layer: Layer) -> MetricReading:
    """The reading, declined where it cannot be compiled."""
    if reading.query is None:
        return reading
    layer = layer.plus(*reading.formed)
    try:
        if not lacks_bounds(reading.query, layer):
            compile_metrics(reading.query, layer)
    except Conflict as error:
        return MetricReading(None, 0.0, reading.uncovered, reading.nearest, (error.message,), reading.conventions)
    return reading


def grain_of(dates: Found) -> str:
    """The grain that words group by; empty where they do not."""
    if dates.grain is None:
        return ""
    return f"fiscal_{dates.grain.grain}" if dates.grain.is_fiscal else dates.grain.grain
