"""A question as metrics, dimensions, filters and time, without a model: nothing that matters may be left over."""

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any

BY = frozenset({"by", "per", "each", "every", "across"})
AGGREGATES = frozenset({"average", "avg", "mean", "maximum", "minimum", "max", "min", "median", "highest", "lowest"})
TOP = {"top": "desc", "best": "desc", "highest": "desc", "most": "desc", "largest": "desc", "bottom": "asc"}
TOP |= {"lowest": "asc", "worst": "asc", "least": "asc", "smallest": "asc"}
PERIODS = frozenset({"day", "week", "month", "quarter", "half", "year", "hour"})
HARMLESS = frozenset(
    {"metric", "trend", "figure", "breakdown", "split", "group", "grouped", "broken", "down", "during"}
)


@dataclass(slots=True)
class Wish:
    """What was understood; `left` are words that nothing stands for."""

    metrics: list[str] = field(default_factory=list)
    dimensions: list[str] = field(default_factory=list)
    filters: list[dict[str, Any]] = field(default_factory=list)
    time_range: str = ""
    grain: str = ""
    compare: str = "none"
    order: list[dict[str, str]] = field(default_factory=list)
    limit: int = 0
    left: list[str] = field(default_factory=list)

    @property
    def is_whole(self) -> bool:
        return bool(self.metrics) and not self.left

    def arguments(self) -> dict[str, Any]:
        """As query_metric takes it."""
        names = ("metrics", "dimensions", "filters", "time_range", "grain", "compare", "order", "limit")
        return {name: getattr(self, name) for name in names}


def read_wish(
    task: str, metrics: Sequence[Mapping[str, Any]], values: Sequence[Mapping[str, str]], now: datetime
) -> Wish:
    """What a question asks of these metrics. `values` are words of it that columns hold."""
    from engine.planner.words import cues, tokens_of

    reader = _Reader(task, tokens_of(task), cues().ignored)
    reader.read_time(now)
    chosen = reader.read_metrics(metrics)
    if chosen:
        dimensions = _shared_dimensions(chosen)
        reader.read_values(values, dimensions)
        reader.read_dimensions(dimensions)
        reader.read_top()
    return reader.finish()


def phrases_of(metric: Mapping[str, Any]) -> list[tuple[str, ...]]:
    """What a metric is called, in words."""
    named = [metric["name"].replace("_", " "), metric.get("label") or "", *(metric.get("synonyms") or ())]
    return [stems for text in named if (stems := stems_of(text))]


def stems_of(text: str) -> tuple[str, ...]:
    from engine.planner.words import stem_of

    return tuple(part for word in text.replace("_", " ").split() for part in stem_of(word).split())


