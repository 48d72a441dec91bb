from datetime import date, datetime
from decimal import Decimal
from typing import Any

import pytest

from evals.score import is_equal, is_subset


@pytest.mark.parametrize(
    ("gold", "answer", "equal", "subset"),
    [
        ([(1, "a"), (2, "b")], [(2, "b"), (1, "a")], True, True),
        ([(1,), (2,)], [("a", 1), ("b", 2)], False, True),
        ([(1, "a"), (2, "b")], [("a", 1), ("b", 2)], False, True),
        ([(1, "a"), (2, "b")], [("b", 1), ("a", 2)], False, False),
        ([(1,)], [(1,), (1,)], False, False),
        ([(1,), (1,)], [(1,)], False, False),
        ([], [], True, True),
        ([], [(1,)], False, False),
        ([(1,)], [], False, False),
        ([(0.1 + 0.2,)], [(Decimal("0.3"),)], True, True),
        ([(1,)], [(True,)], True, True),
        ([(None,)], [(0,)], False, False),
        ([(date(2013, 1, 1),)], [(datetime(2013, 1, 1),)], True, True),
        ([(date(2013, 1, 1),)], [("2013-01-01T00:00:00",)], True, True),
        ([("2013-xx",)], [("2013-xx",)], True, True),
        ([(1, 1), (1, 2)], [(1, 2), (1, 1)], True, True),
        ([(1, 2), (2, 1)], [(1, 1, 2), (2, 2, 1)], False, True),
    ],
)
def test_rows_are_compared(gold: Any, answer: Any, equal: bool, subset: bool) -> None:
    assert (is_equal(gold, answer), is_subset(gold, answer)) == (equal, subset)


def test_many_equal_columns_do_not_take_for_ever() -> None:
    assert not is_subset([(1,) * 12, (2,) * 12], [(1,) * 12, (3,) * 12])
