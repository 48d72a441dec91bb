"""Where random decisions come from: hypothesis, which shrinks them, or a plain seeded generator, which is fast."""

import random
from collections.abc import Callable, Sequence
from functools import cache
from typing import Any, TypeVar

from hypothesis import strategies as st

ItemT = TypeVar("ItemT")


Numbers = Callable[[int, int], int]
"""A number from the first to the second, both included."""


class Choices:
    """Decisions; every one of them is a number that is simplest when it is small."""

    def __init__(self, numbers: Numbers):
        self.number = numbers

    def pick(self, items: Sequence[ItemT]) -> ItemT:
        return items[self.number(0, len(items) - 1)]

    def chance(self, percent: int) -> bool:
        return self.number(0, 99) >= 100 - percent

    def some(self, items: Sequence[ItemT], low: int, high: int) -> list[ItemT]:
        """Different items, in their order."""
        left = list(range(len(items)))
        count = min(self.number(low, high), len(items))
        chosen = [left.pop(self.number(0, len(left) - 1)) for _ in range(count)]
        return [items[index] for index in sorted(chosen)]


def seeded(seed: int) -> Choices:
    return Choices(random.Random(seed).randint)


@cache
def _between(low: int, high: int) -> st.SearchStrategy[int]:
    return st.integers(low, high)


def drawn(draw: Any) -> Choices:
    """Decisions that hypothesis takes."""
    return Choices(lambda low, high: draw(_between(low, high)))