class _Reader:
    """Marks what it has used of a question."""

    def __init__(self, task: str, tokens: Sequence[Any], ignored: frozenset[str]):
        self._task = task
        self._tokens = [token for token in tokens if token.kind in ("word", "number", "quoted")]
        self._ignored = ignored
        self._used: set[int] = set()
        self.wish = Wish()

    def read_time(self, now: datetime) -> None:
        from engine.dates.find import find_dates

        found = find_dates(self._task, now)
        for mention in found.mentions[:1]:
            self.wish.time_range = self._task[mention.start : mention.end]
            self._use_span(mention.start, mention.end)
        if found.grain is not None:
            fiscal = "fiscal_" if getattr(found.grain, "is_fiscal", False) else ""
            self.wish.grain = f"{fiscal}{found.grain.grain}"
            self._use_span(*found.grain_at)
        if found.compares is not None and not (found.mentions and found.mentions[0].versus is not None):
            grain = found.compares.grain
            self.wish.compare = f"previous_{grain}" if grain in ("day", "week", "month", "quarter", "year") else "none"
        self._use_words({"yoy", "mom", "qoq", "over", "growth", "change"} if found.compares is not None else set())

    def read_metrics(self, metrics: Sequence[Mapping[str, Any]]) -> list[Mapping[str, Any]]:
        """The metrics that are named whole, longest names first."""
        options = sorted(
            ((stems, metric) for metric in metrics for stems in phrases_of(metric)), key=lambda item: -len(item[0])
        )
        chosen: list[Mapping[str, Any]] = []
        for stems, metric in options:
            at = self._find(stems)
            if at is not None and metric not in chosen:
                self._used.update(range(at, at + self._length(at, stems)))
                chosen.append(metric)
                self.wish.metrics.append(metric["name"])
        return chosen

    def read_values(self, values: Sequence[Mapping[str, str]], dimensions: Sequence[str]) -> None:
        """Values that the question names become filters on the dimension that holds them."""
        by_text: dict[str, list[tuple[str, str]]] = {}
        for item in values:
            for dimension in dimensions:
                if dimension.rpartition("__")[2] == item["column"]:
                    by_text.setdefault(item["text"], []).append((dimension, item["value"]))
        for text, found in by_text.items():
            start = self._task.find(text)
            places = self._places(start, start + len(text))
            if not places or places & self._used:
                continue
            dimension = found[0][0]
            held = sorted({value for name, value in found if name == dimension})
            one = {"operator": "eq", "value": held[0]} if len(held) == 1 else {"operator": "in", "value": held}
            self.wish.filters.append({"column": dimension, **one})
            self._used |= places

    def read_dimensions(self, dimensions: Sequence[str]) -> None:
        """Dimensions that are named, where something is grouped by them or ranked."""
        options = sorted(
            ((stems, name) for name in dimensions for stems in _names_of(name)), key=lambda item: -len(item[0])
        )
        for stems, name in options:
            at = self._find(stems)
            if at is None or name in self.wish.dimensions:
                continue
            if self._is_grouping(at):
                self.wish.dimensions.append(name)
                self._used.update(range(at, at + self._length(at, stems)))

    def read_top(self) -> None:
        """`top 5 countries by revenue`"""
        for at, token in enumerate(self._tokens):
            if token.stem not in TOP or at in self._used or not self.wish.metrics:
                continue
            self._used.add(at)
            self.wish.order = [{"name": self.wish.metrics[0], "direction": TOP[token.stem]}]
            count = self._tokens[at + 1].number if at + 1 < len(self._tokens) else None
            if isinstance(count, int):
                self.wish.limit = count
                self._used.add(at + 1)
            return

    def finish(self) -> Wish:
        harmless = self._ignored | BY | HARMLESS | (PERIODS if self.wish.grain else frozenset())
        self.wish.left = [
            token.text for at, token in enumerate(self._tokens) if at not in self._used and token.stem not in harmless
        ]
        return self.wish

    def _is_grouping(self, at: int) -> bool:
        before = [self._tokens[place].stem for place in range(max(0, at - 6), at)]
        return any(word in BY or word in TOP for word in before) or "and" in before[-1:]

    def _find(self, stems: tuple[str, ...]) -> int | None:
        for at in range(len(self._tokens)):
            if self._length(at, stems) and not self._used & set(range(at, at + self._length(at, stems))):
                return at
        return None

    def _length(self, at: int, stems: tuple[str, ...]) -> int:
        """How many tokens from `at` on are these stems; 0: they are not."""
        words: list[str] = []
        for count, token in enumerate(self._tokens[at : at + len(stems)], 1):
            words += token.stem.split()
            if tuple(words) == stems:
                return count
            if len(words) >= len(stems):
                return 0
        return 0

    def _use_span(self, start: int, end: int) -> None:
        self._used |= self._places(start, end)

    def _places(self, start: int, end: int) -> set[int]:
        return {at for at, token in enumerate(self._tokens) if start >= 0 and start <= token.start < end}

    def _use_words(self, words: set[str]) -> None:
        self._used |= {at for at, token in enumerate(self._tokens) if token.text.lower() in words}


def _shared_dimensions(metrics: Sequence[Mapping[str, Any]]) -> list[str]:
    first, *others = [list(metric.get("dimensions") or ()) for metric in metrics]
    return [name for name in first if all(name in other for other in others)]


def _names_of(dimension: str) -> list[tuple[str, ...]]:
    entity, _, name = dimension.rpartition("__")
    names = [stems_of(name), stems_of(f"{entity} {name}")]
    return [stems for stems in names if stems]
