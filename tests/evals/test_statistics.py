import pytest

from evals.statistics import mcnemar, paired, wilson


@pytest.mark.parametrize(
    ("right", "of", "low", "high"),
    [(10, 10, 0.722, 1.0), (0, 10, 0.0, 0.278), (50, 100, 0.404, 0.596), (1, 1, 0.207, 1.0), (0, 0, 0.0, 1.0)],
)
def test_shares_have_wilsons_interval(right: int, of: int, low: float, high: float) -> None:
    share = wilson(right, of)
    assert [share.low, share.high] == pytest.approx([low, high], abs=5e-4)


@pytest.mark.parametrize(
    ("won", "lost", "p"),
    [(12, 2, 0.0129), (8, 2, 0.1094), (0, 0, 1.0), (5, 5, 1.0), (6, 0, 0.0312), (5, 0, 0.0625)],
)
def test_the_exact_test_looks_at_pairs_that_differ(won: int, lost: int, p: float) -> None:
    assert mcnemar(won, lost) == pytest.approx(p, abs=1e-4) == mcnemar(lost, won)


def test_a_difference_says_whether_it_may_be_chance() -> None:
    better, same = paired(12, 2, 72), paired(3, 2, 72)
    assert (better.is_noise, same.is_noise) == (False, True)
    assert 0 < better.low < better.value < better.high < 0.3
    assert same.low < 0 < same.high
    assert str(better).startswith("+13.9% [")
